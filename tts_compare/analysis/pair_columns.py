"""The comparisons frame: its columns in order, and what each means."""

from __future__ import annotations

#: Every column of the comparisons frame. A ratio is a's figure over b's: above 1, b is better.
PAIR_COLUMNS: tuple[str, ...] = (
    "axis",  # "speculation" | "tensor_parallel" | "backend" | "method" | "hosted" (a hosted setting and ours) ...
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
    "cost_ratio",  # of gpu_s_per_problem; of usd_per_problem on the axis "hosted"
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
