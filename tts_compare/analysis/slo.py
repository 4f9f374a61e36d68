"""Service-level objectives: the most accurate point that keeps them, and how surely it does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tts_compare.analysis.cube import Cube
from tts_compare.analysis.frontier import Resampled
from tts_compare.analysis.labels import point_label
from tts_compare.analysis.schema import POINT_KEY, Slo, SloChoice
from tts_compare.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_NAMES = {
    "accuracy": "accuracy",
    "latency": "latency_mean_s",
    "mean_latency": "latency_mean_s",
    "p50_latency": "latency_p50_s",
    "p90_latency": "latency_p90_s",
    "p99_latency": "latency_p99_s",
    "ttft": "ttft_p50_s",
    "p50_ttft": "ttft_p50_s",
    "p90_ttft": "ttft_p90_s",
    "tpot": "tpot_mean_s",
    "tokens": "tokens_mean",
    "cost": "gpu_s_per_problem",
    "cost_per_token": "cost_per_token_gpu_s",
    "usd": "usd_per_problem",
    "usd_per_correct": "usd_per_correct",
    "truncated": "truncated_share",
}
_FORM = re.compile(r"\s*([a-z0-9_]+)\s*(<=|>=|=|<|>)\s*([0-9.]+(?:e-?[0-9]+)?)\s*(%|s|ms)?\s*", re.IGNORECASE)
_SCALE = {None: 1.0, "s": 1.0, "ms": 1e-3, "%": 1e-2}
#: Columns whose mean over problems is resampled; quantiles are read off resampled problems.
_RESAMPLED = {
    "latency_mean_s": "latency",
    "tokens_mean": "tokens",
    "gpu_s_per_problem": "cost",
    "cost_per_token_gpu_s": "paper_cost",
    "usd_per_problem": "usd",
}
_QUANTILE = {"latency_p50_s": 0.5, "latency_p90_s": 0.9, "latency_p99_s": 0.99}


def parse_slo(text: str) -> Slo:
    """``p90_latency=10``, ``accuracy>=0.8``, ``latency<=500ms``; ``=`` is at most, for accuracy at least.

    Raises UsageError for another form or name.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"--slo {text!r} is not NAME=NUMBER, NAME<=NUMBER or NAME>=NUMBER")
    name, sign, number, unit = match.groups()
    if name.lower() not in _NAMES:
        raise UsageError(f"--slo {text!r}: no figure {name!r}; there are {', '.join(sorted(_NAMES))}")
    try:
        bound = float(number) * _SCALE[unit.lower() if unit else None]
    except ValueError as error:
        raise UsageError(f"--slo {text!r}: {number!r} is not a number") from error
    column = _NAMES[name.lower()]
    return Slo(column=column, at_most=sign[0] == "<" or (sign == "=" and column != "accuracy"), bound=bound, text=text)


def choose(cube: Cube, drawn: Resampled, points: pl.DataFrame, objectives: Sequence[Slo], weights: Floats) -> SloChoice:
    """The most accurate point of a cube that keeps every objective, the faster of equals.

    Objectives on figures without resamples (ttft, tpot, truncated) are kept or not by the data alone.
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
    if not drawn.points or not cube.compared.any():
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
    """(1 + resamples, points) of a column; row 0 is the data."""
    if column == "accuracy":
        return drawn.accuracy
    if column in _RESAMPLED:
        return drawn.axes[_RESAMPLED[column]]  # type: ignore[index]
    values = np.repeat(observed[None, :], drawn.accuracy.shape[0], axis=0)
    if column in _QUANTILE:
        for i, point in enumerate(drawn.points):
            values[1:, i] = _weighted_quantile(cube.values(point, "latency_s").mean(axis=0), weights, _QUANTILE[column])
    return values


def _weighted_quantile(x: Floats, weights: Floats, q: float) -> Floats:
    """The q quantile of each resample of x. Block by block: the sorted weights of all would double the memory."""
    order = np.argsort(x)
    found = np.empty(weights.shape[0])
    for first in range(0, weights.shape[0], 1000):
        reached = np.cumsum(weights[first : first + 1000][:, order], axis=1) >= q * x.size
        found[first : first + 1000] = x[order][reached.argmax(axis=1)]
    return found
