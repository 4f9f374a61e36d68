"""Variances of several comparisons, each known from a few rounds only, that borrow from each other.

Source: Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression", Statistical
Applications in Genetics and Molecular Biology 3(1), doi:10.2202/1544-6115.1027, section 6.2; the cap on the degrees
of freedom is that of limma's ``eBayes``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.statistics.distributions import digamma, trigamma

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderated:
    """variances: the posterior ones, in the order given. dof: degrees of freedom of each, for Student's t."""

    variances: Floats
    dof: float


def moderate(variances: Floats, dof: float, *, independent: int) -> Moderated:
    """Shrink variances of ``dof`` degrees of freedom towards a prior that is estimated from all of them.

    variances: (comparisons,). independent: how many of the comparisons are independent; the degrees of freedom never
    exceed ``independent * dof``, which is all that the data hold. A single comparison is returned as it is.
    """
    if variances.size < 2 or independent < 2 or not (variances > 0.0).any():
        return Moderated(variances=variances, dof=dof)
    floor = 1e-5 * float(np.median(variances[variances > 0.0]))
    logs = np.log(np.maximum(variances, floor)) - digamma(dof / 2.0) + math.log(dof / 2.0)
    spread = float(logs.var(ddof=1)) - trigamma(dof / 2.0)
    if spread <= 0.0:
        prior = np.full(variances.shape, math.exp(float(logs.mean())))
        return Moderated(variances=prior, dof=independent * dof)
    prior_dof = 2.0 * inverse_trigamma(spread)
    prior_variance = math.exp(float(logs.mean()) + digamma(prior_dof / 2.0) - math.log(prior_dof / 2.0))
    posterior = (prior_dof * prior_variance + dof * variances) / (prior_dof + dof)
    return Moderated(variances=posterior, dof=min(prior_dof + dof, independent * dof))


def inverse_trigamma(y: float) -> float:
    """The x > 0 whose trigamma is y > 0, by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    if y > 1e7:
        return 1.0 / math.sqrt(y)
    if y < 1e-6:
        return 1.0 / y
    x = 0.5 + 1.0 / y
    for _ in range(50):
        value = trigamma(x)
        step = value * (1.0 - value / y) / _tetragamma(x)
        x += step
        if -step / x < 1e-9:
            break
    return x


def _tetragamma(x: float) -> float:
    """The derivative of trigamma: the recurrence up to 8, then the asymptotic series."""
    below = 0.0
    while x < 8.0:
        below -= 2.0 / x**3
        x += 1.0
    inverse = 1.0 / (x * x)
    series = 0.5 - inverse * (1.0 / 6.0 - inverse * (1.0 / 6.0 - inverse * 0.3))
    return below - inverse * (1.0 + 1.0 / x + inverse * series)
