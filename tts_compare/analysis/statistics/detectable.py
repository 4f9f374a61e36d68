"""What a design can find before it is run: the smallest ratio and the smallest drop in accuracy, at a given power.

Latency and cost: the logarithm of a ratio of sums over one round has the variance (delta method)

    2 start^2 / K + 2 noise^2 exp(sigma^2) / (m K) + 2 (exp(sigma^2) - exp(rho sigma^2)) / m

with m problems a round, K repeats, lengths lognormal with ``sigma`` and, between the two settings, correlated ``rho``.
R rounds are tested by Student's t with R - 1 degrees of freedom, whose power is that of the noncentral t (Johnson, Kotz
& Balakrishnan 1995, chapter 31). Accuracy: exact power of McNemar's exact test over all problems (Connor 1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tts_compare.analysis.statistics.distributions import binomial_cdf, normal_quantile, t_quantile

#: Rounds that a verdict on latency or cost needs.
LEAST_ROUNDS = 3
_NORMAL_CDF = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2.0)), otypes=[np.float64])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is measured. comparisons: corrected for together (Holm); the first is tested at level / comparisons."""

    problems: int
    rounds: int = 1
    repeats: int = 1
    comparisons: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is taken as true of a setting before it is measured.

    request_noise, start_noise: standard deviations of log latency of one request, and between server starts.
    length_sigma: of the log of lengths over problems. length_correlation: of these between the two settings, 1 for
    equal texts. discordant: share of problems that exactly one of two settings answers right.
    """

    request_noise: float = 0.05
    start_noise: float = 0.03
    length_sigma: float = 1.2
    length_correlation: float = 1.0
    discordant: float = 0.03
    power: float = 0.8
    level: float = 0.05


def smallest_ratio(design: Measured, given: Assumptions) -> float | None:
    """The smallest ratio of mean latency or cost above 1 that is found with the power asked for.

    None where the design gives no verdict: with one start a setting, and with two rounds.
    """
    if _degrees(design) is None:
        return None
    found = _smallest(lambda log_ratio: ratio_power(math.exp(log_ratio), design, given), given.power, high=20.0)
    return None if found is None else math.exp(found)


def ratio_power(ratio: float, design: Measured, given: Assumptions) -> float:
    """The chance that a true ratio is found; 0 where the design gives no verdict."""
    dof = _degrees(design)
    if dof is None:
        return 0.0
    error = math.sqrt(_variance(design, given) / design.rounds)
    critical = t_quantile(1.0 - given.level / design.comparisons / 2.0, dof)
    return _noncentral_t_above(critical, dof, abs(math.log(ratio)) / error)


def smallest_drop(design: Measured, given: Assumptions) -> float | None:
    """The smallest drop in accuracy, as a share of the problems, that is found; None with too few problems for any."""
    return _smallest(lambda drop: drop_power(drop, design, given), given.power, high=1.0)


def drop_power(drop: float, design: Measured, given: Assumptions) -> float:
    """The chance that a true drop is found by the exact test; repeats of greedy answers add nothing to it.

    A drop cannot be larger than the discordant share: where it is, all that differ are taken to differ one way.
    """
    n, level = design.problems, given.level / design.comparisons
    discordant = max(given.discordant, drop)
    worse = (1.0 + drop / discordant) / 2.0
    spread = 9.0 * math.sqrt(n * discordant * (1.0 - discordant)) + 9.0
    low, high = max(0, math.floor(n * discordant - spread)), min(n, math.ceil(n * discordant + spread))
    return math.fsum(
        _binomial_at(count, n, discordant) * (1.0 - binomial_cdf(_critical(count, level) - 1, count, worse))
        for count in range(low, high + 1)
        if _critical(count, level) <= count
    )


def _degrees(design: Measured) -> float | None:
    """Degrees of freedom of the test over starts: R - 1 over rounds, Welch's 2 (K - 1) over repeats of everything."""
    if design.rounds >= LEAST_ROUNDS:
        return design.rounds - 1
    if design.rounds == 1 and design.repeats > 1:
        return 2 * (design.repeats - 1)
    return None


def _variance(design: Measured, given: Assumptions) -> float:
    """Of the log ratio of one round."""
    share = design.problems / design.rounds
    skew = math.exp(given.length_sigma**2)
    starts = 2.0 * (given.start_noise**2 + given.request_noise**2 * skew / share) / design.repeats
    texts = 2.0 * (skew - math.exp(given.length_correlation * given.length_sigma**2)) / share
    return starts + texts


def _noncentral_t_above(critical: float, dof: float, shift: float) -> float:
    """P(T > critical) of the noncentral t: over s, the estimated by the true error, of P(Z > critical s - shift)."""
    s = np.linspace(0.0, 1.0 + 12.0 / math.sqrt(2.0 * dof), 4001)[1:]
    log_scale = math.log(2.0) + dof / 2.0 * math.log(dof / 2.0) - math.lgamma(dof / 2.0)
    density = np.exp(log_scale + (dof - 1.0) * np.log(s) - dof * s**2 / 2.0)
    return float(np.trapezoid(density * _NORMAL_CDF(shift - critical * s), s))


@lru_cache(maxsize=4096)
def _critical(count: int, level: float) -> int:
    """Of ``count`` discordant pairs, how many must go one way for a two-sided exact p of ``level`` at most."""
    z = normal_quantile(1.0 - level / 2.0)
    least = max(count // 2 + 1, math.floor(count / 2.0 + z * math.sqrt(count) / 2.0) - 1)
    while least <= count and 2.0 * binomial_cdf(count - least, count, 0.5) > level:
        least += 1
    return least


def _binomial_at(count: int, n: int, share: float) -> float:
    """P(X = count) of a binomial variable."""
    if share >= 1.0:
        return float(count == n)
    ways = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
    return math.exp(ways + count * math.log(share) + (n - count) * math.log1p(-share))


def _smallest(power_of: Callable[[float], float], power: float, *, high: float) -> float | None:
    """The smallest effect up to ``high`` of at least this power, by bisection: the power grows with the effect."""
    low, most, high = 0.0, high, high / 1024.0
    while power_of(high) < power:
        if high >= most:
            return None
        low, high = high, 2.0 * high
    for _ in range(30):
        middle = (low + high) / 2.0
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high
