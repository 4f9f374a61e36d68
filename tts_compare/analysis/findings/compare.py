"""Comparisons of settings that differ in one thing only, paired by problem: who is compared, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tts_compare.analysis.findings.failures import Decision, decide
from tts_compare.analysis.findings.verdicts import accuracy_verdict, ratio_verdict
from tts_compare.analysis.findings.withheld import ONE_START, TOLERATED_SAMPLES, Withheld, withhold
from tts_compare.analysis.metrics import PAIRS, schema_of
from tts_compare.analysis.points import Weights
from tts_compare.analysis.rows.attempts import hosted_settings
from tts_compare.analysis.statistics.accuracy import AccuracyDifference, Correct, accuracy_difference
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.analysis.statistics.families import LEVEL, Question, step_down
from tts_compare.analysis.statistics.ratios import Duel, Ratios, find_ratios
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Axes along which two settings may differ, and whether they should give the same greedy text (losslessness).
SETTING_AXES: Mapping[str, bool] = {
    "backend": True,
    "version": True,
    "model": False,
    "revision": False,
    "tensor_parallel": True,
    "pipeline_parallel": True,
    "data_parallel": True,
    "speculation": True,
    "dtype": False,
    "prefix_caching": True,
    "max_num_seqs": True,
    "engine_args": True,
    "device": True,
    "replica": True,
}
#: The axis of a hosted setting (a) against one of ours (b); its costs are in dollars.
HOSTED_AXIS = "hosted"
#: The axis of a rival (a) against the point that is system-optimal in the data (b), see ``choice``.
RIVAL_AXIS = "rival"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two points of one cube that differ along ``axis``; a is the plainer of the two.

    mask: the problems both measured, in every repeat. planned: those both should have measured, None for the same.
    died: whether a server of either setting died.
    """

    axis: str
    a: int
    b: int
    mask: NDArray[np.bool_]
    planned: NDArray[np.bool_] | None = None
    died: bool = False

    def duel(self, cube: Cube) -> Duel:
        """The pair on the cube it is of; in dollars where a hosted setting stands against another."""
        hosted = self.axis in (HOSTED_AXIS, RIVAL_AXIS) and any(cube.keys[p]["hosted"] for p in (self.a, self.b))
        return Duel(cube=cube, a=self.a, b=self.b, mask=self.mask, cost="usd" if hosted else "bill_gpu_s")


def difference_axis(a: SettingFacts, b: SettingFacts) -> str | None:
    """The one axis two settings (of the manifest) differ in, None for none or several.

    Two engines have different versions by nature, so versions count within one engine only.
    """
    same_engine = a.backend == b.backend
    found = [axis for axis in SETTING_AXES if (axis != "version" or same_engine) and _facet(a, axis) != _facet(b, axis)]
    return found[0] if len(found) == 1 else None


def _facet(facts: SettingFacts, axis: str) -> object:
    if axis == "version":
        return facts.engine_version or facts.version
    if axis == "speculation":
        return "none" if facts.speculation.kind == "none" else facts.speculation
    return getattr(facts, axis)


def _plainness(facts: SettingFacts) -> tuple[Any, ...]:
    """Sorts no speculation before speculation, fewer devices before more."""
    return (facts.speculation.kind != "none", facts.devices or 0, facts.backend, str(_facet(facts, "version")))


def setting_pairs(settings: Mapping[str, SettingFacts]) -> Iterator[tuple[str, str, str]]:
    """(axis, a, b) of every two settings that differ in one thing."""
    for first, second in combinations(sorted(settings), 2):
        axis = difference_axis(settings[first], settings[second])
        if axis is not None:
            a, b = sorted((first, second), key=lambda name: (_plainness(settings[name]), name))
            yield axis, a, b


def cube_pairs(cube: Cube, manifest: Manifest) -> list[Pair]:
    """Every pair of points of a cube along one axis: settings with the same work, and methods of one setting.

    A hosted setting is paired with every setting of ours (axis ``hosted``): they never differ in one thing alone.
    """
    by_setting: dict[str, dict[tuple[str, int, int], int]] = {}
    for point, key in enumerate(cube.keys):
        work = (str(key["method"]), int(key["budget"]), int(key["samples"]))
        by_setting.setdefault(str(key["setting"]), {})[work] = point
    found = [
        (axis, by_setting[a][work], by_setting[b][work])
        for axis, a, b in (*_own_pairs(manifest), *_hosted_pairs(manifest))
        for work in by_setting.get(a, {})
        if work in by_setting.get(b, {})
    ]
    for works in by_setting.values():
        found += [("method", works[a], works[b]) for a, b in _method_pairs(list(works))]
    return [pair_of(cube, manifest, axis, a, b) for axis, a, b in found]


def pair_of(cube: Cube, manifest: Manifest, axis: str, a: int, b: int) -> Pair:
    """The pair of two points of a cube, over the problems that both measured."""
    dead = {death.setting for death in manifest.deaths}
    return Pair(
        axis=axis,
        a=a,
        b=b,
        mask=cube.own_mask(a, b),
        planned=planned_in_rounds(cube, a, b),
        died=not dead.isdisjoint({cube.keys[a]["setting"], cube.keys[b]["setting"]}),
    )


def _own_pairs(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    hosted = hosted_settings(manifest)
    return (found for found in setting_pairs(manifest.settings) if (found[1] in hosted) == (found[2] in hosted))


def _hosted_pairs(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    hosted = hosted_settings(manifest)
    for theirs in sorted(hosted):
        yield from ((HOSTED_AXIS, theirs, ours) for ours in sorted(manifest.settings) if ours not in hosted)


def planned_in_rounds(cube: Cube, a: int, b: int) -> NDArray[np.bool_]:
    """The problems of the rounds that both measured: a round one side did not measure takes no part."""
    first, second = (cube.rounds[cube.sent[point].any(axis=0)] for point in (a, b))
    return np.isin(cube.rounds, first) & np.isin(cube.rounds, second)


def _method_pairs(works: Sequence[tuple[str, int, int]]) -> Iterator[tuple[tuple[str, int, int], tuple[str, int, int]]]:
    """At one budget: each two methods, of votes the largest; and the largest vote against a single sample."""
    for budget in sorted({work[1] for work in works}):
        own = sorted(work for work in works if work[1] == budget)
        largest = {method: max(w for w in own if w[0] == method) for method, _, _ in own}
        smallest = {method: min(w for w in own if w[0] == method) for method, _, _ in own}
        plain_first = sorted(largest.values(), key=lambda work: (work[0] != "truncate", work[2], work[0]))
        yield from combinations(plain_first, 2)
        yield from ((smallest[m], largest[m]) for m in largest if smallest[m] != largest[m])


def pair_frame(cubes: Sequence[Cube], manifest: Manifest, weights: Weights) -> pl.DataFrame:
    """``metrics.PAIRS`` of every comparison of a run, corrected for their number (``families.step_down``)."""
    return pair_rows([(cube, cube_pairs(cube, manifest)) for cube in cubes], weights)


def pair_rows(pairs: Sequence[tuple[Cube, Sequence[Pair]]], weights: Weights) -> pl.DataFrame:
    """The same of the pairs given, in their order."""
    return _frame(judge_pairs(pairs, weights))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One comparison before its P values are corrected."""

    pair: Pair
    cube: Cube
    ratios: Ratios
    accuracy: AccuracyDifference
    withheld: Withheld | None
    latency: Decision
    cost: Decision


def judge_pairs(pairs: Sequence[tuple[Cube, Sequence[Pair]]], weights: Weights) -> list[dict[str, Any]]:
    """Rows of pairs: every pair's figures and, corrected over the family of its axis, its verdicts."""
    judged: list[_Judged] = []
    for cube, own in pairs:
        found = find_ratios([pair.duel(cube) for pair in own], weights)
        judged += [_judge(cube, pair, ratios) for pair, ratios in zip(own, found, strict=True)]
    corrected = {
        "accuracy": _corrected(judged, [one.accuracy.p for one in judged]),
        "latency": _corrected(judged, [None if one.withheld else one.latency.p for one in judged]),
        "cost": _corrected(judged, [None if one.withheld else one.cost.p for one in judged]),
    }
    return [_row(one, {name: p[i] for name, p in corrected.items()}) for i, one in enumerate(judged)]


def _judge(cube: Cube, pair: Pair, ratios: Ratios) -> _Judged:
    planned = pair.mask if pair.planned is None else pair.planned
    sides = [correct_of(cube, point, planned) for point in (pair.a, pair.b)]
    outcomes = np.concatenate([side.values[np.isfinite(side.values)] for side in sides])
    single = cube.outcomes[[pair.a, pair.b]].max() == 1 and bool(np.isin(outcomes, (0.0, 1.0)).all())
    duel = pair.duel(cube)
    return _Judged(
        pair=pair,
        cube=cube,
        ratios=ratios,
        accuracy=accuracy_difference(*sides, single=single, rounds=cube.rounds[planned], died=pair.died),
        withheld=withhold(duel, ratios, max(missing_share(cube, point, planned) for point in (pair.a, pair.b))),
        latency=_favourable(duel, decide(ratios.latency_answered, ratios.latency, ratios.failures)),
        cost=_favourable(duel, decide(ratios.cost_answered, ratios.cost, ratios.failures)),
    )


def correct_of(cube: Cube, point: int, mask: NDArray[np.bool_]) -> Correct:
    """A point's accuracy on each problem of a mask; a problem not measured in every repeat is unknown."""
    measured = cube.own_mask(point)[mask]
    started = cube.sent[point].any(axis=1)
    ungraded = cube.ungraded[point][started][:, mask].mean(axis=0)
    with np.errstate(invalid="ignore"):
        values = np.where(measured, cube.values(point, "correct", mask).mean(axis=0), np.nan)
    return Correct(values=values, unknown=np.where(measured, ungraded, 1.0))


def missing_share(cube: Cube, point: int, planned: NDArray[np.bool_]) -> float:
    """Share of the planned problems that a point did not measure in every repeat of it."""
    return float(1.0 - cube.own_mask(point)[planned].mean()) if planned.any() else 1.0


def _favourable(duel: Duel, decision: Decision) -> Decision:
    """No decision in favour of a vote too many of whose samples failed: a vote of the rest is another method."""
    if decision.better is None:
        return decision
    point, cube = duel.a if decision.better == "a" else duel.b, duel.cube
    if cube.keys[point]["samples"] == 1:
        return decision
    lost = cube.failed_samples[point][cube.sent[point].any(axis=1)][:, duel.mask]
    return Decision(p=1.0) if lost.size and lost.mean() > TOLERATED_SAMPLES else decision


def _corrected(judged: Sequence[_Judged], p_values: Sequence[float | None]) -> list[float | None]:
    """P values corrected within each axis: speculation, parallelism and engine are questions of their own."""
    families: dict[str, list[int]] = {}
    for i, one in enumerate(judged):
        families.setdefault(one.pair.axis, []).append(i)
    adjusted: list[float | None] = [None] * len(judged)
    for members in families.values():
        questions = [_question(judged[i], p_values[i]) for i in members]
        for i, p in zip(members, step_down(questions), strict=True):
            adjusted[i] = p
    return adjusted


def _question(one: _Judged, p: float | None) -> Question:
    sides = [one.cube.keys[point] for point in (one.pair.a, one.pair.b)]
    named = tuple(side[name] for side in sides for name in ("setting", "method", "samples"))
    size = max(float(side["budget"]) for side in sides)
    return Question(chain=(one.cube.load, one.cube.policy, *named), size=size, p=p)


def _row(one: _Judged, corrected: Mapping[str, float | None]) -> dict[str, Any]:
    cube, pair, ratios, accuracy = one.cube, one.pair, one.ratios, one.accuracy
    first, second = cube.keys[pair.a], cube.keys[pair.b]
    decided = corrected["accuracy"] is not None and corrected["accuracy"] < LEVEL
    n = int(pair.mask.sum())
    return {
        "axis": pair.axis,
        "a": first["setting"],
        "b": second["setting"],
        **{f"a_{name}": first[name] for name in ("method", "budget", "samples")},
        **{f"b_{name}": second[name] for name in ("method", "budget", "samples")},
        "load": cube.load,
        "policy": cube.policy,
        "n": n,
        "accuracy_diff": accuracy.value,
        "accuracy_diff_lo": accuracy.lo,
        "accuracy_diff_hi": accuracy.hi,
        "accuracy_p": accuracy.p,
        "accuracy_p_holm": corrected["accuracy"],
        **_ratio_columns(one, corrected),
        "required_n": None if decided else accuracy.required,
        "starts": ratios.latency.starts,
        "rounds": ratios.latency.rounds,
        "accuracy_verdict": accuracy_verdict(accuracy, corrected["accuracy"]),
        "latency_verdict": ratio_verdict(
            ratios, "latency", one.latency, corrected["latency"], withheld=one.withheld, problems=n
        ),
        "cost_verdict": ratio_verdict(ratios, "cost", one.cost, corrected["cost"], withheld=one.withheld, problems=n),
        "doubts": _codes(one),
    }


def _ratio_columns(one: _Judged, corrected: Mapping[str, float | None]) -> dict[str, Any]:
    ratios, failures = one.ratios, one.ratios.failures
    estimates = {
        "latency_ratio": ratios.latency,
        "latency_ratio_answered": ratios.latency_answered,
        "cost_ratio": ratios.cost,
        "cost_ratio_answered": ratios.cost_answered,
        "paper_cost_ratio": ratios.paper_cost,
    }
    columns: dict[str, Any] = {}
    for name, estimate in estimates.items():
        columns |= {name: estimate.value, f"{name}_lo": estimate.lo, f"{name}_hi": estimate.hi}
    return columns | {
        "latency_p": one.latency.p,
        "latency_p_holm": corrected["latency"],
        "cost_p": one.cost.p,
        "cost_p_holm": corrected["cost"],
        "latency_ratio_typical": ratios.typical,
        "length_ratio": ratios.length,
        "speed_ratio": ratios.speed,
        "a_failed_share": failures.a_share,
        "b_failed_share": failures.b_share,
        "only_a_failed": failures.only_a,
        "only_b_failed": failures.only_b,
    }


def _codes(one: _Judged) -> list[str]:
    """Codes of the warnings that stand beside a pair."""
    found = [one.withheld.code] if one.withheld else []
    if one.ratios.latency.starts < 2 and ONE_START not in found:
        found.append(ONE_START)
    if one.cube.load != "c1" and one.ratios.failures.uneven:
        found.append("failures_lighten_load")
    if one.accuracy.bounded:
        found.append("ungraded")
    return found


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema_of(PAIRS), strict=False).with_columns(pl.selectors.float().fill_nan(None))
