"""How every figure is computed, in one line each: shown where the figure is shown. docs/metrics.md says more."""

from __future__ import annotations

from collections.abc import Mapping

_WILSON = "Wilson score interval, 95 %; clustered by problem for several answers a problem"
_BOOTSTRAP = (
    "95 %: bootstrap-t over problems on the logarithm, with Student's t over server starts where there are several"
)
_ORDER = "95 % between two order statistics (Woodruff's method for several answers a problem)"
_RESAMPLES = (
    "share of resamples (starts, then problems, paired) in which no other point is as good in both and better in one"
)

FORMULAS: Mapping[str, str] = {
    "n": "problems sent",
    "outcomes": "answers sent for: problems x samples x repeats; one vote is one answer",
    "n_compared": "problems completed and graded in every point of the same load and policy",
    "failed": "answers without a successful last attempt of every call",
    "ungraded": "answers the grader could not judge",
    "prefix_short_share": "derived points: tokens left out because the budget fell inside a chunk / the budget",
    "truncated_share": "answers cut by the budget / answers sent",
    "failed_share": "failed / answers sent",
    "ungraded_share": "ungraded / answers sent",
    "wasted_share": "1 - completion tokens of correct answers / completion tokens of all attempts",
    "accuracy": "correct / answers sent; no answer, truncated, failed and ungraded are not correct",
    "accuracy_lo": _WILSON,
    "accuracy_hi": _WILSON,
    "accuracy_bound_lo": "failed and ungraded all wrong",
    "accuracy_bound_hi": "failed and ungraded all right",
    "pass_at_samples": "pass@m = 1 - C(k - c, m) / C(k, m), mean over problems (Chen et al. 2021)",
    "latency_mean_s": "mean of last token - sent, over complete problems; several calls: first sent to last token; "
    "votes: the slowest of the m samples, averaged over all subsets of the k",
    "latency_lo_s": _BOOTSTRAP,
    "latency_hi_s": _BOOTSTRAP,
    "latency_p50_s": "median of latency",
    "latency_p90_s": "90th percentile of latency",
    "latency_p99_s": "99th percentile of latency, from 400 answers on",
    **{f"latency_{q}_{side}_s": _ORDER for q in ("p50", "p90", "p99") for side in ("lo", "hi")},
    "latency_mth_mean_s": "votes: mean time until m of all k samples had come in",
    "ttft_mean_s": "mean of first token - sent",
    "ttft_p50_s": "median of first token - sent",
    "ttft_p90_s": "90th percentile of first token - sent",
    "ttfot_p50_s": "median of first answer token - sent",
    "tpot_mean_s": "mean over requests of (latency - ttft) / (completion tokens - 1)",
    "tpot_p50_s": "median over requests of (latency - ttft) / (completion tokens - 1)",
    "tpot_pooled_s": "sum of (latency - ttft) / sum of (completion tokens - 1): mean latency = mean ttft + "
    "(mean tokens - 1) x this",
    "icl_p50_s": "median gap between chunks; a chunk may hold many tokens",
    "icl_p99_s": "99th percentile of the gap between chunks",
    "decode_s": "mean latency - mean ttft",
    "tokens_mean": "mean completion tokens a problem; votes: of the m samples together",
    "tokens_lo": _BOOTSTRAP,
    "tokens_hi": _BOOTSTRAP,
    "prompt_tokens_mean": "mean prompt tokens, one request's prompt charged once among its choices",
    "cached_tokens_mean": "mean prompt tokens served from the prefix cache",
    "flops_mean": "2 x parameters x (generated + uncached prompt tokens) + 4 x layers x heads x head size x "
    "(sum over tokens of the context each attends to)",
    "devices": "tensor x pipeline x data parallel; the ranks on a CPU",
    "wall_s": "first sent to last end of the point, summed over repeats, pauses between parts of a run left out",
    "cost_per_token_gpu_s": "devices x sum of latency / sum of completion tokens (the definition of arXiv:2509.19645)",
    "cost_per_token_lo_gpu_s": _BOOTSTRAP,
    "cost_per_token_hi_gpu_s": _BOOTSTRAP,
    "gpu_s_per_token": "devices x wall time / all completion tokens; derived points: sum of latencies at concurrency 1",
    "gpu_s_per_problem": "devices x wall time / answers sent; derived points: sum of latencies at concurrency 1",
    "gpu_s_per_problem_lo": f"{_BOOTSTRAP}; the wall time is shared out by how long each problem's requests ran",
    "gpu_s_per_problem_hi": f"{_BOOTSTRAP}; the wall time is shared out by how long each problem's requests ran",
    "gpu_s_per_correct": "devices x wall time / correct answers",
    "usd_per_problem": "device-seconds / 3600 x price of a device hour, or the hosted price of the tokens",
    "usd_per_correct": "dollars / correct answers",
    "joules_per_token": "energy counter's change over the point / completion tokens",
    "joules_per_correct": "energy counter's change over the point / correct answers",
    "acceptance_length": "1 + accepted draft tokens / draft steps",
    **{
        f"on_{name}_frontier": "no other point is at least as accurate at no more of it, and better in one"
        for name in ("compute", "flops", "latency", "paper_cost", "cost", "usd")
    },
    **{
        f"share_on_{name}_frontier": _RESAMPLES for name in ("compute", "flops", "latency", "paper_cost", "cost", "usd")
    },
    **{
        f"compared_{name}": "the same figure over the n_compared problems: what frontiers and comparisons use"
        for name in (
            "accuracy",
            "latency_s",
            "tokens",
            "flops",
            "cost_per_token_gpu_s",
            "gpu_s_per_problem",
            "usd_per_problem",
        )
    },
    "accuracy_diff": "b - a over the problems both completed; Newcombe's paired interval, 95 %",
    "accuracy_p": "exact McNemar; a paired t test over problems for several answers a problem",
    "accuracy_p_holm": "Holm-corrected over all comparisons along the same axis",
    "latency_ratio": f"mean latency of a / of b, the same problems; {_BOOTSTRAP}",
    "cost_ratio": f"device-seconds per problem of a / of b; {_BOOTSTRAP}",
    "paper_cost_ratio": f"cost per token of a / of b; {_BOOTSTRAP}",
    "length_ratio": "mean completion tokens of a / of b",
    "speed_ratio": "latency ratio / length ratio",
    "required_n": "(z(0.975) + z(0.8))^2 x variance of the paired differences / difference^2; one answer a problem: "
    "2 / difference more, at least 6 / difference",
    "latency_penalty": f"latency of the token-cheapest (ties: geometric mean) / least at the target; {_BOOTSTRAP}",
    "cost_penalty": f"device-seconds of the token-cheapest / the least at the target; {_BOOTSTRAP}",
    "differs_share": "share of resamples in which the token-cheapest takes over 5 % more latency or bill",
    "identical_share": "pairs of responses with equal text / pairs; Wilson interval",
    "first_difference_tokens_p50": "median tokens before the first difference, among pairs that differ",
}
