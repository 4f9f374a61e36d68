"""A claim's statistic and what its intervals make of it: it holds, it does not, or the data do not decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tts_compare.analysis.findings.evidence import Evidence, Pool, pooled
from tts_compare.analysis.schema import Verdict

#: Figures of ``evidence.pooled`` in words.
_FIGURES = {"latency_s": "latency", "paper_cost": "the cost per token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One part of a claim.

    label: what it is of. value, lo, hi: the statistic with the interval it must keep to one side of the bound for the
    claim to hold. far_lo, far_hi: the wider interval that must keep to the other side for the claim not to hold.
    bound: 1 for ratios, 0 for differences. side: 1 where the claim is that the value is above the bound, -1 below.
    barred: whether the setting the claim speaks for fails too often to be favoured.
    """

    label: str
    value: float
    lo: float
    hi: float
    far_lo: float
    far_hi: float
    bound: float = 1.0
    side: Literal[1, -1] = 1
    barred: bool = False

    @property
    def supports(self) -> bool:
        """Whether the interval is on the claim's side."""
        return not self.barred and (self.lo > self.bound if self.side > 0 else self.hi < self.bound)

    @property
    def contradicts(self) -> bool:
        """Whether the wider interval is on the other side."""
        return self.far_hi < self.bound if self.side > 0 else self.far_lo > self.bound

    @property
    def margin(self) -> float:
        """How far the interval's nearer limit is on the claim's side, for ordering; nan is least."""
        nearest = self.lo - self.bound if self.side > 0 else self.bound - self.hi
        return -math.inf if math.isnan(nearest) else nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A statistic that could be computed.

    cells: its parts. every: whether all of them have to support the claim (else any one does). unit: of the figure.
    points: what it rests on. remark: what else is worth saying of it.
    """

    cells: tuple[Cell, ...]
    unit: str
    points: tuple[int, ...]
    every: bool = True
    remark: str = ""

    @property
    def verdict(self) -> Verdict:
        """Over all cells."""
        supports, contradicts = ([getattr(cell, name) for cell in self.cells] for name in ("supports", "contradicts"))
        if all(supports) if self.every else any(supports):
            return "holds"
        if any(contradicts) if self.every else all(contradicts):
            return "does not hold"
        return "cannot be told"

    @property
    def deciding(self) -> Cell:
        """The cell that decides: the weakest where all have to support the claim, else the strongest."""
        choose = min if self.every else max
        return choose(self.cells, key=lambda cell: cell.margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Untestable:
    """Why a statistic could not be computed, and the points it would have rested on."""

    why: str
    points: tuple[int, ...] = ()


#: A part of a claim before it is computed: label, pools, figure, bound and side.
Part = tuple[str, Sequence[Pool], str, float, Literal[1, -1]]


def try_parts(evidence: Evidence, parts: Sequence[Part], unit: str, remark: str = "") -> Tested | Untestable:
    """Ratios every one of which has to be on the claim's side (an intersection-union test, Berger 1982).

    Each is tried at 95 % for the claim; against it, where one suffices, at 1 - 0.05 / parts (Bonferroni).
    """
    far = 1.0 - 0.05 / max(1, len(parts))
    cells, points = [], []
    for label, pools, figure, bound, side in parts:
        near, wide = (pooled(evidence, pools, figure, confidence=level) for level in (0.95, far))
        own = [point for pairs, _ in pools for pair in pairs for point in (pair.a, pair.b)]
        points += own
        if math.isnan(near.value):
            return Untestable(why=f"{_FIGURES[figure]} is not known for {label}", points=tuple(own))
        cells.append(
            Cell(
                label=label,
                value=near.value,
                lo=near.lo,
                hi=near.hi,
                far_lo=wide.lo,
                far_hi=wide.hi,
                bound=bound,
                side=side,
                barred=evidence.barred(pools, side),
            )
        )
    return Tested(cells=tuple(cells), unit=unit, points=tuple(points), remark=remark)
