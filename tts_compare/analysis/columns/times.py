"""Columns of points on time: latency as a user waits for it, and the times to tokens."""

from __future__ import annotations

from tts_compare.analysis.columns.formulas import BOOTSTRAP, ORDER
from tts_compare.analysis.metric import Interval, Mean, Metric, Quantile, Ratio

_NEVER = "an answer that failed was never reached"


def _limits(stem: str, formula: str) -> Interval:
    return Interval(lo=f"{stem}_lo_s", hi=f"{stem}_hi_s", formula=formula)


LATENCY: tuple[Metric, ...] = (
    Metric(
        name="latency_mean_s",
        kind="seconds",
        formula="mean of last token - first attempt sent: failed attempts and the wait after them count, waits for our "
        "own limits do not (in an open loop from the instant intended, with them); a failed answer counts until it "
        "failed; votes: the last of the m samples, averaged over all subsets of the k",
        heading="latency",
        words="mean latency",
        interval=_limits("latency", BOOTSTRAP),
        objectives=("latency", "mean_latency"),
        answer="latency_s",
        tables=("speed", "speed_wide"),
        at_least="latency_is_lower_bound",
    ),
    Metric(
        name="latency_is_lower_bound",
        kind="flag",
        formula="an answer failed, and its own time is less than an answer would have taken",
    ),
    Metric(
        name="latency_p50_s",
        kind="seconds",
        formula=f"median of latency (type 7); {_NEVER}",
        words="median latency",
        aggregation=Quantile(column="latency_s", q=0.5),
        interval=_limits("latency_p50", ORDER),
        objectives=("p50_latency",),
    ),
    Metric(
        name="latency_p90_s",
        kind="seconds",
        formula=f"90th percentile of latency (type 7); {_NEVER}",
        heading="p90",
        words="90th percentile of latency",
        aggregation=Quantile(column="latency_s", q=0.9),
        interval=_limits("latency_p90", ORDER),
        objectives=("p90_latency",),
        tables=("speed_wide",),
    ),
    Metric(
        name="latency_p95_s",
        kind="seconds",
        formula=f"95th percentile of latency (type 7); {_NEVER}",
        words="95th percentile of latency",
        aggregation=Quantile(column="latency_s", q=0.95),
        interval=_limits("latency_p95", ORDER),
        objectives=("p95_latency",),
    ),
    Metric(
        name="latency_p99_s",
        kind="seconds",
        formula="99th percentile of latency (type 7), from 400 answers on",
        heading="p99",
        words="99th percentile of latency",
        # Of fewer outcomes it is the mean of a handful of the slowest.
        aggregation=Quantile(column="latency_s", q=0.99, least=400),
        interval=_limits("latency_p99", ORDER),
        objectives=("p99_latency",),
        tables=("speed_wide",),
        when="known",
    ),
    Metric(
        name="latency_max_s",
        kind="seconds",
        formula="longest latency; unknown where an answer failed",
        words="longest latency",
        objectives=("max_latency",),
        answer="latency_s",
    ),
    Metric(
        name="latency_sd_s",
        kind="seconds",
        formula="standard deviation of the latencies of the answered",
        words="standard deviation of latency",
        population="answered",
    ),
    Metric(
        name="latency_mth_mean_s",
        kind="seconds",
        formula="votes: mean time until m of all k samples had come in",
        population="votes",
        aggregation=Mean(column="latency_mth_s"),
    ),
    Metric(
        name="request_latency_mean_s",
        kind="seconds",
        formula="mean of last token - sent of the attempt that succeeded, over the answered",
        words="mean latency of the attempt that succeeded",
        population="answered",
        aggregation=Mean(column="request_latency_s"),
    ),
    Metric(
        name="attempts_mean",
        kind="number",
        formula="attempts a call, mean over answers",
        words="attempts a call",
        aggregation=Mean(column="attempts", over="measured"),
    ),
    Metric(
        name="limit_wait_mean_s",
        kind="seconds",
        formula="seconds an answer waited for limits of ours, mean",
        words="wait for our own limits",
        aggregation=Mean(column="limit_wait_s", over="measured"),
    ),
)

TOKENS_IN_TIME: tuple[Metric, ...] = (
    Metric(
        name="buffered_share",
        kind="share",
        formula="answers whose tokens came in one piece / answers measured; they have no ttft and no tpot",
        aggregation=Mean(column="buffered", over="measured"),
    ),
    Metric(
        name="timed",
        kind="count",
        formula="answered whose tokens' instants are known: what the times to tokens are of",
        population="answered",
    ),
    Metric(
        name="ttft_mean_s",
        kind="seconds",
        formula="mean of first token - sent",
        words="mean time to first token",
        population="answered",
        aggregation=Mean(column="ttft_s"),
        interval=_limits("ttft", BOOTSTRAP),
        objectives=("mean_ttft",),
    ),
    Metric(
        name="ttft_p50_s",
        kind="seconds",
        formula="median of first token - sent",
        heading="ttft p50",
        words="median time to first token",
        aggregation=Quantile(column="ttft_s", q=0.5),
        interval=_limits("ttft_p50", ORDER),
        objectives=("ttft", "p50_ttft"),
        tables=("speed_wide",),
    ),
    Metric(
        name="ttft_p90_s",
        kind="seconds",
        formula="90th percentile of first token - sent",
        words="90th percentile of time to first token",
        aggregation=Quantile(column="ttft_s", q=0.9),
        interval=_limits("ttft_p90", ORDER),
        objectives=("p90_ttft",),
    ),
    Metric(
        name="ttfot_p50_s",
        kind="seconds",
        formula=f"median of first answer token - sent, the first that is not reasoning; {_NEVER}, nor was one that was "
        "cut before it",
        words="median time to first answer token",
        aggregation=Quantile(column="ttfot_s", q=0.5, after="ttft_s"),
        interval=_limits("ttfot_p50", ORDER),
        objectives=("ttfot", "p50_ttfot"),
    ),
    Metric(
        name="ttfot_p90_s",
        kind="seconds",
        formula="90th percentile of first answer token - sent, as ttfot_p50_s",
        words="90th percentile of time to first answer token",
        aggregation=Quantile(column="ttfot_s", q=0.9, after="ttft_s"),
        interval=_limits("ttfot_p90", ORDER),
        objectives=("p90_ttfot",),
    ),
    Metric(
        name="tpot_mean_s",
        kind="seconds",
        formula="mean over requests of (latency - ttft) / (completion tokens - 1)",
        heading="tpot",
        words="mean time per output token",
        population="answered",
        aggregation=Mean(column="tpot_s"),
        interval=_limits("tpot", BOOTSTRAP),
        objectives=("tpot",),
        tables=("speed_wide",),
    ),
    Metric(
        name="tpot_p50_s",
        kind="seconds",
        formula="median over requests of (latency - ttft) / (completion tokens - 1)",
        words="median time per output token",
        aggregation=Quantile(column="tpot_s", q=0.5),
        interval=_limits("tpot_p50", ORDER),
        objectives=("p50_tpot",),
    ),
    Metric(
        name="tpot_pooled_s",
        kind="seconds",
        formula="sum of (latency - ttft) / sum of (completion tokens - 1): mean request latency = mean ttft + "
        "(mean tokens - 1) x this",
        words="pooled time per output token",
        population="answered",
        aggregation=Ratio(above="decode_s_sum", below="decode_tokens_sum"),
    ),
    Metric(
        name="icl_p50_s",
        kind="seconds",
        formula="median gap between chunks; a chunk may hold many tokens",
        words="median gap between chunks",
        population="answered",
    ),
    Metric(
        name="icl_p99_s",
        kind="seconds",
        formula="99th percentile of the gap between chunks",
        words="99th percentile of the gap between chunks",
        population="answered",
    ),
    Metric(
        name="decode_s",
        kind="seconds",
        formula="mean request latency - mean ttft",
        words="mean decoding time",
        population="answered",
    ),
)
