"""Which point of a load and policy is system-optimal in the data, and how it stands against every other setting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.findings.compare import RIVAL_AXIS, Pair, pair_of, pair_rows
from tts_compare.analysis.points import Weights
from tts_compare.analysis.schema import POINT_KEY
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    import polars as pl

#: A point whose accuracy is at most so far below the best reaches it (as in claim (f)).
TOLERATED_DROP = 0.005

Row = Mapping[str, Any]


def able(rows: Iterable[Row]) -> list[Row]:
    """The points that reach the best accuracy of those compared, within TOLERATED_DROP. rows: POINT_COLUMNS."""
    known = [row for row in rows if row["n_compared"] and _known(row["compared_accuracy"])]
    known = [row for row in known if _known(row["compared_latency_s"])]
    if not known:
        return []
    best = max(row["compared_accuracy"] for row in known)
    return [row for row in known if row["compared_accuracy"] >= best - TOLERATED_DROP - 1e-12]


def system_optimal(rows: Iterable[Row]) -> Row | None:
    """Of the points that reach the best accuracy the one of least mean latency, failures charged; None without any."""
    return min(able(rows), key=_speed, default=None)


def cheapest(rows: Iterable[Row]) -> Row | None:
    """Of the points that reach the best accuracy the one of least cost, in device-seconds or, where any has none, in
    dollars; None where neither is known of all.
    """
    found = able(rows)
    for figure in ("compared_gpu_s_per_problem", "compared_usd_per_problem"):
        if found and all(_known(row[figure]) for row in found):
            return min(found, key=lambda row: (row[figure], *_speed(row)))
    return None


def rivals(rows: Sequence[Row]) -> list[Row]:
    """One point of every setting but the chosen one's: its fastest of those that reach the accuracy, else its best."""
    chosen = system_optimal(rows)
    if chosen is None:
        return []
    reach = able(rows)
    found = []
    for setting in sorted({row["setting"] for row in rows if row["setting"] != chosen["setting"]}):
        own = [row for row in reach if row["setting"] == setting]
        if own:
            found.append(min(own, key=_speed))
            continue
        rest = [row for row in rows if row["setting"] == setting and row["n"] and _known(row["accuracy"])]
        if rest:
            found.append(max(rest, key=lambda row: (row["accuracy"], -(row["latency_mean_s"] or 0.0))))
    return found


def rival_frame(cubes: Sequence[Cube], points: pl.DataFrame, manifest: Manifest, weights: Weights) -> pl.DataFrame:
    """PAIR_COLUMNS of the chosen point (b) of each load and policy against its rivals (a), corrected for their number.

    points: POINT_COLUMNS with the figures compared.
    """
    every = list(points.iter_rows(named=True))
    return pair_rows([(cube, _pairs(cube, every, manifest)) for cube in cubes], weights)


def _pairs(cube: Cube, every: Sequence[Row], manifest: Manifest) -> list[Pair]:
    rows = [row for row in every if (row["load"], row["policy"]) == (cube.load, cube.policy)]
    chosen = system_optimal(rows)
    if chosen is None:
        return []
    index = {tuple(key[name] for name in POINT_KEY): point for point, key in enumerate(cube.keys)}

    def at(row: Row) -> int:
        return index[tuple(row[name] for name in POINT_KEY)]

    return [pair_of(cube, manifest, RIVAL_AXIS, at(row), at(chosen)) for row in rivals(rows)]


def _speed(row: Row) -> tuple[float, float, str]:
    return (row["compared_latency_s"], row["compared_tokens"] or 0.0, f"{row['setting']} {row['budget']:>9}")


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
