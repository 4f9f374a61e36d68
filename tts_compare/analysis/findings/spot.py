"""Spot checks: real requests at a budget whose point was derived from longer responses."""

from __future__ import annotations

from typing import Any

import polars as pl

from tts_compare.analysis.rows.samples import call_rows, timed_rows

#: A derived latency further off than this is doubted.
TOLERANCE = 0.05
_KEY = ("setting", "method", "load", "problem", "sample", "repeat")

SPOT_COLUMNS = (
    "setting",
    "method",
    "budget",
    "load",
    "n",
    "prefix_equal_share",
    "latency_ratio_p50",
    "tokens_equal_share",
)


def spot_frame(records: pl.DataFrame, cuts: pl.DataFrame) -> pl.DataFrame:
    """SPOT_COLUMNS, one row a derived point that was spot-checked.

    Rows of phase ``spot_check`` are such requests, and so are measured ones at a budget that is also derived.

    latency_ratio_p50: median over problems of derived over measured latency. prefix_equal_share is null where the
    records hold no text. A prefix that ends inside a chunk is compared as far as its whole chunks go.
    """
    schema: dict[str, Any] = dict.fromkeys(SPOT_COLUMNS, pl.Float64)
    schema |= dict.fromkeys(("setting", "method", "load"), pl.String) | dict.fromkeys(("budget", "n"), pl.Int64)
    if cuts.height == 0:
        return pl.DataFrame(schema=schema)
    rows = timed_rows(records.filter(pl.col("phase") != "warmup"))
    calls = call_rows(rows).filter((pl.col("call") == 0) & pl.col("ok"))
    texts = "text" in calls.columns
    text = (pl.col("reasoning").fill_null("") + pl.col("text").fill_null("")) if texts else pl.lit("")
    calls = calls.with_columns(whole=text)
    derived = cuts.filter(pl.col("call") == 0).join(
        calls.select(*_KEY, "budget", "attempt", long_text="whole"), on=[*_KEY, "budget", "attempt"]
    )
    real = calls.select(
        *_KEY, pl.col("budget").alias("cut_tokens"), "whole", "latency_s", real_tokens="completion_tokens"
    )
    both = derived.filter(pl.col("cut_tokens") < pl.col("budget")).join(real, on=[*_KEY, "cut_tokens"])
    compared = pl.when("inside_chunk").then(pl.col("whole").str.slice(0, pl.col("cut_chars"))).otherwise("whole")
    prefix = pl.col("long_text").str.slice(0, pl.col("cut_chars")) == compared
    return (
        both.group_by("setting", "method", pl.col("cut_tokens").alias("budget"), "load", maintain_order=True)
        .agg(
            n=pl.len(),
            prefix_equal_share=prefix.mean() if texts else pl.lit(None, dtype=pl.Float64),
            latency_ratio_p50=(pl.col("cut_us") * 1e-6 / pl.col("latency_s")).median(),
            tokens_equal_share=(pl.col("cut_length") == pl.col("real_tokens")).mean(),
        )
        .select(pl.col(name).cast(schema[name]) for name in SPOT_COLUMNS)
    )
