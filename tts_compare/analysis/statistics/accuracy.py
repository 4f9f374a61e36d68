"""The accuracies of two points on the same problems: the difference, its interval and test, over problems and rounds.

Correct or not is a matter of the problem, so McNemar's test and Newcombe's interval are over problems. Where a server
died, or where rounds differ by more than chance, problems of one round share a fate: then the test and the interval
over rounds are looked at too, and the more cautious is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.statistics.intervals import accuracy_interval, paired_difference, paired_p, required_problems
from tts_compare.analysis.statistics.rounds import LEAST_ROUNDS, count_rounds, mean_over_rounds, rounds_differ

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

#: Rounds differ where so small a chance would explain it.
_DIFFER = 0.01
#: Up to this share of answers without a grade no verdict is bounded for them.
TOLERATED_UNKNOWN = 0.01


def accuracy_limits(
    means: Floats, *, single: bool, rounds: Codes | None = None, died: bool = False
) -> tuple[float, float]:
    """95 % interval of one point's accuracy: over problems, and the wider of that and the one over rounds where those
    differ by more than chance or a server died.

    means: (problems,) shares right. single: one outcome a problem, right or wrong. rounds: (problems,). died: whether
    a server of the setting died.
    """
    low, high = accuracy_interval(means, single=single)
    if rounds is None or count_rounds(rounds) < LEAST_ROUNDS:
        return low, high
    if died or rounds_differ(means, rounds) < _DIFFER:
        down, up = mean_over_rounds(means, rounds).limits()
        if up - down > high - low:
            return max(0.0, down), min(1.0, up)
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyDifference:
    """b minus a over the problems graded in both.

    n: problems graded in both. value, lo, hi: the difference with its 95 % interval, nan where unknown. p: None where
    unknown. required: problems needed to tell the difference seen. bounded: whether over 1 % of a side's answers have
    no grade, so that p is the largest with them all wrong and all right.
    """

    n: int
    value: float = math.nan
    lo: float = math.nan
    hi: float = math.nan
    p: float | None = None
    required: int | None = None
    bounded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Correct:
    """One side of a comparison.

    values: (problems,) shares correct of the graded outcomes, in [0, 1]; nan where there is none. unknown: (problems,)
    shares of the outcomes that have no grade or were not measured.
    """

    values: Floats
    unknown: Floats

    def bound(self, right: float) -> Floats:
        """(problems,) with everything unknown counted as ``right``, 0 or 1."""
        known = np.nan_to_num(self.values) * (1.0 - self.unknown)
        return np.asarray(known + right * self.unknown, dtype=np.float64)


def accuracy_difference(
    a: Correct, b: Correct, *, single: bool, rounds: Codes | None = None, died: bool = False
) -> AccuracyDifference:
    """Compare per-problem accuracies.

    single: one outcome a problem, right or wrong. rounds: (problems,). died: whether a server of either side died.
    """
    graded = np.isfinite(a.values) & np.isfinite(b.values)
    if not graded.any():
        return AccuracyDifference(n=0)
    own = None if rounds is None else rounds[graded]
    sides = (a.values[graded], b.values[graded])
    value, low, high, p = difference_and_p(*sides, single=single, rounds=own, died=died)
    unknown = max(float(a.unknown.mean()), float(b.unknown.mean())) > TOLERATED_UNKNOWN
    if unknown:
        p = _worst(a, b, value, single=single, rounds=rounds, died=died)
    return AccuracyDifference(
        n=int(graded.sum()),
        value=value,
        lo=low,
        hi=high,
        p=p,
        required=required_problems(*sides, single=single),
        bounded=unknown,
    )


def difference_and_p(
    a: Floats, b: Floats, *, single: bool, rounds: Codes | None, died: bool, confidence: float = 0.95
) -> tuple[float, float, float, float]:
    """b minus a, its interval and P: over problems, or over rounds too where problems of one round share a fate."""
    value, low, high = paired_difference(a, b, single=single, confidence=confidence)
    p = paired_p(a, b, single=single)
    if rounds is None or count_rounds(rounds) < LEAST_ROUNDS:
        return value, low, high, p
    differences = b - a
    if died or rounds_differ(differences, rounds) < _DIFFER:
        over = mean_over_rounds(differences, rounds)
        p = max(p, over.p)
        down, up = over.limits(confidence)
        if up - down > high - low:
            low, high = max(-1.0, down), min(1.0, up)
    return value, low, high, p


def _worst(a: Correct, b: Correct, value: float, *, single: bool, rounds: Codes | None, died: bool) -> float:
    """The largest P with the unknown answers all wrong and all right, 1 where the difference turns over."""
    worst = 0.0
    for right_a, right_b in product((0.0, 1.0), repeat=2):
        sides = (a.bound(right_a), b.bound(right_b))
        bound, _, _, p = difference_and_p(*sides, single=single, rounds=rounds, died=died)
        worst = max(worst, p if bound * value > 0.0 else 1.0)
    return worst
