"""The points frame: one row a (setting, method, budget, load, samples, policy), every figure with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tts_compare.analysis.accuracy import accuracy_limits
from tts_compare.analysis.charges import charged
from tts_compare.analysis.cost import server_figures
from tts_compare.analysis.cube import Cube
from tts_compare.analysis.intervals import (
    clustered_quantile_interval,
    quantile,
    quantile_interval,
)
from tts_compare.analysis.point_columns import point_schema
from tts_compare.analysis.resampling import Estimate, Term, draw_weights, log_contrasts
from tts_compare.analysis.samples import call_rows
from tts_compare.analysis.schema import POINT_KEY
from tts_compare.analysis.sums import point_sums
from tts_compare.analysis.thinking import in_order, level_of, thinking_figures
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: A 99th percentile of fewer outcomes is the mean of a handful of the slowest.
P99_OUTCOMES = 400
#: The 2.5 % quantile of so many studentised resamples is known to 0.35 % in probability: a jitter of the limits by
#: about 1.5 % of their distance. Shares on frontiers use all resamples.
INTERVAL_RESAMPLES = 2_000
_QUANTILES = ((0.5, "p50"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99"))
_COMPARED = {
    "compared_accuracy": "correct",
    "compared_latency_s": "latency_s",
    "compared_tokens": "tokens",
    "compared_flops": "flops",
    "compared_gpu_s_per_problem": "bill_gpu_s",
    "compared_usd_per_problem": "usd",
}


class Weights:
    """Draws of problems by their number, made once: the same draw serves every figure of as many problems."""

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples = resamples
        self.seed = seed
        self._drawn: dict[int, Floats] = {}

    def for_intervals(self, problems: int) -> Floats:
        """The first of them, enough for a studentised interval."""
        return self.of(problems)[:INTERVAL_RESAMPLES]

    def of(self, problems: int) -> Floats:
        """(resamples, problems) weights."""
        if problems not in self._drawn:
            if len(self._drawn) >= 3:
                self._drawn.pop(next(iter(self._drawn)))
            self._drawn[problems] = draw_weights(problems, self.resamples, self.seed)
        return self._drawn[problems]


def points_frame(
    outcomes: pl.DataFrame, measured: pl.DataFrame, cubes: list[Cube], manifest: Manifest, weights: Weights
) -> pl.DataFrame:
    """Every column of POINT_COLUMNS but those of the frontiers, which stay null. outcomes: priced.

    A point of which nothing was measured has its row, with ``not_measured`` and an ``n`` of 0.
    """
    key = list(POINT_KEY)
    counted = charged(outcomes.filter(pl.col("ending") != "not_measured"))
    rows = [row for cube in cubes for row in _cube_rows(cube, weights)]
    dead = {death.setting for death in manifest.deaths}
    ordered = [_outcome_row(point, part, died=point[0] in dead) for point, part in _by_point(counted).items()]
    order_schema: dict[str, Any] = {name: outcomes.schema[name] for name in POINT_KEY}
    frame = (
        _all_points(outcomes)
        .join(pl.DataFrame(rows, infer_schema_length=None), on=key, how="left")
        .join(
            pl.DataFrame(ordered, infer_schema_length=None) if ordered else pl.DataFrame(schema=order_schema),
            on=key,
            how="left",
        )
        .join(point_sums(counted).drop("devices"), on=key, how="left")
        .with_columns(pl.col("n", "outcomes", "failed", "ungraded", "answered").fill_null(0))
    )
    frame = _with_server_figures(frame, server_figures(manifest, measured))
    frame = _with_thinking(frame, thinking_figures(call_rows(measured)))
    schema = point_schema()
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
    whole = frame.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in schema.items())
    return whole.sort("load", "policy", "setting", *in_order(), "budget", "samples")


def _with_thinking(frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Thinking and answer tokens of what was measured whole, and the level of an effort."""
    names = ("thinking_tokens_mean", "answer_tokens_mean")
    is_measured = pl.col("provenance") == "measured"
    key = ["setting", "method", "record_budget", "load"]
    return frame.join(found, on=key, how="left", maintain_order="left").with_columns(
        *(pl.when(is_measured).then(name).alias(name) for name in names), level=level_of()
    )


def _all_points(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Each point, with what it is whatever became of it, and how many of its outcomes were not measured."""
    return outcomes.group_by(POINT_KEY, maintain_order=True).agg(
        pl.col("provenance", "record_budget", "work_share", "devices").first(),
        biased=((pl.col("provenance") == "derived") & (pl.col("load") != "c1")).any(),
        not_measured=(pl.col("ending") == "not_measured").sum(),
        rounds=pl.col("round").n_unique(),
    )


def _by_point(outcomes: pl.DataFrame) -> dict[tuple[object, ...], pl.DataFrame]:
    return outcomes.partition_by(POINT_KEY, maintain_order=True, as_dict=True)


def _outcome_row(key: tuple[object, ...], part: pl.DataFrame, *, died: bool) -> dict[str, Any]:
    """Order statistics of one point, a failed outcome later than all others, and the interval of its accuracy."""
    row: dict[str, Any] = dict(zip(POINT_KEY, key, strict=True)) | _accuracy_limits(part, died=died)
    known = part.filter(pl.col("failed") | pl.col("latency_s").is_not_null())
    latency, problems = _reached(known, "latency_s"), known["problem"]
    single = problems.n_unique() == problems.len()
    codes = problems.rank("dense").to_numpy().astype(np.int64) - 1
    for q, name in _QUANTILES:
        enough = latency.size > 0 and (q < 0.99 or latency.size >= P99_OUTCOMES)
        value, low, high = None, None, None
        if enough:
            value = quantile(latency, q)
            low, high = quantile_interval(latency, q) if single else clustered_quantile_interval(latency, codes, q)
        row |= {
            f"latency_{name}_s": _finite(value),
            f"latency_{name}_lo_s": _finite(low),
            f"latency_{name}_hi_s": _finite(high),
        }
    for column, name, q in (
        ("ttft_s", "ttft_p50_s", 0.5),
        ("ttft_s", "ttft_p90_s", 0.9),
        ("ttfot_s", "ttfot_p50_s", 0.5),
        ("tpot_s", "tpot_p50_s", 0.5),
    ):
        row[name] = _finite(quantile(_reached(part.filter(pl.col("failed") | pl.col(column).is_not_null()), column), q))
    return row


#: Stands for "not reached" among seconds: later than any instant, and finite, so that it can be interpolated.
_NEVER_S = 1e200


def _reached(part: pl.DataFrame, column: str) -> Floats:
    """Seconds of the outcomes; those that failed were never reached, each a little later than the one before."""
    values = part[column].cast(pl.Float64).fill_null(0.0).to_numpy()
    failed = part["failed"].to_numpy()
    return np.where(failed, _NEVER_S * (1e6 + np.cumsum(failed)), values)


def _finite(value: float | None) -> float | None:
    """The value, None where it is not known or never reached."""
    return value if value is not None and math.isfinite(value) and abs(value) < _NEVER_S else None


def _cube_rows(cube: Cube, weights: Weights) -> list[dict[str, Any]]:
    """Means with intervals, and the compared_* figures, of each point of a cube."""
    by_mask: dict[bytes, list[int]] = {}
    masks = [cube.own_mask(point) for point in range(len(cube.keys))]
    for point, mask in enumerate(masks):
        by_mask.setdefault(mask.tobytes(), []).append(point)
    rows: dict[int, dict[str, Any]] = {}
    for group in by_mask.values():
        mask = masks[group[0]]
        estimates = _mean_estimates(cube, group, mask, weights) if mask.any() else {}
        for point in group:
            key = {name: cube.keys[point][name] for name in POINT_KEY}
            row = key | _compared(cube, point)
            row["repeats"] = int(cube.repeats[point])
            row["n_compared"] = int(cube.compared.sum()) if cube.included[point] else 0
            rows[point] = row | _means(estimates.get(point))
    return [rows[point] for point in range(len(cube.keys))]


_FIGURES = ("latency", "cost_per_token", "bill", "tokens")


def _mean_estimates(
    cube: Cube, group: list[int], mask: NDArray[np.bool_], weights: Weights
) -> dict[int, list[Estimate]]:
    """Latency, cost per token, cost per problem and tokens of each point, of every outcome its own."""
    contrasts = []
    for point in group:
        setting = str(cube.keys[point]["setting"])
        latency, request, tokens, bill = (
            Term(values=cube.own_values(point, name, mask), sign=sign, setting=setting, rounds=cube.rounds[mask])
            for name, sign in (("latency_s", 1), ("request_s", 1), ("tokens", -1), ("bill_gpu_s", 1))
        )
        length = Term(values=tokens.values, sign=1, setting=setting, rounds=tokens.rounds)
        contrasts += [[latency], [request, tokens], [bill], [length]]
    found = log_contrasts(contrasts, weights.for_intervals(int(mask.sum())))
    size = len(_FIGURES)
    return {point: found[i * size : (i + 1) * size] for i, point in enumerate(group)}


def _means(estimates: list[Estimate] | None) -> dict[str, Any]:
    """The intervals as columns; the bill's and the cost's are relative and applied to the point's own figure later."""
    if estimates is None:
        estimates = [Estimate(value=math.nan, lo=math.nan, hi=math.nan, p=math.nan, starts=0)] * len(_FIGURES)
    latency, cost, bill, tokens = estimates
    return {
        "latency_mean_s": _finite(latency.value),
        "latency_lo_s": _finite(latency.lo),
        "latency_hi_s": _finite(latency.hi),
        "cost_ratio": _finite(cost.value),
        "cost_ratio_lo": _finite(cost.lo),
        "cost_ratio_hi": _finite(cost.hi),
        "bill_lo": _finite(bill.lo / bill.value),
        "bill_hi": _finite(bill.hi / bill.value),
        "tokens_mean": _finite(tokens.value),
        "tokens_lo": _finite(tokens.lo),
        "tokens_hi": _finite(tokens.hi),
    }


def _accuracy_limits(part: pl.DataFrame, *, died: bool) -> dict[str, float | None]:
    """Interval of correct / sent; failed and ungraded count as wrong, as they do in ``accuracy``."""
    if part["correct"].count() == 0:
        return {"accuracy_lo": None, "accuracy_hi": None}
    by_problem = part.group_by("problem", maintain_order=True).agg(
        pl.col("correct").fill_null(0.0).mean(), pl.col("round").first().fill_null(0)
    )
    means = by_problem["correct"]
    single = means.len() == part.height and bool(means.is_in([0.0, 1.0]).all())
    rounds = by_problem["round"].to_numpy().astype(np.int64)
    low, high = accuracy_limits(means.to_numpy(), single=single, rounds=rounds, died=died)
    return {"accuracy_lo": low, "accuracy_hi": high}


def _compared(cube: Cube, point: int) -> dict[str, Any]:
    if not cube.included[point] or not cube.compared.any():
        return dict.fromkeys((*_COMPARED, "compared_cost_ratio"))
    means = {name: _finite(float(cube.values(point, figure).mean())) for name, figure in _COMPARED.items()}
    means["compared_accuracy"] = _finite(float(cube.accuracy(point).mean()))
    tokens = float(cube.values(point, "tokens").mean())
    ratio = float(cube.values(point, "request_s").mean()) / tokens if tokens > 0.0 else None
    return means | {"compared_cost_ratio": _finite(ratio)}


def _with_server_figures(frame: pl.DataFrame, counters: pl.DataFrame) -> pl.DataFrame:
    """Costs in device seconds from the ratios, intervals of the bill, and energy and acceptance from the counters."""
    devices = pl.col("devices").cast(pl.Float64)
    whole = (pl.col("provenance") == "measured") & (pl.col("work_share") == 1.0)
    bill = pl.col("gpu_s_per_problem")
    return frame.join(counters, on=["setting", "method", "record_budget", "load"], how="left").with_columns(
        *(
            pl.when(pl.col("provenance") == "measured").then(name).alias(name)
            for name in ("acceptance_length", "acceptance_rate", "preemptions")
        ),
        cost_per_token_gpu_s=devices * pl.col("cost_ratio"),
        cost_per_token_lo_gpu_s=devices * pl.col("cost_ratio_lo"),
        cost_per_token_hi_gpu_s=devices * pl.col("cost_ratio_hi"),
        compared_cost_per_token_gpu_s=devices * pl.col("compared_cost_ratio"),
        gpu_s_per_problem_lo=bill * pl.col("bill_lo"),
        gpu_s_per_problem_hi=bill * pl.col("bill_hi"),
        joules_per_token=pl.when(whole & (pl.col("tokens_sum") > 0)).then(pl.col("energy_j") / pl.col("tokens_sum")),
        joules_per_correct=pl.when(whole & (pl.col("right") > 0)).then(pl.col("energy_j") / pl.col("right")),
        decode_s=pl.col("request_latency_mean_s") - pl.col("ttft_mean_s"),
    )
