"""Worlds at the exact boundary of each of the paper's claims: there a claim is false, and may hold in 5 % of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.worlds import MEDIAN, SIGMA, TPOT_S, TTFT_S, Side, lengths, seconds, setting, starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Rng = np.random.Generator
    Draw = Callable[[Rng, int, int], list[Side]]

START_SD, NOISE = 0.03, 0.1
_BUDGETS = (512, 2048, 8192)
#: The models of the worlds, small to large.
SIZES: Mapping[str, float] = {"small": 1.5e9, "middle": 7e9, "large": 14e9}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimWorld:
    """letter: of the claim. draw: one run. parameters: of its models. least_rounds: fewer cannot test the claim."""

    letter: str
    draw: Draw
    parameters: Mapping[str, float] = field(default_factory=lambda: SIZES)
    least_rounds: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A setting: how many times as fast as one rank without speculation it truly is, by budget where that differs.

    label: tells settings with the same facts apart.
    """

    model: str = "middle"
    drafts: bool = False
    ranks: int = 1
    speed: float = 1.0
    by_budget: Mapping[int, float] = field(default_factory=dict)
    label: str = ""


def draw_run(
    rng: Rng, problems: int, rounds: int, served: tuple[Served, ...], budgets: tuple[int, ...] = _BUDGETS
) -> list[Side]:
    """Every setting at every budget, equal texts within a model, one start a setting and round."""
    wants = {model: lengths(rng, problems, sides=1)[0] for model in dict.fromkeys(s.model for s in served)}
    right = {model: rng.random(problems) < 0.6 for model in wants}
    sides = []
    for one in served:
        effects = starts(rng, rounds, START_SD)
        name = f"{one.model}/{one.ranks}/{'drafts' if one.drafts else 'plain'}{one.label}"
        facts: dict[str, Any] = setting(model=one.model, drafts=one.drafts, ranks=one.ranks)
        for budget in budgets:
            tokens = np.minimum(wants[one.model], budget)
            took = seconds(rng, tokens, effects, noise=NOISE) / one.by_budget.get(budget, one.speed)
            correct = (right[one.model] & (wants[one.model] <= budget)).astype(np.float64)
            sides.append(Side(name=name, latency_s=took, tokens=tokens, correct=correct, budget=budget, facts=facts))
    return sides


def _served(*served: Served, budgets: tuple[int, ...] = _BUDGETS) -> Draw:
    return lambda rng, problems, rounds: draw_run(rng, problems, rounds, served, budgets)


def mean_seconds(budget: int) -> float:
    """The true mean latency at a budget, by a sum over the quantiles of the cut lengths."""
    normal = np.sort(np.random.default_rng(5).normal(size=2_000_000))
    tokens = np.minimum(np.maximum(1.0, np.round(MEDIAN * np.exp(SIGMA * normal))), budget)
    return float(TTFT_S + (tokens.mean() - 1) * TPOT_S)


def _straight(rng: Rng, problems: int, rounds: int) -> list[Side]:
    """Accuracy that grows by as much in every second: .2 at the smallest budget, .7 at the largest."""
    if not _SECONDS:
        _SECONDS.extend(mean_seconds(budget) for budget in _BUDGETS)
    (wants,), easy = lengths(rng, problems, sides=1), rng.random(problems)
    effects, sides = starts(rng, rounds, START_SD), []
    for budget, mean in zip(_BUDGETS, _SECONDS, strict=True):
        tokens = np.minimum(wants, budget)
        share = 0.2 + 0.5 * (mean - _SECONDS[0]) / (_SECONDS[-1] - _SECONDS[0])
        took = seconds(rng, tokens, effects, noise=NOISE)
        correct = (easy < share).astype(np.float64)
        sides.append(Side(name="plain", latency_s=took, tokens=tokens, correct=correct, budget=budget, facts=setting()))
    return sides


_SECONDS: list[float] = []
_FAST = Served(drafts=True, speed=1.4)
_WAVY: Mapping[int, float] = {512: 1.2, 2048: 1.5, 8192: 1.2}
_FLAT_WAVY: Mapping[int, float] = {512: 1.0, 2048: 1.25, 8192: 1.0}
CLAIM_WORLDS: Mapping[str, ClaimWorld] = {
    "accuracy grows by as much in every second": ClaimWorld(letter="a", draw=_straight),
    "speculation gains nothing at one of three budgets": ClaimWorld(
        letter="b", draw=_served(Served(), Served(drafts=True, by_budget={512: 1.4, 2048: 1.4, 8192: 1.0}))
    ),
    "speculation gains nothing": ClaimWorld(letter="b", draw=_served(Served(), Served(drafts=True))),
    "two ranks are twice as fast, four 3x": ClaimWorld(
        letter="c", draw=_served(Served(), Served(ranks=2, speed=2.0), Served(ranks=4, speed=3.0))
    ),
    "the small model is as fast on two ranks": ClaimWorld(
        letter="c", draw=_served(Served(model="small"), Served(model="small", ranks=2))
    ),
    "speculation saves nothing": ClaimWorld(
        letter="d", draw=_served(Served(), Served(drafts=True), Served(ranks=2, speed=1.4))
    ),
    "speculation saves as much as two ranks": ClaimWorld(
        letter="d", draw=_served(Served(), _FAST, Served(ranks=2, speed=2.8), Served(ranks=4, speed=3.0))
    ),
    "two ranks cost as much at one of three budgets": ClaimWorld(
        letter="e", draw=_served(Served(), Served(ranks=2, by_budget={512: 1.4, 2048: 1.4, 8192: 2.0}))
    ),
    "the faster of two is 1.05x as fast": ClaimWorld(
        letter="f", draw=_served(Served(), Served(drafts=True, speed=1.05))
    ),
    "eight equal settings": ClaimWorld(
        letter="f",
        draw=_served(*(Served(label=str(i)) for i in range(8))),
    ),
    "the cost varies as much with speculation": ClaimWorld(
        letter="g",
        draw=_served(Served(model="large", by_budget=_FLAT_WAVY), Served(model="large", drafts=True, by_budget=_WAVY)),
        least_rounds=5,
    ),
    "the larger model gains as much": ClaimWorld(
        letter="h",
        draw=_served(
            Served(model="small"),
            Served(model="small", drafts=True, speed=1.4),
            Served(model="large"),
            Served(model="large", drafts=True, speed=1.4),
        ),
    ),
}
