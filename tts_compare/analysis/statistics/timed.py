"""Intervals of the mean times to tokens, which only answers whose tokens came one by one have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_compare.analysis.metric import Mean
from tts_compare.analysis.metrics import METRICS
from tts_compare.analysis.schema import POINT_KEY
from tts_compare.analysis.statistics.cube import TIMED, Cube
from tts_compare.analysis.statistics.resampling import Term, log_contrast

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
    for point, key in enumerate(cube.keys):
        row: dict[str, Any] = {name: key[name] for name in POINT_KEY}
        own = cube.own_mask(point)
        for low, high, figure in TIMED_METRICS.values():
            cells = cube.values(point, figure, own, answered=True)
            known = np.isfinite(cells).all(axis=0)
            row |= {low: None, high: None}
            if not known.any():
                continue
            term = Term(values=cells[:, known], sign=1, setting=str(key["setting"]), rounds=cube.rounds[own][known])
            found = log_contrast([term], weights(int(known.sum())))
            row |= {low: _multiple(found.lo, found.value), high: _multiple(found.hi, found.value)}
        yield row


def _multiple(limit: float, value: float) -> float | None:
    """The limit over the value; None where either is unknown or the value is 0."""
    return limit / value if np.isfinite(limit) and np.isfinite(value) and value > 0.0 else None
