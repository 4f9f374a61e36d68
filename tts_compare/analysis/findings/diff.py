"""Two runs against each other, point by point, paired by problem: what changed, and whether a tolerance is broken."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tts_compare.analysis.analyse import AnalysisRows, prepare
from tts_compare.analysis.findings.compare import Pair, missing_share, pair_rows, planned_in_rounds
from tts_compare.analysis.findings.failures import count_failures
from tts_compare.analysis.findings.gate import Check, check
from tts_compare.analysis.findings.labels import place_label
from tts_compare.analysis.findings.partners import find_partners
from tts_compare.analysis.findings.tolerance import SHARES, Tolerance
from tts_compare.analysis.findings.withheld import TOLERATED_MISSING, is_derived_under_load, reached, same_limits
from tts_compare.analysis.points import Weights
from tts_compare.analysis.statistics.cube import Cube, cubes
from tts_compare.analysis.statistics.limits import find_limits
from tts_compare.analysis.statistics.ratios import Duel
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: One run: records, grades, manifest.
RunFrames = tuple[pl.DataFrame, pl.DataFrame, Manifest]
#: Setting of the first run, method, load.
Work = tuple[str, str, str]
_SIDE = "\x1f"
_ALONE = "\x1e"
#: Parts of a manifest that differ between any two runs.
_INCIDENTAL = frozenset(
    {
        "name",
        "created",
        "command",
        "clock",
        "sessions",
        "state",
        "deaths",
        "doubts",
        "server_metrics",
        "startup_s",
        "left_out",
        "failed",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One place where the manifests differ, e.g. ``settings.vllm/....engine_version``."""

    path: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDiff:
    """pairs: ``metrics.PAIRS``, axis ``run``, a of the first run and b of the second (a ratio above 1: b is better).

    only_a, only_b: labels of points that the other run does not have. checks: each tolerance on each pair.
    """

    pairs: pl.DataFrame
    changes: tuple[Change, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def breaches(self) -> tuple[Check, ...]:
        """The checks in which a tolerance is exceeded."""
        return tuple(found for found in self.checks if found.verdict == "exceeded")


def compare_runs(
    a: RunFrames,
    b: RunFrames,
    *,
    fail_on: Sequence[Tolerance] = (),
    match: Mapping[str, str] | None = None,
    rows: tuple[AnalysisRows, AnalysisRows] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> RunDiff:
    """Compare each point of run b with the same point of run a over the problems both measured.

    match: setting id of a -> setting id of b, for settings that are not paired by themselves
    (``partners.find_partners``). rows: what ``prepare`` made of each run, made here where it is not given. Raises
    RunError where a run holds no measured request, UsageError where ``match``
    names a setting that is not there.
    """
    first, second = rows or (prepare(*a), prepare(*b))
    facts = [_measured_facts(ready.outcomes, run[2]) for ready, run in ((first, a), (second, b))]
    partners = find_partners(*facts, mapped=match)
    both = _together(first.outcomes, second.outcomes, partners)
    common = _common_problems(a[2], b[2])
    died = {*_dead(a[2]), *(partners.get(name, name) for name in _dead(b[2]))}
    weights = Weights(resamples, seed)
    same = _same_rows(first.measured, second.measured, partners)
    only: dict[str, list[str]] = {"a": [], "b": []}
    found: list[tuple[Cube, list[Pair]]] = []
    checks: list[Check] = []
    for cube in cubes(both):
        pairs, alone = _pairs(cube, common, died)
        found.append((cube, pairs))
        for pair in pairs if fail_on else ():
            checks += _checks(cube, pair, fail_on, weights, same=same)
        for side, labels in alone.items():
            only[side] += labels
    frame = pair_rows(found, weights)
    frame = frame.with_columns(pl.col("a", "b").str.split(_SIDE).list.first())
    return RunDiff(
        pairs=frame,
        changes=tuple(manifest_changes(a[2], b[2])),
        only_a=tuple(only["a"]),
        only_b=tuple(only["b"]),
        checks=tuple(checks),
    )


def _together(a: pl.DataFrame, b: pl.DataFrame, partners: Mapping[str, str]) -> pl.DataFrame:
    """Outcomes of both runs, b's settings under the names and models of their partners: what fails is charged alike.

    Where the runs part the problems into rounds differently, the rounds are of no use: all is then one round.
    """
    models = dict(a.select("setting", "model").unique().rows())
    own = pl.col("setting")
    # A setting without a partner keeps a name that the other run cannot have.
    names = {new: partners.get(new, f"{_ALONE}{new}") for new in b["setting"].unique().to_list()}
    renamed = b.with_columns(own.replace_strict(names, return_dtype=pl.String)).with_columns(
        model=own.replace_strict(models, default=pl.col("model"), return_dtype=pl.String)
    )
    both = pl.concat(
        [a.with_columns(own + _SIDE + "a"), renamed.with_columns(own + _SIDE + "b")], how="vertical_relaxed"
    )
    rounds = both.group_by("load", "problem").agg(pl.col("round").fill_null(0).n_unique())
    return both.with_columns(round=pl.lit(0, dtype=pl.Int64)) if (rounds["round"] > 1).any() else both


def _measured_facts(outcomes: pl.DataFrame, manifest: Manifest) -> dict[str, SettingFacts]:
    return {name: manifest.settings.get(name, SettingFacts()) for name in outcomes["setting"].unique().sort().to_list()}


def _checks(
    cube: Cube, pair: Pair, fail_on: Sequence[Tolerance], weights: Weights, *, same: Mapping[Work, bool]
) -> list[Check]:
    """Each tolerance on one pair of points."""
    key = cube.keys[pair.a]
    label = _plain_label(cube, pair.a)
    rows_equal = same.get((label_setting(key), key["method"], key["load"]), False)
    limits = find_limits(cube, pair, weights)
    barred = _barred(pair.duel(cube))
    return [
        check(
            tolerance,
            limits[tolerance.figure if tolerance.change else "failed_share"],
            label,
            identical=rows_equal and (tolerance.figure != "accuracy" or _equal_grades(cube, pair)),
            reason=_unjudged(cube, pair, tolerance.figure),
            barred="" if tolerance.figure in SHARES else barred,
        )
        for tolerance in fail_on
    ]


def _unjudged(cube: Cube, pair: Pair, figure: str) -> str:
    """Why a figure of a pair gets no verdict, empty where it may have one."""
    if not pair.mask.any():
        return "no problem was measured in both runs"
    if figure in SHARES:
        return ""
    if reason := _untimed(cube, pair):
        return reason
    planned = pair.mask if pair.planned is None else pair.planned
    missing = max(missing_share(cube, point, planned) for point in (pair.a, pair.b))
    if missing > TOLERATED_MISSING:
        return f"{100 * missing:.1f} % of one run's answers were not measured (--resume measures them)"
    return ""


def _untimed(cube: Cube, pair: Pair) -> str:
    """Why times of a pair say nothing, empty where they do."""
    points = (pair.a, pair.b)
    keys = [cube.keys[point] for point in points]
    if not same_limits(*keys):
        return "the runs have different time limits or retry rules"
    if any(is_derived_under_load(key, cube.load) for key in keys):
        return "it is derived from longer answers, at a concurrency above 1"
    if not all(reached(cube, point) for point in points):
        return "a limit of ours held requests back: the load was not reached"
    return ""


def _barred(duel: Duel) -> str:
    """Why the second run can be shown to be no faster and no cheaper: it fails more, empty where it does not."""
    failures = count_failures(duel.failed(duel.a), duel.failed(duel.b), duel.rounds)
    if not failures.barred("b"):
        return ""
    shares = f"{100 * failures.b_share:.1f} % of its answers, the first {100 * failures.a_share:.1f} %"
    return f"the second run failed {shares}: what it took for the others says nothing of all"


def _equal_grades(cube: Cube, pair: Pair) -> bool:
    a, b = (cube.values(point, "correct", pair.mask) for point in (pair.a, pair.b))
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=True))


_ROW = ("problem", "sample", "call", "repeat", "attempt", "budget", "request_id", "sent_ns", "end_ns")


def _same_rows(a: pl.DataFrame, b: pl.DataFrame, partners: Mapping[str, str]) -> dict[Work, bool]:
    """Whether both runs have the very same rows of a work, by (a's setting, method, load)."""
    found = {}
    for new, old in partners.items():
        for method, load in a.filter(setting=old).select("method", "load").unique().rows():
            one, other = (
                side.filter(setting=name, method=method, load=load).select(_ROW).sort(_ROW)
                for side, name in ((a, old), (b, new))
            )
            found[(old, method, load)] = one.equals(other)
    return found


def _pairs(cube: Cube, common: frozenset[str] | None, died: Collection[str]) -> tuple[list[Pair], dict[str, list[str]]]:
    """Points of the two sides with the same key, and the labels of those without a partner.

    common: ids of the problems that both runs were to measure, None where a manifest does not list them.
    """
    sides: dict[str, dict[tuple[Any, ...], int]] = {"a": {}, "b": {}}
    for point, key in enumerate(cube.keys):
        setting, side = str(key["setting"]).split(_SIDE)
        sides[side][(setting, key["method"], key["budget"], key["samples"])] = point
    shared = [work for work in sides["a"] if work in sides["b"]]
    pairs = [
        Pair(
            axis="run",
            a=sides["a"][work],
            b=sides["b"][work],
            mask=cube.own_mask(sides["a"][work], sides["b"][work]),
            planned=_planned(cube, sides["a"][work], sides["b"][work], common),
            died=work[0] in died,
        )
        for work in shared
    ]
    alone = {
        side: [_plain_label(cube, point) for work, point in own.items() if work not in shared]
        for side, own in sides.items()
    }
    return pairs, alone


def _planned(cube: Cube, a: int, b: int, common: frozenset[str] | None) -> NDArray[np.bool_]:
    """The problems both runs were to measure, less those of a round that one of them did not measure at all."""
    known = planned_in_rounds(cube, a, b)
    if common is None:
        return known
    return np.asarray(known & np.array([name in common for name in cube.problems]), dtype=np.bool_)


def _common_problems(a: Manifest, b: Manifest) -> frozenset[str] | None:
    listed = [run.dataset.problems for run in (a, b)]
    return frozenset.intersection(*(frozenset(row.id for row in rows) for rows in listed)) if all(listed) else None


def _dead(manifest: Manifest) -> list[str]:
    return [death.setting for death in manifest.deaths]


def label_setting(key: Mapping[str, Any]) -> str:
    """The setting of a point of two runs put together, without the side it is of."""
    return str(key["setting"]).split(_SIDE)[0].removeprefix(_ALONE)


def _plain_label(cube: Cube, point: int) -> str:
    key = cube.keys[point]
    return place_label(key | {"setting": label_setting(key)})


def manifest_changes(a: Manifest, b: Manifest) -> list[Change]:
    """Every leaf at which two manifests differ, what differs between any two runs omitted."""
    return _changes("", plain(a), plain(b))


def _changes(path: str, a: Any, b: Any) -> list[Change]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        found: list[Change] = []
        for name in sorted({*a, *b}, key=str):
            if name not in _INCIDENTAL:
                found += _changes(f"{path}.{name}" if path else str(name), a.get(name), b.get(name))
        return found
    return [] if a == b else [Change(path=path, a=a, b=b)]
