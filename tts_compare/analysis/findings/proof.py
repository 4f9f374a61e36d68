"""How many problems a question needs: what a tolerance can show, before a run and after it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tts_compare.analysis.findings.tolerance import SHARES, Tolerance
from tts_compare.analysis.statistics.distributions import normal_quantile

#: A one-sided test at 95 % that finds what there is with a power of 80 %: (z(.95) + z(.80))^2.
_FACTOR = (normal_quantile(0.95) + normal_quantile(0.80)) ** 2
#: No failure in so many trials over delta bounds its share by delta at 95 % (the rule of three).
_LEAST = 3.0
#: What server starts of one setting are taken to differ by, as a standard deviation of the logarithm of times, where
#: nothing was seen of it.
ASSUMED_SPREAD = 0.03


def needed_problems(discordant: float, delta: float) -> int | None:
    """Problems that show, where nothing changed, that a share did not change by ``delta``: 6.2 psi / delta^2.

    discordant: psi, the share of problems that only one side answers rightly (their paired differences' variance for
    several answers a problem). At least 3 / delta. None where no number does: a delta of 0.
    """
    if delta <= 0.0:
        return None
    return math.ceil(max(_LEAST / delta, _FACTOR * discordant / delta**2) - 1e-9)


def one_start_width(starts: int) -> float:
    """One-sided 95 % limit of the log ratio of two settings of equal speed, with so many server starts each."""
    return normal_quantile(0.95) * ASSUMED_SPREAD * math.sqrt(2.0 / starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provable:
    """What a design can say of a tolerance before it is run, if nothing truly changes.

    shown: whether it can be shown to be kept, with a power of 80 %; None where this cannot be known beforehand.
    needed: the problems that this takes, for shares.
    """

    tolerance: Tolerance
    shown: bool | None
    needed: int | None
    sentence: str


#: Share of the problems that one side alone answers rightly, where nothing else is known.
_USUAL_DISCORDANT = 0.05


def provable(tolerance: Tolerance, *, problems: int, starts: int, discordant: float | None = None) -> Provable:
    """What ``problems`` problems and ``starts`` server starts a setting can show of a tolerance.

    problems: distinct ones; greedy repeats of a problem do not raise their number. discordant: the share of problems
    expected to be answered rightly by one side alone, for ``failed`` to fail; None: 5 %, for ``failed`` none.
    """
    if tolerance.figure in SHARES:
        usual = 0.0 if tolerance.figure == "failed" else _USUAL_DISCORDANT
        psi = usual if discordant is None else discordant
        needed = needed_problems(psi, abs(tolerance.bound))
        enough = needed is not None and problems >= needed
        what = f"{needed} problems" if needed is not None else "no number of problems"
        ends = "failing on one side alone" if tolerance.figure == "failed" else "answered rightly by one side alone"
        sentence = f"{tolerance.text}: {what} would show it with {100 * psi:g} % {ends}; there are {problems}"
        return Provable(tolerance=tolerance, shown=enough, needed=needed, sentence=sentence)
    width = math.expm1(one_start_width(starts))
    shown = None if abs(tolerance.bound) > width else False
    sentence = (
        f"{tolerance.text}: with {starts} server start{'' if starts == 1 else 's'} a setting and an assumed spread of "
        f"{100 * ASSUMED_SPREAD:g} % between starts, no change below {100 * width:.1f} % can be told from none"
    )
    return Provable(tolerance=tolerance, shown=shown, needed=None, sentence=sentence)
