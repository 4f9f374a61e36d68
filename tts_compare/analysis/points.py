"""The points frame: one row a (setting, method, budget, load, samples, policy), every figure with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tts_compare.analysis.findings.goodput import kept_answers
from tts_compare.analysis.metric import Metric, Quantile
from tts_compare.analysis.metrics import METRICS, point_schema
from tts_compare.analysis.rows.charges import charged
from tts_compare.analysis.rows.cost import server_figures
from tts_compare.analysis.rows.samples import call_rows
from tts_compare.analysis.rows.servers import server_facts
from tts_compare.analysis.schema import POINT_KEY, Slo
from tts_compare.analysis.statistics.accuracy import accuracy_limits
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.analysis.statistics.intervals import (
    clustered_quantile_interval,
    quantile,
    quantile_interval,
)
from tts_compare.analysis.statistics.resampling import Estimate, Term, draw_weights, log_contrasts
from tts_compare.analysis.statistics.sums import point_sums, ratios
from tts_compare.analysis.statistics.timed import TIMED_METRICS, timed_limits
from tts_compare.analysis.thinking import in_order, level_of, thinking_figures
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: The 2.5 % quantile of so many studentised resamples is known to 0.35 % in probability: a jitter of the limits by
#: about 1.5 % of their distance. Shares on frontiers use all resamples.
INTERVAL_RESAMPLES = 2_000


class Weights:
    """Draws of problems by their number, made once: the same draw serves every figure of as many problems."""

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples = resamples
        self.seed = seed
        self._drawn: dict[int, Floats] = {}

    def for_intervals(self, problems: int) -> Floats:
        """The first of them, enough for a studentised interval."""
        return self.of(problems)[:INTERVAL_RESAMPLES]

    def of(self, problems: int) -> Floats:
        """(resamples, problems) weights."""
        if problems not in self._drawn:
            if len(self._drawn) >= 3:
                self._drawn.pop(next(iter(self._drawn)))
            self._drawn[problems] = draw_weights(problems, self.resamples, self.seed)
        return self._drawn[problems]


def points_frame(
    outcomes: pl.DataFrame,
    measured: pl.DataFrame,
    cubes: list[Cube],
    manifest: Manifest,
    weights: Weights,
    *,
    slo: Sequence[Slo] = (),
) -> pl.DataFrame:
    """Every column of POINT_COLUMNS but those of the frontiers, which stay null. outcomes: priced.

    slo: what ``goodput_*`` are of. A point of which nothing was measured has its row, with ``not_measured`` and an
    ``n`` of 0.
    """
    key = list(POINT_KEY)
    counted = charged(outcomes.filter(pl.col("ending") != "not_measured"))
    rows = [row for cube in cubes for row in _cube_rows(cube, weights)]
    limits = [row for cube in cubes for row in timed_limits(cube, weights.for_intervals)]
    dead = {death.setting for death in manifest.deaths}
    ordered = [_outcome_row(point, part, died=point[0] in dead) for point, part in _by_point(counted).items()]
    order_schema: dict[str, Any] = {name: outcomes.schema[name] for name in POINT_KEY}
    frame = (
        _all_points(outcomes)
        .join(pl.DataFrame(rows, infer_schema_length=None), on=key, how="left")
        .join(
            pl.DataFrame(ordered, infer_schema_length=None) if ordered else pl.DataFrame(schema=order_schema),
            on=key,
            how="left",
        )
        .join(pl.DataFrame(limits, infer_schema_length=None), on=key, how="left")
        .join(point_sums(counted).drop("devices"), on=key, how="left")
        .join(kept_answers(counted, slo), on=key, how="left")
        .with_columns(pl.col("n", "outcomes", "failed", "ungraded", "answered").fill_null(0))
    )
    counters = server_figures(manifest, measured).join(
        server_facts(manifest, measured), on=["setting", "method", "record_budget", "load"], how="full", coalesce=True
    )
    frame = _with_server_figures(frame, counters)
    frame = _with_thinking(frame, thinking_figures(call_rows(measured)))
    schema = point_schema()
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
    whole = frame.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in schema.items())
    return whole.sort("load", "policy", "setting", *in_order(), "budget", "samples")


def _with_thinking(frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Thinking and answer tokens of what was measured whole, and the level of an effort."""
    names = ("thinking_tokens_mean", "answer_tokens_mean")
    is_measured = pl.col("provenance") == "measured"
    key = ["setting", "method", "record_budget", "load"]
    return frame.join(found, on=key, how="left", maintain_order="left").with_columns(
        *(pl.when(is_measured).then(name).alias(name) for name in names), level=level_of()
    )


def _all_points(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Each point, with what it is whatever became of it, and how many of its outcomes were not measured."""
    return outcomes.group_by(POINT_KEY, maintain_order=True).agg(
        pl.col("provenance", "record_budget", "work_share", "devices").first(),
        biased=((pl.col("provenance") == "derived") & (pl.col("load") != "c1")).any(),
        not_measured=(pl.col("ending") == "not_measured").sum(),
        rounds=pl.col("round").n_unique(),
    )


def _by_point(outcomes: pl.DataFrame) -> dict[tuple[object, ...], pl.DataFrame]:
    return outcomes.partition_by(POINT_KEY, maintain_order=True, as_dict=True)


def _outcome_row(key: tuple[object, ...], part: pl.DataFrame, *, died: bool) -> dict[str, Any]:
    """Order statistics of one point, a failed outcome later than all others, and the interval of its accuracy."""
    row: dict[str, Any] = dict(zip(POINT_KEY, key, strict=True)) | _accuracy_limits(part, died=died)
    problems = part["problem"].rank("dense").to_numpy().astype(np.int64) - 1
    failed = part["failed"].to_numpy()
    for metric in METRICS.values():
        if isinstance(of := metric.aggregation, Quantile):
            values = part[of.column].cast(pl.Float64).to_numpy()
            never = failed | (np.isnan(values) & part[of.after].is_not_null().to_numpy()) if of.after else failed
            row |= _quantile(metric, of, values=values, problems=problems, never=never)
    return row


def _quantile(
    metric: Metric, of: Quantile, *, values: Floats, problems: NDArray[np.int64], never: NDArray[np.bool_]
) -> dict[str, float | None]:
    """A quantile and its interval, where it has one; None where it is not known or was never reached.

    values: of the outcomes, nan where unknown. problems: a number each. never: outcomes that did not come so far.
    """
    interval = metric.interval
    known = never | ~np.isnan(values)
    seconds, problems = _reached(values[known], never[known]), problems[known]
    value, limits = math.nan, (math.nan, math.nan)
    if seconds.size >= of.least:
        value = quantile(seconds, of.q)
        if interval and np.unique(problems).size == problems.size:
            limits = quantile_interval(seconds, of.q)
        elif interval:
            limits = clustered_quantile_interval(seconds, problems, of.q)
    ends = {interval.lo: _finite(limits[0]), interval.hi: _finite(limits[1])} if interval else {}
    return {metric.name: _finite(value)} | ends


#: Stands for "not reached" among seconds: later than any instant, and finite, so that it can be interpolated.
_NEVER_S = 1e200


def _reached(values: Floats, never: NDArray[np.bool_]) -> Floats:
    """Seconds of the outcomes; those ``never`` reached are each a little later than the one before."""
    return np.where(never, _NEVER_S * (1e6 + np.cumsum(never)), values)


def _finite(value: float | None) -> float | None:
    """The value, None where it is not known or never reached."""
    return value if value is not None and math.isfinite(value) and abs(value) < _NEVER_S else None


def _cube_rows(cube: Cube, weights: Weights) -> list[dict[str, Any]]:
    """Means with intervals of each point of a cube."""
    by_mask: dict[bytes, list[int]] = {}
    masks = [cube.own_mask(point) for point in range(len(cube.keys))]
    for point, mask in enumerate(masks):
        by_mask.setdefault(mask.tobytes(), []).append(point)
    rows: dict[int, dict[str, Any]] = {}
    for group in by_mask.values():
        mask = masks[group[0]]
        estimates = _mean_estimates(cube, group, mask, weights) if mask.any() else {}
        for point in group:
            row = {name: cube.keys[point][name] for name in POINT_KEY}
            row["repeats"] = int(cube.repeats[point])
            row["n_compared"] = int(cube.compared.sum()) if cube.included[point] else 0
            rows[point] = row | _means(estimates.get(point))
    return [rows[point] for point in range(len(cube.keys))]


_FIGURES = ("latency", "cost_per_token", "bill", "tokens")


def _mean_estimates(
    cube: Cube, group: list[int], mask: NDArray[np.bool_], weights: Weights
) -> dict[int, list[Estimate]]:
    """Latency, cost per token, cost per problem and tokens of each point, of every outcome its own."""
    contrasts = []
    for point in group:
        setting = str(cube.keys[point]["setting"])
        latency, request, tokens, bill = (
            Term(values=cube.own_values(point, name, mask), sign=sign, setting=setting, rounds=cube.rounds[mask])
            for name, sign in (("latency_s", 1), ("request_s", 1), ("tokens", -1), ("bill_gpu_s", 1))
        )
        length = Term(values=tokens.values, sign=1, setting=setting, rounds=tokens.rounds)
        contrasts += [[latency], [request, tokens], [bill], [length]]
    found = log_contrasts(contrasts, weights.for_intervals(int(mask.sum())))
    size = len(_FIGURES)
    return {point: found[i * size : (i + 1) * size] for i, point in enumerate(group)}


def _means(estimates: list[Estimate] | None) -> dict[str, Any]:
    """The intervals as columns; those of costs are relative, and applied to the point's own figure later."""
    if estimates is None:
        estimates = [Estimate(value=math.nan, lo=math.nan, hi=math.nan, p=math.nan, starts=0)] * len(_FIGURES)
    latency, cost, bill, tokens = estimates
    return {
        "latency_mean_s": _finite(latency.value),
        "latency_lo_s": _finite(latency.lo),
        "latency_hi_s": _finite(latency.hi),
        "cost_ratio": _finite(cost.value),
        "cost_ratio_lo": _finite(cost.lo),
        "cost_ratio_hi": _finite(cost.hi),
        "bill_lo": _finite(bill.lo / bill.value),
        "bill_hi": _finite(bill.hi / bill.value),
        "tokens_mean": _finite(tokens.value),
        "tokens_lo": _finite(tokens.lo),
        "tokens_hi": _finite(tokens.hi),
    }


def _accuracy_limits(part: pl.DataFrame, *, died: bool) -> dict[str, float | None]:
    """Interval of correct / sent; failed and ungraded count as wrong, as they do in ``accuracy``."""
    if part["correct"].count() == 0:
        return {"accuracy_lo": None, "accuracy_hi": None}
    by_problem = part.group_by("problem", maintain_order=True).agg(
        pl.col("correct").fill_null(0.0).mean(), pl.col("round").first().fill_null(0)
    )
    means = by_problem["correct"]
    single = means.len() == part.height and bool(means.is_in([0.0, 1.0]).all())
    rounds = by_problem["round"].to_numpy().astype(np.int64)
    low, high = accuracy_limits(means.to_numpy(), single=single, rounds=rounds, died=died)
    return {"accuracy_lo": low, "accuracy_hi": high}


def _with_server_figures(frame: pl.DataFrame, counters: pl.DataFrame) -> pl.DataFrame:
    """Costs in device seconds from the ratios, limits that are multiples of their figure, and what counters say."""
    devices = pl.col("devices").cast(pl.Float64)
    whole = (pl.col("provenance") == "measured") & (pl.col("work_share") == 1.0)
    bill = pl.col("gpu_s_per_problem")
    return (
        frame.join(counters, on=["setting", "method", "record_budget", "load"], how="left")
        .with_columns(
            *(
                pl.when(pl.col("provenance") == "measured").then(name).alias(name)
                for name in (
                    "acceptance_length",
                    "acceptance_rate",
                    "preemptions",
                    "queue_mean_s",
                    "acceptance_by_position",
                )
            ),
            *(
                (pl.col(name) * pl.col(limit).cast(pl.Float64)).alias(limit)
                for name, (*limits, _) in TIMED_METRICS.items()
                for limit in limits
            ),
            *(pl.when(whole).then(name).alias(name) for name in ("in_flight_s", "errors_by_kind")),
            cost_per_token_gpu_s=devices * pl.col("cost_ratio"),
            cost_per_token_lo_gpu_s=devices * pl.col("cost_ratio_lo"),
            cost_per_token_hi_gpu_s=devices * pl.col("cost_ratio_hi"),
            gpu_s_per_problem_lo=bill * pl.col("bill_lo"),
            gpu_s_per_problem_hi=bill * pl.col("bill_hi"),
            point_energy_j=pl.when(whole).then("energy_j"),
            decode_s=pl.col("request_latency_mean_s") - pl.col("ttft_mean_s"),
        )
        .with_columns(**ratios())
    )
