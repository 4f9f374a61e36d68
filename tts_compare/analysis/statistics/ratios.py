"""Times and costs of two points as ratios: with failures charged, and over the answers both gave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tts_compare.analysis.findings.failures import Failures, confidence_of, count_failures
from tts_compare.analysis.points import Weights
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.analysis.statistics.resampling import Estimate, Term, log_contrasts
from tts_compare.analysis.statistics.rounds import LEAST_ROUNDS, count_rounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_UNKNOWN = Estimate(value=math.nan, lo=math.nan, hi=math.nan, p=math.nan, starts=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """Two points of a cube, by index, and the problems they are compared on: (problems,) flags.

    cost: the figure of the cube that is their cost.
    """

    cube: Cube
    a: int
    b: int
    mask: Flags
    cost: Literal["bill_gpu_s", "usd"] = "bill_gpu_s"

    @property
    def rounds(self) -> NDArray[np.int64]:
        """The round of each problem of the mask."""
        return self.cube.rounds[self.mask]

    def failed(self, point: int) -> Floats:
        """Failed share of each problem of the mask, (problems,)."""
        started = self.cube.sent[point].any(axis=1)
        shares: Floats = self.cube.failed[point][started][:, self.mask].mean(axis=0)
        return shares

    def answered(self) -> Flags:
        """The problems of the mask that both answered in every repeat, as (problems,) flags of the cube."""
        fine = self.mask.copy()
        for point in (self.a, self.b):
            fine &= np.isfinite(self.cube.values(point, "latency_s", all_of(self.cube), answered=True)).all(axis=0)
        return fine


def all_of(cube: Cube) -> Flags:
    """A mask of every problem."""
    return np.ones(len(cube.problems), dtype=bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Figures of a over b.

    latency, cost, paper_cost: with failures charged, at 95 %. latency_answered, cost_answered: over the answers both
    gave, at ``confidence_of(failures)``. typical: the geometric mean of latency over the problems both answered.
    length, speed: of tokens and of seconds per token over the same.
    """

    failures: Failures
    latency: Estimate
    cost: Estimate
    paper_cost: Estimate
    latency_answered: Estimate
    cost_answered: Estimate
    typical: float
    length: float

    @property
    def speed(self) -> float:
        """The latency ratio divided by the length ratio."""
        return self.latency_answered.value / self.length


def terms(duel: Duel, figure: str, *, answered: bool = False) -> list[Term]:
    """The contrast of a figure of a over b.

    figure: of the cube, or ``paper_cost``: devices x request seconds / tokens. answered: over the answers both gave.
    """
    mask = duel.answered() if answered else duel.mask
    cube, rounds = duel.cube, duel.cube.rounds[mask]

    def side(point: int, sign: float, name: str, times: float = 1.0) -> Term:
        values = cube.values(point, name, mask, answered=answered) * times
        return Term(values=values, sign=sign, setting=str(cube.keys[point]["setting"]), rounds=rounds)

    if figure != "paper_cost":
        return [side(duel.a, 1, figure), side(duel.b, -1, figure)]
    return [
        side(duel.a, 1, "request_s", cube.devices(duel.a)),
        side(duel.a, -1, "tokens"),
        side(duel.b, -1, "request_s", cube.devices(duel.b)),
        side(duel.b, 1, "tokens"),
    ]


_Asked = tuple[float, list[Term]]


def find_ratios(duels: Sequence[Duel], weights: Weights) -> list[Ratios]:
    """The ratios of every pair, in order; contrasts over the same problems are resampled together."""
    failures = [count_failures(d.failed(d.a), d.failed(d.b), d.rounds) for d in duels]
    asked: list[_Asked] = []
    for duel, failed in zip(duels, failures, strict=True):
        level = confidence_of(failed)
        asked += [(0.95, terms(duel, figure)) for figure in ("latency_s", duel.cost, "paper_cost")]
        asked += [(level, terms(duel, figure, answered=True)) for figure in ("latency_s", duel.cost)]
    found = _estimates(asked, weights)
    return [
        _ratios(duel, failed, found[5 * i : 5 * i + 5])
        for i, (duel, failed) in enumerate(zip(duels, failures, strict=True))
    ]


def _ratios(duel: Duel, failures: Failures, found: Sequence[Estimate]) -> Ratios:
    latency, cost, paper_cost, latency_answered, cost_answered = found
    mask = duel.answered()
    seconds = [duel.cube.values(p, "latency_s", mask, answered=True).mean(axis=0) for p in (duel.a, duel.b)]
    tokens = [duel.cube.values(p, "tokens", mask, answered=True) for p in (duel.a, duel.b)]
    typical = length = math.nan
    if mask.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            typical = float(np.exp(np.mean(np.log(seconds[0] / seconds[1]))))
        length = float(tokens[0].mean() / tokens[1].mean()) if tokens[1].mean() > 0 else math.nan
    return Ratios(
        failures=failures,
        latency=latency,
        cost=cost,
        paper_cost=paper_cost,
        latency_answered=latency_answered,
        cost_answered=cost_answered,
        typical=typical,
        length=length,
    )


def _estimates(asked: Sequence[_Asked], weights: Weights) -> list[Estimate]:
    groups: dict[tuple[float, int, bool], list[int]] = {}
    for i, (level, own) in enumerate(asked):
        over_rounds = count_rounds(own[0].rounds) >= LEAST_ROUNDS
        groups.setdefault((level, own[0].values.shape[1], over_rounds), []).append(i)
    found = [_UNKNOWN] * len(asked)
    for (level, problems, over_rounds), members in groups.items():
        if problems == 0:
            continue
        drawn = np.empty((0, problems)) if over_rounds else weights.for_intervals(problems)
        results = log_contrasts([asked[i][1] for i in members], drawn, confidence=level)
        for i, estimate in zip(members, results, strict=True):
            found[i] = estimate
    return found
