"""The outcomes of one load and policy as arrays: points x repeats x problems, what every resample works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tts_compare.analysis.metric import Mean
from tts_compare.analysis.metrics import METRICS
from tts_compare.analysis.rows.charges import CHARGED, charged
from tts_compare.analysis.schema import POINT_KEY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

#: Figures of a cell (point, repeat, problem): the mean over its samples.
FIGURES = ("correct", "latency_s", "tokens", "request_s", "bill_gpu_s", "usd", "flops")
#: Times to tokens of a cell, whose means have intervals; a failed outcome may have none.
TIMED = tuple(
    metric.aggregation.column
    for metric in METRICS.values()
    if isinstance(metric.aggregation, Mean) and metric.aggregation.over == "answered" and metric.interval
)
#: A point measured on less than this share of the problems takes no part in frontiers, so as not to empty them.
LEAST_MEASURED = 0.8
_FACTS = ("provenance", "devices", "model", "limits", "hosted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cube:
    """Cells of one (load, policy) group.

    keys: each point's POINT_KEY, provenance, devices, ``model``, ``limits`` (the limits and retry rules it was measured
    under, as one text; None where unknown) and ``hosted``. rounds: (problems,), the round each problem belongs to,
    as codes from 0 in the order of their numbers.

    All other arrays are (points, repeats, problems). sent: the cell was measured: answered, ungraded or failed.
    failed, ungraded, failed_samples: shares of the cell's outcomes that failed or that the grader could not judge, and
    of their samples that failed (a vote of which one sample failed has not failed).
    figures: name -> means over the cell's outcomes in which one that failed is charged (``charges.charged``); nan where
    unknown. Of ``correct`` it is the mean over outcomes that were graded or failed (0), nan where there is none; so
    the bounds of an accuracy are ``correct * (1 - ungraded)`` and that plus ``ungraded``.
    answered: name -> means over the answered outcomes alone, nan where there is none; of TIMED over those of them whose
    tokens did not come in one piece. own: name -> means over all of
    the cell's outcomes, each with what it took itself: what a failed one took is less than an answer would have.

    repeats: (points,), server starts of each point in a round. outcomes: (points,), how many outcomes a problem has at
    most (1: accuracies are plain shares). held_back: (points,), share of the outcomes that waited for limits of ours.
    included: (points,), measured on LEAST_MEASURED of the problems. compared:
    (problems,), measured in every repeat of every included point. answers: each point's answers one by one.
    """

    load: str
    policy: str
    keys: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    rounds: NDArray[np.int64]
    figures: dict[str, Floats]
    answered: dict[str, Floats]
    own: dict[str, Floats]
    sent: Flags
    failed: Floats
    ungraded: Floats
    failed_samples: Floats
    repeats: NDArray[np.int64]
    outcomes: NDArray[np.int64]
    held_back: Floats
    included: Flags
    compared: Flags
    answers: tuple[Answers, ...]

    def values(self, point: int, figure: str, mask: Flags | None = None, *, answered: bool = False) -> Floats:
        """(repeats of the point, problems of the mask); the compared problems where no mask is given.

        answered: means over the answered outcomes alone, in place of those in which failed ones are charged.
        """
        return self._cells((self.answered if answered else self.figures)[figure], point, mask)

    def own_values(self, point: int, figure: str, mask: Flags | None = None) -> Floats:
        """As ``values``, each outcome with its own figure, those that failed too."""
        return self._cells(self.own[figure], point, mask)

    def _cells(self, figure: Floats, point: int, mask: Flags | None) -> Floats:
        started = self.sent[point].any(axis=1)
        cells: Floats = figure[point][started]
        return cells[:, self.compared if mask is None else mask]

    def accuracy(self, point: int, mask: Flags | None = None) -> Floats:
        """As ``values`` of ``correct``, ungraded outcomes as wrong; nan where nothing of the point is graded."""
        correct = self._cells(self.figures["correct"], point, mask)
        if not np.isfinite(self.answered["correct"][point]).any() and self.ungraded[point].any():
            return np.full_like(correct, np.nan)
        wrong = self._cells(self.ungraded, point, mask)
        return np.asarray(np.nan_to_num(correct) * (1.0 - wrong), dtype=np.float64)

    def devices(self, point: int) -> float:
        """Devices of the point's setting, nan where unknown."""
        count = self.keys[point]["devices"]
        return float("nan") if count is None else float(count)

    def own_mask(self, *points: int) -> Flags:
        """Problems measured in every repeat of each of these points."""
        fine = np.ones(len(self.problems), dtype=bool)
        for point in points:
            fine &= self.measured(point)
        return fine

    def measured(self, point: int) -> Flags:
        """(problems,): measured in every repeat of the point; none where it has none."""
        started = self.sent[point].any(axis=1)
        return np.asarray(self.sent[point][started].all(axis=0) & started.any(), dtype=np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The outcomes of one point one by one: ``problem`` (an index) and ``latency_s``, infinite where it failed."""

    problem: NDArray[np.int64]
    latency_s: Floats


def cubes(outcomes: pl.DataFrame) -> list[Cube]:
    """One cube a (load, policy), in order of appearance. outcomes: priced; those not measured may be among them."""
    return [
        _cube(str(key[0]), str(key[1]), part)
        for key, part in charged(outcomes).partition_by("load", "policy", maintain_order=True, as_dict=True).items()
    ]


def _codes(column: pl.Series) -> tuple[NDArray[np.int64], list[Any]]:
    names = column.unique().sort()
    codes = names.search_sorted(column)
    return codes.to_numpy().astype(np.int64), names.to_list()


def _cube(load: str, policy: str, rows: pl.DataFrame) -> Cube:
    keyed = rows.select(*POINT_KEY, *_FACTS).unique().sort(POINT_KEY).with_row_index("point")
    rows = rows.join(keyed.select("point", *POINT_KEY), on=list(POINT_KEY), maintain_order="left")
    point = rows["point"].to_numpy().astype(np.int64)
    repeat, repeats = _codes(rows["repeat"])
    problem, problems = _codes(rows["problem"])
    shape = (keyed.height, len(repeats), len(problems))
    flat = np.ravel_multi_index((point, repeat, problem), shape)

    def total(values: Floats) -> Floats:
        sums = np.bincount(flat, weights=values, minlength=int(np.prod(shape))).reshape(shape)
        return np.asarray(sums, dtype=np.float64)

    def mean(column: pl.Series, among: pl.Series) -> Floats:
        """Means over the outcomes of each cell that are ``among`` it, nan where there is none or one is unknown."""
        kept = among.to_numpy()
        values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total(np.where(kept, values, 0.0)) / total(kept.astype(np.float64)), dtype=np.float64)

    is_measured = rows["ending"] != "not_measured"
    sent: Flags = np.array(total(is_measured.to_numpy().astype(np.float64)) > 0, dtype=np.bool_)
    judged = is_measured & rows["correct"].is_not_null()
    figures = {name: mean(rows[f"charged_{name}"], is_measured) for name in CHARGED}
    figures["correct"] = mean(rows["correct"], judged)
    own = {name: mean(rows[name], is_measured) for name in CHARGED}
    answered = {name: mean(rows[name], rows["ok"]) for name in CHARGED}
    answered |= {name: mean(rows[name], rows["ok"] & rows[name].is_not_null()) for name in TIMED}
    answered["correct"] = mean(rows["correct"], rows["ok"] & judged)
    started: Flags = np.array(sent.any(axis=2), dtype=np.bool_)
    whole = np.array([sent[p][started[p]].all(axis=0) & started[p].any() for p in range(shape[0])])
    included = whole.mean(axis=1) >= LEAST_MEASURED
    return Cube(
        load=load,
        policy=policy,
        keys=tuple(keyed.drop("point").iter_rows(named=True)),
        problems=tuple(problems),
        rounds=_rounds(rows["round"], problem),
        figures=figures,
        answered=answered,
        own=own,
        sent=sent,
        failed=np.nan_to_num(mean(rows["failed"], is_measured)),
        ungraded=np.nan_to_num(mean(rows["ungraded"], is_measured)),
        failed_samples=np.nan_to_num(mean(rows["failed_samples"], is_measured)),
        repeats=started.sum(axis=1),
        outcomes=total(is_measured.to_numpy().astype(np.float64)).sum(axis=1).max(axis=1).astype(np.int64),
        held_back=_held_back(rows, keyed.height, point),
        included=included,
        compared=whole[included].all(axis=0) if included.any() else np.zeros(len(problems), dtype=bool),
        answers=_answers(rows, point, problem, shape[0], is_measured.to_numpy()),
    )


def _held_back(rows: pl.DataFrame, points: int, point: NDArray[np.int64]) -> Floats:
    held = (rows["limit_wait_s"].fill_null(0.0) > 0.0).to_numpy().astype(np.float64)
    counts = np.maximum(np.bincount(point, minlength=points), 1)
    return np.asarray(np.bincount(point, weights=held, minlength=points) / counts, dtype=np.float64)


def _rounds(column: pl.Series, problem: NDArray[np.int64]) -> NDArray[np.int64]:
    codes, _ = _codes(column.fill_null(0))
    rounds = np.zeros(int(problem.max()) + 1, dtype=np.int64)
    rounds[problem] = codes
    return rounds


def _answers(
    rows: pl.DataFrame, point: NDArray[np.int64], problem: NDArray[np.int64], points: int, kept: Flags
) -> tuple[Answers, ...]:
    latency = rows["latency_s"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    latency = np.where(rows["failed"].to_numpy(), np.inf, latency)
    known = kept & ~np.isnan(latency)
    return tuple(
        Answers(problem=problem[known & (point == number)], latency_s=latency[known & (point == number)])
        for number in range(points)
    )
