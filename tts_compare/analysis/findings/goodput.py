"""Goodput: how many answers kept the objectives."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tts_compare.analysis.metrics import METRICS
from tts_compare.analysis.schema import POINT_KEY, Slo


def kept_answers(outcomes: pl.DataFrame, objectives: Sequence[Slo]) -> pl.DataFrame:
    """POINT_KEY and ``kept``: answers that kept every objective on a figure that single answers have.

    An objective on a mean or a quantile is taken as one on each answer. A failed answer keeps none. Null where an
    answered outcome lacks a figure that decides, and no rows where no objective bears on single answers.
    outcomes: priced, without those not measured.
    """
    bearing = [(slo, METRICS[slo.column].of_answer) for slo in objectives if METRICS[slo.column].of_answer]
    kept = pl.all_horizontal(
        pl.lit(value=True),
        *(pl.col(figure) <= slo.bound if slo.at_most else pl.col(figure) >= slo.bound for slo, figure in bearing),
    )
    kept = pl.when("failed").then(pl.lit(value=False)).otherwise(kept)
    found = outcomes.group_by(POINT_KEY, maintain_order=True).agg(
        kept=pl.when(kept.null_count() == 0).then(kept.sum().cast(pl.Int64))
    )
    return found if bearing else found.head(0)
