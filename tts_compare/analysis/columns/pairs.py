"""Columns of the comparisons, of the choices of each axis, and of the texts that should be equal."""

from __future__ import annotations

from tts_compare.analysis.columns.formulas import BOOTSTRAP
from tts_compare.analysis.metric import Kind, Metric


def _limits(name: str, kind: Kind, formula: str) -> tuple[Metric, Metric]:
    """The columns of an interval, ``NAME_lo`` and ``NAME_hi``."""
    low, high = (
        Metric(name=f"{name}_{end}", kind=kind, formula=formula, population="compared") for end in ("lo", "hi")
    )
    return low, high


def _of_pair(name: str, kind: Kind, formula: str) -> Metric:
    return Metric(name=name, kind=kind, formula=formula, population="compared")


_LATENCY = f"mean latency of a / of b, the same problems, failures charged; {BOOTSTRAP}"
_COST = (
    "device-seconds per problem of a / of b, the same problems, failures charged; dollars on the axis hosted; "
    f"{BOOTSTRAP}"
)
_PAPER_COST = f"cost per token of a / of b; {BOOTSTRAP}"
_ANSWERED = "over the answers both gave; its interval is of 96 % where one side failed more"
_HOLM = "Holm-corrected over all comparisons along the same axis, from the largest budget down"
_VERDICT = "the verdict in words"
_ACCURACY = "b - a over the problems both were measured on; Newcombe's paired interval, 95 %"

#: The comparisons: two points that differ in one thing. A ratio is a's figure over b's: above 1, b is better.
PAIRS: tuple[Metric, ...] = (
    _of_pair("axis", "text", "what the two differ in: speculation, backend, method, hosted (theirs and ours) ..."),
    _of_pair("a", "text", "setting of the plainer side"),
    _of_pair("b", "text", "setting of the other side"),
    _of_pair("a_method", "text", "method of a"),
    _of_pair("b_method", "text", "method of b"),
    _of_pair("a_budget", "count", "budget of a"),
    _of_pair("b_budget", "count", "budget of b"),
    _of_pair("a_samples", "count", "samples of a"),
    _of_pair("b_samples", "count", "samples of b"),
    _of_pair("load", "text", "load of both"),
    _of_pair("policy", "text", "policy of both"),
    _of_pair("n", "count", "problems compared"),
    _of_pair("accuracy_diff", "share", _ACCURACY),
    *_limits("accuracy_diff", "share", _ACCURACY),
    _of_pair("accuracy_p", "number", "exact McNemar; a paired t test over problems for several answers a problem"),
    _of_pair("accuracy_p_holm", "number", _HOLM),
    _of_pair("latency_ratio", "ratio", _LATENCY),
    *_limits("latency_ratio", "ratio", _LATENCY),
    _of_pair("latency_p", "number", "of the verdict: over the answers both gave, or because one side fails more"),
    _of_pair("latency_p_holm", "number", _HOLM),
    _of_pair("cost_ratio", "ratio", _COST),
    *_limits("cost_ratio", "ratio", _COST),
    _of_pair("cost_p", "number", "as latency_p"),
    _of_pair("cost_p_holm", "number", _HOLM),
    _of_pair("paper_cost_ratio", "ratio", _PAPER_COST),
    *_limits("paper_cost_ratio", "ratio", _PAPER_COST),
    _of_pair("length_ratio", "ratio", "mean completion tokens of a / of b"),
    _of_pair("speed_ratio", "ratio", "latency ratio / length ratio"),
    _of_pair("latency_ratio_answered", "ratio", _ANSWERED),
    *_limits("latency_ratio_answered", "ratio", _ANSWERED),
    _of_pair("latency_ratio_typical", "ratio", "geometric mean over the problems both answered"),
    _of_pair("cost_ratio_answered", "ratio", _ANSWERED),
    *_limits("cost_ratio_answered", "ratio", _ANSWERED),
    _of_pair("a_failed_share", "share", "answers of a that failed / measured"),
    _of_pair("b_failed_share", "share", "answers of b that failed / measured"),
    _of_pair("only_a_failed", "count", "problems that a failed more often than b"),
    _of_pair("only_b_failed", "count", "problems that b failed more often than a"),
    _of_pair("starts", "count", "fewest server starts of the two: rounds x repeats"),
    _of_pair("rounds", "count", "rounds that both measured"),
    _of_pair(
        "required_n",
        "count",
        "(z(0.975) + z(0.8))^2 x variance of the paired differences / difference^2; one answer a problem: "
        "2 / difference more, at least 6 / difference; null where the two are told apart",
    ),
    _of_pair("accuracy_verdict", "text", _VERDICT),
    _of_pair("latency_verdict", "text", _VERDICT),
    _of_pair("cost_verdict", "text", _VERDICT),
    _of_pair("doubts", "list", "codes of the warnings that touch it"),
)

_LATENCY_PENALTY = f"latency of the token-cheapest (ties: geometric mean) / least at the target; {BOOTSTRAP}"
_COST_PENALTY = f"device-seconds of the token-cheapest / the least at the target; {BOOTSTRAP}"

#: "Compute-optimal against system-optimal": one row a load, policy and accuracy target.
OPTIMAL: tuple[Metric, ...] = (
    _of_pair("load", "text", "the load"),
    _of_pair("policy", "text", "the policy"),
    _of_pair("accuracy_target", "share", "an accuracy at which the compute frontier steps up"),
    _of_pair("by_tokens", "text", "label of the token-cheapest point that reaches the target; several that tie"),
    _of_pair("by_flops", "text", "label of the point that reaches the target with the fewest FLOPs"),
    _of_pair("by_latency", "text", "label of the fastest point that reaches the target"),
    _of_pair("by_cost", "text", "label of the cheapest point that reaches the target"),
    _of_pair("tokens", "tokens", "mean tokens of by_tokens"),
    _of_pair("latency_s", "seconds", "mean latency of by_latency"),
    _of_pair("gpu_s_per_problem", "device_seconds", "cost per problem of by_cost"),
    _of_pair("latency_penalty", "ratio", _LATENCY_PENALTY),
    *_limits("latency_penalty", "ratio", _LATENCY_PENALTY),
    _of_pair("cost_penalty", "ratio", _COST_PENALTY),
    *_limits("cost_penalty", "ratio", _COST_PENALTY),
    _of_pair(
        "differs_share",
        "share",
        "share of resamples in which the token-cheapest takes over 5 % more latency or cost per problem",
    ),
)

_IDENTICAL = "pairs of responses with equal text / pairs; Wilson interval"
_LENGTH = "tokens of b - of a, mean over the pairs; Student's t over problems"

#: One row a setting that should give the same text as its reference.
LOSSLESS: tuple[Metric, ...] = (
    _of_pair("axis", "text", "what the two differ in"),
    _of_pair("a", "text", "the reference"),
    _of_pair("b", "text", "the setting that should give its text"),
    _of_pair("method", "text", "the method of both"),
    _of_pair("budget", "count", "the budget of both"),
    _of_pair("load", "text", "the load of both"),
    _of_pair("policy", "text", "the policy of both"),
    _of_pair("n", "count", "pairs of responses compared"),
    _of_pair("identical_share", "share", _IDENTICAL),
    _of_pair("identical_lo", "share", _IDENTICAL),
    _of_pair("identical_hi", "share", _IDENTICAL),
    _of_pair(
        "first_difference_tokens_p50", "tokens", "median tokens before the first difference, among pairs that differ"
    ),
    _of_pair("accuracy_diff", "share", _ACCURACY),
    *_limits("accuracy_diff", "share", _ACCURACY),
    _of_pair("length_diff_tokens", "tokens", _LENGTH),
    _of_pair("length_diff_lo_tokens", "tokens", _LENGTH),
    _of_pair("length_diff_hi_tokens", "tokens", _LENGTH),
)
