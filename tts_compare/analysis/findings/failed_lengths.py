"""How long the problems that a setting failed are elsewhere: failures of hard problems cannot be told from bad luck."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.statistics.cube import Cube

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Points of which the same is asked.
_ALIKE = ("model", "method", "budget", "samples")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedLengths:
    """The lengths that the problems one point failed have in the other settings of its model.

    setting, method, budget, samples, load, policy: the point. failed: problems of which an answer failed. known: of
    these, how many another setting answered. failed_tokens_p50, all_tokens_p50: median over those problems, and over
    all problems another setting answered, of the mean tokens of its answers; None where no other setting did.
    """

    setting: str
    method: str
    budget: int
    samples: int
    load: str
    policy: str
    failed: int
    known: int
    failed_tokens_p50: float | None
    all_tokens_p50: float | None


def failed_lengths(cubes: Sequence[Cube]) -> tuple[FailedLengths, ...]:
    """One value a point that failed an answer, in the order of the cubes."""
    return tuple(found for cube in cubes for found in _of_cube(cube))


def _of_cube(cube: Cube) -> Iterator[FailedLengths]:
    for point, key in enumerate(cube.keys):
        lost = (cube.failed[point] > 0.0).any(axis=0)
        if not lost.any():
            continue
        tokens = _elsewhere(cube, point)
        known = np.isfinite(tokens)
        yield FailedLengths(
            setting=str(key["setting"]),
            method=str(key["method"]),
            budget=int(key["budget"]),
            samples=int(key["samples"]),
            load=cube.load,
            policy=cube.policy,
            failed=int(lost.sum()),
            known=int((lost & known).sum()),
            failed_tokens_p50=_median(tokens[lost & known]),
            all_tokens_p50=_median(tokens[known]),
        )


def _elsewhere(cube: Cube, point: int) -> Floats:
    """(problems,): mean tokens of the answers of other settings to the same question, nan where there is none."""
    own = cube.keys[point]
    others = [
        i
        for i, key in enumerate(cube.keys)
        if key["setting"] != own["setting"] and all(key[name] == own[name] for name in _ALIKE)
    ]
    cells = cube.answered["tokens"][others].reshape(-1, len(cube.problems))
    known = np.isfinite(cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, cells, 0.0).sum(axis=0) / known.sum(axis=0), dtype=np.float64)


def _median(values: Floats) -> float | None:
    return float(np.median(values)) if values.size else None
