"""The gate of ``diff --fail-on``: exceeded, shown to be kept, or not shown, for each tolerance and point. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tts_compare.analysis.findings.proof import ASSUMED_SPREAD, needed_problems, one_start_width
from tts_compare.analysis.findings.tolerance import SHARES, Tolerance
from tts_compare.analysis.statistics.limits import ChangeLimits

Verdict = Literal["exceeded", "within", "not_shown", "not_judged"]
#: What the figures are called in sentences.
_NAMES = {"paper_cost": "cost per token", "failed": "failed answers"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One tolerance tried on one point.

    verdict: ``exceeded`` where the one-sided 95 % limit is beyond the tolerance, ``within`` where the limit on the
    other side is inside it, ``not_shown`` where neither is so, ``not_judged`` where there is no figure.
    """

    tolerance: Tolerance
    label: str
    verdict: Verdict
    sentence: str


def check(
    tolerance: Tolerance,
    limits: ChangeLimits,
    label: str,
    *,
    identical: bool = False,
    reason: str = "",
    barred: str = "",
) -> Check:
    """Judge one tolerance on one point.

    identical: the same rows on both sides, so that nothing changed whatever the limits say. reason: why the figure can
    not be judged, barred: why it can be exceeded and not kept; each empty where there is no such reason.
    """
    if reason or math.isnan(limits.value):
        return _not_judged(tolerance, label, reason or "there is no figure")
    if identical and tolerance.change:
        limits = ChangeLimits(value=0.0, low=0.0, high=0.0, n=limits.n, discordant=0.0, starts=limits.starts)
    verdict: Verdict = "not_shown"
    if tolerance.broken(limits.low, limits.high):
        verdict = "exceeded"
    elif tolerance.kept(limits.low, limits.high):
        verdict = "within"
    if barred and verdict != "exceeded":
        return _not_judged(tolerance, label, barred)
    say = {"exceeded": _exceeded, "within": _within, "not_shown": _not_shown}[verdict]
    sentence = f"{label}: {say(tolerance, limits)}"
    if identical and tolerance.change:
        sentence += " (the same rows on both sides)"
    return Check(tolerance=tolerance, label=label, verdict=verdict, sentence=sentence)


def _not_judged(tolerance: Tolerance, label: str, reason: str) -> Check:
    sentence = f"{label}: {tolerance.text} cannot be judged: {reason}"
    return Check(tolerance=tolerance, label=label, verdict="not_judged", sentence=sentence)


def gate_status(
    checks: Sequence[Check], *, alone: int = 0, require_proof: bool = False, allow_missing: bool = False
) -> int:
    """The exit status of a gate: 1 where a tolerance is exceeded; 2 where one cannot be judged; else 0.

    alone: points without a partner, which cannot be judged either unless ``allow_missing``. require_proof: also 2 where
    a tolerance is not shown to be kept.
    """
    verdicts = {found.verdict for found in checks}
    if "exceeded" in verdicts:
        return 1
    if not checks or "not_judged" in verdicts or (alone and not allow_missing):
        return 2
    return 2 if require_proof and "not_shown" in verdicts else 0


def _figure(tolerance: Tolerance) -> str:
    return _NAMES.get(tolerance.figure, tolerance.figure)


def _amount(tolerance: Tolerance, value: float, *, sign: bool = True) -> str:
    unit = "points" if tolerance.figure in SHARES and tolerance.change else "%"
    return f"{100 * value:+.1f} {unit}" if sign and tolerance.change else f"{100 * value:.1f} {unit}"


def _changed(tolerance: Tolerance, limits: ChangeLimits) -> str:
    verb = "changed by" if tolerance.change else "are"
    return (
        f"{_figure(tolerance)} {verb} {_amount(tolerance, limits.value)} "
        f"(one-sided 95 % limits {_amount(tolerance, limits.low)} and {_amount(tolerance, limits.high)})"
    )


def _exceeded(tolerance: Tolerance, limits: ChangeLimits) -> str:
    return f"{_changed(tolerance, limits)}, beyond {tolerance.text}{_assumption(limits)}"


def _within(tolerance: Tolerance, limits: ChangeLimits) -> str:
    return f"{_changed(tolerance, limits)}, within {tolerance.text}{_assumption(limits)}"


def _not_shown(tolerance: Tolerance, limits: ChangeLimits) -> str:
    reach = limits.low if tolerance.below else limits.high
    way = "drop" if tolerance.below else "rise"
    missed = f"a {way} of up to {_amount(tolerance, abs(reach), sign=False)}"
    if not tolerance.change:
        missed = f"a share of up to {_amount(tolerance, reach)}"
    if math.isnan(reach):
        missed = f"a {way} of any size"
    return (
        f"{tolerance.text} is neither exceeded nor shown to hold: {_changed(tolerance, limits)}; these data could miss "
        f"{missed}{_cure(tolerance, limits)}"
    )


def _cure(tolerance: Tolerance, limits: ChangeLimits) -> str:
    """What would show that the tolerance is kept."""
    if tolerance.figure not in SHARES:
        if limits.assumed:
            return _assumption(limits) + ": --rounds 3 measures it"
        return "; more problems and more server starts (--rounds) would narrow it"
    delta = abs(tolerance.bound) if tolerance.change else tolerance.bound - limits.value
    if not tolerance.change and delta <= 0.0:
        return "; the share seen is beyond the tolerance, and more problems would tell whether it is by chance"
    needed = needed_problems(limits.discordant, delta)
    if needed is None:
        return "; no number of problems shows that nothing changed at all"
    least = f"at least 3 / {delta:g}"
    formula = least if needed <= 3.0 / delta + 1.0 else f"6.2 x {limits.discordant:.3g} / {delta:g}^2"
    return f"; n = {formula} = {needed:,} problems would show it, there are {limits.n}"


def _assumption(limits: ChangeLimits) -> str:
    if not limits.assumed:
        return ""
    width = math.expm1(one_start_width(max(1, limits.starts)))
    return (
        f"; one server start a setting: the limits include an assumed spread of {100 * ASSUMED_SPREAD:g} % between "
        f"starts, which hides changes below {100 * width:.0f} %"
    )
