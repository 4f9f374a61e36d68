"""Gaps between chunks, from the timelines."""

from __future__ import annotations

import polars as pl

_KEY = ("setting", "method", "budget", "load")


def gap_frame(measured: pl.DataFrame) -> pl.DataFrame:
    """icl_p50_s and icl_p99_s of every (setting, method, budget, load); no rows where records hold no timelines.

    The first entry of a timeline is the wait for the first token, not a gap. One setting at a time is unfolded.
    """
    schema = {"setting": pl.String, "method": pl.String, "budget": pl.Int64, "load": pl.String}
    empty = pl.DataFrame(schema=schema | {"icl_p50_s": pl.Float64, "icl_p99_s": pl.Float64})
    if "timeline_us" not in measured.columns:
        return empty
    parts = [
        part.select(*_KEY, gap=pl.col("timeline_us").list.slice(1))
        .filter(pl.col("gap").list.len() > 0)
        .explode("gap")
        .group_by(_KEY)
        .agg(
            icl_p50_s=pl.col("gap").quantile(0.5, "linear") * 1e-6,
            icl_p99_s=pl.col("gap").quantile(0.99, "linear") * 1e-6,
        )
        for part in measured.filter("ok").partition_by("setting")
    ]
    return pl.concat([empty, *parts])
