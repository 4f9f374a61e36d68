"""The axes: what accuracy is set against, a frontier each."""

from __future__ import annotations

from tts_compare.analysis.metric import Axis

#: In the order of their letters in the column of marks.
AXES: tuple[Axis, ...] = (
    Axis(
        name="tokens",
        metric="tokens_mean",
        compared="compared_tokens",
        mark="on_compute_frontier",
        letter="T",
        word="tokens (compute)",
        title="Tokens per problem",
        figure="tokens",
        place=4,
    ),
    Axis(
        name="flops",
        metric="flops_mean",
        compared="compared_flops",
        mark="on_flops_frontier",
        word="FLOPs",
        title="FLOPs per problem",
        figure="flops",
        place=5,
    ),
    Axis(
        name="latency",
        metric="latency_mean_s",
        compared="compared_latency_s",
        mark="on_latency_frontier",
        letter="L",
        word="mean latency",
        title="Mean latency",
        figure="latency_s",
        place=1,
    ),
    Axis(
        name="paper_cost",
        metric="cost_per_token_gpu_s",
        compared="compared_cost_per_token_gpu_s",
        mark="on_paper_cost_frontier",
        letter="P",
        word="cost per token (the paper's cost)",
        title="Cost per token",
        place=3,
    ),
    Axis(
        name="cost",
        metric="gpu_s_per_problem",
        compared="compared_gpu_s_per_problem",
        mark="on_cost_frontier",
        letter="C",
        word="cost per problem",
        title="Cost per problem",
        figure="bill_gpu_s",
        place=2,
    ),
    Axis(
        name="usd",
        metric="usd_per_problem",
        compared="compared_usd_per_problem",
        mark="on_usd_frontier",
        word="dollars per problem",
        title="Dollars per problem",
        figure="usd",
        place=6,
    ),
    Axis(
        name="bound",
        metric="bound_share",
        compared="compared_bound_share",
        mark="on_bound_frontier",
        word="share of the bound on time per output token",
        title="Share of the bound",
        place=7,
    ),
)
