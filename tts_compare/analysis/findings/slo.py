"""Service-level objectives: the most accurate point that keeps them, and how surely it does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tts_compare.analysis.findings.barren import barren
from tts_compare.analysis.findings.frontier import Resampled
from tts_compare.analysis.findings.labels import point_label
from tts_compare.analysis.metric import Quantile
from tts_compare.analysis.metrics import AXES, METRICS, OBJECTIVES
from tts_compare.analysis.schema import POINT_KEY, Slo, SloChoice
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FORM = re.compile(r"\s*([a-z0-9_]+)\s*(<=|>=|=|<|>)\s*([0-9.]+(?:e-?[0-9]+)?)\s*(%|s|ms)?\s*", re.IGNORECASE)
_SCALE = {None: 1.0, "s": 1.0, "ms": 1e-3, "%": 1e-2}
#: Columns whose mean over problems is resampled -> the axis; quantiles are read off resampled problems.
_RESAMPLED = {axis.metric: axis.name for axis in AXES}


def parse_slo(text: str) -> Slo:
    """``p90_latency=10``, ``accuracy>=0.8``, ``latency<=500ms``; ``=`` is at most, at least where more is better.

    Raises UsageError for another form or name.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"--slo {text!r} is not NAME=NUMBER, NAME<=NUMBER or NAME>=NUMBER")
    name, sign, number, unit = match.groups()
    metric = OBJECTIVES.get(name.lower())
    if metric is None:
        raise UsageError(f"--slo {text!r}: no figure {name!r}; there are {', '.join(sorted(OBJECTIVES))}")
    try:
        bound = float(number) * _SCALE[unit.lower() if unit else None]
    except ValueError as error:
        raise UsageError(f"--slo {text!r}: {number!r} is not a number") from error
    at_most = metric.better == "less" if sign == "=" else sign[0] == "<"
    return Slo(column=metric.name, at_most=at_most, bound=bound, text=text)


def choose(cube: Cube, drawn: Resampled, points: pl.DataFrame, objectives: Sequence[Slo], weights: Floats) -> SloChoice:
    """The most accurate point of a cube that keeps every objective, the faster of equals.

    Objectives on figures without resamples (ttft, tpot, truncated) are kept or not by the data alone. An answer that
    failed was never reached: an objective on the mean latency is kept by points without one. Where nothing was right,
    or everything was cut, there is no most accurate point.
    """
    empty = SloChoice(
        load=cube.load,
        policy=cube.policy,
        objectives=tuple(objectives),
        point=None,
        label="none keeps every objective",
        accuracy=None,
        share=None,
        best_share=None,
    )
    keys = pl.DataFrame([{name: cube.keys[p][name] for name in POINT_KEY} for p in drawn.points])
    if not drawn.points or not cube.compared.any() or (cube.load, cube.policy) in barren(points):
        return empty
    table = keys.join(points, on=list(POINT_KEY), how="left", maintain_order="left")
    kept = np.ones(drawn.accuracy.shape, dtype=bool)
    for objective in objectives:
        observed = table[objective.column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        values = _resampled(cube, drawn, objective.column, observed, weights)
        with np.errstate(invalid="ignore"):
            kept &= values <= objective.bound if objective.at_most else values >= objective.bound
    if not kept[0].any():
        return empty
    score = np.where(kept, np.nan_to_num(drawn.accuracy, nan=0.0), -1.0)
    latency = drawn.axes["latency"][0]
    best = int(min(np.flatnonzero(kept[0]), key=lambda c: (-score[0, c], latency[c])))
    point = cube.keys[drawn.points[best]]
    wins = kept[1:, best] & (score[1:, best] >= score[1:].max(axis=1))
    return SloChoice(
        load=cube.load,
        policy=cube.policy,
        objectives=tuple(objectives),
        point={name: point[name] for name in POINT_KEY},
        label=point_label(point),
        accuracy=float(drawn.accuracy[0, best]) if np.isfinite(drawn.accuracy[0, best]) else None,
        share=float(kept[1:, best].mean()),
        best_share=float(wins.mean()),
    )


def _resampled(cube: Cube, drawn: Resampled, column: str, observed: Floats, weights: Floats) -> Floats:
    """(1 + resamples, points) of a column; row 0 is the data. An answer that failed was never reached: infinite."""
    if column == "accuracy":
        return drawn.accuracy
    if column == "latency_mean_s":
        return _never_reached(cube, drawn, weights)
    if column in _RESAMPLED:
        return drawn.axes[_RESAMPLED[column]]
    values = np.repeat(observed[None, :], drawn.accuracy.shape[0], axis=0)
    quantile = METRICS[column].aggregation
    if isinstance(quantile, Quantile) and quantile.column == "latency_s":
        for i, point in enumerate(drawn.points):
            latency, times = _compared_answers(cube, point, weights)
            values[1:, i] = _weighted_quantile(latency, times, quantile.q)
    return values


def _never_reached(cube: Cube, drawn: Resampled, weights: Floats) -> Floats:
    """Mean latencies, infinite in each resample that draws a problem of which an answer failed."""
    values = drawn.axes["latency"].copy()
    for i, point in enumerate(drawn.points):
        failed = cube.failed[point][:, cube.compared].sum(axis=0) > 0
        values[0, i] = np.inf if failed.any() else values[0, i]
        values[1:, i] = np.where((weights[:, failed] > 0).any(axis=1), np.inf, values[1:, i])
    return values


def _compared_answers(cube: Cube, point: int, weights: Floats) -> tuple[Floats, Floats]:
    """Latencies (answers,) of the compared problems, and how often each resample draws them, (resamples, answers)."""
    column = np.cumsum(cube.compared) - 1
    own = cube.answers[point]
    kept = cube.compared[own.problem]
    return own.latency_s[kept], weights[:, column[own.problem[kept]]]


def _weighted_quantile(x: Floats, weights: Floats, q: float) -> Floats:
    """The q quantile (type 7) of each resample of x, every value taken as often as its weight says; nan of nothing.

    Block by block: the sorted weights of all would double the memory.
    """
    order = np.argsort(x)
    ordered, found = x[order], np.full(weights.shape[0], np.nan)
    if x.size == 0:
        return found
    for first in range(0, weights.shape[0], 1000):
        reached = np.cumsum(weights[first : first + 1000][:, order], axis=1)
        at = (reached[:, -1] - 1.0) * q
        low, high = (ordered[(reached > rank[:, None]).argmax(axis=1)] for rank in (np.floor(at), np.ceil(at)))
        part = at - np.floor(at)
        with np.errstate(invalid="ignore"):
            between = np.where(part > 0.0, low + part * (high - low), low)
        between = np.where((part > 0.0) & np.isinf(high), np.inf, between)
        found[first : first + 1000] = np.where(reached[:, -1] > 0.0, between, np.nan)
    return found
