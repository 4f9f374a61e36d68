"""Closed-form intervals and tests for shares, quantiles and paired outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.statistics.distributions import binomial_cdf, normal_quantile, t_quantile, t_two_sided_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Interval = tuple[float, float]


def wilson(share: float, n: float, *, confidence: float = 0.95, dof: float = math.inf) -> Interval:
    """Wilson's score interval of a share seen in ``n`` trials (Wilson 1927); ``n`` may be an effective number.

    ``dof`` replaces the normal quantile by Student's, for an ``n`` that was itself estimated.
    """
    if n <= 0:
        return (0.0, 1.0)
    z = t_quantile(0.5 + confidence / 2.0, dof)
    centre = share + z * z / (2.0 * n)
    spread = z * math.sqrt(max(0.0, share * (1.0 - share)) / n + z * z / (4.0 * n * n))
    scale = 1.0 + z * z / n
    return (max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def clustered_wilson(means: Floats, *, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a mean of per-problem means, with the effective number of trials.

    n_effective = m(1 - m) / variance of the mean over problems (Korn & Graubard 1998; compared with others
    in Franco et al. 2019, doi:10.1093/jssam/smy019). With one trial a problem it is Wilson's interval but for
    the t quantile. Where the problems do not differ at all, n_effective is their number.
    """
    n = means.size
    if n == 0:
        return (0.0, 1.0)
    share = float(means.mean())
    if n < 2:
        return wilson(share, float(n), confidence=confidence)
    variance = float(means.var(ddof=1)) / n
    binomial = share * (1.0 - share)
    if variance <= 0.0 or binomial <= 0.0:
        return wilson(share, float(n), confidence=confidence)
    return wilson(share, binomial / variance, confidence=confidence, dof=n - 1)


def accuracy_interval(means: Floats, *, single: bool, confidence: float = 0.95) -> Interval:
    """Wilson's interval for one outcome a problem, the clustered one for several. means: (problems,)."""
    if means.size == 0:
        return (0.0, 1.0)
    if single:
        return wilson(float(means.mean()), float(means.size), confidence=confidence)
    return clustered_wilson(means, confidence=confidence)


def paired_difference(a: Floats, b: Floats, *, single: bool, confidence: float = 0.95) -> tuple[float, float, float]:
    """Difference of two paired accuracies, b minus a, and its interval. a, b: (problems,) means.

    Newcombe's square-and-add method with the correlation of the pairs (Newcombe 1998, doi:10.1002/(SICI)
    1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C, method 10), its continuity correction included; for
    several outcomes a problem the limits of each accuracy are the clustered ones and the correlation is that of
    the problems' means.
    """
    n = a.size
    if n == 0:
        return (math.nan, math.nan, math.nan)
    mean_a, mean_b = float(a.mean()), float(b.mean())
    low_a, high_a = accuracy_interval(a, single=single, confidence=confidence)
    low_b, high_b = accuracy_interval(b, single=single, confidence=confidence)
    scale = math.sqrt(float(a.var()) * float(b.var()))
    rho = 0.0
    if scale > 0.0:
        covariance = float(((a - mean_a) * (b - mean_b)).mean())
        corrected = max(0.0, covariance - 0.5 / n) if covariance > 0 else covariance
        rho = corrected / scale
    difference = mean_b - mean_a
    down = _square_and_add(mean_b - low_b, high_a - mean_a, rho)
    up = _square_and_add(high_b - mean_b, mean_a - low_a, rho)
    return (difference, max(-1.0, difference - down), min(1.0, difference + up))


def _square_and_add(first: float, second: float, rho: float) -> float:
    return math.sqrt(max(0.0, first * first + second * second - 2.0 * rho * first * second))


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided McNemar test: P of so uneven a split of the discordant pairs under a fair coin."""
    discordant = only_a + only_b
    if discordant == 0:
        return 1.0
    return min(1.0, 2.0 * binomial_cdf(min(only_a, only_b), discordant, 0.5))


def paired_p(a: Floats, b: Floats, *, single: bool) -> float:
    """P value of no difference in accuracy: exact McNemar, or a paired t test over problems for several outcomes."""
    if single:
        return mcnemar(int((a > b).sum()), int((b > a).sum()))
    differences = b - a
    n = differences.size
    if n < 2:
        return 1.0
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    if error == 0.0:
        return 1.0 if float(differences.mean()) == 0.0 else 0.0
    return t_two_sided_p(float(differences.mean()) / error, n - 1)


def required_problems(
    a: Floats, b: Floats, *, single: bool, power: float = 0.8, confidence: float = 0.95
) -> int | None:
    """Problems needed to tell the accuracies seen apart, None where they are equal.

    n = (z_(1 - alpha/2) + z_power)^2 x variance of the paired differences / difference^2. For one outcome a problem the
    exact test needs 2 / |difference| more, which is its continuity correction, and never fewer than the six problems
    that have to change one way before it can tell anything.
    """
    differences = b - a
    if differences.size < 2:
        return None
    mean = abs(float(differences.mean()))
    if mean == 0.0:
        return None
    z = normal_quantile(0.5 + confidence / 2.0) + normal_quantile(power)
    needed = z * z * float(differences.var(ddof=1)) / (mean * mean)
    return math.ceil(max(needed + 2.0 / mean, 6.0 / mean) if single else needed)


def quantile(values: Floats, q: float) -> float:
    """Sample quantile, linear between order statistics (Hyndman & Fan's type 7); nan for no values."""
    return float(np.quantile(values, q)) if values.size else math.nan


def quantile_interval(values: Floats, q: float, *, confidence: float = 0.95) -> Interval:
    """Distribution-free interval of a quantile between two order statistics.

    Ranks l < u with P(l <= Binomial(n, q) < u) >= confidence, tails split evenly (David & Nagaraja, Order
    Statistics, 7.1). Infinite on a side that n values cannot bound.
    """
    n = values.size
    if n == 0:
        return (math.nan, math.nan)
    ordered = np.sort(values)
    tail = (1.0 - confidence) / 2.0
    low = _rank_below(n, q, tail)
    high = _rank_above(n, q, tail)
    return (
        float(ordered[low - 1]) if low >= 1 else -math.inf,
        float(ordered[high - 1]) if high <= n else math.inf,
    )


@lru_cache(maxsize=1024)
def _rank_below(n: int, q: float, tail: float) -> int:
    """The largest rank l with P(X < l) <= tail."""
    low = max(0, math.floor(n * q - 5.0 * math.sqrt(n * q * (1.0 - q)) - 2))
    while low <= n and binomial_cdf(low, n, q) <= tail:
        low += 1
    return low


@lru_cache(maxsize=1024)
def _rank_above(n: int, q: float, tail: float) -> int:
    """The smallest rank u with P(X >= u) <= tail."""
    high = min(n + 1, math.ceil(n * q + 5.0 * math.sqrt(n * q * (1.0 - q)) + 2))
    while high >= 1 and 1.0 - binomial_cdf(high - 2, n, q) <= tail:
        high -= 1
    return high


def clustered_quantile_interval(
    values: Floats, problems: NDArray[np.int64], q: float, *, confidence: float = 0.95
) -> Interval:
    """Interval of a quantile where several values share a problem (Woodruff 1952).

    The share of values at or below the sample quantile gets its clustered interval over problems, and the limits
    are read back off the empirical distribution.
    """
    if values.size == 0:
        return (math.nan, math.nan)
    below = (values <= quantile(values, q)).astype(np.float64)
    counts = np.bincount(problems)
    means = np.bincount(problems, weights=below)[counts > 0] / counts[counts > 0]
    low, high = clustered_wilson(means, confidence=confidence)
    return (quantile(values, low), quantile(values, high))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment over a family; None stays None and is not of the family (Holm 1979)."""
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None and not math.isnan(p))
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(tested):
        running = max(running, min(1.0, p * (len(tested) - rank)))
        adjusted[i] = running
    return adjusted


def combined(estimate: float, limits: Sequence[Interval]) -> Interval:
    """Independent errors of one estimate put together: distances add in squares (MOVER, Zou & Donner 2008)."""
    down = math.sqrt(sum((estimate - low) ** 2 for low, _ in limits))
    up = math.sqrt(sum((high - estimate) ** 2 for _, high in limits))
    return (estimate - down, estimate + up)
