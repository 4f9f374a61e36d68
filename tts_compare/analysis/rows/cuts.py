"""Every budget's prefix of many responses at once: ``cut`` over a frame of timelines."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from tts_compare.analysis.schema import RECORD_KEY

_LISTS = ("timeline_us", "timeline_tokens", "timeline_chars")


def cut_frame(records: pl.DataFrame, budgets: Iterable[int]) -> pl.DataFrame:
    """One row a (record, budget): RECORD_KEY, cut_tokens, cut_length (tokens), cut_us, whole_length and cut_chars (of
    the whole chunks), inside_chunk, and the ``total`` tokens of the record.

    records: RECORD_KEY and the timeline columns; a record without a timeline gets no row. The rule is that of
    ``cut.cut``. Works one setting at a time: a long run's timelines do not fit in memory unfolded.
    """
    wanted = sorted(set(budgets)) or [0]
    parts = [
        _cut_setting(part.with_row_index("row"), wanted)
        for part in records.select(*RECORD_KEY, *_LISTS).partition_by("setting", maintain_order=True)
    ]
    return pl.concat(parts) if parts else _cut_setting(records.head(0).with_row_index("row"), wanted)


def _cut_setting(records: pl.DataFrame, budgets: list[int]) -> pl.DataFrame:
    entries = (
        records.select("row", *_LISTS)
        .filter(pl.col("timeline_tokens").list.len() > 0)
        .explode(_LISTS)
        .select(
            "row",
            us=pl.col("timeline_us").cum_sum().over("row"),
            tokens=pl.col("timeline_tokens").cum_sum().over("row"),
            chars=pl.col("timeline_chars").cum_sum().over("row"),
            own="timeline_tokens",
            gained=pl.col("timeline_tokens") > 0,
        )
    )
    totals = entries.group_by("row").agg(total=pl.col("tokens").max())
    found = []
    for budget in budgets:
        whole = (
            entries.filter(pl.col("tokens") <= budget)
            .group_by("row")
            .agg(whole_length=pl.col("tokens").max(), cut_chars=pl.col("chars").max())
        )
        reached = (
            entries.filter(pl.col("gained") & (pl.col("tokens") - pl.col("own") < budget))
            .group_by("row")
            .agg(cut_us=pl.col("us").max())
        )
        found.append(
            totals.join(whole, on="row", how="left")
            .join(reached, on="row", how="left")
            .select(
                "row",
                "total",
                pl.lit(budget, dtype=pl.Int64).alias("cut_tokens"),
                pl.min_horizontal(pl.lit(budget, dtype=pl.Int64), "total").alias("cut_length"),
                pl.col("whole_length", "cut_us", "cut_chars").fill_null(0),
            )
            .with_columns(inside_chunk=pl.col("whole_length") < pl.col("cut_length"))
        )
    return records.select("row", *RECORD_KEY).join(pl.concat(found), on="row").drop("row")
