"""Claim (g): the cost per token of a 14B model depends more on the budget with speculation than without."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.findings.compare import Pair
from tts_compare.analysis.findings.evidence import Evidence
from tts_compare.analysis.findings.starts import ENOUGH_STARTS
from tts_compare.analysis.findings.tested import Cell, Tested, Untestable
from tts_compare.analysis.statistics.rounds import jackknife

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Parameters of "the 14B class".
_CLASS = (10e9, 20e9)
_LEAST_BUDGETS = 3


def cost_varies_more(evidence: Evidence) -> Tested | Untestable:
    """U with speculation less U without, above 0, by the jackknife over five rounds or more.

    e_r: residuals of log cost per token on log budget in round r. U: the mean over r != s of e_r . e_s, which noise
    between rounds adds nothing to. A standard deviation over budgets would: it is above 0 for any setting.
    """
    pairs = [p for p in evidence.drafting() if _CLASS[0] <= evidence.parameters(evidence.model(p.a)) < _CLASS[1]]
    every = tuple(p for p, _ in enumerate(evidence.cube.keys) if evidence.timed(p) and evidence.drafts(p))
    if not pairs:
        return Untestable(why="it needs a model of the 14B class with and without speculation", points=every)
    points = tuple(point for pair in pairs for point in (pair.a, pair.b))
    curves = [curve for curve in _curves(evidence, pairs) if len(curve) >= _LEAST_BUDGETS]
    if not curves:
        return Untestable(why=f"it needs {_LEAST_BUDGETS} budgets or more", points=points)
    if evidence.rounds < ENOUGH_STARTS:
        return Untestable(why=f"it needs {ENOUGH_STARTS} rounds or more", points=points)
    differences = [
        _shared_variation(_residuals(evidence, [p.b for p in curve]))
        - _shared_variation(_residuals(evidence, [p.a for p in curve]))
        for curve in curves
    ]
    whole, *without = np.mean(differences, axis=0).tolist()
    found = jackknife(whole, np.array(without))
    if math.isnan(found.error):
        return Untestable(why="a cost per token that it needs is not known", points=points)
    low, high = found.limits()
    cell = Cell(
        label=f"{evidence.model(pairs[0].a)}, {len(curves[0])} budgets",
        value=found.value,
        lo=low,
        hi=high,
        far_lo=low,
        far_hi=high,
        bound=0.0,
    )
    return Tested(cells=(cell,), unit="squared log cost", points=points)


def _curves(evidence: Evidence, pairs: list[Pair]) -> list[list[Pair]]:
    found: dict[tuple[str, str, str, int], list[Pair]] = {}
    for pair in pairs:
        if evidence.budget(pair.a) == 0:  # of thinking; it has no logarithm
            continue
        a, b = evidence.cube.keys[pair.a], evidence.cube.keys[pair.b]
        found.setdefault((a["setting"], b["setting"], a["method"], a["samples"]), []).append(pair)
    return [sorted(curve, key=lambda p: evidence.budget(p.a)) for curve in found.values()]


def _residuals(evidence: Evidence, points: list[int]) -> Floats:
    """(rounds, budgets) residuals of log cost per token on log budget."""
    cube = evidence.cube
    rounds = cube.rounds[cube.compared]
    log_cost = np.empty((np.unique(rounds).size, len(points)))
    for column, point in enumerate(points):
        seconds, tokens = (cube.values(point, f).mean(axis=0) for f in ("request_s", "tokens"))
        for row, code in enumerate(np.unique(rounds)):
            own = rounds == code
            log_cost[row, column] = math.log(seconds[own].sum() / tokens[own].sum())
    budgets = np.log([evidence.budget(p) for p in points])
    design = np.stack((np.ones_like(budgets), budgets), axis=1)
    hat = design @ np.linalg.pinv(design)
    residuals: Floats = log_cost - log_cost @ hat.T
    return residuals


def _shared_variation(residuals: Floats) -> Floats:
    """U over all rounds, then without each of them: (1 + rounds,)."""
    products = residuals @ residuals.T
    np.fill_diagonal(products, 0.0)
    count = products.shape[0]
    whole = products.sum() / (count * (count - 1))
    without = (products.sum() - 2.0 * products.sum(axis=1)) / ((count - 1) * (count - 2))
    return np.concatenate(([whole], without))
