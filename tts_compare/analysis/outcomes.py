"""Samples + grades -> one row an outcome: one answer to one problem at one point, right or wrong, and what it took."""

from __future__ import annotations

import math

import polars as pl

from tts_compare.analysis import samples as of
from tts_compare.analysis.schema import POINT_KEY

_WORK = ("setting", "method", "record_budget", "load", "problem", "repeat")
_FIGURES = (
    "latency_s",
    "latency_mth_s",
    "request_s",
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
    "prompt_tokens",
    "cached_tokens",
)
_SUMS = (
    "request_s",
    "decode_s",
    "decode_tokens",
    "processed",
    "attended",
    "tokens",
    "short_tokens",
    "prompt_tokens",
    "cached_tokens",
)
#: Columns of the outcomes frame. correct is in [0, 1], null where failed or ungraded; a vote's sample is null.
#: work_share: which part of the problem's requests the outcome stands for, m / k for a vote of m among k.
#: held_s: seconds for which the outcome alone would hold the server: samples side by side hold it once.
OUTCOME_COLUMNS = (
    *POINT_KEY,
    "record_budget",
    "provenance",
    "problem",
    "repeat",
    "sample",
    "correct",
    "pass_at",
    "ok",
    "failed",
    "ungraded",
    "truncated",
    "estimated",
    "sent_ns",
    "work_share",
    *_FIGURES,
)


def outcomes(records: pl.DataFrame, grades: pl.DataFrame, *, policy: str, cuts: pl.DataFrame | None) -> pl.DataFrame:
    """Every outcome of a run, OUTCOME_COLUMNS.

    policy: what to call the points of a method without a single grade. cuts: ``cuts.cut_frame`` of the records for
    the budgets graded as prefixes; without it such points get no row.
    """
    rows = of.measured_rows(records)
    calls = of.call_rows(rows)
    whole = of.whole_samples(calls).with_columns(
        cut_tokens=pl.lit(None, dtype=pl.Int64),
        short_tokens=pl.lit(0, dtype=pl.Int64),
        truncated=pl.col("truncated").cast(pl.Float64),
    )
    judged = last_grades(grades)
    parts = []
    if cuts is not None and cuts.height:
        budgets = judged.filter(pl.col("cut_tokens").is_not_null()).select(
            "setting", "method", pl.col("record_budget").alias("budget"), "load", "cut_tokens"
        )
        prefix = of.cut_samples(calls, cuts, budgets.unique(maintain_order=True)).with_columns(
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
    return (
        answers.join(policies, on=work, how="left")
        .with_columns(pl.col("policy").fill_null(policy))
        .join(judged.select(*key, "correct"), on=key, how="left", nulls_equal=True)
        .with_columns(correct=pl.when("ok").then("correct"))
        .with_columns(
            samples=pl.lit(1, dtype=pl.Int64),
            pass_at=pl.col("correct"),
            latency_mth_s=pl.col("latency_s"),
            held_s=pl.col("request_s"),
            failed=~pl.col("ok"),
            ungraded=pl.col("ok") & pl.col("correct").is_null(),
            work_share=pl.lit(1.0),
        )
    )


def _vote_outcomes(answers: pl.DataFrame, votes: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """One outcome a vote: what m of the k samples of a problem take on average over all subsets of m.

    Samples run side by side, so the latency is that of the slowest of the m: with the k latencies in order, the i-th is
    the largest of a subset with probability C(i-1, m-1) / C(k, m). Sums (tokens, request seconds) are m/k of the
    total. latency_mth_s: when m of all k had come in. pass_at: 1 - C(k-c, m)/C(k, m) (Chen et al. 2021).
    """
    key = [*_WORK, "cut_tokens"]
    right = judged.filter(pl.col("samples").is_null()).select(
        *key, "sample", "policy", sample_correct=pl.col("correct")
    )
    ranked = answers.with_columns(
        rank=pl.when("ok").then(pl.col("latency_s")).rank("ordinal").over(key), k=pl.col("ok").sum().over(key)
    )
    sizes = votes.select("setting", "method", "record_budget", "load", "cut_tokens", "samples", "policy").unique()
    size = (
        ranked.select(key)
        .unique()
        .join(sizes, on=["setting", "method", "record_budget", "load", "cut_tokens"], nulls_equal=True)
        .join(votes.drop("sample"), on=[*key, "samples", "policy"], how="left", nulls_equal=True)
    )
    joined = (
        size.join(ranked, on=key, how="inner", nulls_equal=True)
        .join(right, on=[*key, "sample", "policy"], how="left", nulls_equal=True)
        .with_columns(pl.col("rank").cast(pl.Int64), pl.col("k").cast(pl.Int64))
        .join(_subset_weights(votes, ranked), on=["k", "samples", "rank"], how="left")
    )
    share = pl.col("samples").first() / pl.col("k").first()
    enough = pl.col("k").first() >= pl.col("samples").first()
    last = pl.col("slowest_weight").fill_null(0.0)
    grouped = joined.group_by(*key, "samples", "policy", maintain_order=True).agg(
        pl.col("provenance").first(),
        pl.col("budget").first(),
        pl.col("sent_ns").min(),
        pl.col("estimated").any(),
        pl.col("correct").first(),
        ok=enough,
        latency_s=(pl.col("latency_s") * last).sum(),
        latency_mth_s=pl.col("latency_s").filter(pl.col("rank") == pl.col("samples")).first(),
        **{name: pl.col(name).filter("ok").sum() * share for name in _SUMS},
        **{name: pl.col(name).filter("ok").mean() for name in ("ttft_s", "ttfot_s", "tpot_s", "truncated")},
        held_s=pl.col("latency_s").max() * pl.col("samples").first() / pl.len(),
        work_share=pl.col("samples").first() / pl.len(),
        k=pl.col("k").first(),
        right=pl.col("sample_correct").sum().round().cast(pl.Int64),
    )
    figures = [pl.when("ok").then(pl.col(name)).alias(name) for name in (*_FIGURES, "correct")]
    return (
        grouped.join(_pass_table(grouped), on=["k", "right", "samples"], how="left", nulls_equal=True)
        .with_columns(*figures, sample=pl.lit(None, dtype=pl.Int64))
        .with_columns(failed=~pl.col("ok"), ungraded=pl.col("ok") & pl.col("correct").is_null())
    )


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


def _pass_table(grouped: pl.DataFrame) -> pl.DataFrame:
    """(k, right, samples) -> pass@samples, the unbiased estimator."""
    rows = [
        (k, c, m, 1.0 - math.comb(k - c, m) / math.comb(k, m))
        for k, c, m in grouped.select("k", "right", "samples").unique().rows()
        if m <= k and c <= k
    ]
    columns = {"k": pl.Int64, "right": pl.Int64, "samples": pl.Int64, "pass_at": pl.Float64}
    return pl.DataFrame(rows, schema=columns, orient="row")
