"""The outcomes of one load and policy as arrays: points x repeats x problems, what every resample works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tts_compare.analysis.schema import POINT_KEY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

#: Figures of a cell (point, repeat, problem): the mean over its samples.
FIGURES = ("correct", "latency_s", "tokens", "request_s", "bill_gpu_s", "usd", "flops")
#: A point that completed less than this share of the problems takes no part in frontiers, so as not to empty them.
LEAST_COMPLETE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cube:
    """Cells of one (load, policy) group.

    keys: each point's POINT_KEY, provenance and devices. figures: name -> (points, repeats, problems), nan if unknown.
    sent, answered, complete: (points, repeats, problems): problems sent; of them those answered in every sample; of
    them those graded too (where nothing at all is graded, latencies are compared without). repeats:
    server starts of each point. compared: problems completed in every point in ``included``; outcomes: how many
    outcomes a problem has at most (1: accuracies are plain shares).
    """

    load: str
    policy: str
    keys: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    figures: dict[str, Floats]
    sent: Flags
    answered: Flags
    complete: Flags
    repeats: NDArray[np.int64]
    outcomes: NDArray[np.int64]
    included: Flags
    compared: Flags

    def values(self, point: int, figure: str, mask: Flags | None = None) -> Floats:
        """(repeats of the point, problems of the mask); the compared problems where no mask is given."""
        started = self.sent[point].any(axis=1)
        cells: Floats = self.figures[figure][point][started]
        return cells[:, self.compared if mask is None else mask]

    def devices(self, point: int) -> float:
        """Devices of the point's setting, nan where unknown."""
        count = self.keys[point]["devices"]
        return float("nan") if count is None else float(count)

    def own_mask(self, *points: int) -> Flags:
        """Problems completed in every repeat of each of these points."""
        fine = np.ones(len(self.problems), dtype=bool)
        for point in points:
            fine &= self.complete[point][self.sent[point].any(axis=1)].all(axis=0)
        return fine

    def answered_mask(self, point: int) -> Flags:
        """Problems answered in every repeat of a point, graded or not."""
        fine: Flags = self.answered[point][self.sent[point].any(axis=1)].all(axis=0)
        return fine


def cubes(outcomes: pl.DataFrame) -> list[Cube]:
    """One cube a (load, policy), in order of appearance. outcomes: priced."""
    return [
        _cube(str(key[0]), str(key[1]), part)
        for key, part in outcomes.partition_by("load", "policy", maintain_order=True, as_dict=True).items()
    ]


def _codes(column: pl.Series) -> tuple[NDArray[np.int64], list[Any]]:
    names = column.unique().sort()
    codes = names.search_sorted(column)
    return codes.to_numpy().astype(np.int64), names.to_list()


def _cube(load: str, policy: str, rows: pl.DataFrame) -> Cube:
    keyed = rows.select(*POINT_KEY, "provenance", "devices").unique().sort(POINT_KEY).with_row_index("point")
    rows = rows.join(keyed.drop("provenance", "devices"), on=list(POINT_KEY), maintain_order="left")
    point = rows["point"].to_numpy().astype(np.int64)
    repeat, repeats = _codes(rows["repeat"])
    problem, problems = _codes(rows["problem"])
    shape = (keyed.height, len(repeats), len(problems))
    flat = np.ravel_multi_index((point, repeat, problem), shape)
    size = int(np.prod(shape))
    counts = np.bincount(flat, minlength=size).reshape(shape)
    sent: Flags = np.array(counts > 0, dtype=np.bool_)

    def without(bad: pl.Series) -> Flags:
        lost = np.bincount(flat, weights=bad.to_numpy(), minlength=size).reshape(shape)
        return np.array(sent & (lost == 0), dtype=np.bool_)

    answered = without(rows["failed"])
    complete = without(rows["failed"] | rows["ungraded"]) if rows["correct"].count() else answered
    figures = {name: _cell_means(rows[name], flat, counts) for name in FIGURES}
    started: Flags = np.array(sent.any(axis=2), dtype=np.bool_)
    whole = np.array([complete[p][started[p]].all(axis=0) for p in range(shape[0])])
    included = whole.mean(axis=1) >= LEAST_COMPLETE
    return Cube(
        load=load,
        policy=policy,
        keys=tuple(keyed.drop("point").iter_rows(named=True)),
        problems=tuple(problems),
        figures=figures,
        sent=sent,
        answered=answered,
        complete=complete,
        repeats=started.sum(axis=1),
        outcomes=counts.sum(axis=1).max(axis=1),
        included=included,
        compared=whole[included].all(axis=0) if included.any() else np.zeros(len(problems), dtype=bool),
    )


def _cell_means(column: pl.Series, flat: NDArray[np.int64], counts: NDArray[np.int64]) -> Floats:
    """Means over the samples of each cell, nan where any of them is unknown."""
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    sums = np.bincount(flat, weights=values, minlength=counts.size).reshape(counts.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums / counts, dtype=np.float64)
