"""Intervals of the mean times to tokens, which only answers whose tokens came one by one have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_compare.analysis.metric import Mean
from tts_compare.analysis.metrics import METRICS
from tts_compare.analysis.schema import POINT_KEY
from tts_compare.analysis.statistics.cube import TIMED, Cube
from tts_compare.analysis.statistics.resampling import Estimate, Term, log_contrasts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Metric -> the columns of its lower and upper limit, and the figure of a cube that it is the mean of.
TIMED_METRICS = {
    name: (metric.interval.lo, metric.interval.hi, metric.aggregation.column)
    for name, metric in METRICS.items()
    if metric.interval and isinstance(metric.aggregation, Mean) and metric.aggregation.column in TIMED
}


def timed_limits(cube: Cube, weights: Callable[[int], Floats]) -> Iterator[dict[str, Any]]:
    """POINT_KEY and the limits of TIMED_METRICS as multiples of the mean, of each point of a cube; None where unknown.

    weights: number of problems -> (resamples, problems). A problem without an answer that has the figure takes no part.
    """
    terms = {(point, name): term for point in range(len(cube.keys)) for name, term in _terms(cube, point)}
    # Those of equally many problems share their weights, and are worked out at once.
    sizes: dict[int, list[tuple[int, str]]] = {}
    for place, term in terms.items():
        sizes.setdefault(term.values.shape[1], []).append(place)
    found: dict[tuple[int, str], Estimate] = {}
    for size, places in sizes.items():
        estimates = log_contrasts([[terms[place]] for place in places], weights(size))
        found |= dict(zip(places, estimates, strict=True))
    for point, key in enumerate(cube.keys):
        row: dict[str, Any] = {name: key[name] for name in POINT_KEY}
        for name, (low, high, _) in TIMED_METRICS.items():
            own = found.get((point, name))
            row[low] = own and _multiple(own.lo, own.value)
            row[high] = own and _multiple(own.hi, own.value)
        yield row


def _terms(cube: Cube, point: int) -> Iterator[tuple[str, Term]]:
    """The term of each of TIMED_METRICS that a problem of the point has."""
    own = cube.own_mask(point)
    for name, (_, _, figure) in TIMED_METRICS.items():
        cells = cube.values(point, figure, own, answered=True)
        known = np.isfinite(cells).all(axis=0)
        if known.any():
            setting, rounds = str(cube.keys[point]["setting"]), cube.rounds[own][known]
            yield name, Term(values=cells[:, known], sign=1, setting=setting, rounds=rounds)


def _multiple(limit: float, value: float) -> float | None:
    """The limit over the value; None where either is unknown or the value is 0."""
    return limit / value if np.isfinite(limit) and np.isfinite(value) and value > 0.0 else None
