"""Student's t and the binomial tail, so that two functions do not cost a dependency on scipy."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_TINY = 1e-300


def normal_quantile(p: float) -> float:
    """The quantile of the standard normal distribution."""
    return NormalDist().inv_cdf(p)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - incomplete_beta(b, a, 1.0 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + step * d)
            c = _away_from_zero(1.0 + step / c)
            value *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return math.exp(log_front) * value / a


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def t_cdf(t: float, dof: float) -> float:
    """P(T <= t) of Student's t; any dof > 0, infinity is the normal distribution."""
    if math.isinf(dof):
        return NormalDist().cdf(t)
    tail = 0.5 * incomplete_beta(dof / 2.0, 0.5, dof / (dof + t * t))
    return 1.0 - tail if t > 0 else tail


def t_two_sided_p(t: float, dof: float) -> float:
    """P(|T| >= |t|) of Student's t."""
    if math.isinf(dof):
        return 2.0 * NormalDist().cdf(-abs(t))
    return incomplete_beta(dof / 2.0, 0.5, dof / (dof + t * t))


@lru_cache(maxsize=4096)
def t_quantile(p: float, dof: float) -> float:
    """The quantile of Student's t.

    Newton's method from the normal quantile: above the median the distribution function is concave and the start
    lies left of the root, so the steps approach it from one side and cannot overshoot.
    """
    if math.isinf(dof) or dof > 1e7:
        return normal_quantile(p)
    if p < 0.5:
        return -t_quantile(1.0 - p, dof)
    log_scale = math.lgamma((dof + 1.0) / 2.0) - math.lgamma(dof / 2.0) - 0.5 * math.log(dof * math.pi)
    t = normal_quantile(p)
    for _ in range(200):
        density = math.exp(log_scale - (dof + 1.0) / 2.0 * math.log1p(t * t / dof))
        step = (p - t_cdf(t, dof)) / density
        t += step
        if abs(step) < 1e-10 * max(1.0, t):
            break
    return t


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) of a binomial variable."""
    if k < 0 or k >= n:
        return 0.0 if k < 0 else 1.0
    return incomplete_beta(n - k, k + 1.0, 1.0 - p)


def chi_square_tail(x: float, dof: float) -> float:
    """P(X >= x) of a chi-square variable: the regularised upper incomplete gamma function Q(dof / 2, x / 2)."""
    a, half = dof / 2.0, x / 2.0
    if half <= 0.0:
        return 1.0
    front = math.exp(a * math.log(half) - half - math.lgamma(a))
    if half < a + 1.0:
        term = total = 1.0 / a
        for k in range(1, 1000):
            term *= half / (a + k)
            total += term
            if term < total * 1e-15:
                break
        return max(0.0, 1.0 - front * total)
    b = half + 1.0 - a
    c, d = 1.0 / _TINY, 1.0 / b
    value = d
    for k in range(1, 1000):
        step = -k * (k - a)
        b += 2.0
        d = 1.0 / _away_from_zero(step * d + b)
        c = _away_from_zero(b + step / c)
        value *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return front * value


def digamma(x: float) -> float:
    """The derivative of log gamma at x > 0: the recurrence up to 8, then the asymptotic series."""
    below = 0.0
    while x < 8.0:
        below -= 1.0 / x
        x += 1.0
    inverse = 1.0 / (x * x)
    series = inverse * (1.0 / 12.0 - inverse * (1.0 / 120.0 - inverse * (1.0 / 252.0 - inverse / 240.0)))
    return below + math.log(x) - 0.5 / x - series


def trigamma(x: float) -> float:
    """The second derivative of log gamma at x > 0, by the same two steps."""
    below = 0.0
    while x < 8.0:
        below += 1.0 / (x * x)
        x += 1.0
    inverse = 1.0 / (x * x)
    series = 1.0 / 6.0 - inverse * (1.0 / 30.0 - inverse * (1.0 / 42.0 - inverse / 30.0))
    return below + 1.0 / x + inverse / 2.0 + series * inverse / x
