"""Comparisons in words. "Faster" is said only where several starts confirm it and failures do not explain it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

from tts_compare.analysis.statistics.families import LEVEL

if TYPE_CHECKING:
    from tts_compare.analysis.findings.failures import Decision
    from tts_compare.analysis.findings.withheld import Withheld
    from tts_compare.analysis.statistics.accuracy import AccuracyDifference
    from tts_compare.analysis.statistics.ratios import Ratios
    from tts_compare.analysis.statistics.resampling import Estimate

#: What a sentence of ``ratio_verdict`` finds of b against a.
Finding: TypeAlias = Literal["better", "worse", "not told apart", "not confirmed", "no verdict", "unknown"]
_BEGINNINGS: tuple[tuple[str, Finding], ...] = (
    ("faster", "better"),
    ("cheaper", "better"),
    ("the first is", "better"),
    ("slower", "worse"),
    ("more expensive", "worse"),
    ("not confirmed", "not confirmed"),
    ("not known", "unknown"),
)
_WORDS = {"latency": ("faster", "slower"), "cost": ("cheaper", "more expensive")}


def finding_of(sentence: str | None) -> Finding:
    """What a sentence of ``ratio_verdict`` finds of b against a."""
    if not sentence:
        return "unknown"
    if "no verdict:" in sentence:
        return "no verdict"
    return next((found for begun, found in _BEGINNINGS if sentence.startswith(begun)), "not told apart")


def accuracy_verdict(found: AccuracyDifference, adjusted_p: float | None) -> str:
    """``more accurate by 3.2 points (1.0 to 5.4)``, or that the data cannot tell and how many problems would."""
    if math.isnan(found.value):
        return "no graded problem in common"
    span = f"({_points(found.lo)} to {_points(found.hi)})"
    if adjusted_p is not None and adjusted_p < LEVEL and (found.lo > 0.0 or found.hi < 0.0):
        if found.value > 0:
            return f"more accurate by {_points(found.value)} points {span}"
        return f"less accurate by {_points(-found.value)} points ({_points(-found.hi)} to {_points(-found.lo)})"
    if found.required is None:
        return f"no difference seen with {found.n} problems {span}"
    return _not_separable(found, span)


def _not_separable(found: AccuracyDifference, span: str) -> str:
    if found.bounded and (found.lo > 0.0 or found.hi < 0.0):
        return f"not separable: {_points(found.value)} points {span}, but not whatever the missing grades are"
    if found.required is not None and found.required <= found.n:
        return f"not separable: {_points(found.value)} points {span}, after the correction for many comparisons"
    return (
        f"not separable with {found.n} problems: {_points(found.value)} points {span}; "
        f"about {_rounded(found.required or 0)} would be needed"
    )


def ratio_verdict(
    ratios: Ratios,
    figure: Literal["latency", "cost"],
    decision: Decision,
    adjusted_p: float | None,
    *,
    withheld: Withheld | None,
    problems: int,
) -> str:
    """``faster by 1.31x (1.24 to 1.38)`` of b over a, or why the word is not said."""
    charged = ratios.latency if figure == "latency" else ratios.cost
    answered = ratios.latency_answered if figure == "latency" else ratios.cost_answered
    if math.isnan(charged.value):
        return "not known"
    if withheld is not None:
        said = f"not confirmed: {_span(charged)}" if withheld.unconfirmed else f"{_span(charged)}; no verdict:"
        return f"{said} {withheld.text}"
    shown = answered if decision.route == "answered" else charged
    decided = adjusted_p is not None and adjusted_p < LEVEL and (shown.lo > 1.0 or shown.hi < 1.0)
    if not decided or decision.better is None:
        return _undecided(ratios, answered, charged, problems)
    return _decided(ratios, decision, answered, charged, _WORDS[figure])


def _decided(ratios: Ratios, decision: Decision, answered: Estimate, charged: Estimate, words: tuple[str, str]) -> str:
    better, worse = words
    if decision.route == "failures":
        if decision.better == "a":
            return f"{worse}, failures counted: {_span(charged, inverse=True)}"
        return f"the first is {worse}, failures counted: {_span(charged)}"
    beside = ""
    if ratios.failures.uneven:
        beside = f" on the answers both gave; {_span(charged, inverse=decision.better == 'a')} with failures counted"
    if decision.better == "b":
        return f"{better} by {_span(answered)}{beside}"
    return f"{worse} by {_span(answered, inverse=True)}{beside}"


def _undecided(ratios: Ratios, answered: Estimate, charged: Estimate, problems: int) -> str:
    favoured = "b" if answered.value > 1.0 else "a"
    apart = answered.lo > 1.0 or answered.hi < 1.0
    if apart and ratios.failures.barred("b" if favoured == "b" else "a"):
        who, count = (
            ("the second", ratios.failures.only_b) if favoured == "b" else ("the first", ratios.failures.only_a)
        )
        return f"not told apart: {who} failed {count} problems more often than the other; {_span(charged)}"
    corrected = " after the correction for many comparisons" if apart else ""
    return f"not separable with {problems} problems and {charged.starts} starts{corrected}: {_span(charged)}"


def _span(found: Estimate, *, inverse: bool = False) -> str:
    value, low, high = (found.value, found.lo, found.hi)
    if inverse:
        value, low, high = 1.0 / value, 1.0 / high, 1.0 / low
    known = not (math.isnan(low) or math.isnan(high))
    return f"{value:.2f}x" + (f" ({low:.2f} to {high:.2f})" if known else "")


def _points(share: float) -> str:
    return f"{100.0 * share:.1f}"


def _rounded(count: int) -> int:
    """Two significant digits: an estimate of a sample size has no more."""
    digits = max(0, len(str(count)) - 2)
    return int(round(count, -digits))
