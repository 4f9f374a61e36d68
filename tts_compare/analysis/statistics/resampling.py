"""Errors of means and their ratios: over rounds where there are three, else the studentised bootstrap over problems.

Every figure with a skewed distribution (latency, cost, length) is a contrast of logarithms of means,
``theta = sum_j sign_j log(mean_j)``: one term is a mean, two are a ratio of means or of sums, four a ratio of ratios.
Problems are resampled whole and in pairs: one draw of problems serves every column. With three rounds or more nothing
is resampled: rounds are fresh starts, and the jackknife over them (``rounds``) holds all that can differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.statistics.distributions import normal_quantile, t_quantile, t_two_sided_p
from tts_compare.analysis.statistics.rounds import LEAST_ROUNDS, count_rounds, log_ratio_over_rounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


#: Contrasts resampled in one matrix product: enough to keep it busy, few enough to stay small.
_BLOCK = 64
#: More terms than this are not resampled through the products of every two of them.
_NARROW = 6
#: Below so many problems the bootstrap alone knows too little of the spread: no limit is nearer than Student's t.
_FEW = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """``sign * log(mean of values)``.

    values: (repeats, problems). setting: whose server starts the repeats are. rounds: (problems,), the round each
    problem belongs to; None stands for one round.
    """

    values: Floats
    sign: float
    setting: str = ""
    rounds: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its interval.

    lo, hi: nan where they are not known. p: of theta = 0 (a ratio of 1). starts: the fewest server starts behind it,
    rounds times repeats. rounds: distinct rounds.
    """

    value: float
    lo: float
    hi: float
    p: float
    starts: int
    rounds: int = 1

    @property
    def confirmed(self) -> bool:
        """Whether the interval knows what server starts differ by: three rounds, or two repeats of all problems."""
        return self.rounds >= LEAST_ROUNDS or self.starts // self.rounds >= 2


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
    between starts: the interval then is over problems alone. From three rounds on the interval is the jackknife's over
    rounds instead. weights: (resamples, problems).
    """
    found: dict[int, Estimate] = {}
    narrow: list[int] = []
    for i, terms in enumerate(contrasts):
        rounds = terms[0].rounds
        if not _usable(terms):
            found[i] = _without_interval(terms)
        elif rounds is not None and count_rounds(rounds) >= LEAST_ROUNDS:
            found[i] = _over_rounds(terms, rounds, confidence)
        elif len(terms) > _NARROW:
            found[i] = _estimate(terms, *_wide_moments(terms, weights), confidence=confidence)
        else:
            narrow.append(i)
    for first in range(0, len(narrow), _BLOCK):
        block = narrow[first : first + _BLOCK]
        # One moment a row from here on: each step below then reads memory in order.
        moments = np.concatenate([_columns(contrasts[i]) for i in block]) @ weights.T / weights.shape[1]
        at = 0
        for i in block:
            size = len(contrasts[i])
            means, products = moments[at : at + size], moments[at + size : at + size * (size + 3) // 2]
            variance = _variance_of_products(contrasts[i], means, products)
            found[i] = _estimate(contrasts[i], means, variance, confidence=confidence)
            at += size * (size + 3) // 2
    return [found[i] for i in range(len(contrasts))]


def log_contrast(terms: Sequence[Term], weights: Floats, *, confidence: float = 0.95) -> Estimate:
    """``log_contrasts`` of one."""
    return log_contrasts([terms], weights, confidence=confidence)[0]


def _without_interval(terms: Sequence[Term]) -> Estimate:
    """The figure alone, of a single problem; nan where a mean is unknown or not positive."""
    means = [float(term.values.mean()) if term.values.size else math.nan for term in terms]
    known = all(mean > 0.0 for mean in means)
    theta = sum(term.sign * math.log(mean) for term, mean in zip(terms, means, strict=True)) if known else math.nan
    return Estimate(value=math.exp(theta), lo=math.nan, hi=math.nan, p=math.nan, **_starts(terms))


def _starts(terms: Sequence[Term]) -> dict[str, int]:
    rounds = count_rounds(terms[0].rounds)
    return {"starts": rounds * min(term.values.shape[0] for term in terms), "rounds": rounds}


def _over_rounds(terms: Sequence[Term], rounds: NDArray[np.int64], confidence: float) -> Estimate:
    values = np.stack([term.values.mean(axis=0) for term in terms])
    found = log_ratio_over_rounds(values, _signs(terms), rounds)
    value, factor = math.exp(found.value), _factor(found.limits(confidence)[1] - found.value)
    return Estimate(value=value, lo=value / factor, hi=value * factor, p=found.p, **_starts(terms))


def _factor(distance: float) -> float:
    """A limit's distance as a factor, nan where the data do not bound it."""
    return math.exp(distance) if distance < _WIDEST else math.nan


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


def _signs(terms: Sequence[Term]) -> Floats:
    return np.array([term.sign for term in terms], dtype=np.float64)


def _variance_of_products(terms: Sequence[Term], means: Floats, products: Floats) -> Floats:
    """The influence's variance at each resample, (resamples,), from means (terms, resamples) and their products."""
    signs = _signs(terms)
    first, second = np.triu_indices(len(signs))
    coefficients = np.where(first == second, 1.0, 2.0) * signs[first] * signs[second]
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / means
        square = coefficients @ (products * inverse[first] * inverse[second])
    # Each scaled term has mean 1 at its resample, so the influence's mean is the sum of the signs.
    return np.asarray(square - signs.sum() ** 2, dtype=np.float64)


def _wide_moments(terms: Sequence[Term], weights: Floats) -> tuple[Floats, Floats]:
    """Resampled means and the influence's variance of a contrast of many terms, whose products would be too many."""
    signs, scaled, problems = _signs(terms), _scaled(terms), weights.shape[1]
    means = scaled @ weights.T / problems
    variance = np.empty(weights.shape[0])
    for first in range(0, weights.shape[0], 1000):
        own = slice(first, first + 1000)
        influence = (signs[:, None] / means[:, own]).T @ scaled
        variance[own] = (weights[own] * influence**2).sum(axis=1) / problems - signs.sum() ** 2
    return means, variance


#: With a handful of problems a resample can have next to no variance, and its t no bound: a limit that is a factor of
#: a million away is not known.
_WIDEST = math.log(1e6)


def _estimate(terms: Sequence[Term], means: Floats, variance: Floats, *, confidence: float) -> Estimate:
    signs, scaled = _signs(terms), _scaled(terms)
    problems = scaled.shape[1]
    theta = float(sum(term.sign * math.log(term.values.mean()) for term in terms))
    error = float((signs @ scaled).std(ddof=1)) / math.sqrt(problems)
    low_t, high_t = (0.0, 0.0)
    if error > 1e-12:
        low_t, high_t = _studentised(signs, means, variance / (problems - 1), problems, confidence)
    starts = _between_starts(terms)
    problem_variance = max(0.0, error * error - starts.noise)
    dof = _satterthwaite(problem_variance, problems, starts)
    normal = normal_quantile(0.5 + confidence / 2.0)
    heavier = t_quantile(0.5 + confidence / 2.0, dof) / normal if starts.variance > 0.0 else 1.0
    start_width = normal * math.sqrt(starts.variance)
    error = math.sqrt(problem_variance)
    return Estimate(
        value=math.exp(theta),
        lo=math.exp(theta) / _factor(heavier * math.hypot(high_t * error, start_width)),
        hi=math.exp(theta) * _factor(heavier * math.hypot(low_t * error, start_width)),
        p=_p_value(theta, problem_variance + starts.variance, dof),
        **_starts(terms),
    )


def _studentised(
    signs: Floats, means: Floats, variance: Floats, problems: int, confidence: float
) -> tuple[float, float]:
    """The outer quantiles of (theta - its estimate) / error over the resamples, both as positive distances."""
    good = (means > 0).all(axis=0) & (variance > 1e-24)
    least = t_quantile(0.5 + confidence / 2.0, problems - 1) if problems < _FEW or not good.any() else 0.0
    if not good.any():
        return (least, least)
    t = (signs @ np.log(means[:, good])) / np.sqrt(variance[good])
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(t, [tail, 1.0 - tail])
    return (max(least, -float(low)), max(least, float(high)))


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
    Terms of one setting with unequal numbers of starts, as a run that was stopped has, do not share them here.
    """
    variance = spread = noise = 0.0
    for starts in dict.fromkeys((term.setting, term.values.shape[0]) for term in terms):
        own = [term for term in terms if (term.setting, term.values.shape[0]) == starts]
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
