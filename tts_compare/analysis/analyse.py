"""Rows in, everything reports show out. Pure: no file is read or written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from tts_compare.analysis.findings.barren import barren, without_barren
from tts_compare.analysis.findings.choice import rival_frame
from tts_compare.analysis.findings.claims import judge_claims
from tts_compare.analysis.findings.compare import pair_frame
from tts_compare.analysis.findings.failed_lengths import failed_lengths
from tts_compare.analysis.findings.frontier import Resampled, band_rows, frontier_columns, frontier_rows, resample
from tts_compare.analysis.findings.losslessness import losslessness_frame
from tts_compare.analysis.findings.optimal import choices, optimal_frame
from tts_compare.analysis.findings.row_warnings import find_warnings, with_codes
from tts_compare.analysis.findings.slo import choose
from tts_compare.analysis.findings.spot import spot_frame
from tts_compare.analysis.metrics import FORMULAS, POINT_COLUMNS
from tts_compare.analysis.points import Weights, points_frame
from tts_compare.analysis.rows.attempts import hosted_settings
from tts_compare.analysis.rows.cost import priced
from tts_compare.analysis.rows.cuts import cut_frame
from tts_compare.analysis.rows.gaps import gap_frame
from tts_compare.analysis.rows.outcomes import outcomes
from tts_compare.analysis.rows.samples import measured_rows
from tts_compare.analysis.schema import POINT_KEY, Analysis, Slo
from tts_compare.analysis.statistics.cube import Cube, cubes
from tts_compare.domain import RunWarning
from tts_compare.errors import RunError
from tts_compare.rundir.manifest import Manifest

#: Points -> the same with ``metrics.LIMIT``, which takes facts on the machine, and the warnings of them.
ToLimit: TypeAlias = "Callable[[pl.DataFrame], tuple[pl.DataFrame, tuple[RunWarning, ...]]]"


@dataclass(frozen=True, slots=True)
class AnalysisRows:
    """Outcomes with their prices (those not measured too), the rows they come of, and the cubes of them."""

    outcomes: pl.DataFrame
    measured: pl.DataFrame
    cubes: list[Cube]
    cuts: pl.DataFrame


def prepare(
    records: pl.DataFrame, grades: pl.DataFrame, manifest: Manifest, cuts: pl.DataFrame | None = None
) -> AnalysisRows:
    """Join records and grades into outcomes. Raises RunError where no measured request was sent.

    cuts: ``cuts.cut_frame`` of the records, made here from the timeline columns where it is not given.
    """
    measured = measured_rows(records, hosted_settings(manifest))
    if measured.height == 0:
        raise RunError("the run holds no measured request: run it, or resume it with --resume")
    if cuts is None:
        cuts = _cuts(measured, grades)
    found = outcomes(measured, grades, policy=manifest.experiment.policy, cuts=cuts)
    paid = priced(found, measured, manifest)
    return AnalysisRows(outcomes=paid, measured=measured, cubes=cubes(paid), cuts=cuts)


def _cuts(measured: pl.DataFrame, grades: pl.DataFrame) -> pl.DataFrame:
    """Cuts of the records of the work that has prefixes graded."""
    work = ["setting", "method", "budget", "load"]
    cut = grades.filter(pl.col("cut_tokens").is_not_null() & (pl.col("cut_tokens") < pl.col("budget")))
    empty = measured.head(0)
    if cut.height == 0 or "timeline_us" not in measured.columns:
        lists = [pl.lit(None, dtype=pl.List(pl.Int64)).alias(f"timeline_{n}") for n in ("us", "tokens", "chars")]
        return cut_frame(empty.with_columns(lists), [])
    rows = measured.join(cut.select(work).unique(), on=work, how="semi")
    return cut_frame(rows, cut["cut_tokens"].unique().to_list())


def points(
    records: pl.DataFrame,
    grades: pl.DataFrame,
    manifest: Manifest,
    *,
    cuts: pl.DataFrame | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    to_limit: ToLimit | None = None,
) -> pl.DataFrame:
    """The points frame of ``analyse``: what ``points.json`` holds. Cheaper, since nothing is compared in pairs."""
    ready = prepare(records, grades, manifest, cuts)
    weights = Weights(resamples, seed)
    frame = points_frame(ready.outcomes, ready.measured, ready.cubes, manifest, weights)
    frame, warnings = to_limit(frame) if to_limit else (frame, ())
    drawn = [_resample(cube, weights, frame) for cube in ready.cubes]
    columns = [frontier_columns(cube, d) for cube, d in zip(ready.cubes, drawn, strict=True)]
    frame = _with_gaps(_with_frontiers(frame, columns), ready.measured)
    frame = without_barren(frame, frame)
    spot = spot_frame(records, ready.cuts)
    no_pairs = pl.DataFrame(schema=_NO_PAIRS)
    doubts = find_warnings(frame, records, ready.measured, grades, manifest, cuts=ready.cuts, spot=spot, pairs=no_pairs)
    return with_codes(frame, (*doubts, *warnings))


_NO_PAIRS = {"required_n": pl.Int64, "n": pl.Int64}


def analyse(
    records: pl.DataFrame,
    grades: pl.DataFrame,
    manifest: Manifest,
    *,
    cuts: pl.DataFrame | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    slo: Sequence[Slo] = (),
    rows: AnalysisRows | None = None,
    to_limit: ToLimit | None = None,
) -> Analysis:
    """Points, frontiers with bands, comparisons, the paper's claims, objectives, losslessness and warnings of a run.

    records, grades: ``schema.record_schema`` and ``schema.grade_schema``; the optional columns where derived points,
    token gaps and losslessness are wanted. rows: what ``prepare`` made of the same frames, made here where it is not
    given. to_limit: adds what the machine could have done; without it those columns are null. Deterministic in
    ``seed``. Raises RunError where nothing was measured.
    """
    ready = rows or prepare(records, grades, manifest, cuts)
    weights = Weights(resamples, seed)
    frame = points_frame(ready.outcomes, ready.measured, ready.cubes, manifest, weights, slo=slo)
    frame, warnings = to_limit(frame) if to_limit else (frame, ())
    pairs = pair_frame(ready.cubes, manifest, weights)
    drawn = [_resample(cube, weights, frame) for cube in ready.cubes]
    columns = [frontier_columns(cube, d) for cube, d in zip(ready.cubes, drawn, strict=True)]
    frame = _with_gaps(_with_frontiers(frame, columns), ready.measured)
    frame = without_barren(frame, frame)
    own = [weights.of(_compared(cube)) for cube in ready.cubes]
    few = [weights.for_intervals(_compared(cube)) for cube in ready.cubes]
    spot = spot_frame(records, ready.cuts)
    doubts = find_warnings(frame, records, ready.measured, grades, manifest, cuts=ready.cuts, spot=spot, pairs=pairs)
    doubts = (*doubts, *warnings)
    frame = with_codes(frame, doubts)
    each = list(zip(ready.cubes, drawn, own, strict=True))
    return Analysis(
        points=frame,
        pairs=pairs,
        optimal=without_barren(
            pl.concat([optimal_frame(c, d, choices(c, d, w)) for (c, d, _), w in zip(each, few, strict=True)]), frame
        ),
        frontiers=without_barren(
            pl.concat([frontier_rows(c, d, f) for (c, d, _), f in zip(each, columns, strict=True)]), frame
        ),
        bands=without_barren(pl.concat([band_rows(c, d) for c, d, _ in each]), frame),
        losslessness=losslessness_frame(ready.measured, grades, manifest),
        spot_checks=spot,
        claims=judge_claims(ready.cubes, few, manifest, barren=barren(frame)),
        slo=tuple(choose(c, d, frame, slo, w) for c, d, w in each) if slo else (),
        doubts=doubts,
        formulas=FORMULAS,
        failed_lengths=failed_lengths(ready.cubes),
        rivals=rival_frame([cube for cube in ready.cubes if not _is_barren(cube, frame)], frame, manifest, weights),
    )


def _is_barren(cube: Cube, frame: pl.DataFrame) -> bool:
    return (cube.load, cube.policy) in barren(frame)


def _compared(cube: Cube) -> int:
    return max(1, int(cube.compared.sum()))


def _resample(cube: Cube, weights: Weights, frame: pl.DataFrame) -> Resampled:
    bound = {row[:-1]: row[-1] for row in frame.select(*POINT_KEY, "bound_tpot_s").iter_rows()}
    bounds = np.array([bound[tuple(key[name] for name in POINT_KEY)] for key in cube.keys], dtype=np.float64)
    devices = np.array([cube.devices(point) for point in range(len(cube.keys))])
    if not cube.compared.any():
        return Resampled(points=(), accuracy=np.empty((weights.resamples + 1, 0)), axes={})
    return resample(cube, devices, weights.of(_compared(cube)), weights.seed, bounds=bounds)


def _with_frontiers(frame: pl.DataFrame, columns: Sequence[pl.DataFrame]) -> pl.DataFrame:
    found = pl.concat(columns)
    names = [name for name in found.columns if name not in POINT_KEY]
    joined = frame.drop(names).join(found, on=list(POINT_KEY), how="left", maintain_order="left")
    return joined.select(POINT_COLUMNS)


def _with_gaps(frame: pl.DataFrame, measured: pl.DataFrame) -> pl.DataFrame:
    gaps = gap_frame(measured)
    key = ["setting", "method", "budget", "load"]
    joined = frame.drop("icl_p50_s", "icl_p99_s").join(gaps, on=key, how="left", maintain_order="left")
    is_measured = pl.col("provenance") == "measured"
    return joined.with_columns(pl.when(is_measured).then(pl.col("icl_p50_s", "icl_p99_s"))).select(POINT_COLUMNS)
