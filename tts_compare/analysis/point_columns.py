"""The points frame: its columns in order, their types, and what each means.

polars is imported inside the functions: this module is read by rooms that must start fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tts_compare.analysis.schema import AXES, POINT_KEY

if TYPE_CHECKING:
    import polars as pl

_TEXT_COLUMNS = ("setting", "method", "level", "load", "policy", "provenance")
_WHOLE_COLUMNS = (
    *("budget", "samples", "n", "outcomes", "answered", "not_measured", "n_compared"),
    *("failed", "ungraded", "repeats", "rounds", "devices"),
)
_FLAG_COLUMNS = ("biased", "latency_is_lower_bound", "cost_is_upper_bound", *(flag for _, flag in AXES.values()))
_LIST_COLUMNS = ("failed_by_kind", "doubts")


def point_schema() -> dict[str, pl.DataType]:
    """Columns and types of the points frame, in order; what each is stands in ``formulas.FORMULAS``."""
    import polars as pl

    def kind(name: str) -> pl.DataType:
        if name in _TEXT_COLUMNS:
            return pl.String()
        if name in _WHOLE_COLUMNS:
            return pl.Int64()
        if name in _FLAG_COLUMNS:
            return pl.Boolean()
        return pl.List(pl.String()) if name in _LIST_COLUMNS else pl.Float64()

    return {name: kind(name) for name in POINT_COLUMNS}


#: Every column of the points frame, in order. Seconds, tokens, shares in [0, 1]; null where unknown.
POINT_COLUMNS: tuple[str, ...] = (
    *POINT_KEY,
    "level",  # of the method effort, whose points are named effort-<level>; null for others
    "provenance",  # "measured" | "derived"
    "biased",  # a derived latency at concurrency above 1
    "prefix_short_share",
    "inside_chunk_share",
    "n",  # problems measured
    "outcomes",  # answers measured: problems x samples x repeats; one vote is one
    "answered",  # outcomes that did not fail: what the times to tokens are over
    "not_measured",  # outcomes that an interruption, a missing right or a quota left without a measurement
    "n_compared",  # problems measured in every point of the same load and policy, 0 where the point takes no part
    "failed",  # outcomes that failed
    "failed_by_kind",  # "timeout_total 3", the most frequent first
    "ungraded",  # outcomes that the grader could not judge
    "repeats",  # server starts of each round
    "rounds",  # shares of the problems, each with starts of its own
    "truncated_share",
    "failed_share",
    "ungraded_share",
    "failed_samples_share",  # of the samples of the votes
    "wasted_share",
    "accuracy",
    "accuracy_lo",
    "accuracy_hi",
    "accuracy_bound_lo",  # failed and ungraded all wrong
    "accuracy_bound_hi",  # failed and ungraded all right
    "pass_at_samples",  # pass@samples, the unbiased estimator; accuracy itself for one sample
    "latency_mean_s",  # a failed answer's own time is in it
    "latency_is_lower_bound",  # an answer failed: it would have taken longer
    "latency_lo_s",
    "latency_hi_s",
    "latency_p50_s",
    "latency_p50_lo_s",
    "latency_p50_hi_s",
    "latency_p90_s",
    "latency_p90_lo_s",
    "latency_p90_hi_s",
    "latency_p95_s",
    "latency_p95_lo_s",
    "latency_p95_hi_s",
    "latency_p99_s",  # from 400 outcomes on, else null
    "latency_p99_lo_s",
    "latency_p99_hi_s",
    "latency_max_s",  # null, not reached, where an answer failed
    "latency_sd_s",
    "latency_mth_mean_s",  # votes: when the m-th of all k samples had come in
    "request_latency_mean_s",  # of the attempts that succeeded, alone
    "attempts_mean",  # attempts a call
    "limit_wait_mean_s",  # waits for our own limits
    "buffered_share",  # answers whose tokens came in one piece: their times to tokens are not known
    "ttft_mean_s",
    "ttft_p50_s",
    "ttft_p90_s",
    "ttfot_p50_s",
    "tpot_mean_s",
    "tpot_p50_s",
    "tpot_pooled_s",  # sum of decode seconds / sum of (tokens - 1): latency = ttft + (tokens - 1) x this
    "icl_p50_s",
    "icl_p99_s",
    "decode_s",  # request_latency_mean_s - ttft_mean_s
    "tokens_mean",
    "tokens_lo",
    "tokens_hi",
    "thinking_tokens_mean",  # of a request; null where an answer does not tell, and for derived points
    "answer_tokens_mean",  # all others, the end of thinking among them
    "prompt_tokens_mean",
    "cached_tokens_mean",
    "flops_mean",
    "devices",
    "wall_s",
    "requests_per_s",
    "output_tokens_per_s",
    "total_tokens_per_s",
    "output_tokens_per_device_s",
    "cost_per_token_gpu_s",
    "cost_per_token_lo_gpu_s",
    "cost_per_token_hi_gpu_s",
    "gpu_s_per_token",
    "gpu_s_per_problem",
    "gpu_s_per_problem_least",  # where it is an upper bound: the lower one
    "cost_is_upper_bound",  # a vote of fewer samples than were sent
    "gpu_s_per_problem_lo",
    "gpu_s_per_problem_hi",
    "gpu_s_per_correct",
    "usd_per_problem",
    "usd_per_correct",
    "joules_per_token",
    "joules_per_correct",
    "acceptance_length",
    "acceptance_rate",  # accepted / proposed draft tokens
    "preemptions",  # of running requests, by the server's counter
    # Filled in by experiment.bounds, which knows the machine; null in what the analysis alone makes.
    "bound_tpot_s",  # the least time per output token that the machine's bandwidth and arithmetic allow
    "bound_share",  # bound_tpot_s / tpot_mean_s: bandwidth utilisation where memory binds
    "prefill_bound_share",  # least time of the prefill / ttft_mean_s
    "step_overhead_s",  # fixed time of a step, by a fit over points that differ in TP or batch
    "compared_accuracy",  # the compared_* columns are over the n_compared problems: what frontiers use
    "compared_latency_s",
    "compared_tokens",
    "compared_flops",
    "compared_cost_per_token_gpu_s",
    "compared_gpu_s_per_problem",
    "compared_usd_per_problem",
    *(flag for _, flag in AXES.values()),
    "share_on_compute_frontier",
    "share_on_flops_frontier",
    "share_on_latency_frontier",
    "share_on_paper_cost_frontier",
    "share_on_cost_frontier",
    "share_on_usd_frontier",
    "doubts",  # codes; the sentences are in Analysis.doubts
)
