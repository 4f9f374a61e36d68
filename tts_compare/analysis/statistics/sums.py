"""Counts, shares, sums and means of each point: what needs no interval."""

from __future__ import annotations

import polars as pl

from tts_compare.analysis.metric import Mean, Ratio
from tts_compare.analysis.metrics import METRICS
from tts_compare.analysis.schema import POINT_KEY

#: Figures of a point that are no columns of it and that a ratio may be of -> what they are.
SUMS = {
    "tokens_sum": "completion tokens of all attempts",
    "all_tokens_sum": "completion tokens of all attempts, and prompt tokens",
    "decode_s_sum": "seconds from the first token to the last, of the answered",
    "decode_tokens_sum": "completion tokens but the first, of the answered",
    "device_wall_s": "devices x wall time",
    "right": "correct answers; shares of one, of votes",
    "point_energy_j": "joules of a point that the servers' counters cover as a whole",
    "in_flight_s": "seconds for which requests were in flight, summed over attempts",
    "kept": "answers that kept every objective",
}


def point_sums(outcomes: pl.DataFrame) -> pl.DataFrame:
    """One row a point. outcomes: priced and charged, without those not measured.

    Accuracy, latency, tokens and costs are of every outcome; the times to tokens, which a failed outcome may not have,
    of the ``answered``.
    """
    wall = (
        outcomes.select(*POINT_KEY, "repeat", "round", "wall_s")
        .unique()
        .group_by(POINT_KEY)
        .agg(wall_s=pl.when(pl.col("wall_s").count() > 0).then(pl.col("wall_s").sum()))
    )
    is_whole = (pl.col("provenance").first() == "measured") & (pl.col("work_share").first() == 1.0)
    whole = outcomes.group_by(POINT_KEY).agg(is_whole=is_whole)
    return (
        outcomes.group_by(POINT_KEY, maintain_order=True)
        .agg(**_counts(), **_times(), **_costs())
        .join(wall, on=list(POINT_KEY))
        .join(whole, on=list(POINT_KEY))
        .join(_failed_by_kind(outcomes), on=list(POINT_KEY), how="left")
        .with_columns(pl.when("is_whole").then("wall_s").alias("wall_s"))
        .with_columns(device_wall_s=pl.col("devices") * pl.col("wall_s"))
    )


def _failed_by_kind(outcomes: pl.DataFrame) -> pl.DataFrame:
    """How many outcomes failed in each way, as ``timeout_total 3``, the most frequent first."""
    return (
        outcomes.filter("failed")
        .with_columns(pl.col("error_kind").fill_null("finish_reason"))
        .group_by(*POINT_KEY, "error_kind")
        .agg(count=pl.len())
        .sort("count", "error_kind", descending=[True, False])
        .group_by(POINT_KEY, maintain_order=True)
        .agg(failed_by_kind=pl.col("error_kind") + " " + pl.col("count").cast(pl.String))
    )


def ratios() -> dict[str, pl.Expr]:
    """The metrics that are one figure of a point over another, null where the other is not above 0."""
    return {
        name: pl.when(pl.col(of.below) > 0).then(pl.col(of.above) / pl.col(of.below))
        for name, metric in METRICS.items()
        if isinstance(of := metric.aggregation, Ratio)
    }


def _mean(of: Mean) -> pl.Expr:
    return pl.col(of.column).filter("ok").mean() if of.over == "answered" else pl.col(of.column).mean()


def _counts() -> dict[str, pl.Expr]:
    right = pl.col("correct").fill_null(0.0)
    ungraded = pl.col("ungraded")
    graded = (pl.col("ok") & ~ungraded).any() | pl.col("failed").all()
    short = pl.col("short_tokens").filter("ok").sum() / (pl.col("budget") * pl.col("samples")).filter("ok").sum()
    derived = pl.when(pl.col("provenance").first() == "derived")
    return {
        "prefix_short_share": derived.then(short),
        "inside_chunk_share": derived.then(pl.col("inside_chunk").filter("ok").mean()),
        "n": pl.col("problem").n_unique(),
        "outcomes": pl.len(),
        "answered": pl.col("ok").sum(),
        "failed": pl.col("failed").sum(),
        "ungraded": ungraded.sum(),
        "failed_share": pl.col("failed").mean(),
        "ungraded_share": ungraded.mean(),
        "failed_samples_share": pl.col("failed_samples").mean(),
        "truncated_share": pl.col("truncated").filter("ok").sum() / pl.len(),
        "accuracy": pl.when(graded).then(right.mean()),
        "accuracy_bound_lo": right.mean(),
        "accuracy_bound_hi": (right + (pl.col("failed") | ungraded).cast(pl.Float64)).mean(),
        "pass_at_samples": pl.when(graded).then(pl.col("pass_at").fill_null(0.0).mean()),
        "right": right.sum(),
    }


def _times() -> dict[str, pl.Expr]:
    failed = pl.col("failed").any()
    known = pl.col("ok") & pl.col("ttft_s").is_not_null()
    return {
        **{name: _mean(of) for name, metric in METRICS.items() if isinstance(of := metric.aggregation, Mean)},
        "decode_s_sum": pl.col("decode_s").filter("ok").sum(),
        "decode_tokens_sum": pl.col("decode_tokens").filter("ok").sum(),
        "latency_max_s": pl.when(~failed).then(pl.col("latency_s").max()),
        "latency_sd_s": pl.col("latency_s").filter("ok").std(),
        "latency_is_lower_bound": pl.col("failed").any(),
        "timed": known.sum(),
    }


def _costs() -> dict[str, pl.Expr]:
    right, tokens = pl.col("correct").fill_null(0.0), pl.col("made_tokens").sum()
    per_correct = pl.when(right.sum() > 0).then(1.0 / right.sum())
    bill, usd = _known_sum("bill_gpu_s"), _known_sum("usd")
    return {
        "gpu_s_per_token": bill / tokens,
        "gpu_s_per_problem": bill / pl.len(),
        "gpu_s_per_problem_least": _known_sum("least_gpu_s") / pl.len(),
        "cost_is_upper_bound": pl.col("least_gpu_s").count() > 0,
        "gpu_s_per_correct": _known_sum("charged_bill_gpu_s") * per_correct,
        "usd_per_problem": usd / pl.len(),
        "usd_per_correct": _known_sum("charged_usd") * per_correct,
        "tokens_sum": tokens,
        "all_tokens_sum": pl.when(pl.col("prompt_tokens").filter("ok").null_count() == 0).then(
            tokens + pl.col("prompt_tokens").sum()
        ),
        "devices": pl.col("devices").first(),
        "wasted_share": 1.0 - (pl.col("tokens") * right).sum() / tokens,
    }


def _known_sum(column: str) -> pl.Expr:
    """The sum where every outcome has the figure. Where none was answered, nothing spent says nothing."""
    some = pl.col("ok").any() | (pl.col(column).sum() > 0)
    known = (pl.col(column).null_count() == 0) & (pl.col(column).count() > 0) & some
    return pl.when(known).then(pl.col(column).sum())
