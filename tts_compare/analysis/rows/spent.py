"""What every attempt at a sample made and what its provider bills, the attempts that failed included."""

from __future__ import annotations

import polars as pl

#: Ends that the client chose: an endpoint may go on and bill the request in full.
_GIVEN_UP = ("timeout_first_byte", "timeout_idle", "timeout_total", "cancelled")
_SAMPLE = ("setting", "method", "budget", "load", "problem", "repeat", "sample")
#: Tokens of an attempt: generated; billed as output, as prompt (once among the choices of a request), as cached prompt.
SPENT = ("made_tokens", "paid_output", "paid_prompt", "paid_cached")


def with_spent(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with SPENT, and of each the sums over the sample's other attempts (``other_*``) and those before it
    (``before_*``).

    As the spending limit counts: an attempt that was given up and whose tokens nobody counted is billed its whole
    budget, and its prompt as the same problem's was counted elsewhere (null where it never was); one that failed before
    it began is billed nothing. rows: ``attempts.with_endings``.
    """
    ok, tokens = pl.col("ok"), pl.col("completion_tokens")
    guessed = tokens.is_null() | (tokens == 0) | (pl.col("tokens_source") == "estimated")
    given_up = pl.col("error_kind").is_in(_GIVEN_UP) & pl.col("sent_ns").is_not_null() & guessed
    output = (
        pl.when(ok)
        .then(tokens)
        .when(given_up.fill_null(value=False))
        .then(pl.max_horizontal(tokens.fill_null(0), "budget"))
        .otherwise(tokens.fill_null(0))
    )
    counted = pl.col("prompt_tokens")
    known = pl.coalesce(
        counted,
        counted.max().over("setting", "method", "problem", "call"),
        counted.max().over("setting", "method"),
    )
    prompt = pl.when(ok | counted.is_not_null()).then(counted).when(pl.col("paid_output") > 0).then(known).otherwise(0)
    choices = pl.len().over("setting", "request_id")
    rows = rows.with_columns(
        made_tokens=pl.when(ok).then(tokens).otherwise(tokens.fill_null(0)).cast(pl.Float64),
        paid_output=output.cast(pl.Float64),
    ).with_columns(
        paid_prompt=prompt / choices,
        paid_cached=pl.col("cached_tokens").fill_null(0) / choices,
    )
    if rows.height == 0 or not (rows["attempt"].max() or 0):
        return rows.with_columns(
            pl.lit(0.0).alias(f"{which}_{name}") for name in SPENT for which in ("other", "before")
        )
    call = (*_SAMPLE, "call")
    return rows.with_columns(
        *((pl.col(name).sum().over(call) - pl.col(name)).alias(f"other_{name}") for name in SPENT),
        *(
            (pl.col(name).cum_sum().over(call, order_by="attempt") - pl.col(name)).alias(f"before_{name}")
            for name in SPENT
        ),
    )
