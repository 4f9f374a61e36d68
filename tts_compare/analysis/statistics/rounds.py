"""What rounds say of a figure: each round is a fresh start of every setting with its own share of the problems.

Rounds are independent of each other, problems within a round are not: they share a server start. Errors are therefore
those of the delete-one-round jackknife (Quenouille 1956; Efron & Tibshirani 1993, chapter 11), with Student's t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.statistics.distributions import chi_square_tail, t_quantile, t_two_sided_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

#: Fewer rounds say too little of what starts differ by.
LEAST_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OverRounds:
    """An estimate with its standard error over rounds.

    value: the estimate over all problems. error: the jackknife's standard error. dof: rounds - 1.
    """

    value: float
    error: float
    dof: int

    def limits(self, confidence: float = 0.95) -> tuple[float, float]:
        """The interval by Student's t."""
        width = t_quantile(0.5 + confidence / 2.0, self.dof) * self.error
        return (self.value - width, self.value + width)

    @property
    def p(self) -> float:
        """Two-sided P of a true value of 0."""
        if math.isnan(self.error):
            return math.nan
        if self.error <= 1e-15:
            return 1.0 if abs(self.value) <= 1e-15 else 0.0
        return t_two_sided_p(self.value / self.error, self.dof)


def count_rounds(rounds: Codes | None) -> int:
    """Distinct rounds; 1 where they are not known."""
    return 1 if rounds is None or rounds.size == 0 else int(np.unique(rounds).size)


def log_ratio_over_rounds(values: Floats, signs: Floats, rounds: Codes) -> OverRounds:
    """``sum_j signs_j log(mean of values_j)`` over all problems, with its error over rounds.

    values: (terms, problems); signs: (terms,); rounds: (problems,), two or more distinct. nan where a mean, or one
    without some round, is not positive.
    """
    sums, counts = _by_round(values, rounds)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = float(signs @ np.log(sums.sum(axis=1) / counts.sum()))
        without = signs @ np.log((sums.sum(axis=1, keepdims=True) - sums) / (counts.sum() - counts))
    return jackknife(whole, without)


def mean_over_rounds(values: Floats, rounds: Codes) -> OverRounds:
    """The mean of values, (problems,), with its error over rounds."""
    sums, counts = _by_round(values[None, :], rounds)
    total, number = float(sums.sum()), float(counts.sum())
    return jackknife(total / number, (total - sums[0]) / (number - counts))


def rounds_differ(values: Floats, rounds: Codes) -> float:
    """P of means as different between rounds as these if problems were independent (chi-square, rounds - 1 degrees).

    values: (problems,), one paired difference each. A small P says that problems of one round share a fate, as when
    a server died in it.
    """
    variance = float(values.var(ddof=1)) if values.size > 1 else 0.0
    if variance <= 0.0:
        return 1.0
    sums, counts = _by_round(values[None, :], rounds)
    spread = float((counts * (sums[0] / counts - values.mean()) ** 2).sum())
    return chi_square_tail(spread / variance, counts.size - 1)


def _by_round(values: Floats, rounds: Codes) -> tuple[Floats, Floats]:
    """Sums, (terms, rounds), and the number of problems of each round."""
    _, codes = np.unique(rounds, return_inverse=True)
    counts = np.bincount(codes).astype(np.float64)
    member = (codes[:, None] == np.arange(counts.size)).astype(np.float64)
    return values @ member, counts


def jackknife(whole: float, without: Floats) -> OverRounds:
    """An estimate from its value over all rounds and its values without each of them, (rounds,)."""
    count = without.size
    variance = (count - 1) / count * float(((without - without.mean()) ** 2).sum())
    return OverRounds(value=whole, error=math.sqrt(variance) if variance >= 0.0 else math.nan, dof=count - 1)
