"""Frontiers: which points no other beats, how often each is on one when the data are drawn again, and bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tts_compare.analysis.metric import Axis
from tts_compare.analysis.metrics import AXES, AXIS_OF, BAND_COLUMNS, FRONTIER_COLUMNS, METRICS, schema_of
from tts_compare.analysis.schema import POINT_KEY
from tts_compare.analysis.statistics.cube import TIMED, Cube

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_FIGURE = {axis.name: axis.figure for axis in AXES if axis.figure}
_BAND_POINTS = 24
#: Limits at 2.5 and 97.5 % need fewer resamples than shares near 0 and 1.
BAND_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """Means of every compared point in every resample; row 0 is the data themselves.

    points: indices into the cube. accuracy and each axis: (1 + resamples, points); nan where unknown.
    """

    points: tuple[int, ...]
    accuracy: Floats
    axes: dict[str, Floats]


def resample(cube: Cube, devices: Floats, weights: Floats, seed: int, *, bounds: Floats | None = None) -> Resampled:
    """Draw server starts, then problems, and average. weights: (resamples, compared problems).

    Starts are drawn per setting, since all points of a setting were answered by the same starts, and independently
    between settings; problems are drawn once for all points. devices, bounds: (points,), devices and least seconds per
    output token of each; nan where unknown.
    """
    points = tuple(int(i) for i in np.flatnonzero(cube.included))
    rng = np.random.default_rng([seed, 1])
    starts: dict[tuple[str, int], Floats] = {}
    for point in points:
        key = (str(cube.keys[point]["setting"]), int(cube.repeats[point]))
        if key not in starts and key[1] > 1:
            drawn = rng.multinomial(key[1], np.full(key[1], 1.0 / key[1]), size=weights.shape[0])
            starts[key] = drawn / key[1]
    figures = {
        name: _means(cube, points, name, weights, starts) for name in ("correct", "request_s", *_FIGURE.values())
    }
    axes = {axis: figures[name] for axis, name in _FIGURE.items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        axes["paper_cost"] = devices[list(points)] * figures["request_s"] / figures["tokens"]
        least = np.full(len(cube.keys), np.nan) if bounds is None else bounds
        axes["bound"] = least[list(points)] / _means(cube, points, "tpot_s", weights, starts)
    return Resampled(points=points, accuracy=figures["correct"], axes={axis.name: axes[axis.name] for axis in AXES})


def _means(
    cube: Cube, points: tuple[int, ...], figure: str, weights: Floats, starts: dict[tuple[str, int], Floats]
) -> Floats:
    values = [_cells(cube, point, figure) for point in points]
    if figure not in TIMED:
        return _averages(cube, points, values, weights, starts)
    # A cell of answers that came in one piece, or of one token each, has none: it is no part of the mean.
    sums = _averages(cube, points, [np.nan_to_num(own) for own in values], weights, starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / _averages(cube, points, [np.isfinite(own).astype(np.float64) for own in values], weights, starts)


def _averages(
    cube: Cube,
    points: tuple[int, ...],
    values: Sequence[Floats],
    weights: Floats,
    starts: dict[tuple[str, int], Floats],
) -> Floats:
    problems = weights.shape[1]
    flat = weights @ np.concatenate(values).T / problems if values else np.empty((weights.shape[0], 0))
    found = np.empty((weights.shape[0] + 1, len(points)))
    at = 0
    for column, (point, own) in enumerate(zip(points, values, strict=True)):
        repeats = own.shape[0]
        part = flat[:, at : at + repeats]
        drawn = starts.get((str(cube.keys[point]["setting"]), repeats))
        found[1:, column] = part[:, 0] if drawn is None else (part * drawn).sum(axis=1)
        found[0, column] = own.mean() if own.size else np.nan
        at += repeats
    return found


def _cells(cube: Cube, point: int, figure: str) -> Floats:
    if figure == "correct":
        return cube.accuracy(point)
    return cube.values(point, figure, answered=figure in TIMED)


def _less_is_better(axis: Axis, x: Floats) -> Floats:
    """The axis turned so that less of it is better."""
    return x if METRICS[axis.metric].better == "less" else -x


def on_frontier(x: Floats, accuracy: Floats) -> Flags:
    """Which points no other point dominates, row by row. x, accuracy: (rows, points); a nan x is on no frontier.

    Dominated: another is at least as accurate at no more of x, and better in one of the two. Points equal in both are
    both on the frontier.
    """
    rows, count = x.shape
    if count == 0 or not np.isfinite(x).any():
        return np.zeros((rows, count), dtype=bool)
    # One point a row from here on: each step below then reads memory in order.
    scale = np.where(np.isfinite(x), x, 0.0).max(axis=1)
    # Equal columns may come out of a matrix product a last bit apart.
    cheap = np.where(np.isfinite(x), np.round(x / np.where(scale > 0.0, scale, 1.0)[:, None], 10), np.inf).T
    good = np.where(np.isfinite(cheap) & np.isfinite(accuracy.T), np.round(accuracy, 10).T, -1.0)
    order = np.lexsort((-good, cheap), axis=0)
    cheap, good = np.take_along_axis(cheap, order, axis=0), np.take_along_axis(good, order, axis=0)
    sorted_on = np.zeros((count, rows), dtype=bool)
    best = np.full(rows, -0.5)
    for i in range(count):
        sorted_on[i] = good[i] > best
        if i:
            sorted_on[i] |= (cheap[i] == cheap[i - 1]) & (good[i] == good[i - 1]) & sorted_on[i - 1]
        np.maximum(best, good[i], out=best)
    on = np.zeros_like(sorted_on)
    np.put_along_axis(on, order, sorted_on, axis=0)
    return on.T


def frontier_columns(cube: Cube, drawn: Resampled) -> pl.DataFrame:
    """compared_*, on_* and share_on_* of every point of a cube, with POINT_KEY; null where it takes no part."""
    accuracy = dict(zip(drawn.points, drawn.accuracy[0], strict=True))
    found: dict[str, list[bool | float | None]] = {
        "compared_accuracy": [_finite(accuracy.get(point)) for point in range(len(cube.keys))]
    }
    for axis in AXES:
        compared: list[bool | float | None] = [None] * len(cube.keys)
        on, share = compared.copy(), compared.copy()
        if drawn.points and cube.compared.any():
            x = drawn.axes[axis.name]
            flags = on_frontier(_less_is_better(axis, x), drawn.accuracy)
            for column, point in enumerate(drawn.points):
                compared[point] = _finite(x[0, column])
                if np.isfinite(x[0, column]):
                    on[point] = bool(flags[0, column])
                    share[point] = float(flags[1:, column].mean())
        found[axis.compared] = compared
        found[axis.mark] = on
        found[axis.share] = share
    keys = pl.DataFrame([{name: key[name] for name in POINT_KEY} for key in cube.keys])
    types = schema_of(METRICS[name] for name in found)
    return keys.with_columns(pl.Series(name, values, dtype=types[name]) for name, values in found.items())


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def frontier_rows(cube: Cube, drawn: Resampled, columns: pl.DataFrame) -> pl.DataFrame:
    """FRONTIER_COLUMNS: the points of each frontier by their x; ``tie`` where two are equal in both figures."""
    rows = []
    for axis in drawn.axes:
        on = columns[AXIS_OF[axis].mark].to_list()
        share = columns[AXIS_OF[axis].share].to_list()
        own = [
            {name: cube.keys[point][name] for name in POINT_KEY}
            | {
                "axis": axis,
                "x": float(drawn.axes[axis][0, column]),
                "accuracy": float(drawn.accuracy[0, column]),
                "share": share[point],
            }
            for column, point in enumerate(drawn.points)
            if on[point]
        ]
        spots = [(round(row["x"], 12), round(row["accuracy"], 12)) for row in own]
        rows += [row | {"tie": spots.count(spot) > 1} for row, spot in zip(own, spots, strict=True)]
    schema = dict.fromkeys(("setting", "method", "load", "policy", "axis"), pl.String)
    schema |= dict.fromkeys(("budget", "samples"), pl.Int64)  # type: ignore[arg-type]
    schema |= dict.fromkeys(("x", "accuracy", "share"), pl.Float64)  # type: ignore[arg-type]
    frame = pl.DataFrame(rows, schema=schema | {"tie": pl.Boolean})
    return frame.select(FRONTIER_COLUMNS).sort("axis", "x", "accuracy", maintain_order=True)


def band_rows(cube: Cube, drawn: Resampled) -> pl.DataFrame:
    """BAND_COLUMNS: the best accuracy that x buys, and its pointwise 95 % band over the resamples.

    On an axis of which more is better: the best accuracy at x or more.
    """
    rows = []
    for axis, x in drawn.axes.items():
        usable = np.isfinite(x[0]) & (x[0] > 0) & np.isfinite(drawn.accuracy[0]) if x.size else np.zeros(0, dtype=bool)
        if not usable.any():
            continue
        own, accuracy = x[: BAND_RESAMPLES + 1, usable], drawn.accuracy[: BAND_RESAMPLES + 1, usable]
        # A step of rounding towards what is worse, so that the point that ends the grid is in it.
        worse = 1.0 + 1e-9 if METRICS[AXIS_OF[axis].metric].better == "less" else 1.0 - 1e-9
        grid = np.geomspace(own[0].min(), own[0].max(), _BAND_POINTS) * worse
        turned = _less_is_better(AXIS_OF[axis], own)
        order = np.argsort(turned, axis=1)
        turned = np.take_along_axis(turned, order, axis=1)
        best = np.maximum.accumulate(np.take_along_axis(accuracy, order, axis=1), axis=1)
        best = np.concatenate((np.zeros((best.shape[0], 1)), best), axis=1)
        for at, limit in zip(grid, _less_is_better(AXIS_OF[axis], grid), strict=True):
            reached = best[np.arange(best.shape[0]), (turned <= limit).sum(axis=1)]
            low, high = np.quantile(reached[1:], [0.025, 0.975]) if reached.size > 1 else (np.nan, np.nan)
            rows.append((cube.load, cube.policy, axis, float(at), float(reached[0]), float(low), float(high)))
    types = [pl.String] * 3 + [pl.Float64] * 4
    return pl.DataFrame(rows, schema=dict(zip(BAND_COLUMNS, types, strict=True)), orient="row")
