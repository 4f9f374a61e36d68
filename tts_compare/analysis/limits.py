"""One-sided limits of what changed from one point to another: what a gate is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_compare.analysis.compare import Pair, ratio_terms
from tts_compare.analysis.cube import Cube
from tts_compare.analysis.intervals import accuracy_interval, paired_difference
from tts_compare.analysis.points import Weights
from tts_compare.analysis.power import one_start_width
from tts_compare.analysis.resampling import Estimate, log_contrast

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Each end of an interval of this level is a one-sided limit at 95 %.
CONFIDENCE = 0.90
#: Up to this share of answers without a grade is counted as wrong; beyond it both bounds are looked at.
TOLERATED_UNKNOWN = 0.01
_RATIOS = {"latency": 0, "cost": 1, "paper_cost": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A change from a to b with its one-sided 95 % limits, or b's own share with its.

    value, low, high: differences for shares, relative changes for times and costs; nan where unknown. n: problems
    behind it. discordant: the variance of the problems' paired differences, which for one answer a problem is the share
    that one side alone answers rightly; nan for times and costs. starts: the fewest server starts behind it. assumed:
    whether the limits include an assumed spread between starts, of which nothing was seen.
    """

    value: float
    low: float
    high: float
    n: int
    discordant: float = math.nan
    starts: int = 0
    assumed: bool = False


def find_limits(cube: Cube, pair: Pair, weights: Weights) -> Mapping[str, Limits]:
    """Figure of ``tolerance.FIGURES`` -> its change; ``failed_share`` -> b's own share of failed answers."""
    n = int(pair.mask.sum())
    a, b = (_failed(cube, point, pair) for point in (pair.a, pair.b))
    single = bool(cube.outcomes[[pair.a, pair.b]].max() == 1)
    found = {
        "accuracy": _accuracy(cube, pair, single=single),
        "failed": _difference(a, b, single=single),
        "failed_share": _share(b, single=single),
    }
    contrasts = ratio_terms(cube, pair)
    for figure, at in _RATIOS.items():
        if n == 0:
            found[figure] = Limits(value=math.nan, low=math.nan, high=math.nan, n=0)
        else:
            estimate = log_contrast(contrasts[at], weights.for_intervals(n), confidence=CONFIDENCE)
            found[figure] = relative_change(estimate, n)
    return found


def relative_change(estimate: Estimate, n: int) -> Limits:
    """The change b / a - 1 of an estimate of a / b at CONFIDENCE, an assumed spread between starts included."""
    down, up = math.log(estimate.value / estimate.lo), math.log(estimate.hi / estimate.value)
    assumed = estimate.starts < 2
    if assumed:
        width = one_start_width(max(1, estimate.starts))
        down, up = math.hypot(down, width), math.hypot(up, width)
    return Limits(
        value=1.0 / estimate.value - 1.0,
        low=math.exp(-up) / estimate.value - 1.0,
        high=math.exp(down) / estimate.value - 1.0,
        n=n,
        starts=estimate.starts,
        assumed=assumed,
    )


def _accuracy(cube: Cube, pair: Pair, *, single: bool) -> Limits:
    """b's accuracy less a's. Where over 1 % have no grade, the limits hold with all of them wrong and all right."""
    a, b = (cube.values(point, "correct", pair.mask).mean(axis=0) for point in (pair.a, pair.b))
    if not a.size or np.isnan(a).all() or np.isnan(b).all():
        return Limits(value=math.nan, low=math.nan, high=math.nan, n=0)
    found = _difference(np.nan_to_num(a), np.nan_to_num(b), single=single)
    if max(float(np.isnan(a).mean()), float(np.isnan(b).mean())) <= TOLERATED_UNKNOWN:
        return found
    worst = _difference(np.nan_to_num(a, nan=1.0), np.nan_to_num(b, nan=0.0), single=single)
    best = _difference(np.nan_to_num(a, nan=0.0), np.nan_to_num(b, nan=1.0), single=single)
    return Limits(
        value=found.value, low=worst.low, high=best.high, n=found.n, discordant=max(worst.discordant, best.discordant)
    )


def _difference(a: Floats, b: Floats, *, single: bool) -> Limits:
    if not a.size:
        return Limits(value=math.nan, low=math.nan, high=math.nan, n=0)
    value, low, high = paired_difference(a, b, single=_plain(a, b, single=single), confidence=CONFIDENCE)
    return Limits(value=value, low=low, high=high, n=a.size, discordant=float(np.mean((b - a) ** 2)))


def _share(b: Floats, *, single: bool) -> Limits:
    if not b.size:
        return Limits(value=math.nan, low=math.nan, high=math.nan, n=0)
    low, high = accuracy_interval(b, single=_plain(b, b, single=single), confidence=CONFIDENCE)
    share = float(b.mean())
    return Limits(value=share, low=low, high=high, n=b.size, discordant=share * (1.0 - share))


def _plain(a: Floats, b: Floats, *, single: bool) -> bool:
    """Whether each problem has one outcome that is right or wrong, so that shares are plain."""
    return single and bool(np.isin(np.concatenate((a, b)), (0.0, 1.0)).all())


def _failed(cube: Cube, point: int, pair: Pair) -> Floats:
    """The failed share of each problem of the pair, (problems,)."""
    started = cube.sent[point].any(axis=1)
    cells: NDArray[Any] = (cube.sent & ~cube.answered)[point][started][:, pair.mask]
    return np.asarray(cells.mean(axis=0), dtype=np.float64)
