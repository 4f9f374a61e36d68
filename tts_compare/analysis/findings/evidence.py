"""What the paper's claims are tested on, and the ratios they are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_compare.analysis.findings.compare import Pair
from tts_compare.analysis.findings.failures import Side, count_failures
from tts_compare.analysis.findings.labels import point_label
from tts_compare.analysis.findings.starts import ENOUGH_STARTS, of_two_kinds, start_rates
from tts_compare.analysis.findings.withheld import ONE_START, is_derived_under_load, reached, same_limits
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.analysis.statistics.ratios import Duel, terms
from tts_compare.analysis.statistics.resampling import Estimate, Term, log_contrast
from tts_compare.analysis.statistics.rounds import LEAST_ROUNDS, count_rounds
from tts_compare.rundir.facts import ModelRow, SettingFacts
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Pairs whose ratios are averaged, and the power their mean is taken to.
Pool = tuple[Sequence[Pair], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a claim is tested on.

    cube: the load and policy with the most points. weights: resamples of its compared problems. manifest: of the run.
    pairs: every comparison in the cube.
    """

    cube: Cube
    weights: Floats
    manifest: Manifest
    pairs: tuple[Pair, ...]

    def model(self, point: int) -> str:
        """The model of a point's setting."""
        return self.facts(point).model

    def budget(self, point: int) -> int:
        """The token budget of a point."""
        return int(self.cube.keys[point]["budget"])

    def facts(self, point: int) -> SettingFacts:
        """The manifest's entry of a point's setting."""
        return self.manifest.settings.get(self.cube.keys[point]["setting"], SettingFacts())

    def parameters(self, model: str) -> float:
        """Parameters of a model, nan where the manifest does not say."""
        count = self.manifest.models.get(model, ModelRow()).parameters
        return math.nan if count is None else float(count)

    def drafts(self, point: int) -> bool:
        """Whether a point's setting speculates."""
        return self.facts(point).speculation.kind != "none"

    def ranks(self, point: int) -> int:
        """The degree of tensor parallelism of a point's setting."""
        return self.facts(point).tensor_parallel

    def timed(self, point: int) -> bool:
        """Whether a point is compared with all others and its latency is one that a user would wait."""
        biased = is_derived_under_load(self.cube.keys[point], self.cube.load)
        return bool(self.cube.included[point]) and not biased and reached(self.cube, point)

    def along(self, axis: str) -> list[Pair]:
        """Pairs on one axis, both timed, under the same limits, on the problems that every point measured."""
        return [
            Pair(axis=p.axis, a=p.a, b=p.b, mask=self.cube.compared)
            for p in self.pairs
            if p.axis == axis and self.timed(p.a) and self.timed(p.b) and self._same_limits(p)
        ]

    def _same_limits(self, pair: Pair) -> bool:
        return same_limits(self.cube.keys[pair.a], self.cube.keys[pair.b])

    def drafting(self) -> list[Pair]:
        """Pairs of a setting without speculation, a, and the same with it, b."""
        return [p for p in self.along("speculation") if not self.drafts(p.a)]

    def sharded(self) -> list[Pair]:
        """Pairs of a setting on one rank, a, and the same at a higher degree of tensor parallelism, b."""
        return [p for p in self.along("tensor_parallel") if self.ranks(p.a) == 1]

    @property
    def rounds(self) -> int:
        """Distinct rounds of the compared problems."""
        return count_rounds(self.cube.rounds[self.cube.compared])

    def unconfirmed(self, points: Sequence[int]) -> str | None:
        """What is wrong with the server starts behind points, None where they carry a verdict."""
        repeats = min(int(self.cube.repeats[p]) for p in points)
        if self.rounds < LEAST_ROUNDS and repeats < 2:
            return "in this one start" if self.rounds == 1 else f"in {self.rounds} rounds; {LEAST_ROUNDS} are needed"
        few = LEAST_ROUNDS <= self.rounds < ENOUGH_STARTS
        if few and any(of_two_kinds(start_rates(self.cube, p, self.cube.compared)) for p in points):
            return f"in {self.rounds} rounds whose server starts fall into two groups; {ENOUGH_STARTS} are needed"
        return None

    def labels(self, points: Sequence[int]) -> tuple[str, ...]:
        """Points, each named once."""
        return tuple(point_label(self.cube.keys[point]) for point in dict.fromkeys(points))

    def doubts(self, points: Sequence[int]) -> tuple[str, ...]:
        """``one_server_start`` where any of the points had but one."""
        return (ONE_START,) if any(self.cube.repeats[p] * self.rounds < 2 for p in points) else ()

    def barred(self, pools: Sequence[Pool], side: int) -> bool:
        """Whether a setting that a claim speaks for fails too often to be favoured.

        side: 1 where the claim is that the pooled ratio is above its bound, so that the b of a pool with a positive
        power is favoured; -1 where it is below.
        """
        for pairs, power in pools:
            favoured: Side = "b" if power * side > 0 else "a"
            for pair in pairs:
                duel = pair.duel(self.cube)
                if count_failures(duel.failed(pair.a), duel.failed(pair.b), duel.rounds).barred(favoured):
                    return True
        return False


def pooled(evidence: Evidence, pools: Sequence[Pool], figure: str, *, confidence: float = 0.95) -> Estimate:
    """The product of geometric means of one ratio over pools of pairs, each to its power, as one contrast.

    As one contrast, points and starts that pairs share are counted once in the error. figure: of ``ratios.terms``,
    failures charged.
    """
    signs: dict[tuple[int, int], tuple[Term, float]] = {}
    for pairs, power in pools:
        for pair in pairs:
            duel = Duel(cube=evidence.cube, a=pair.a, b=pair.b, mask=pair.mask)
            own = terms(duel, figure)
            for role, term in enumerate(own):
                point = pair.a if role < len(own) // 2 else pair.b
                key = (point, role % 2 if len(own) == 4 else 0)
                known = signs.get(key, (term, 0.0))[1]
                signs[key] = (term, known + power * term.sign / len(pairs))
    kept = [
        Term(values=t.values, sign=sign, setting=t.setting, rounds=t.rounds)
        for t, sign in signs.values()
        if abs(sign) > 1e-12
    ]
    return log_contrast(kept, evidence.weights, confidence=confidence)
