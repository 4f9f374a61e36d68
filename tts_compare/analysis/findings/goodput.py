"""Goodput: how many answers kept the objectives."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tts_compare.analysis.metric import Quantile
from tts_compare.analysis.metrics import METRICS
from tts_compare.analysis.schema import POINT_KEY, Slo


def kept_answers(outcomes: pl.DataFrame, objectives: Sequence[Slo]) -> pl.DataFrame:
    """POINT_KEY and ``kept``: answers that kept every objective on a figure that single answers have.

    An objective on a mean or a quantile is taken as one on each answer. A failed answer keeps none. Null where an
    answered outcome lacks a figure that decides, and no rows where no objective bears on single answers. An answer of
    one token keeps what is asked of the time between tokens; one that was cut before its first answer token does not
    keep what is asked of that.
    outcomes: priced, without those not measured.
    """
    bearing = [(slo, METRICS[slo.column].of_answer) for slo in objectives if METRICS[slo.column].of_answer]
    kept = pl.all_horizontal(pl.lit(value=True), *(_keeps(slo, figure) for slo, figure in bearing))
    kept = pl.when("failed").then(pl.lit(value=False)).otherwise(kept)
    found = outcomes.group_by(POINT_KEY, maintain_order=True).agg(
        kept=pl.when(kept.null_count() == 0).then(kept.sum().cast(pl.Int64))
    )
    return found if bearing else found.head(0)


def _keeps(slo: Slo, figure: str) -> pl.Expr:
    keeps = pl.col(figure) <= slo.bound if slo.at_most else pl.col(figure) >= slo.bound
    if figure == "tpot_s":
        return pl.when(pl.col("tokens") <= 1).then(pl.lit(value=True)).otherwise(keeps)
    of = METRICS[slo.column].aggregation
    if isinstance(of, Quantile) and of.after:
        return pl.when(pl.col(of.after).is_not_null()).then(keeps.fill_null(value=False)).otherwise(keeps)
    return keeps
