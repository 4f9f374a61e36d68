"""The frames analysis reads and the values it returns: column names, types, and what each column means.

polars is imported inside the functions: this module is read by rooms that must start fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tts_compare.domain import Doubt

if TYPE_CHECKING:
    import polars as pl

Verdict = Literal["holds", "does not hold", "cannot be told"]
Axis = Literal["tokens", "flops", "latency", "paper_cost", "cost", "usd"]

#: What identifies a point: a row of ``points.json``.
POINT_KEY = ("setting", "method", "budget", "load", "samples", "policy")
#: What identifies one attempt: a row of ``records.jsonl``.
RECORD_KEY = ("setting", "method", "budget", "load", "problem", "sample", "call", "repeat", "attempt")
#: Optional columns of the records frame: needed for derived points, token gaps and losslessness only.
RECORD_OPTIONAL = ("text", "reasoning", "token_ids", "timeline_us", "timeline_tokens", "timeline_chars")
#: The x column of each frontier, and the column that says whether a point is on it.
AXES: Mapping[Axis, tuple[str, str]] = {
    "tokens": ("tokens_mean", "on_compute_frontier"),
    "flops": ("flops_mean", "on_flops_frontier"),
    "latency": ("latency_mean_s", "on_latency_frontier"),
    "paper_cost": ("cost_per_token_gpu_s", "on_paper_cost_frontier"),
    "cost": ("gpu_s_per_problem", "on_cost_frontier"),
    "usd": ("usd_per_problem", "on_usd_frontier"),
}


def record_schema(*, optional: bool = False) -> dict[str, pl.DataType]:
    """Columns and types of the records frame; with ``optional`` those of RECORD_OPTIONAL too.

    ``error`` of a record is flattened to ``error_kind``, ``error_status`` and ``error_message``; ``doubts`` stay a list
    of codes. ``round``, ``session`` and ``limit_wait_ns`` are null in rows of format 1, which stands for 0.
    """
    import polars as pl

    text, whole = pl.String(), pl.Int64()
    schema: dict[str, pl.DataType] = {
        **dict.fromkeys(("setting", "method"), text),
        "budget": whole,
        **dict.fromkeys(("load", "problem"), text),
        **dict.fromkeys(("sample", "call", "repeat", "attempt"), whole),
        **dict.fromkeys(("phase", "request_id"), text),
        **dict.fromkeys(
            (
                "scheduled_ns",
                "connect_ns",
                "sent_ns",
                "first_byte_ns",
                "first_token_ns",
                "first_answer_ns",
                "last_token_ns",
                "end_ns",
                "prompt_tokens",
                "cached_tokens",
                "completion_tokens",
                "reasoning_tokens",
            ),
            whole,
        ),
        **dict.fromkeys(("tokens_source", "finish_reason", "error_kind"), text),
        "error_status": whole,
        "error_message": text,
        "doubts": pl.List(pl.String()),
        **dict.fromkeys(("round", "session", "limit_wait_ns"), whole),
    }
    if optional:
        schema |= {"text": text, "reasoning": text}
        schema |= dict.fromkeys(("token_ids", "timeline_us", "timeline_tokens", "timeline_chars"), pl.List(pl.Int64()))
    return schema


def grade_schema() -> dict[str, pl.DataType]:
    """Columns and types of the grades frame: the fields of ``domain.Grade``."""
    import polars as pl

    text, whole = pl.String(), pl.Int64()
    return {
        **dict.fromkeys(("setting", "method"), text),
        "budget": whole,
        **dict.fromkeys(("load", "problem"), text),
        **dict.fromkeys(("sample", "call", "repeat", "attempt"), whole),
        "policy": text,
        "cut_tokens": whole,
        **dict.fromkeys(("status", "answer", "layer", "grader_version"), text),
        "group": whole,
        "samples": whole,
        "score": pl.Float64(),
    }


_TEXT_COLUMNS = ("setting", "method", "load", "policy", "provenance")
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

#: Every column of the comparisons frame. A ratio is a's figure over b's: above 1, b is better.
PAIR_COLUMNS: tuple[str, ...] = (
    "axis",  # "speculation" | "tensor_parallel" | "backend" | "method" | "budget" ...
    "a",  # setting id
    "b",
    "a_method",
    "b_method",
    "a_budget",
    "b_budget",
    "a_samples",
    "b_samples",
    "load",
    "policy",
    "n",  # problems compared
    "accuracy_diff",  # b minus a
    "accuracy_diff_lo",
    "accuracy_diff_hi",
    "accuracy_p",  # exact McNemar; a paired t test over problems where there are several answers
    "accuracy_p_holm",
    "latency_ratio",  # with failures charged: max(own, the most that any compared point needed), else total_s
    "latency_ratio_lo",
    "latency_ratio_hi",
    "latency_p",  # of the verdict: over the answers both gave, or because one side fails more
    "latency_p_holm",
    "cost_ratio",  # of gpu_s_per_problem
    "cost_ratio_lo",
    "cost_ratio_hi",
    "cost_p",
    "cost_p_holm",
    "paper_cost_ratio",  # of cost_per_token
    "paper_cost_ratio_lo",
    "paper_cost_ratio_hi",
    "length_ratio",  # of tokens: tells a change of length from a change of speed
    "speed_ratio",  # latency ratio divided by length ratio
    "latency_ratio_answered",  # over the answers both gave; its interval is of 96 % where one side failed more
    "latency_ratio_answered_lo",
    "latency_ratio_answered_hi",
    "latency_ratio_typical",  # geometric mean over the problems both answered
    "cost_ratio_answered",
    "cost_ratio_answered_lo",
    "cost_ratio_answered_hi",
    "a_failed_share",  # of outcomes
    "b_failed_share",
    "only_a_failed",  # problems that a failed more often than b
    "only_b_failed",
    "starts",  # fewest server starts of the two: rounds x repeats
    "rounds",
    "required_n",  # problems needed to separate the accuracies at 80 % power, null where separated
    "accuracy_verdict",  # a sentence
    "latency_verdict",
    "cost_verdict",
    "doubts",
)

#: The table "compute-optimal against system-optimal": one row a load, policy and accuracy target.
OPTIMAL_COLUMNS: tuple[str, ...] = (
    "load",
    "policy",
    "accuracy_target",
    "by_tokens",  # labels of the cheapest point that reaches the target, by each axis
    "by_flops",
    "by_latency",
    "by_cost",
    "tokens",
    "latency_s",
    "gpu_s_per_problem",
    "latency_penalty",  # latency of the token-cheapest over the least latency
    "latency_penalty_lo",
    "latency_penalty_hi",
    "cost_penalty",  # bill of the token-cheapest over the least bill
    "cost_penalty_lo",
    "cost_penalty_hi",
    "differs_share",  # share of resamples in which choosing by tokens is not choosing by latency and cost
)

#: One row a setting that should give the same text as its reference.
LOSSLESS_COLUMNS: tuple[str, ...] = (
    "axis",
    "a",
    "b",
    "method",
    "budget",
    "load",
    "policy",
    "n",  # outputs compared
    "identical_share",
    "identical_lo",
    "identical_hi",
    "first_difference_tokens_p50",  # among those that differ
    "accuracy_diff",
    "accuracy_diff_lo",
    "accuracy_diff_hi",
    "length_diff_tokens",
    "length_diff_lo_tokens",
    "length_diff_hi_tokens",
)

#: The frontier of one axis as drawn: one row a point of it, from cheap to dear.
FRONTIER_COLUMNS: tuple[str, ...] = (*POINT_KEY, "axis", "x", "accuracy", "share", "tie")

#: Pointwise 95 % band of each frontier: the best accuracy that x buys.
BAND_COLUMNS: tuple[str, ...] = ("load", "policy", "axis", "x", "accuracy", "accuracy_lo", "accuracy_hi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One of the paper's claims, tried on the user's own data.

    verdict: ``cannot be told`` both where it is not testable and where it is not confirmed. sentence: the verdict in
    words, which tells the two apart, then the figure. figure, lo, hi: the statistic of the part that decides and its
    interval in ``unit``; None where nothing in the run bears on it. evidence: labels of the points it rests on. doubts:
    codes of warnings. source: who made the claim. measured: what the source measured. tested: what was tested here.
    """

    letter: str
    title: str
    verdict: Verdict
    sentence: str
    figure: float | None = None
    lo: float | None = None
    hi: float | None = None
    unit: str = ""
    evidence: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    source: str = ""
    measured: str = ""
    tested: str = ""

    @property
    def word(self) -> str:
        """The verdict as reports say it: what the sentence begins with, where that is a verdict."""
        begun = self.sentence.split(": ", 1)[0]
        return begun if begun in ("not testable", "not confirmed") else self.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """One service-level objective: ``column op bound``, e.g. ``p90_latency=10`` is ``latency_p90_s <= 10``."""

    column: str
    at_most: bool
    bound: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SloChoice:
    """The most accurate point that keeps every objective at one load, None if none does.

    share: of resamples in which this point keeps them; best_share: in which it is also the best that does.
    """

    load: str
    policy: str
    objectives: tuple[Slo, ...]
    point: dict[str, str | int] | None
    label: str
    accuracy: float | None
    share: float | None
    best_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """All that reports show. Frames hold the columns named by the tuples above; doubts name what they touch."""

    points: pl.DataFrame
    pairs: pl.DataFrame
    optimal: pl.DataFrame
    frontiers: pl.DataFrame
    bands: pl.DataFrame
    losslessness: pl.DataFrame
    spot_checks: pl.DataFrame
    claims: tuple[Claim, ...] = ()
    slo: tuple[SloChoice, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    formulas: Mapping[str, str] = field(default_factory=dict)
