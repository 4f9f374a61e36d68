"""Claim (a): accuracy flattens with time, tested by the bend of each curve over its budgets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.findings.evidence import Evidence
from tts_compare.analysis.findings.tested import Cell, Tested, Untestable
from tts_compare.analysis.findings.withheld import is_derived_under_load
from tts_compare.analysis.statistics.distributions import t_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Steps of the budget that add less than this share of time are merged: they cut next to nothing.
_STEP = 1.01


def accuracy_flattens(evidence: Evidence) -> Tested | Untestable:
    """Accuracy per second at the last step of the budget less that over the steps before it, below 0.

    For one curve of accuracies A and times T it is C / ((T_K-1 - T_1) (T_K - T_K-1)) with
    C = (A_K - A_K-1)(T_K-1 - T_1) - (A_K-1 - A_1)(T_K - T_K-1); several curves are averaged. The interval is Student's
    t over problems of the influence values of C (delta method), the denominator taken as known: it is positive and does
    not change the sign. Problems answer in every budget, so one server start suffices.
    """
    cube = evidence.cube
    graded = cube.compared.copy()
    curves = _curves(evidence)
    for point in dict.fromkeys(p for curve in curves for p in curve):
        graded &= np.isfinite(cube.values(point, "correct", np.ones_like(graded))).all(axis=0)
    if not curves:
        return Untestable(why="it needs one setting at three budgets or more")
    if graded.sum() < 2:
        return Untestable(why="the answers are not graded")
    found = [bend for bend in (_bend(evidence, curve, graded) for curve in curves) if bend is not None]
    if not found:
        return Untestable(why="fewer than three budgets take different times: the largest cut no response")
    values = np.mean([influence + bend for bend, influence, _ in found], axis=0)
    value, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)
    if math.isnan(value):
        return Untestable(why="a latency or a length is missing")
    width = t_quantile(0.975, values.size - 1) * error
    low, high = 100 * (value - width), 100 * (value + width)
    cell = Cell(
        label=f"{len(found)} curves" if len(found) > 1 else "one curve",
        value=100 * value,
        lo=low,
        hi=high,
        far_lo=low,
        far_hi=high,
        bound=0.0,
        side=-1,
    )
    points = tuple(point for curve in curves for point in curve)
    return Tested(cells=(cell,), unit="points per second", points=points, remark=_remark(evidence, found, graded))


_Bend = tuple[float, "Floats", list[int]]


def _curves(evidence: Evidence) -> list[list[int]]:
    """Points of every (setting, method, samples) with three budgets or more, by budget."""
    curves: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
    cube = evidence.cube
    for point in np.flatnonzero(cube.included).tolist():
        key = cube.keys[point]
        if not is_derived_under_load(key, cube.load):
            name = (str(key["setting"]), str(key["method"]), int(key["samples"]))
            curves.setdefault(name, []).append((int(key["budget"]), point))
    return [[point for _, point in sorted(curve)] for curve in curves.values() if len(curve) >= 3]


def _bend(evidence: Evidence, curve: list[int], mask: NDArray[np.bool_], figure: str = "latency_s") -> _Bend | None:
    """The bend of one curve in accuracy per unit of a figure, its influence values (problems,), and the points kept."""
    cube = evidence.cube
    times = {p: cube.values(p, figure, mask).mean(axis=0) for p in curve}
    kept: list[int] = []
    for point in curve:
        if kept and times[point].mean() < _STEP * times[kept[-1]].mean():
            kept[-1] = point
        else:
            kept.append(point)
    if len(kept) < 3:
        return None
    first, before, last = kept[0], kept[-2], kept[-1]
    right = {p: cube.values(p, "correct", mask).mean(axis=0) for p in (first, before, last)}
    a1, ak, az = (float(right[p].mean()) for p in (first, before, last))
    t1, tk, tz = (float(times[p].mean()) for p in (first, before, last))
    scale = (tk - t1) * (tz - tk)
    bend = ((az - ak) * (tk - t1) - (ak - a1) * (tz - tk)) / scale
    influence = (
        (tk - t1) * ((right[last] - az) - (right[before] - ak))
        - (tz - tk) * ((right[before] - ak) - (right[first] - a1))
        + (az - ak) * ((times[before] - tk) - (times[first] - t1))
        - (ak - a1) * ((times[last] - tz) - (times[before] - tk))
    ) / scale
    return bend, influence, kept


def _remark(evidence: Evidence, found: list[_Bend], mask: NDArray[np.bool_]) -> str:
    """The same bend per token, and how the seconds a token takes change at the last step."""
    tokens = [bend for bend in (_bend(evidence, kept, mask, "tokens") for _, _, kept in found) if bend is not None]
    said = []
    if tokens:
        said.append(f"{1e5 * float(np.mean([bend for bend, _, _ in tokens])):+.2f} points per 1,000 tokens")
    changes = []
    for _, _, kept in found:
        t1, tk, tz, n1, nk, nz = (
            float(evidence.cube.values(p, figure, mask).mean())
            for figure in ("latency_s", "tokens")
            for p in (kept[0], kept[-2], kept[-1])
        )
        if nz > nk > n1:
            changes.append(math.log(((tz - tk) / (nz - nk)) / ((tk - t1) / (nk - n1))))
    if changes:
        said.append(f"a token of the last step takes {math.exp(float(np.mean(changes))):.2f}x the time of one before")
    said.append("it holds nearly always, since accuracy cannot grow for ever")
    return "; ".join(said)
