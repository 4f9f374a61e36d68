"""Comparisons in words. "Faster" is said only of settings started more than once."""

from __future__ import annotations

import math

from tts_compare.analysis.resampling import Estimate

LEVEL = 0.05


def accuracy_verdict(
    difference: float, limits: tuple[float, float], adjusted_p: float | None, *, problems: int, needed: int | None
) -> str:
    """``more accurate by 3.2 points (1.0 to 5.4)``, or that the data cannot tell and how many problems would."""
    low, high = limits
    if math.isnan(difference):
        return "no graded problem in common"
    span = f"({_points(low)} to {_points(high)})"
    if adjusted_p is not None and adjusted_p < LEVEL and (low > 0.0 or high < 0.0):
        if difference > 0:
            return f"more accurate by {_points(difference)} points {span}"
        return f"less accurate by {_points(-difference)} points ({_points(-high)} to {_points(-low)})"
    if needed is None:
        return f"no difference seen with {problems} problems {span}"
    if needed <= problems:
        return f"not separable: {_points(difference)} points {span}, after the correction for many comparisons"
    return (
        f"not separable with {problems} problems: {_points(difference)} points {span}; "
        f"about {_rounded(needed)} would be needed"
    )


def ratio_verdict(estimate: Estimate, adjusted_p: float | None, *, problems: int, better: str, worse: str) -> str:
    """``faster by 1.31x (1.24 to 1.38)``; for a single start the ratio alone, without the word."""
    if math.isnan(estimate.value):
        return "not known"
    limits = "" if math.isnan(estimate.lo) else f" ({estimate.lo:.2f} to {estimate.hi:.2f})"
    span = f"{estimate.value:.2f}x{limits}"
    if estimate.starts < 2:
        return f"{span} with one server start: two starts may differ by as much"
    separated = adjusted_p is not None and adjusted_p < LEVEL and (estimate.lo > 1.0 or estimate.hi < 1.0)
    if not separated:
        corrected = " after the correction for many comparisons" if estimate.lo > 1.0 or estimate.hi < 1.0 else ""
        return f"not separable with {problems} problems and {estimate.starts} starts{corrected}: {span}"
    if estimate.value > 1.0:
        return f"{better} by {span}"
    inverse = f"{1.0 / estimate.value:.2f}x ({1.0 / estimate.hi:.2f} to {1.0 / estimate.lo:.2f})"
    return f"{worse} by {inverse}"


def _points(share: float) -> str:
    return f"{100.0 * share:.1f}"


def _rounded(count: int) -> int:
    """Two significant digits: an estimate of a sample size has no more."""
    digits = max(0, len(str(count)) - 2)
    return int(round(count, -digits))
