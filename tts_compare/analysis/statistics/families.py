"""Many comparisons at once: the largest budget of each is the hypothesis, smaller ones follow where it was decided."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One comparison of a family.

    chain: what is compared, the same at every budget. size: the budget, larger is asked first. p: its P value, None or
    nan where it cannot be tested.
    """

    chain: Hashable
    size: float
    p: float | None


def step_down(family: Sequence[Question]) -> list[float | None]:
    """Adjusted P values of a family, in its order; None where there is none.

    Holm's step-down (Holm 1979) over the largest budget of every chain. A chain decided there goes on to its next
    smaller budget at the level Holm decided it at, and stops at the first that is not decided (a fixed sequence, Maurer
    et al. 1995): below that nothing is decided, and the adjusted P value says so. The chance of any false decision in
    the family stays at the level.
    """
    chains: dict[Hashable, list[int]] = {}
    for i in sorted(range(len(family)), key=lambda i: -family[i].size):
        if _known(family[i].p) is not None:
            chains.setdefault(family[i].chain, []).append(i)
    adjusted: list[float | None] = [None] * len(family)
    order = sorted(chains.values(), key=lambda chain: _known(family[chain[0]].p) or 0.0)
    running = 0.0
    for rank, chain in enumerate(order):
        times = len(order) - rank
        for step, i in enumerate(chain):
            own = min(1.0, times * (_known(family[i].p) or 0.0))
            above = running if step == 0 else adjusted[chain[step - 1]] or 0.0
            adjusted[i] = max(own, above)
        running = adjusted[chain[0]] or 0.0
    return adjusted


def _known(p: float | None) -> float | None:
    return None if p is None or math.isnan(p) else p
