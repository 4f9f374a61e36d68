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
    "level": "the effort level that requests state; the budget is then a cap",
    "n": "problems measured",
    "outcomes": "answers measured: problems x samples x repeats; one vote is one answer",
    "answered": "answers measured that did not fail: the times to tokens are over these",
    "not_measured": "answers left without a measurement by an interruption, by 401, 403 or 404, or by a hosted quota; "
    "they are in no figure",
    "n_compared": "problems measured in every point of the same load and policy",
    "failed": "answers of which a call failed in all its attempts; of a vote, in all its samples",
    "ungraded": "answers the grader could not judge",
    "prefix_short_share": "derived points: tokens by which the whole chunks are short of the budget / the budget",
    "inside_chunk_share": "derived points: answers that the budget cuts inside a chunk / answers",
    "failed_by_kind": "answers that failed, by the kind of the last error",
    "truncated_share": "answers cut by the budget / answers measured",
    "failed_share": "failed / answers measured",
    "failed_samples_share": "samples that failed / samples, of the votes",
    "ungraded_share": "ungraded / answers measured",
    "wasted_share": "1 - completion tokens of correct answers / completion tokens of all attempts",
    "accuracy": "correct / answers measured; no answer, truncated, failed and ungraded are not correct",
    "accuracy_lo": _WILSON,
    "accuracy_hi": _WILSON,
    "accuracy_bound_lo": "failed and ungraded all wrong",
    "accuracy_bound_hi": "failed and ungraded all right",
    "pass_at_samples": "pass@m = 1 - C(k - c, m) / C(k, m), mean over problems (Chen et al. 2021)",
    "latency_mean_s": "mean of last token - first attempt sent: failed attempts and the wait after them count, waits "
    "for our own limits do not (in an open loop from the instant intended, with them); a failed answer counts until it "
    "failed; votes: the last of the m samples, averaged over all subsets of the k",
    "latency_is_lower_bound": "an answer failed, and its own time is less than an answer would have taken",
    "latency_lo_s": _BOOTSTRAP,
    "latency_hi_s": _BOOTSTRAP,
    "latency_p50_s": "median of latency (type 7); an answer that failed was never reached",
    "latency_p90_s": "90th percentile of latency (type 7); an answer that failed was never reached",
    "latency_p95_s": "95th percentile of latency (type 7); an answer that failed was never reached",
    "latency_max_s": "longest latency; unknown where an answer failed",
    "latency_sd_s": "standard deviation of the latencies of the answered",
    "latency_p99_s": "99th percentile of latency (type 7), from 400 answers on",
    **{f"latency_{q}_{side}_s": _ORDER for q in ("p50", "p90", "p95", "p99") for side in ("lo", "hi")},
    "latency_mth_mean_s": "votes: mean time until m of all k samples had come in",
    "request_latency_mean_s": "mean of last token - sent of the attempt that succeeded, over the answered",
    "attempts_mean": "attempts a call, mean over answers",
    "limit_wait_mean_s": "seconds an answer waited for limits of ours, mean",
    "buffered_share": "answers whose tokens came in one piece / answers measured; they have no ttft and no tpot",
    "ttft_mean_s": "mean of first token - sent",
    "ttft_p50_s": "median of first token - sent",
    "ttft_p90_s": "90th percentile of first token - sent",
    "ttfot_p50_s": "median of first answer token - sent",
    "tpot_mean_s": "mean over requests of (latency - ttft) / (completion tokens - 1)",
    "tpot_p50_s": "median over requests of (latency - ttft) / (completion tokens - 1)",
    "tpot_pooled_s": "sum of (latency - ttft) / sum of (completion tokens - 1): mean request latency = mean ttft + "
    "(mean tokens - 1) x this",
    "icl_p50_s": "median gap between chunks; a chunk may hold many tokens",
    "icl_p99_s": "99th percentile of the gap between chunks",
    "decode_s": "mean request latency - mean ttft",
    "tokens_mean": "mean completion tokens a problem; votes: of the m samples together",
    "tokens_lo": _BOOTSTRAP,
    "tokens_hi": _BOOTSTRAP,
    "thinking_tokens_mean": "mean thinking tokens of a request, its marks not among them; measured points where every "
    "answer tells",
    "answer_tokens_mean": "mean completion tokens of a request - mean thinking tokens; marks count here",
    "prompt_tokens_mean": "mean prompt tokens, one request's prompt charged once among its choices",
    "cached_tokens_mean": "mean prompt tokens served from the prefix cache",
    "flops_mean": "2 x parameters x (generated, rejected draft and uncached prompt tokens) "
    "+ 4 x layers x heads x head size x "
    "(sum over tokens of the context each attends to)",
    "devices": "tensor x pipeline x data parallel; the ranks on a CPU",
    "wall_s": "first sent to last end of what was measured, summed over repeats, rounds and sessions of a resumed run; "
    "the restart of a server that died is in it",
    "requests_per_s": "answers measured / wall time",
    "output_tokens_per_s": "completion tokens of all attempts / wall time",
    "total_tokens_per_s": "(completion + prompt tokens) / wall time",
    "output_tokens_per_device_s": "output tokens/s / devices",
    "cost_per_token_gpu_s": "devices x sum of latency / sum of completion tokens (the definition of arXiv:2509.19645)",
    "cost_per_token_lo_gpu_s": _BOOTSTRAP,
    "cost_per_token_hi_gpu_s": _BOOTSTRAP,
    "gpu_s_per_token": "devices x wall time / all completion tokens; derived points: sum of latencies at concurrency 1",
    "gpu_s_per_problem": "devices x wall time / answers measured; derived points: sum of latencies at concurrency 1; "
    "votes of fewer samples than were sent: at most devices x the slowest of them",
    "gpu_s_per_problem_least": "votes of fewer samples than were sent: m / k of what the k cost",
    "cost_is_upper_bound": "a vote of fewer samples than were sent: what they alone cost is not known",
    "gpu_s_per_problem_lo": f"{_BOOTSTRAP}; the wall time is shared out by how long each problem's requests ran",
    "gpu_s_per_problem_hi": f"{_BOOTSTRAP}; the wall time is shared out by how long each problem's requests ran",
    "gpu_s_per_correct": "device-seconds / correct answers; a failed answer is charged the most that a compared point "
    "needed for its problem",
    "usd_per_problem": "device-seconds / 3600 x price of a device hour, or the hosted price of the tokens",
    "usd_per_correct": "dollars / correct answers; a failed answer is charged as in gpu_s_per_correct",
    "joules_per_token": "energy counter's change over the point / completion tokens",
    "joules_per_correct": "energy counter's change over the point / correct answers",
    "acceptance_rate": "accepted / proposed draft tokens",
    "preemptions": "running requests that the server put back into its queue, by its own counter",
    "bound_tpot_s": "least time per output token: (weights / TP + KV cache at half the answer) / bandwidth, or the "
    "arithmetic where that is longer, + 2 x layers x time of an all-reduce; with speculation / acceptance length",
    "bound_share": "least time per output token / mean time per output token: where memory binds, the share of its "
    "bandwidth that was used",
    "prefill_bound_share": "least time to read the prompt (2 x active parameters x tokens / peak, or reading the "
    "weights once) / mean ttft",
    "step_overhead_s": "intercept of a least-squares fit of step time on its bound, over the points of the model and "
    "engine without speculation that differ in TP or batch",
    "acceptance_length": "1 + accepted draft tokens / draft steps",
    **{
        f"on_{name}_frontier": "no other point is at least as accurate at no more of it, and better in one"
        for name in ("compute", "flops", "latency", "paper_cost", "cost", "usd")
    },
    **{
        f"share_on_{name}_frontier": _RESAMPLES for name in ("compute", "flops", "latency", "paper_cost", "cost", "usd")
    },
    **{
        f"compared_{name}": "the same figure over the n_compared problems, a failed answer charged the most that a "
        "compared point needed for its problem: what frontiers and comparisons use"
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
    "accuracy_diff": "b - a over the problems both were measured on; Newcombe's paired interval, 95 %",
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
    "differs_share": "share of resamples in which the token-cheapest takes over 5 % more latency or cost per problem",
    "identical_share": "pairs of responses with equal text / pairs; Wilson interval",
    "first_difference_tokens_p50": "median tokens before the first difference, among pairs that differ",
}
