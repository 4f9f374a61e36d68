"""Designs that take fewer device-hours and still find what the planned one finds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tts_compare.analysis.statistics.detectable import LEAST_ROUNDS, Measured, drop_power, ratio_power
from tts_compare.plan import design as planning
from tts_compare.plan.estimate import plan
from tts_compare.plan.foresight import Foresight
from tts_compare.plan.round_shares import LEAST_SHARE

_MOST_ROUNDS = 10
_STEPS = 20  # problems are tried in twentieths of those planned
#: A design that saves less is not worth another look.
_LEAST_SAVING = 0.02
#: The bisection that found an effect ends a little above it.
_SLACK = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheaper:
    """A design that costs less."""

    design: Measured
    """Its problems, rounds and repeats."""
    gpu_hours: float
    """Device-hours at the high end of the estimate that the plan makes."""
    planned_gpu_hours: float
    """Those of the planned design."""
    accuracy_too: bool
    """Whether it finds the same drops in accuracy, not only the same ratios of latency and cost."""

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        names = ("problems", "rounds", "repeats")
        hours = {"gpu_hours_high": self.gpu_hours, "planned_gpu_hours_high": self.planned_gpu_hours}
        return {name: getattr(self.design, name) for name in names} | hours | {"accuracy_too": self.accuracy_too}


def cheaper(seen: Foresight, hours: Callable[[Measured], float]) -> tuple[Cheaper, ...]:
    """The cheapest design that finds the same in everything, and the cheapest that does in latency and cost alone.

    hours: device-hours of a design, by the same estimate as the plan's. Each effect that the planned design finds with
    the power assumed is found by them with at least that power. The second is omitted where it is no cheaper than the
    first, and where the planned design finds no ratio.
    """
    now = hours(seen.design)
    tried = [(hours(one), one) for one in _designs(seen.design)]
    less = sorted((pair for pair in tried if pair[0] < (1 - _LEAST_SAVING) * now), key=lambda pair: pair[0])
    found: list[Cheaper] = []
    for accuracy_too in (True, False):
        if not accuracy_too and all(ratio is None for _, ratio in seen.ratios):
            continue
        best = next(((cost, one) for cost, one in less if _finds(one, seen, accuracy_too=accuracy_too)), None)
        if best is not None and not any(best[0] >= other.gpu_hours for other in found):
            found.append(Cheaper(design=best[1], gpu_hours=best[0], planned_gpu_hours=now, accuracy_too=accuracy_too))
    return tuple(found)


def cheaper_designs(seen: Foresight | None, planned: planning.Design) -> tuple[Cheaper, ...]:
    """Those of a plan; none where nothing is compared, or of no setting hours can be said."""
    if seen is None or not plan(planned).total.gpu_hours_high:
        return ()

    def hours(one: Measured) -> float:
        sized = replace(planned, problems=one.problems, starts=one.rounds * one.repeats, passes=one.repeats)
        return plan(sized).total.gpu_hours_high

    return cheaper(seen, hours)


def cheaper_lines(found: tuple[Cheaper, ...], seen: Foresight | None) -> Iterator[str]:
    """The same in words; one line where there is none."""
    if seen is not None and not found:
        yield "  cheaper         no design that takes fewer device-hours finds as much"
    for one in found:
        design = one.design
        what = "the same" if one.accuracy_too else "the same in latency and cost, and less in accuracy"
        asked = f"--problems {design.problems} --rounds {design.rounds} --repeats {design.repeats}"
        saving = 1 - one.gpu_hours / one.planned_gpu_hours
        yield f"  cheaper         {asked} finds {what} with {saving:.0%} fewer device-hours"


def _designs(design: Measured) -> Iterator[Measured]:
    """Fewer or as many problems, each a round that its share is large enough for; no more passes than planned."""
    least = min(design.problems, LEAST_SHARE)
    counts = {max(least, -(-design.problems * step // _STEPS)) for step in range(1, _STEPS + 1)}
    rounds = {1, design.rounds, *range(LEAST_ROUNDS, _MOST_ROUNDS + 1)}
    for problems in sorted(counts):
        for count in sorted(rounds):
            if count > 1 and problems < count * LEAST_SHARE:
                continue
            for repeats in range(1, design.repeats + 1):
                yield replace(design, problems=problems, rounds=count, repeats=repeats)


def _finds(design: Measured, seen: Foresight, *, accuracy_too: bool) -> bool:
    given = seen.given
    for rho, ratio in seen.ratios:
        found = ratio and ratio_power(ratio * (1 + _SLACK), design, replace(given, length_correlation=rho))
        if ratio is not None and (found or 0.0) < given.power:
            return False
    for psi, drop in seen.drops if accuracy_too else ():
        if drop is not None and drop_power(drop + _SLACK, design, replace(given, discordant=psi)) < given.power:
            return False
    return True
