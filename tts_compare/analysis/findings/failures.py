"""Who failed what the other answered: how a comparison counts failures, and whom they bar from winning it.

A setting that refuses or times out on the hard problems must not win by it: it is barred where it fails more often
than the other, by share or by a one-sided sign test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tts_compare.analysis.statistics.distributions import binomial_cdf
from tts_compare.analysis.statistics.intervals import mcnemar
from tts_compare.analysis.statistics.resampling import Estimate
from tts_compare.analysis.statistics.rounds import LEAST_ROUNDS, count_rounds, mean_over_rounds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Side = Literal["a", "b"]
Route = Literal["answered", "failures"]
#: A setting may fail so much more of the problems than the other and still win.
TOLERATED = 0.01
_BARRING_LEVEL = 0.05
#: Of the level of .05, .04 is spent on the answers both gave where anything failed, and .01 on the failures.
_ANSWERED_SHARE = 0.8
_FAILURES_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Failures of two settings on the problems of a comparison.

    a_share, b_share: failed outcomes over outcomes. only_a, only_b: problems that one failed more often than the other.
    p: of no difference, the larger of McNemar's and Student's t over rounds.
    """

    a_share: float
    b_share: float
    only_a: int
    only_b: int
    p: float

    @property
    def uneven(self) -> bool:
        """Whether any problem was failed by one side more than by the other."""
        return self.only_a + self.only_b > 0

    @property
    def worse(self) -> Side | None:
        """The side that fails more, None where neither does."""
        if self.a_share == self.b_share:
            return None
        return "a" if self.a_share > self.b_share else "b"

    def barred(self, side: Side) -> bool:
        """Whether a side may not be called faster or cheaper."""
        excess = self.a_share - self.b_share if side == "a" else self.b_share - self.a_share
        own, other = (self.only_a, self.only_b) if side == "a" else (self.only_b, self.only_a)
        if excess > TOLERATED + 1e-12:
            return True
        return own > other and binomial_cdf(other, own + other, 0.5) < _BARRING_LEVEL


def count_failures(a: Floats, b: Floats, rounds: NDArray[np.int64] | None = None) -> Failures:
    """Compare failed shares of the same problems. a, b: (problems,) in [0, 1]; rounds: (problems,)."""
    if a.size == 0:
        return Failures(a_share=0.0, b_share=0.0, only_a=0, only_b=0, p=1.0)
    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    p = mcnemar(only_a, only_b)
    if rounds is not None and count_rounds(rounds) >= LEAST_ROUNDS and only_a + only_b:
        p = max(p, mean_over_rounds(a - b, rounds).p)
    return Failures(a_share=float(a.mean()), b_share=float(b.mean()), only_a=only_a, only_b=only_b, p=p)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a ratio a / b says, before the correction for many comparisons.

    p: of the question, None where it has none. better: the side it is in favour of. route: whether by the answers both
    gave or because the other fails more.
    """

    p: float | None
    better: Side | None = None
    route: Route = "answered"


def confidence_of(failures: Failures) -> float:
    """The level of the interval over the answers both gave: 95 %, or 96 % where anything failed on one side alone."""
    return 1.0 - 0.05 * (_ANSWERED_SHARE if failures.uneven else 1.0)


def decide(answered: Estimate, charged: Estimate, failures: Failures) -> Decision:
    """In whose favour a ratio of times or costs is, with one P value for both ways of being so.

    answered: the ratio over the answers both gave, at ``confidence_of``. charged: the ratio in which failures are
    charged, at 95 %. The P values of the two ways are scaled so that together they spend the level once.
    """
    ways: list[Decision] = []
    favoured: Side = "b" if answered.value > 1.0 else "a"
    if answered.p == answered.p and not failures.barred(favoured):
        share = _ANSWERED_SHARE if failures.uneven else 1.0
        ways.append(Decision(p=min(1.0, answered.p / share), better=favoured))
    worse = failures.worse
    if worse is not None and charged.p == charged.p and (charged.value > 1.0) == (worse == "a"):
        p = max(min(1.0, failures.p / _FAILURES_SHARE), charged.p)
        ways.append(Decision(p=p, better="b" if worse == "a" else "a", route="failures"))
    if ways:
        return min(ways, key=lambda way: way.p or 0.0)
    return Decision(p=1.0 if answered.p == answered.p or charged.p == charged.p else None)
