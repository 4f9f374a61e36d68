"""One-sided limits of what changed from one point to another: what a gate is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.findings.compare import Pair, correct_of
from tts_compare.analysis.findings.proof import one_start_width
from tts_compare.analysis.points import Weights
from tts_compare.analysis.statistics.accuracy import TOLERATED_UNKNOWN, difference_and_p
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.analysis.statistics.intervals import accuracy_interval
from tts_compare.analysis.statistics.ratios import terms
from tts_compare.analysis.statistics.resampling import Estimate, log_contrast
from tts_compare.analysis.statistics.rounds import LEAST_ROUNDS, count_rounds, mean_over_rounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

#: Each end of an interval of this level is a one-sided limit at 95 %.
CONFIDENCE = 0.90
_RATIOS = {"latency": "latency_s", "cost": "bill_gpu_s", "paper_cost": "paper_cost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLimits:
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


_UNKNOWN = ChangeLimits(value=math.nan, low=math.nan, high=math.nan, n=0)


def find_limits(cube: Cube, pair: Pair, weights: Weights) -> Mapping[str, ChangeLimits]:
    """Figure of ``tolerance.FIGURES`` -> its change; ``failed_share`` -> b's own share of failed answers."""
    duel = pair.duel(cube)
    n = int(pair.mask.sum())
    found = {"accuracy": _accuracy(cube, pair), "failed": _UNKNOWN, "failed_share": _UNKNOWN}
    if n:
        a, b = duel.failed(pair.a), duel.failed(pair.b)
        found["failed"] = _difference(a, b, cube=cube, pair=pair, rounds=duel.rounds)
        found["failed_share"] = _share(b, cube=cube, pair=pair)
    drawn = np.empty((0, n)) if count_rounds(duel.rounds) >= LEAST_ROUNDS else weights.for_intervals(max(1, n))
    for figure, name in _RATIOS.items():
        estimate = log_contrast(terms(duel, name), drawn, confidence=CONFIDENCE) if n else None
        found[figure] = relative_change(estimate, n) if estimate else _UNKNOWN
    return found


def relative_change(estimate: Estimate, n: int) -> ChangeLimits:
    """The change b / a - 1 of an estimate of a / b at CONFIDENCE, an assumed spread between starts included."""
    down, up = math.log(estimate.value / estimate.lo), math.log(estimate.hi / estimate.value)
    assumed = not estimate.confirmed
    if assumed:
        width = one_start_width(max(1, estimate.starts))
        down, up = math.hypot(down, width), math.hypot(up, width)
    return ChangeLimits(
        value=1.0 / estimate.value - 1.0,
        low=math.exp(-up) / estimate.value - 1.0,
        high=math.exp(down) / estimate.value - 1.0,
        n=n,
        starts=estimate.starts,
        assumed=assumed,
    )


def _accuracy(cube: Cube, pair: Pair) -> ChangeLimits:
    """b's accuracy less a's. Where over 1 % is unknown, the limits hold with all of it wrong and all of it right."""
    planned = pair.mask if pair.planned is None else pair.planned
    a, b = (correct_of(cube, point, planned) for point in (pair.a, pair.b))
    rounds = cube.rounds[planned]
    graded = np.isfinite(a.values) & np.isfinite(b.values)
    if not graded.any():
        return _UNKNOWN
    found = _difference(a.values[graded], b.values[graded], cube=cube, pair=pair, rounds=rounds[graded])
    if max(float(a.unknown.mean()), float(b.unknown.mean())) <= TOLERATED_UNKNOWN:
        return found
    worst = _difference(a.bound(1.0), b.bound(0.0), cube=cube, pair=pair, rounds=rounds)
    best = _difference(a.bound(0.0), b.bound(1.0), cube=cube, pair=pair, rounds=rounds)
    return replace(found, low=worst.low, high=best.high)


def _difference(a: Floats, b: Floats, *, cube: Cube, pair: Pair, rounds: Codes) -> ChangeLimits:
    value, low, high, _ = difference_and_p(
        a, b, single=_single(cube, pair, a, b), rounds=rounds, died=pair.died, confidence=CONFIDENCE
    )
    return ChangeLimits(value=value, low=low, high=high, n=a.size, discordant=float(np.mean((b - a) ** 2)))


def _share(b: Floats, *, cube: Cube, pair: Pair) -> ChangeLimits:
    """b's own share; where it differs between rounds, as after a server died, the wider interval over rounds."""
    low, high = accuracy_interval(b, single=_single(cube, pair, b), confidence=CONFIDENCE)
    share, rounds = float(b.mean()), cube.rounds[pair.mask]
    if count_rounds(rounds) >= LEAST_ROUNDS and share > 0.0:
        down, up = mean_over_rounds(b, rounds).limits(CONFIDENCE)
        low, high = max(0.0, min(low, down)), min(1.0, max(high, up))
    return ChangeLimits(value=share, low=low, high=high, n=b.size, discordant=share * (1.0 - share))


def _single(cube: Cube, pair: Pair, *sides: Floats) -> bool:
    """Whether each problem has one outcome that is right or wrong, so that shares are plain."""
    one = cube.outcomes[[pair.a, pair.b]].max() == 1
    return bool(one and np.isin(np.concatenate(sides), (0.0, 1.0)).all())
