"""The bootstrap over problems, studentised, and what repeats across server starts add to it.

Every figure with a skewed distribution (latency, cost, length) is a contrast of logarithms of means,
``theta = sum_j sign_j log(mean_j)``: one term is a mean, two are a ratio of means or of sums, four a ratio of ratios.
Problems are resampled whole and in pairs: one draw of problems serves every column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.distributions import normal_quantile, t_quantile, t_two_sided_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


#: Contrasts resampled in one matrix product: enough to keep it busy, few enough to stay small.
_BLOCK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """``sign * log(mean of values)``. values: (repeats, problems); setting: whose server starts the repeats are."""

    values: Floats
    sign: float
    setting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval. p: of theta = 0 (a ratio of 1); starts: the fewest starts behind it."""

    value: float
    lo: float
    hi: float
    p: float
    starts: int


def draw_weights(problems: int, resamples: int, seed: int) -> Floats:
    """How often each problem is drawn: (resamples, problems), each row adds up to ``problems``."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, problems, (resamples, problems))
    drawn += np.arange(resamples)[:, None] * problems
    counts = np.bincount(drawn.ravel(), minlength=resamples * problems)
    return counts.reshape(resamples, problems).astype(np.float64)


def log_contrasts(contrasts: Sequence[Sequence[Term]], weights: Floats, *, confidence: float = 0.95) -> list[Estimate]:
    """``exp(theta)`` of each contrast with its interval: bootstrap-t over problems, Student's t over server starts.

    The interval over problems is studentised (Efron & Tibshirani 1993, 12.5) with the delta method's error, because
    percentiles fall short of their coverage for means of long-tailed lengths. The variance between starts is what
    repeats of one setting differ by; the noise of single requests is in both and is taken out of the first. The two
    parts are independent, so their distances add in squares (MOVER, Zou & Donner 2008), widened by Student's t with
    Satterthwaite's degrees of freedom. nan where a mean is not positive. One start says nothing of the variance
    between starts: the interval then is over problems alone. weights: (resamples, problems).
    """
    found: list[Estimate] = []
    for first in range(0, len(contrasts), _BLOCK):
        block = contrasts[first : first + _BLOCK]
        usable = [_usable(terms) for terms in block]
        columns = [_columns(terms) for terms, fine in zip(block, usable, strict=True) if fine]
        moments = weights @ np.concatenate(columns).T / weights.shape[1] if columns else np.empty((0, 0))
        at = 0
        for terms, fine in zip(block, usable, strict=True):
            if not fine:
                repeats = min(term.values.shape[0] for term in terms)
                found.append(Estimate(value=math.nan, lo=math.nan, hi=math.nan, p=math.nan, starts=repeats))
                continue
            width = len(terms) * (len(terms) + 3) // 2
            found.append(_estimate(terms, moments[:, at : at + width], confidence))
            at += width
    return found


def log_contrast(terms: Sequence[Term], weights: Floats, *, confidence: float = 0.95) -> Estimate:
    """``log_contrasts`` of one."""
    return log_contrasts([terms], weights, confidence=confidence)[0]


def _usable(terms: Sequence[Term]) -> bool:
    return terms[0].values.shape[1] >= 2 and all(float(term.values.mean()) > 0.0 for term in terms)


def _scaled(terms: Sequence[Term]) -> Floats:
    """(terms, problems), each of mean 1."""
    return np.stack([term.values.mean(axis=0) / term.values.mean() for term in terms])


def _columns(terms: Sequence[Term]) -> Floats:
    """What a resample's theta and its error are made of: the terms, then their products."""
    scaled = _scaled(terms)
    first, second = np.triu_indices(len(terms))
    return np.concatenate((scaled, scaled[first] * scaled[second]))


def _estimate(terms: Sequence[Term], moments: Floats, confidence: float) -> Estimate:
    signs = np.array([term.sign for term in terms], dtype=np.float64)
    theta = float(sum(term.sign * math.log(term.values.mean()) for term in terms))
    scaled = _scaled(terms)
    error = float((signs @ scaled).std(ddof=1)) / math.sqrt(scaled.shape[1])
    low_t, high_t = _studentised(signs, moments, scaled.shape[1], confidence) if error > 1e-12 else (0.0, 0.0)
    starts = _between_starts(terms)
    problem_variance = max(0.0, error * error - starts.noise)
    dof = _satterthwaite(problem_variance, scaled.shape[1], starts)
    normal = normal_quantile(0.5 + confidence / 2.0)
    heavier = t_quantile(0.5 + confidence / 2.0, dof) / normal if starts.variance > 0.0 else 1.0
    start_width = normal * math.sqrt(starts.variance)
    error = math.sqrt(problem_variance)
    return Estimate(
        value=math.exp(theta),
        lo=math.exp(theta - heavier * math.hypot(high_t * error, start_width)),
        hi=math.exp(theta + heavier * math.hypot(low_t * error, start_width)),
        p=_p_value(theta, problem_variance + starts.variance, dof),
        starts=min(term.values.shape[0] for term in terms),
    )


def _studentised(signs: Floats, moments: Floats, problems: int, confidence: float) -> tuple[float, float]:
    """The outer quantiles of (theta - its estimate) / error over the resamples, both as positive distances.

    moments: (resamples, terms + products), the resampled means of ``_columns``.
    """
    first, second = np.triu_indices(len(signs))
    means, products = moments[:, : len(signs)], moments[:, len(signs) :]
    usable = (means > 0).all(axis=1)
    if not usable.all():
        means, products = means[usable], products[usable]
    coefficients = np.where(first == second, 1.0, 2.0) * signs[first] * signs[second]
    inverse = 1.0 / means
    # Each scaled term has mean 1 at the resample, so the influence's mean is the sum of the signs.
    variance = np.einsum("bj,bj,bj,j->b", products, inverse[:, first], inverse[:, second], coefficients)
    errors = np.sqrt(np.maximum(variance - signs.sum() ** 2, 0.0) / (problems - 1))
    good = errors > 1e-12
    t = (np.log(means) @ signs)[good] / errors[good]
    if t.size == 0:
        wide = t_quantile(0.5 + confidence / 2.0, problems - 1)
        return (wide, wide)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(t, [tail, 1.0 - tail])
    return (max(0.0, -float(low)), max(0.0, float(high)))


@dataclass(frozen=True, slots=True)
class _Starts:
    """What repeats say of theta: its variance between starts, the degrees of freedom, and the request noise in it."""

    variance: float = 0.0
    dof: float = math.inf
    noise: float = 0.0


def _between_starts(terms: Sequence[Term]) -> _Starts:
    """Each setting's variance between starts over its number of starts, added up, with Welch's degrees of freedom.

    Each start answers the same problems, so the noise of single requests is in this variance as well as in the one
    over problems; ``noise`` is that part (the interaction of problems and starts), to be counted once.
    """
    variance = spread = noise = 0.0
    for setting in dict.fromkeys(term.setting for term in terms):
        own = [term for term in terms if term.setting == setting]
        repeats, problems = own[0].values.shape
        if repeats < 2:
            continue
        by_start = np.zeros(repeats)
        influence = np.zeros((repeats, problems))
        for term in own:
            by_start += term.sign * np.log(term.values.mean(axis=1))
            influence += term.sign * term.values / term.values.mean()
        rest = influence - influence.mean(axis=0) - influence.mean(axis=1, keepdims=True) + influence.mean()
        noise += float((rest**2).sum()) / ((repeats - 1) * (problems - 1)) / (problems * repeats)
        own_variance = float(np.var(by_start, ddof=1)) / repeats
        variance += own_variance
        spread += own_variance * own_variance / (repeats - 1)
    return _Starts(variance, variance * variance / spread, noise) if spread > 0.0 else _Starts()


def _satterthwaite(problem_variance: float, problems: int, starts: _Starts) -> float:
    """Degrees of freedom of the sum of the two variances (Satterthwaite 1946)."""
    total = problem_variance + starts.variance
    parts = problem_variance**2 / (problems - 1) + starts.variance**2 / starts.dof
    return total * total / parts if parts > 0.0 else math.inf


def _p_value(theta: float, variance: float, dof: float) -> float:
    """Two-sided P of theta = 0 by Student's t."""
    if variance <= 0.0:
        return 1.0 if theta == 0.0 else 0.0
    return t_two_sided_p(theta / math.sqrt(variance), dof)
