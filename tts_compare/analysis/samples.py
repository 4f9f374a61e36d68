"""Records -> one row a sample: what one answer took, whatever calls and attempts it needed."""

from __future__ import annotations

import polars as pl

from tts_compare.analysis.schema import RECORD_KEY

#: What one sample is of; ``record_budget`` is the cap the requests were sent with.
SAMPLE_KEY = ("setting", "method", "record_budget", "load", "problem", "repeat", "sample")
_CALL_KEY = ("setting", "method", "budget", "load", "problem", "repeat", "sample", "call")
_NS = 1e-9
_US = 1e-6


def is_ok() -> pl.Expr:
    """A success: no error and a finish_reason of ``stop`` or ``length``."""
    return pl.col("error_kind").is_null() & pl.col("finish_reason").is_in(["stop", "length"]).fill_null(value=False)


def measured_rows(records: pl.DataFrame) -> pl.DataFrame:
    """The rows that count (no warm-up), with ``ok``."""
    return records.filter(pl.col("phase") == "measured").with_columns(ok=is_ok())


def last_attempts(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a call: the attempt that succeeded, else the last one, with ``retry_wait_ns``.

    retry_wait_ns: from the first attempt's sent_ns to this one's; waits and failed attempts are no part of a latency.
    """
    if rows.height == 0 or (rows["attempt"].max() or 0) == 0:
        return rows.with_columns(retry_wait_ns=pl.lit(0, dtype=pl.Int64))
    first_sent = pl.col("sent_ns").min().over(_CALL_KEY)
    return (
        rows.with_columns(retry_wait_ns=(pl.col("sent_ns") - first_sent).fill_null(0))
        .sort("ok", "attempt")
        .unique(subset=_CALL_KEY, keep="last", maintain_order=True)
    )


def _per_choice(column: str) -> pl.Expr:
    """A request's figure, shared out among its choices so that a sum over rows charges it once."""
    return pl.col(column) / pl.len().over("setting", "request_id")


def _last_ns() -> pl.Expr:
    """The last token's instant. A success of which no token was seen, all of them hidden, was waited for to its end."""
    unseen = pl.col("ok") & pl.col("first_token_ns").is_null() & pl.col("last_token_ns").is_null()
    return pl.when(unseen).then("end_ns").otherwise("last_token_ns")


def call_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Last attempts with durations in seconds and each request's prompt charged once among its choices."""
    last = last_attempts(rows).with_columns(last_token_ns=_last_ns())
    latency = (pl.col("last_token_ns") - pl.col("sent_ns")) * _NS
    ttft = (pl.col("first_token_ns") - pl.col("sent_ns")) * _NS
    tokens = pl.col("completion_tokens")
    return last.with_columns(
        latency_s=latency,
        ttft_s=ttft,
        ttfot_s=(pl.col("first_answer_ns") - pl.col("sent_ns")) * _NS,
        decode_s=latency - ttft,
        tpot_s=pl.when(tokens > 1).then((latency - ttft) / (tokens - 1)),
        request_s=latency.max().over("setting", "request_id") / pl.len().over("setting", "request_id"),
        prompt_charged=_per_choice("prompt_tokens"),
        cached_charged=_per_choice("cached_tokens"),
        truncated=pl.col("finish_reason") == "length",
        estimated=pl.col("tokens_source") == "estimated",
    )


def _compute(tokens: pl.Expr) -> dict[str, pl.Expr]:
    """decode_tokens, processed (tokens run through the model) and attended (pairs of token and context position).

    A generated token attends to its context, the prompt's tokens to those before them; a cached prefix is not run
    again; choices of one request share one prompt.
    """
    prompt, charged = pl.col("prompt_tokens"), pl.col("prompt_charged")
    cached = pl.col("cached_tokens").fill_null(0)
    share = pl.when(prompt > 0).then(charged / prompt).otherwise(0.0)
    prefill = (prompt * (prompt + 1) - cached * (cached + 1)) / 2
    return {
        "decode_tokens": pl.when(pl.col("ttft_s").is_not_null()).then((tokens - 1).clip(0)),
        "processed": tokens + share * (prompt - cached),
        "attended": prompt * tokens + tokens * (tokens + 1) / 2 + share * prefill,
    }


_COLUMNS = (
    *SAMPLE_KEY,
    "ok",
    "sent_ns",
    "latency_s",
    "request_s",
    "ttft_s",
    "ttfot_s",
    "tpot_s",
    "decode_s",
    "decode_tokens",
    "processed",
    "attended",
    "tokens",
    "prompt_tokens",
    "cached_tokens",
    "truncated",
    "estimated",
)


def whole_samples(calls: pl.DataFrame) -> pl.DataFrame:
    """One row a sample. Calls of one sample follow each other: the latency runs from the first call's sent to the
    last call's last token, less waits for retries; tokens and request seconds are sums; truncated is the last call's.
    """
    calls = calls.with_columns(**_compute(pl.col("completion_tokens")))
    if calls.height == 0 or (calls["call"].max() or 0) == 0:
        return calls.select(
            pl.col("budget").alias("record_budget"),
            pl.col("completion_tokens").alias("tokens"),
            pl.col("prompt_charged").alias("prompt_tokens"),
            pl.col("cached_charged").alias("cached_tokens"),
            pl.exclude("budget", "completion_tokens", "prompt_tokens", "cached_tokens"),
        ).select(_COLUMNS)
    later_wait = pl.col("retry_wait_ns").filter(pl.col("call") > pl.col("call").min()).sum()
    first_sent = pl.col("sent_ns").first()
    return (
        calls.rename({"budget": "record_budget"})
        .sort("call", maintain_order=True)
        .group_by(SAMPLE_KEY, maintain_order=True)
        .agg(
            pl.col("ok").all(),
            first_sent.alias("sent_ns"),
            latency_s=(pl.col("last_token_ns").last() - first_sent - later_wait) * _NS,
            request_s=pl.col("request_s").sum(),
            ttft_s=pl.col("ttft_s").first(),
            ttfot_s=(pl.col("first_answer_ns").drop_nulls().last() - first_sent - later_wait) * _NS,
            tpot_s=pl.col("decode_s").sum() / pl.col("decode_tokens").sum(),
            decode_s=pl.col("decode_s").sum(),
            decode_tokens=pl.col("decode_tokens").sum(),
            processed=pl.col("processed").sum(),
            attended=pl.col("attended").sum(),
            tokens=pl.col("completion_tokens").sum(),
            prompt_tokens=pl.col("prompt_charged").sum(),
            cached_tokens=pl.col("cached_charged").sum(),
            truncated=pl.col("truncated").last(),
            estimated=pl.col("estimated").any(),
        )
        .select(_COLUMNS)
    )


def cut_samples(calls: pl.DataFrame, cuts: pl.DataFrame, budgets: pl.DataFrame) -> pl.DataFrame:
    """One row a (sample, cut_tokens): what the prefix took, from the timeline of the longer response.

    A failed response has failed at every budget, and one without a timeline is an answer whose figures are null.

    short_tokens: tokens that the prefix is short of the budget, because that falls inside a chunk.
    cuts: the columns of ``cuts.cut_frame``. budgets: setting, method, budget, load and the cut_tokens wanted of them.
    ``truncated`` is whether the response was longer than the budget.
    """
    work = ["setting", "method", "budget", "load"]
    wanted = calls.filter(pl.col("call") == 0).join(budgets, on=work, maintain_order="left_right")
    joined = wanted.join(cuts, on=[*RECORD_KEY, "cut_tokens"], how="left", maintain_order="left")
    latency = pl.col("cut_us") * _US
    request = ("setting", "request_id", "cut_tokens")
    return joined.select(
        *(pl.col("budget").alias("record_budget") if c == "record_budget" else c for c in SAMPLE_KEY),
        "cut_tokens",
        "ok",
        "sent_ns",
        "ttft_s",
        "estimated",
        latency_s=latency,
        request_s=latency.max().over(request) / pl.len().over(request),
        ttfot_s=pl.when(pl.col("ttfot_s") <= latency).then("ttfot_s"),
        tpot_s=pl.when(pl.col("cut_length") > 1).then((latency - pl.col("ttft_s")) / (pl.col("cut_length") - 1)),
        decode_s=latency - pl.col("ttft_s"),
        **_compute(pl.col("cut_length")),
        tokens=pl.col("cut_length"),
        short_tokens=pl.when("inside_chunk").then(pl.col("cut_tokens") - pl.col("cut_length")).otherwise(0),
        prompt_tokens="prompt_charged",
        cached_tokens="cached_charged",
        truncated=(pl.col("completion_tokens") > pl.col("cut_tokens")) | pl.col("truncated"),
    )


def occupancy(rows: pl.DataFrame) -> pl.DataFrame:
    """Seconds each problem held the server, all its attempts, calls and samples: the bill is shared out by it.

    Sums of floats depend on their order, so the order is kept: the same rows give the same bits.
    """
    held = (pl.col("end_ns").max() - pl.col("sent_ns").min()) * _NS
    key = ("setting", "method", "budget", "load", "problem", "repeat")
    return (
        rows.group_by(*key, "request_id", "attempt", maintain_order=True)
        .agg(held=held)
        .group_by(key, maintain_order=True)
        .agg(occupied_s=pl.col("held").sum())
        .rename({"budget": "record_budget"})
    )


def walls(rows: pl.DataFrame, *, longest_gap_s: float = 60.0) -> pl.DataFrame:
    """First sent to last end of each (setting, method, budget, load, repeat), in seconds, and ``interrupted``.

    In a closed loop a gap of more than ``longest_gap_s`` with no request in flight is a run that was stopped and
    taken up again; it is left out and ``interrupted`` says so.
    """
    key = ("setting", "method", "budget", "load", "repeat")
    gap = (pl.col("sent_ns") - pl.col("end_ns").cum_max().shift(1).over(key)) * _NS
    idle = pl.when(pl.col("load").str.starts_with("c") & (gap > longest_gap_s)).then(gap).otherwise(0.0)
    return (
        rows.filter(pl.col("sent_ns").is_not_null() & pl.col("end_ns").is_not_null())
        .sort("sent_ns")
        .with_columns(idle=idle.fill_null(0.0))
        .group_by(key)
        .agg(
            wall_s=(pl.col("end_ns").max() - pl.col("sent_ns").min()) * _NS - pl.col("idle").sum(),
            interrupted=pl.col("idle").sum() > 0,
        )
        .rename({"budget": "record_budget"})
    )
