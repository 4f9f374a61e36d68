"""What the paper's claims are tried on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.compare import ONE_START, Pair, ratio_terms
from tts_compare.analysis.cube import Cube
from tts_compare.analysis.frontier import Resampled
from tts_compare.analysis.labels import point_label
from tts_compare.analysis.resampling import Estimate, Term, log_contrast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a claim is tried on: the largest cube of the run, its resamples, and the manifest."""

    cube: Cube
    drawn: Resampled
    weights: Floats
    manifest: Mapping[str, Any]
    pairs: tuple[Pair, ...]

    def model(self, point: int) -> str:
        """The model of a point's setting."""
        return str(self.facts(point).get("model"))

    def facts(self, point: int) -> Mapping[str, Any]:
        """The manifest's entry of a point's setting."""
        found: Mapping[str, Any] = (self.manifest.get("settings") or {}).get(self.cube.keys[point]["setting"]) or {}
        return found

    def parameters(self, model: str) -> float:
        """Parameters of a model, nan where the manifest does not say."""
        count = ((self.manifest.get("models") or {}).get(model) or {}).get("parameters")
        return math.nan if count is None else float(count)

    def along(self, axis: str) -> list[Pair]:
        """Pairs on one axis whose points are compared with all others."""
        cube = self.cube
        return [p for p in self.pairs if p.axis == axis and cube.included[p.a] and cube.included[p.b]]

    def labels(self, pairs: Sequence[Pair]) -> tuple[str, ...]:
        """Both points of each pair, named once."""
        points = dict.fromkeys(point for pair in pairs for point in (pair.a, pair.b))
        return tuple(point_label(self.cube.keys[point]) for point in points)

    def doubts(self, points: Sequence[int]) -> tuple[str, ...]:
        """``one_server_start`` where any of the points had but one."""
        return (ONE_START,) if any(self.cube.repeats[p] < 2 for p in points) else ()


def pooled(evidence: Evidence, pools: Sequence[tuple[Sequence[Pair], float]], which: int) -> Estimate:
    """The product of geometric means of one ratio over pools of pairs, each to its power, as one contrast.

    As one contrast, points and starts that pairs share are counted once in the error. which: an index of what
    ``compare.ratio_terms`` gives.
    """
    signs: dict[tuple[int, int], tuple[Term, float]] = {}
    for pairs, power in pools:
        for pair in pairs:
            terms = ratio_terms(evidence.cube, pair)[which]
            for role, term in enumerate(terms):
                point = pair.a if role < len(terms) // 2 else pair.b
                key = (point, role % 2 if len(terms) == 4 else 0)
                known = signs.get(key, (term, 0.0))[1]
                signs[key] = (term, known + power * term.sign / len(pairs))
    kept = [Term(values=t.values, sign=sign, setting=t.setting) for t, sign in signs.values() if abs(sign) > 1e-12]
    return log_contrast(kept, evidence.weights)
