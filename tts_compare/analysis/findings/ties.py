"""Claim (f): settings that tokens cannot tell apart, and what the choice among them costs in time and money.

Settings that give the same text take the same tokens; which of them is meant by "the compute-optimal one" is then open,
and so the question is whether some setting among the token-cheapest is materially slower or more expensive than another
that is no less accurate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.findings.evidence import Evidence
from tts_compare.analysis.findings.failures import count_failures
from tts_compare.analysis.findings.labels import point_label
from tts_compare.analysis.findings.optimal import MATERIAL, TIE
from tts_compare.analysis.findings.tested import Cell, Tested, Untestable
from tts_compare.analysis.statistics.distributions import t_quantile, t_two_sided_p
from tts_compare.analysis.statistics.intervals import paired_p
from tts_compare.analysis.statistics.moderated import moderate
from tts_compare.analysis.statistics.ratios import Duel, terms
from tts_compare.analysis.statistics.resampling import log_contrasts
from tts_compare.analysis.statistics.rounds import LEAST_ROUNDS, log_ratio_over_rounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_TIE_LEVEL = 0.025
#: An accuracy so much lower than another's still counts as no lower.
_NO_LOWER = 0.005
_FIGURES = {"latency": "latency_s", "cost": "bill_gpu_s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TiedChoice:
    """Point i, which tokens may choose, and point j, no less accurate: figure of i over j is looked at.

    cheapest: every point of their group that tokens may choose.
    """

    i: int
    j: int
    figure: str
    cheapest: frozenset[int]


def tokens_choose_wrongly(evidence: Evidence) -> Tested | Untestable:
    """(f) Some token-cheapest point takes over 5 % more latency or cost than one that is no less accurate.

    Tried for each ordered pair of points of one model, method and budget and both figures, Bonferroni over all of them;
    variances over rounds are moderated (Smyth 2004). Every limit shown is one-sided at that level.
    """
    groups = _groups(evidence)
    if not groups:
        return Untestable(why="it needs two points of one model, method and budget")
    choices = [choice for group in groups for choice in _choices(evidence, group)]
    if not choices:
        return Untestable(why="latency and cost are missing", points=tuple(p for g in groups for p in g))
    level = 0.05 / len(choices)
    limits = _limits(evidence, choices, groups, level)
    cells = tuple(
        Cell(
            label=_label(evidence, choice),
            value=value,
            lo=low,
            hi=high,
            far_lo=low,
            far_hi=high,
            bound=MATERIAL,
            barred=_barred(evidence, choice),
        )
        for choice, (value, low, high) in zip(choices, limits, strict=True)
        if not math.isnan(value)
    )
    if not cells:
        return Untestable(why="latency and cost are missing", points=tuple(p for g in groups for p in g))
    points = tuple(dict.fromkeys(p for c in choices for p in (c.i, c.j)))
    return Tested(cells=cells, unit="x", points=points, every=False, remark=_remark(choices, limits))


def _groups(evidence: Evidence) -> list[list[int]]:
    """Timed points by model, method and budget, where there are two or more."""
    found: dict[tuple[str, str, int], list[int]] = {}
    for point, key in enumerate(evidence.cube.keys):
        if evidence.timed(point):
            name = (evidence.model(point), str(key["method"]), int(key["budget"]))
            found.setdefault(name, []).append(point)
    return [group for group in found.values() if len(group) >= 2]


def token_cheapest(evidence: Evidence, group: Sequence[int]) -> list[int]:
    """The points of a group whose mean tokens are within 1 % of the least, or not told apart from it.

    Told apart: a paired t over problems at 2.5 %, Bonferroni over the others of the group.
    """
    tokens = {p: evidence.cube.values(p, "tokens").mean(axis=0) for p in group}
    least = min(group, key=lambda p: float(tokens[p].mean()))
    level = _TIE_LEVEL / (len(group) - 1)
    return [
        p
        for p in group
        if tokens[p].mean() <= TIE * tokens[least].mean() or _paired(tokens[p] - tokens[least]) >= level
    ]


def _paired(differences: Floats) -> float:
    error = float(differences.std(ddof=1)) / math.sqrt(differences.size) if differences.size > 1 else math.nan
    if math.isnan(error) or error == 0.0:
        return 0.0
    return t_two_sided_p(float(differences.mean()) / error, differences.size - 1)


def _choices(evidence: Evidence, group: Sequence[int]) -> list[TiedChoice]:
    cube, cheapest = evidence.cube, frozenset(token_cheapest(evidence, group))
    accuracy = {p: cube.values(p, "correct").mean(axis=0) for p in group}
    found = []
    for i in sorted(cheapest):
        for j in group:
            if i == j or not _no_lower(accuracy[i], accuracy[j], single=cube.outcomes[[i, j]].max() == 1):
                continue
            for name, figure in _FIGURES.items():
                if all(np.isfinite(cube.values(p, figure)).all() for p in (i, j)):
                    found.append(TiedChoice(i=i, j=j, figure=name, cheapest=cheapest))
    return found


def _no_lower(i: Floats, j: Floats, *, single: bool) -> bool:
    """Whether the accuracy of j is at least that of i less half a point, and not shown to be lower."""
    difference = float((j - i).mean())
    if not difference >= -_NO_LOWER - 1e-12:
        return False
    whole = single and bool(np.isin(np.concatenate((i, j)), (0.0, 1.0)).all())
    return difference >= 0.0 or paired_p(i, j, single=whole) >= 0.05


def _limits(
    evidence: Evidence, choices: Sequence[TiedChoice], groups: Sequence[Sequence[int]], level: float
) -> list[tuple[float, float, float]]:
    """Ratio of i over j of each choice with one-sided limits at ``level`` either way."""
    if evidence.rounds < LEAST_ROUNDS:
        return _limits_over_problems(evidence, choices, level)
    duels = [Duel(cube=evidence.cube, a=c.i, b=c.j, mask=evidence.cube.compared) for c in choices]
    contrasts = [terms(duel, _FIGURES[c.figure]) for duel, c in zip(duels, choices, strict=True)]
    rounds = evidence.cube.rounds[evidence.cube.compared]
    over = [
        log_ratio_over_rounds(np.stack([t.values.mean(axis=0) for t in own]), np.array([1.0, -1.0]), rounds)
        for own in contrasts
    ]
    limits: dict[int, tuple[float, float, float]] = {}
    for name in _FIGURES:
        own = [k for k, c in enumerate(choices) if c.figure == name]
        # A pair is tried in both orders with one variance, which is to count once.
        once = {frozenset((choices[k].i, choices[k].j)): k for k in own}
        order = list(once.values())
        dof = float(over[0].dof)
        shared = moderate(
            np.array([over[k].error ** 2 for k in order]), dof, independent=_independent(evidence, groups)
        )
        by_pair = dict(zip(once, shared.variances.tolist(), strict=True))
        for k in own:
            width = t_quantile(1.0 - level, shared.dof) * math.sqrt(by_pair[frozenset((choices[k].i, choices[k].j))])
            value = over[k].value
            limits[k] = (math.exp(value), math.exp(value - width), math.exp(value + width))
    return [limits[k] for k in range(len(choices))]


def _limits_over_problems(
    evidence: Evidence, choices: Sequence[TiedChoice], level: float
) -> list[tuple[float, float, float]]:
    """``_limits`` by the bootstrap. The ratio of a pair in the other order is the inverse, and is not drawn again."""
    pairs = sorted({(min(c.i, c.j), max(c.i, c.j), c.figure) for c in choices})
    duels = [Duel(cube=evidence.cube, a=a, b=b, mask=evidence.cube.compared) for a, b, _ in pairs]
    contrasts = [terms(duel, _FIGURES[figure]) for duel, (_, _, figure) in zip(duels, pairs, strict=True)]
    found = log_contrasts(contrasts, evidence.weights, confidence=1.0 - 2.0 * level)
    limits = {(a, b, figure): (e.value, e.lo, e.hi) for (a, b, figure), e in zip(pairs, found, strict=True)}
    limits |= {(b, a, figure): (1.0 / value, 1.0 / hi, 1.0 / lo) for (a, b, figure), (value, lo, hi) in limits.items()}
    return [limits[c.i, c.j, c.figure] for c in choices]


def _independent(evidence: Evidence, groups: Sequence[Sequence[int]]) -> int:
    """Contrasts between settings that are independent: the settings of each model less one."""
    settings: dict[str, set[str]] = {}
    for point in (p for group in groups for p in group):
        settings.setdefault(evidence.model(point), set()).add(str(evidence.cube.keys[point]["setting"]))
    return max(1, sum(len(own) - 1 for own in settings.values()))


def _barred(evidence: Evidence, choice: TiedChoice) -> bool:
    duel = Duel(cube=evidence.cube, a=choice.i, b=choice.j, mask=evidence.cube.compared)
    return count_failures(duel.failed(choice.i), duel.failed(choice.j), duel.rounds).barred("b")


def _label(evidence: Evidence, choice: TiedChoice) -> str:
    names = [point_label(evidence.cube.keys[p]) for p in (choice.i, choice.j)]
    return f"{choice.figure} of {names[0]} over {names[1]}"


def _remark(choices: Sequence[TiedChoice], limits: Sequence[tuple[float, float, float]]) -> str:
    """Whether even the best of the token-cheapest is off, or tokens just do not say which of them to take."""
    off: dict[tuple[int, str], set[int]] = {}
    for choice, (_, low, _) in zip(choices, limits, strict=True):
        if low > MATERIAL:
            off.setdefault((choice.j, choice.figure), set()).add(choice.i)
    if not off:
        return ""
    cheapest = {(choice.j, choice.figure): choice.cheapest for choice in choices}
    if any(found == cheapest[place] for place, found in off.items()):
        return "even the best of the token-cheapest is over 5 % off: tokens choose wrongly"
    return "the best of the token-cheapest is not over 5 % off: tokens do not choose among them"
