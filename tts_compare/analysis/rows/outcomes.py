"""Samples + grades -> one row an outcome: one answer to one problem at one point, right or wrong, and what it took."""

from __future__ import annotations

import math

import polars as pl

from tts_compare.analysis.rows import samples as of
from tts_compare.analysis.rows.spent import SPENT
from tts_compare.analysis.schema import POINT_KEY

_WORK = ("setting", "method", "record_budget", "load", "problem", "repeat")
_FIGURES = (
    "latency_s",
    "latency_mth_s",
    "request_latency_s",
    "limit_wait_s",
    "attempts",
    "request_s",
    "least_s",
    "held_s",
    "ttft_s",
    "ttfot_s",
    "tpot_s",
    "decode_s",
    "decode_tokens",
    "processed",
    "attended",
    "tokens",
    "short_tokens",
    "inside_chunk",
    "prompt_tokens",
    "cached_tokens",
    *SPENT,
)
#: Sums over the samples of a vote, of which m of k samples have m/k.
_SUMS = ("decode_s", "decode_tokens", "processed", "attended", "tokens", "short_tokens", "made_tokens", "paid_output")
#: Sums over its requests: a prompt is charged where any of the choices of its request votes.
_PROMPT_SUMS = ("prompt_processed", "prompt_attended", "prompt_tokens", "cached_tokens", "paid_prompt", "paid_cached")
#: Columns of the outcomes frame. ending: answered | failed | not_measured. correct is in [0, 1], 0 where failed,
#: null where ungraded; a vote's sample is null. failed_samples: the share of its samples that failed.
#: work_share: which part of the problem's requests the outcome stands for, m / k for a vote of m among k.
#: held_s, least_s: the most and the least seconds for which the outcome alone holds the server; they differ for votes
#: of fewer samples than were sent.
OUTCOME_COLUMNS = (
    *POINT_KEY,
    "record_budget",
    "provenance",
    "problem",
    "repeat",
    "round",
    "sample",
    "ending",
    "correct",
    "pass_at",
    "ok",
    "failed",
    "ungraded",
    "failed_samples",
    "truncated",
    "estimated",
    "buffered",
    "error_kind",
    "sent_ns",
    "work_share",
    *_FIGURES,
)


def outcomes(rows: pl.DataFrame, grades: pl.DataFrame, *, policy: str, cuts: pl.DataFrame | None) -> pl.DataFrame:
    """Every outcome of a run, OUTCOME_COLUMNS, those that were not measured included.

    rows: ``samples.measured_rows``. policy: what to call the points of a method without a single grade.
    cuts: ``cuts.cut_frame`` of the records for the budgets graded as prefixes; without it such points get no row.
    """
    calls = of.call_rows(rows)
    whole = of.whole_samples(calls).with_columns(
        cut_tokens=pl.lit(None, dtype=pl.Int64),
        short_tokens=pl.lit(0, dtype=pl.Int64),
        inside_chunk=pl.lit(0.0),
        truncated=pl.col("truncated").cast(pl.Float64),
    )
    judged = last_grades(grades)
    parts = []
    if cuts is not None and cuts.height:
        budgets = judged.filter(pl.col("cut_tokens").is_not_null()).select(
            "setting", "method", pl.col("record_budget").alias("budget"), "load", "cut_tokens"
        )
        prefix = of.cut_samples(rows, cuts, budgets.unique(maintain_order=True)).with_columns(
            pl.col("truncated").cast(pl.Float64)
        )
        whole = _without_spot_checks(whole, judged)
        parts.append(prefix.select(whole.columns))
    answers = pl.concat([whole, *parts], how="vertical_relaxed").with_columns(
        budget=pl.coalesce("cut_tokens", "record_budget"),
        provenance=pl.when(pl.col("cut_tokens").is_null()).then(pl.lit("measured")).otherwise(pl.lit("derived")),
    )
    votes = judged.filter(pl.col("samples").is_not_null())
    voted = votes.select("setting", "method", "record_budget", "load").unique()
    single = answers.join(voted, on=["setting", "method", "record_budget", "load"], how="anti")
    found = [_single_outcomes(single, judged.filter(pl.col("samples").is_null()), policy)]
    if votes.height:
        found.append(_vote_outcomes(answers, votes, judged))
    return pl.concat([frame.select(OUTCOME_COLUMNS) for frame in found], how="vertical_relaxed")


def last_grades(grades: pl.DataFrame) -> pl.DataFrame:
    """One judgement a (sample, policy, cut) or (vote, policy, cut): that of the last call and attempt, newest last.

    A prefix graded at the cap its request was sent with is the whole response.
    """
    named = grades.rename({"budget": "record_budget"}).with_columns(
        cut_tokens=pl.when(pl.col("cut_tokens") < pl.col("record_budget")).then("cut_tokens")
    )
    key = [*_WORK, "sample", "samples", "policy", "cut_tokens"]
    if named.height and (named["call"].max() or named["attempt"].max()):
        named = named.sort("call", "attempt", maintain_order=True)
    return named.unique(subset=key, keep="last", maintain_order=True).select(
        *key,
        correct=pl.when(pl.col("status") != "ungraded").then(
            pl.coalesce("score", (pl.col("status") == "correct").cast(pl.Float64))
        ),
    )


def _without_spot_checks(whole: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """Real requests at a budget that is also derived are spot checks of it, not a point of their own."""
    derived = (
        judged.filter(pl.col("cut_tokens").is_not_null())
        .select("setting", "method", "load", pl.col("cut_tokens").alias("record_budget"))
        .unique()
    )
    return whole.join(derived, on=["setting", "method", "load", "record_budget"], how="anti")


def _single_outcomes(answers: pl.DataFrame, judged: pl.DataFrame, policy: str) -> pl.DataFrame:
    """One outcome a sample and policy."""
    work = ["setting", "method", "record_budget", "load"]
    policies = judged.select(*work, "policy").unique()
    key = [*_WORK, "sample", "policy", "cut_tokens"]
    joined = (
        answers.join(policies, on=work, how="left")
        .with_columns(pl.col("policy").fill_null(policy))
        .join(judged.select(*key, "correct"), on=key, how="left", nulls_equal=True)
        .with_columns(
            samples=pl.lit(1, dtype=pl.Int64),
            latency_mth_s=pl.col("latency_s"),
            held_s=pl.col("request_s"),
            least_s=pl.col("request_s"),
            failed_samples=(pl.col("ending") == "failed").cast(pl.Float64),
            work_share=pl.lit(1.0),
            processed=pl.col("processed") + pl.col("prompt_processed"),
            attended=pl.col("attended") + pl.col("prompt_attended"),
        )
    )
    return _judged_endings(joined).with_columns(pass_at=pl.col("correct"))


def _judged_endings(frame: pl.DataFrame) -> pl.DataFrame:
    """With ok, failed, ungraded; a failed outcome is wrong, whatever was graded of it."""
    failed = pl.col("ending") == "failed"
    return frame.with_columns(
        ok=pl.col("ending") == "answered",
        failed=failed,
        correct=pl.when(failed).then(0.0).when(pl.col("ending") == "answered").then("correct"),
    ).with_columns(ungraded=pl.col("ok") & pl.col("correct").is_null())


def _vote_outcomes(answers: pl.DataFrame, votes: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """One outcome a vote: what m of the k samples of a problem take on average over all subsets of m.

    Samples run side by side, so the latency is that of the one among the m that ends last: with the k in the order of
    their ends, the i-th is the last of a subset with probability C(i-1, m-1) / C(k, m). A sample that failed abstains,
    and was waited for; a vote of failed samples only has failed. Tokens are m/k of the total; the prompt of a request
    of c choices is charged with the probability that one of them votes, 1 - C(k-c, m) / C(k, m). latency_mth_s: when m
    of all k had come in. pass_at: 1 - C(k-c, m)/C(k, m) (Chen et al. 2021).
    """
    key = [*_WORK, "cut_tokens"]
    right = judged.filter(pl.col("samples").is_null()).select(
        *key, "sample", "policy", sample_correct=pl.col("correct")
    )
    ranked = answers.with_columns(latency_s=pl.col("latency_s") + _offset_s(key)).with_columns(
        rank=pl.col("latency_s").rank("ordinal").over(key).cast(pl.Int64),
        k=pl.len().over(key).cast(pl.Int64),
    )
    sizes = votes.select("setting", "method", "record_budget", "load", "cut_tokens", "samples", "policy").unique()
    size = (
        ranked.select(key)
        .unique(maintain_order=True)
        .join(sizes, on=["setting", "method", "record_budget", "load", "cut_tokens"], nulls_equal=True)
        .join(votes.drop("sample"), on=[*key, "samples", "policy"], how="left", nulls_equal=True)
    )
    joined = (
        size.join(ranked, on=key, how="inner", nulls_equal=True)
        .join(right, on=[*key, "sample", "policy"], how="left", nulls_equal=True)
        .join(_subset_weights(votes, ranked), on=["k", "samples", "rank"], how="left")
        .join(_charged_prompts(votes, ranked), on=["k", "samples", "choices"], how="left")
    )
    share = pl.col("samples").first() / pl.col("k").first()
    answered = pl.col("ending") == "answered"
    last = pl.col("slowest_weight").fill_null(0.0)
    known = pl.col("latency_s").null_count() == 0
    vote_ending = (
        pl.when((pl.col("ending") == "not_measured").any() | (pl.len() < pl.col("samples").first()))
        .then(pl.lit("not_measured"))
        .when(answered.any())
        .then(pl.lit("answered"))
        .otherwise(pl.lit("failed"))
    )
    grouped = joined.group_by(*key, "samples", "policy", maintain_order=True).agg(
        pl.col("provenance", "budget", "round", "k").first(),
        pl.col("sent_ns").min(),
        pl.col("estimated", "buffered").any(),
        pl.col("correct").first(),
        pl.col("attempts").mean(),
        pl.col("limit_wait_s").max(),
        ending=vote_ending,
        error_kind=pl.col("error_kind").filter(pl.col("ending") == "failed").first(),
        failed_samples=(pl.col("ending") == "failed").mean(),
        latency_s=pl.when(known).then((pl.col("latency_s") * last).sum()),
        latency_mth_s=pl.col("latency_s").filter(pl.col("rank") == pl.col("samples")).first(),
        slowest_s=pl.col("latency_s").max(),
        **{name: pl.col(name).sum() * share for name in _SUMS},
        **{name: (pl.col(name) * pl.col("prompt_weight")).sum() for name in _PROMPT_SUMS},
        **{
            name: pl.col(name).filter(answered).mean()
            for name in ("ttft_s", "ttfot_s", "tpot_s", "request_latency_s", "truncated", "inside_chunk")
        },
        right=pl.col("sample_correct").filter(answered).sum().round().cast(pl.Int64),
    )
    # Beside the other samples of its request a smaller vote shares the machine: its cost has bounds, at concurrency 1.
    all_of_them = pl.col("samples") == pl.col("k")
    alone = pl.when(all_of_them | (pl.col("load") == "c1"))
    return _judged_endings(
        grouped.join(_pass_table(grouped), on=["k", "right", "samples"], how="left", nulls_equal=True).with_columns(
            sample=pl.lit(None, dtype=pl.Int64),
            work_share=pl.col("samples") / pl.col("k"),
            request_s=alone.then("latency_s"),
            held_s=alone.then("latency_s"),
            least_s=alone.then(pl.col("slowest_s") * pl.col("samples") / pl.col("k")),
            processed=pl.col("processed") + pl.col("prompt_processed"),
            attended=pl.col("attended") + pl.col("prompt_attended"),
        )
    ).with_columns(pass_at=pl.when(pl.col("ok") | pl.col("failed")).then("pass_at"))


def _offset_s(key: list[str]) -> pl.Expr:
    """Seconds by which a sample began after the first of its vote, in one session; waits for our limits omitted."""
    begun = pl.col("start_ns") - pl.col("start_ns").min().over(*key, "session")
    own = pl.when(pl.col("load").str.starts_with("r")).then(0).otherwise(pl.col("limit_wait_ns"))
    return (begun - own).clip(0).fill_null(0) * 1e-9


def _subset_weights(votes: pl.DataFrame, ranked: pl.DataFrame) -> pl.DataFrame:
    """(k, samples, rank) -> the share of subsets of ``samples`` whose slowest has that rank."""
    rows = [
        (k, m, rank, math.comb(rank - 1, m - 1) / math.comb(k, m))
        for k in ranked["k"].unique().to_list()
        for m in votes["samples"].unique().to_list()
        for rank in range(m, k + 1)
    ]
    columns = {"k": pl.Int64, "samples": pl.Int64, "rank": pl.Int64, "slowest_weight": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row")


def _charged_prompts(votes: pl.DataFrame, ranked: pl.DataFrame) -> pl.DataFrame:
    """(k, samples, choices) -> ``prompt_weight``: how much of a prompt shared by so many choices a vote is charged."""
    rows = [
        (k, m, c, 1.0 - math.comb(max(0, k - c), m) / math.comb(k, m))
        for k, c in ranked.select("k", "choices").unique().rows()
        for m in votes["samples"].unique().to_list()
        if m <= k
    ]
    columns = {"k": pl.Int64, "samples": pl.Int64, "choices": pl.Int64, "prompt_weight": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row")


def _pass_table(grouped: pl.DataFrame) -> pl.DataFrame:
    """(k, right, samples) -> pass@samples, the unbiased estimator."""
    rows = [
        (k, c, m, 1.0 - math.comb(k - c, m) / math.comb(k, m))
        for k, c, m in grouped.select("k", "right", "samples").unique().rows()
        if m <= k and c <= k
    ]
    columns = {"k": pl.Int64, "right": pl.Int64, "samples": pl.Int64, "pass_at": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row")
