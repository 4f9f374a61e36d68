"""Records -> one row a sample: what one answer took, whatever calls and attempts it needed."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from tts_compare.analysis.rows.attempts import last_attempts, with_endings, with_sessions, with_waits
from tts_compare.analysis.rows.spent import SPENT, with_spent
from tts_compare.analysis.schema import RECORD_KEY

__all__ = [
    "call_rows",
    "cut_samples",
    "last_attempts",
    "measured_rows",
    "occupancy",
    "timed_rows",
    "walls",
    "whole_samples",
]

#: What one sample is of; ``record_budget`` is the cap the requests were sent with.
SAMPLE_KEY = ("setting", "method", "record_budget", "load", "problem", "repeat", "sample")
#: Marks a row whose tokens came in one piece, through a proxy that buffers or an endpoint that does not stream.
BUFFERED = "stream_buffered"
#: Above this share of buffered answers a derived latency is not known.
_BUFFERED_SHARE = 0.01
_NS = 1e-9
_US = 1e-6


def measured_rows(records: pl.DataFrame, hosted: Collection[str] = ()) -> pl.DataFrame:
    """The rows that count (no warm-up), with how each attempt ended and what was waited for before it.

    hosted: settings whose server is not ours (``attempts.hosted_settings``).
    """
    return timed_rows(records.filter(pl.col("phase") == "measured"), hosted)


def timed_rows(rows: pl.DataFrame, hosted: Collection[str] = ()) -> pl.DataFrame:
    """Rows with the columns of ``with_endings``, ``with_sessions`` and ``with_waits``, and of ``with_spent``."""
    return with_spent(with_waits(with_sessions(with_endings(rows, hosted))))


def _per_choice(column: str) -> pl.Expr:
    """A request's figure, shared out among its choices so that a sum over rows charges it once."""
    return pl.col(column) / pl.len().over("setting", "request_id")


def _finish_ns() -> pl.Expr:
    """When the wait was over: at the last token, or at the end of an attempt that failed.

    A success of which no token was seen, all of them hidden, was waited for to its end.
    """
    unseen = pl.col("first_token_ns").is_null() & pl.col("last_token_ns").is_null()
    return pl.when(pl.col("ok") & ~unseen).then("last_token_ns").otherwise("end_ns")


def call_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """The attempt of each call that counts, with durations in seconds; a request's prompt is charged once.

    latency_s is that attempt's alone, of one that failed until it ended; ``before_ns`` is what was waited for before.
    """
    return timed_attempts(last_attempts(rows))


def timed_attempts(rows: pl.DataFrame) -> pl.DataFrame:
    """``call_rows`` of every attempt."""
    finish = _finish_ns()
    latency = (finish - pl.col("sent_ns")) * _NS
    failed = (finish - pl.col("start_ns")).clip(0).fill_null(0) * _NS
    latency = pl.when("ok").then(latency).otherwise(failed)
    # Tokens of a buffered stream share an instant: when the first came, and how fast they followed, is not known.
    buffered = pl.col("doubts").list.contains(BUFFERED).fill_null(value=False)
    ttft = pl.when(~buffered).then((pl.col("first_token_ns") - pl.col("sent_ns")) * _NS)
    tokens = pl.col("completion_tokens")
    return rows.with_columns(
        pl.when("ok").then(tokens).otherwise(tokens.fill_null(0)).alias("completion_tokens"),
        latency_s=latency,
        ttft_s=ttft,
        ttfot_s=pl.when(~buffered).then((pl.col("first_answer_ns") - pl.col("sent_ns")) * _NS),
        buffered=buffered,
        decode_s=latency - ttft,
        tpot_s=pl.when(tokens > 1).then((latency - ttft) / (tokens - 1)),
        prompt_charged=_per_choice("prompt_tokens"),
        cached_charged=_per_choice("cached_tokens"),
        choices=pl.len().over("setting", "request_id").cast(pl.Int64),
        truncated=pl.col("finish_reason") == "length",
        estimated=pl.col("tokens_source") == "estimated",
    )


def _compute(tokens: pl.Expr) -> dict[str, pl.Expr]:
    """decode_tokens; processed (tokens run through the model) and attended (pairs of token and context position).

    A generated token attends to its context, the prompt's tokens (``prompt_processed``, ``prompt_attended``) to those
    before them; a cached prefix is not run again; choices of one request share one prompt.
    """
    prompt, charged = pl.col("prompt_tokens"), pl.col("prompt_charged")
    cached = pl.col("cached_tokens").fill_null(0)
    share = pl.when(prompt > 0).then(charged / prompt).otherwise(0.0)
    prefill = (prompt * (prompt + 1) - cached * (cached + 1)) / 2
    return {
        "decode_tokens": pl.when(pl.col("ttft_s").is_not_null()).then((tokens - 1).clip(0)),
        "processed": tokens,
        "attended": prompt * tokens + tokens * (tokens + 1) / 2,
        "prompt_processed": share * (prompt - cached),
        "prompt_attended": share * prefill,
    }


_COLUMNS = (
    *SAMPLE_KEY,
    "round",
    "session",
    "ending",
    "start_ns",
    "sent_ns",
    "limit_wait_ns",
    "latency_s",
    "request_latency_s",
    "limit_wait_s",
    "attempts",
    "request_s",
    "ttft_s",
    "ttfot_s",
    "tpot_s",
    "decode_s",
    "decode_tokens",
    "processed",
    "attended",
    "prompt_processed",
    "prompt_attended",
    "tokens",
    "prompt_tokens",
    "cached_tokens",
    *SPENT,
    "choices",
    "truncated",
    "estimated",
    "buffered",
    "error_kind",
)


def _shared(latency: pl.Expr, *keys: str) -> pl.Expr:
    """Seconds of a request, shared out among its choices."""
    request = ("setting", "request_id", *keys)
    return latency.max().over(request) / pl.len().over(request)


def whole_samples(calls: pl.DataFrame) -> pl.DataFrame:
    """One row a sample, ``_COLUMNS``. Calls of one sample follow each other: the latency runs from the first call's
    start to the last call's last token (``attempts.with_waits`` says what is not in it); tokens and the seconds of
    successful attempts are sums; truncated is the last call's. ``ending`` is the worst of its calls.
    """
    latency = pl.col("before_ns") * _NS + pl.col("latency_s")
    all_attempts = {name: pl.col(name) + pl.col(f"other_{name}") for name in SPENT}
    calls = calls.with_columns(**_compute(pl.col("completion_tokens")), **all_attempts, waited_s=latency)
    if calls.height == 0 or (calls["call"].max() or 0) == 0:
        return (
            calls.with_columns(request_s=_shared(latency))
            .select(
                pl.col("budget").alias("record_budget"),
                pl.col("completion_tokens").alias("tokens"),
                pl.col("prompt_charged").alias("prompt_tokens"),
                pl.col("cached_charged").alias("cached_tokens"),
                pl.col("latency_s").alias("request_latency_s"),
                pl.col("waited_s").alias("latency_s"),
                (pl.col("limited_ns") * _NS).alias("limit_wait_s"),
                pl.exclude("budget", "completion_tokens", "prompt_tokens", "cached_tokens", "latency_s"),
            )
            .select(_COLUMNS)
        )
    worst = (
        pl.when((pl.col("ending") == "not_measured").any())
        .then(pl.lit("not_measured"))
        .when(pl.col("ok").all())
        .then(pl.lit("answered"))
        .otherwise(pl.lit("failed"))
    )
    answer = (pl.col("before_ns") - pl.col("before_ns").first()) * _NS + pl.col("ttfot_s")
    return (
        calls.with_columns(call_s=_shared(pl.col("latency_s")))
        .rename({"budget": "record_budget"})
        .sort("call", maintain_order=True)
        .group_by(SAMPLE_KEY, maintain_order=True)
        .agg(
            pl.col("round", "session", "start_ns", "sent_ns", "limit_wait_ns").first(),
            ending=worst,
            latency_s=pl.col("waited_s").last(),
            request_latency_s=pl.col("latency_s").sum(),
            limit_wait_s=pl.col("limited_ns").first() * _NS,
            attempts=pl.col("attempts").first(),
            request_s=pl.col("call_s").sum()
            + (pl.col("waited_s").last() - pl.col("latency_s").sum()) / pl.col("choices").last(),
            ttft_s=pl.col("ttft_s").first(),
            ttfot_s=answer.drop_nulls().last(),
            tpot_s=pl.col("decode_s").sum() / pl.col("decode_tokens").sum(),
            decode_s=pl.col("decode_s").sum(),
            decode_tokens=pl.col("decode_tokens").sum(),
            **{name: pl.col(name).sum() for name in _compute(pl.lit(0)) if name != "decode_tokens"},
            tokens=pl.col("completion_tokens").sum(),
            prompt_tokens=pl.col("prompt_charged").sum(),
            cached_tokens=pl.col("cached_charged").sum(),
            **{name: pl.col(name).sum() for name in SPENT},
            choices=pl.col("choices").last(),
            truncated=pl.col("truncated").last(),
            estimated=pl.col("estimated").any(),
            buffered=pl.col("buffered").any(),
            error_kind=pl.col("error_kind").drop_nulls().last(),
        )
        .select(_COLUMNS)
    )


def cut_samples(rows: pl.DataFrame, cuts: pl.DataFrame, budgets: pl.DataFrame) -> pl.DataFrame:
    """One row a (sample, cut_tokens): what the prefix took, from the timeline of the longer response.

    The first attempt that reached the budget, however it ended, or that was answered within it, is the answer; where
    there is none, the sample failed at the budget. An answer without a timeline has figures that are null.
    ``truncated``: more tokens followed, or the response did not end by itself. short_tokens: tokens by which the whole
    chunks are short of the budget, where that falls inside a chunk. rows: ``measured_rows``. cuts: the columns of
    ``cuts.cut_frame``. budgets: setting, method, budget, load and the cut_tokens wanted of them.
    """
    work = ["setting", "method", "budget", "load"]
    first = timed_attempts(rows.filter(pl.col("call") == 0))
    wanted = first.join(budgets, on=work, maintain_order="left_right")
    joined = wanted.join(cuts, on=[*RECORD_KEY, "cut_tokens"], how="left", maintain_order="left")
    reached = (pl.col("total") >= pl.col("cut_tokens")).fill_null(value=False)
    answers = pl.when(reached | pl.col("ok"))
    joined = joined.with_columns(ending=answers.then(pl.lit("answered")).otherwise("ending")).with_columns(
        ok=pl.col("ending") == "answered"
    )
    kept = pl.concat([last_attempts(part) for part in joined.partition_by("cut_tokens", maintain_order=True)])
    return _cut_figures(kept) if kept.height else _cut_figures(joined)


def _cut_figures(kept: pl.DataFrame) -> pl.DataFrame:
    work = ("setting", "method", "budget", "load", "cut_tokens")
    few = pl.col("buffered").mean().over(work) <= _BUFFERED_SHARE
    # The end of a buffered answer bounds the instant at which its prefix was there.
    instant = pl.when(~pl.col("buffered")).then(pl.col("cut_us") * _US).otherwise("latency_s")
    latency = pl.when(~pl.col("ok")).then("latency_s").when(few).then(instant)
    waited = pl.col("before_ns") * _NS + latency
    # The timeline's instants are in whole microseconds, rounded down: an answer token may be the last of the prefix.
    tokens = pl.when("ok").then("cut_length").otherwise("completion_tokens")
    total = pl.max_horizontal("completion_tokens", "total")
    return kept.select(
        *(pl.col("budget").alias("record_budget") if c == "record_budget" else c for c in SAMPLE_KEY),
        *("cut_tokens", "round", "session", "ending", "start_ns", "sent_ns", "limit_wait_ns", "attempts"),
        *("ttft_s", "choices", "estimated", "buffered", "error_kind"),
        latency_s=waited,
        request_latency_s=latency,
        limit_wait_s=pl.col("limited_ns") * _NS,
        request_s=_shared(waited, "cut_tokens"),
        ttfot_s=pl.when(pl.col("ttfot_s") <= latency + _US).then(pl.min_horizontal("ttfot_s", latency)),
        tpot_s=pl.when(pl.col("cut_length") > 1).then((latency - pl.col("ttft_s")) / (pl.col("cut_length") - 1)),
        decode_s=latency - pl.col("ttft_s"),
        **_compute(tokens),
        tokens=tokens,
        short_tokens=pl.when("inside_chunk").then(pl.col("cut_tokens") - pl.col("whole_length")).otherwise(0),
        inside_chunk=pl.col("inside_chunk").fill_null(value=False).cast(pl.Float64),
        prompt_tokens="prompt_charged",
        cached_tokens="cached_charged",
        made_tokens=pl.col("before_made_tokens") + tokens,
        paid_output=pl.col("before_paid_output") + pl.when("ok").then("cut_length").otherwise("paid_output"),
        **{name: pl.col(f"before_{name}") + pl.col(name) for name in ("paid_prompt", "paid_cached")},
        truncated=(total > pl.col("cut_tokens")) | (pl.col("finish_reason") != "stop").fill_null(value=True),
    )


def occupancy(rows: pl.DataFrame) -> pl.DataFrame:
    """Seconds each problem held the server, all its measured attempts, calls and samples: the cost is shared out by it.

    Sums of floats depend on their order, so the order is kept: the same rows give the same bits.
    """
    held = (pl.col("end_ns").max() - pl.col("sent_ns").min()) * _NS
    key = ("setting", "method", "budget", "load", "problem", "repeat", "round")
    return (
        rows.filter(pl.col("ending") != "not_measured")
        .group_by(*key, "request_id", "attempt", maintain_order=True)
        .agg(held=held)
        .group_by(key, maintain_order=True)
        .agg(occupied_s=pl.col("held").sum())
        .rename({"budget": "record_budget"})
    )


def walls(rows: pl.DataFrame) -> pl.DataFrame:
    """Wall time of each start of a (setting, method, budget, load), in seconds, and ``interrupted``.

    From the first sent to the last end of what was measured, summed over sessions: the pause between two sessions of a
    resumed run is not in it, and their clocks need not be the same.
    """
    key = ("setting", "method", "budget", "load", "repeat", "round")
    return (
        rows.filter(
            pl.col("sent_ns").is_not_null() & pl.col("end_ns").is_not_null() & (pl.col("ending") != "not_measured")
        )
        .group_by(*key, "session", maintain_order=True)
        .agg(wall_s=(pl.col("end_ns").max() - pl.col("sent_ns").min()) * _NS)
        .group_by(key, maintain_order=True)
        .agg(pl.col("wall_s").sum(), interrupted=pl.len() > 1)
        .rename({"budget": "record_budget"})
    )
