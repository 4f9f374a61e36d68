"""Comparisons of settings that differ in one thing only, paired by problem."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tts_compare.analysis.cube import Cube
from tts_compare.analysis.intervals import holm, paired_difference, paired_p, required_problems
from tts_compare.analysis.points import Weights
from tts_compare.analysis.resampling import Estimate, Term, log_contrasts
from tts_compare.analysis.schema import PAIR_COLUMNS
from tts_compare.analysis.verdicts import LEVEL, accuracy_verdict, ratio_verdict

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
ONE_START = "one_server_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two points of one cube that differ along ``axis``; a is the plainer of the two."""

    axis: str
    a: int
    b: int
    mask: NDArray[np.bool_]


def difference_axis(a: Mapping[str, Any], b: Mapping[str, Any]) -> str | None:
    """The one axis two settings (of the manifest) differ in, None for none or several.

    Two engines have different versions by nature, so versions count within one engine only.
    """
    same_engine = a.get("backend") == b.get("backend")
    found = [axis for axis in SETTING_AXES if (axis != "version" or same_engine) and _facet(a, axis) != _facet(b, axis)]
    return found[0] if len(found) == 1 else None


def _facet(facts: Mapping[str, Any], axis: str) -> Any:
    if axis == "version":
        return facts.get("engine_version") or facts.get("version")
    if axis == "speculation":
        drafts = facts.get("speculation") or {}
        return "none" if drafts.get("kind", "none") == "none" else tuple(sorted((k, str(v)) for k, v in drafts.items()))
    value = facts.get(axis)
    return tuple(value) if isinstance(value, list) else value


def _plainness(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sorts no speculation before speculation, fewer devices before more."""
    ranks = facts.get("devices") or 0
    return (_facet(facts, "speculation") != "none", ranks, str(facts.get("backend")), str(_facet(facts, "version")))


def setting_pairs(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(axis, a, b) of every two settings that differ in one thing."""
    settings = manifest.get("settings") or {}
    for first, second in combinations(sorted(settings), 2):
        axis = difference_axis(settings[first], settings[second])
        if axis is not None:
            a, b = sorted((first, second), key=lambda name: (_plainness(settings[name]), name))
            yield axis, a, b


def cube_pairs(cube: Cube, manifest: Mapping[str, Any]) -> list[Pair]:
    """Every pair of points of a cube along one axis: settings with the same work, and methods of one setting."""
    by_setting: dict[str, dict[tuple[str, int, int], int]] = {}
    for point, key in enumerate(cube.keys):
        work = (str(key["method"]), int(key["budget"]), int(key["samples"]))
        by_setting.setdefault(str(key["setting"]), {})[work] = point
    found = [
        (axis, by_setting[a][work], by_setting[b][work])
        for axis, a, b in setting_pairs(manifest)
        for work in by_setting.get(a, {})
        if work in by_setting.get(b, {})
    ]
    for works in by_setting.values():
        found += [("method", works[a], works[b]) for a, b in _method_pairs(list(works))]
    return [Pair(axis=axis, a=a, b=b, mask=_mask(cube, a, b)) for axis, a, b in found]


def _method_pairs(works: Sequence[tuple[str, int, int]]) -> Iterator[tuple[tuple[str, int, int], tuple[str, int, int]]]:
    """At one budget: each two methods, of votes the largest; and the largest vote against a single sample."""
    for budget in sorted({work[1] for work in works}):
        own = sorted(work for work in works if work[1] == budget)
        largest = {method: max(w for w in own if w[0] == method) for method, _, _ in own}
        smallest = {method: min(w for w in own if w[0] == method) for method, _, _ in own}
        plain_first = sorted(largest.values(), key=lambda work: (work[0] != "truncate", work[2], work[0]))
        yield from combinations(plain_first, 2)
        yield from ((smallest[m], largest[m]) for m in largest if smallest[m] != largest[m])


def _mask(cube: Cube, a: int, b: int) -> NDArray[np.bool_]:
    """The problems completed everywhere, or by these two where one of them is left out of the frontiers."""
    return cube.compared if cube.included[a] and cube.included[b] else cube.own_mask(a, b)


def pair_frame(cubes: Sequence[Cube], manifest: Mapping[str, Any], weights: Weights) -> pl.DataFrame:
    """PAIR_COLUMNS of every comparison of a run; p values are Holm-corrected within each axis and figure."""
    return pair_rows([(cube, cube_pairs(cube, manifest)) for cube in cubes], weights)


def pair_rows(pairs: Sequence[tuple[Cube, Sequence[Pair]]], weights: Weights) -> pl.DataFrame:
    """PAIR_COLUMNS of the pairs given, in their order."""
    rows: list[dict[str, Any]] = []
    estimates: list[tuple[Estimate, Estimate, Estimate, float]] = []
    for cube, own in pairs:
        rows += [_accuracy_row(cube, pair) for pair in own]
        estimates += _ratios(cube, own, weights)
    _finish(rows, estimates)
    return _frame(rows)


def _accuracy_row(cube: Cube, pair: Pair) -> dict[str, Any]:
    a, b = (cube.values(point, "correct", pair.mask).mean(axis=0) for point in (pair.a, pair.b))
    both = np.concatenate((a, b))
    single = cube.outcomes[[pair.a, pair.b]].max() == 1 and bool(np.isin(both, (0.0, 1.0)).all())
    known = bool(np.isfinite(both).all()) and a.size > 0
    difference, low, high = paired_difference(a, b, single=single) if known else (np.nan,) * 3
    first, second = cube.keys[pair.a], cube.keys[pair.b]
    return {
        "axis": pair.axis,
        "a": first["setting"],
        "b": second["setting"],
        **{f"a_{name}": first[name] for name in ("method", "budget", "samples")},
        **{f"b_{name}": second[name] for name in ("method", "budget", "samples")},
        "load": cube.load,
        "policy": cube.policy,
        "n": int(pair.mask.sum()),
        "accuracy_diff": difference,
        "accuracy_diff_lo": low,
        "accuracy_diff_hi": high,
        "accuracy_p": paired_p(a, b, single=single) if known else None,
        "required_n": required_problems(a, b, single=single) if known else None,
    }


def _ratios(cube: Cube, pairs: Sequence[Pair], weights: Weights) -> list[tuple[Estimate, Estimate, Estimate, float]]:
    """Latency, bill, cost per token and length of a over b, the last without an interval, in the order of the pairs."""
    by_mask: dict[bytes, list[int]] = {}
    for i, pair in enumerate(pairs):
        by_mask.setdefault(pair.mask.tobytes(), []).append(i)
    found: dict[int, tuple[Estimate, Estimate, Estimate, float]] = {}
    for group in by_mask.values():
        contrasts = [terms for i in group for terms in ratio_terms(cube, pairs[i])]
        results = log_contrasts(contrasts, weights.for_intervals(max(1, int(pairs[group[0]].mask.sum()))))
        for at, i in enumerate(group):
            latency, bill, cost = results[3 * at : 3 * at + 3]
            found[i] = (latency, bill, cost, _length_ratio(cube, pairs[i]))
    return [found[i] for i in range(len(pairs))]


def ratio_terms(cube: Cube, pair: Pair) -> tuple[list[Term], ...]:
    """The contrasts of a pair; cost per token counts the devices on both sides."""

    def side(point: int, sign: float, figure: str, times: float = 1.0) -> Term:
        values = cube.values(point, figure, pair.mask) * times
        return Term(values=values, sign=sign, setting=str(cube.keys[point]["setting"]))

    def ratio(figure: str) -> list[Term]:
        return [side(pair.a, 1, figure), side(pair.b, -1, figure)]

    cost = [
        side(pair.a, 1, "request_s", cube.devices(pair.a)),
        side(pair.a, -1, "tokens"),
        side(pair.b, -1, "request_s", cube.devices(pair.b)),
        side(pair.b, 1, "tokens"),
    ]
    return (ratio("latency_s"), ratio("bill_gpu_s"), cost)


def _length_ratio(cube: Cube, pair: Pair) -> float:
    a, b = (cube.values(point, "tokens", pair.mask) for point in (pair.a, pair.b))
    return float(a.mean() / b.mean()) if a.size and b.size and b.mean() > 0 else math.nan


def _finish(rows: list[dict[str, Any]], estimates: Sequence[tuple[Estimate, Estimate, Estimate, float]]) -> None:
    """Correct the p values over the family and say each comparison in words."""
    axes = [str(row["axis"]) for row in rows]
    accuracy = _holm_by(axes, [row["accuracy_p"] for row in rows])
    latency = _holm_by(axes, [found[0].p for found in estimates])
    cost = _holm_by(axes, [found[1].p for found in estimates])
    for i, (row, (fast, cheap, paper, length)) in enumerate(zip(rows, estimates, strict=True)):
        for name, ratio, adjusted in (("latency", fast, latency[i]), ("cost", cheap, cost[i])):
            row |= {f"{name}_ratio": ratio.value, f"{name}_ratio_lo": ratio.lo, f"{name}_ratio_hi": ratio.hi}
            row |= {f"{name}_p": ratio.p, f"{name}_p_holm": adjusted}
        row |= {
            "accuracy_p_holm": accuracy[i],
            "paper_cost_ratio": paper.value,
            "paper_cost_ratio_lo": paper.lo,
            "paper_cost_ratio_hi": paper.hi,
            "length_ratio": length,
            "speed_ratio": fast.value / length,
            "doubts": [ONE_START] if fast.starts < 2 else [],
        }
        limits = (row["accuracy_diff_lo"], row["accuracy_diff_hi"])
        n = row["n"]
        row["accuracy_verdict"] = accuracy_verdict(
            row["accuracy_diff"], limits, accuracy[i], problems=n, needed=row["required_n"]
        )
        adjusted = accuracy[i]
        if adjusted is not None and adjusted < LEVEL:
            row["required_n"] = None
        row["latency_verdict"] = ratio_verdict(fast, latency[i], problems=n, better="faster", worse="slower")
        row["cost_verdict"] = ratio_verdict(cheap, cost[i], problems=n, better="cheaper", worse="dearer")


def _holm_by(axes: Sequence[str], p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment within each axis: speculation, parallelism and engine are questions of their own."""
    adjusted: list[float | None] = [None] * len(p_values)
    for axis in dict.fromkeys(axes):
        own = [i for i, name in enumerate(axes) if name == axis]
        for i, p in zip(own, holm([p_values[i] for i in own]), strict=True):
            adjusted[i] = p
    return adjusted


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    words = ("axis", "a", "b", "a_method", "b_method", "load", "policy")
    whole = ("a_budget", "b_budget", "a_samples", "b_samples", "n", "required_n")
    schema: dict[str, Any] = {}
    for name in PAIR_COLUMNS:
        if name in words or name.endswith("_verdict"):
            schema[name] = pl.String
        else:
            schema[name] = pl.Int64 if name in whole else pl.Float64
    schema["doubts"] = pl.List(pl.String)
    return pl.DataFrame(rows, schema=schema, strict=False).with_columns(pl.selectors.float().fill_nan(None))
