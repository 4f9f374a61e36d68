"""Columns of points on what servers counted, and how near they came to what the hardware could do."""

from __future__ import annotations

from tts_compare.analysis.metric import Metric, Ratio

ENERGY: tuple[Metric, ...] = (
    Metric(
        name="joules_per_token",
        kind="joules",
        formula="energy counter's change over the point / completion tokens",
        words="energy per token",
        population="server",
        aggregation=Ratio(above="point_energy_j", below="tokens_sum"),
    ),
    Metric(
        name="joules_per_correct",
        kind="joules",
        formula="energy counter's change over the point / correct answers",
        heading="per correct",
        words="energy per correct answer",
        population="server",
        aggregation=Ratio(above="point_energy_j", below="right"),
        tables=("cost_wide",),
        when="known",
    ),
    Metric(
        name="joules_per_problem",
        kind="joules",
        formula="energy counter's change over the point / answers measured",
        words="energy per problem",
        population="server",
        aggregation=Ratio(above="point_energy_j", below="outcomes"),
        objectives=("energy",),
    ),
    Metric(
        name="power_mean_w",
        kind="watts",
        formula="energy counter's change over the point / wall time",
        words="mean power",
        population="server",
        aggregation=Ratio(above="point_energy_j", below="wall_s"),
    ),
    Metric(
        name="wasted_share",
        kind="share",
        formula="1 - completion tokens of correct answers / completion tokens of all attempts",
        heading="wasted",
        words="tokens of wrong answers",
        tables=("cost_wide",),
        when="known",
    ),
)

SERVER: tuple[Metric, ...] = (
    Metric(
        name="acceptance_length",
        kind="number",
        formula="1 + accepted draft tokens / draft steps",
        heading="accepted",
        words="acceptance length",
        population="server",
        better="more",
        tables=("speed_wide",),
        when="known",
    ),
    Metric(
        name="acceptance_rate",
        kind="share",
        formula="accepted / proposed draft tokens",
        population="server",
        better="more",
    ),
    Metric(
        name="preemptions",
        kind="number",
        formula="running requests that the server put back into its queue, by its own counter",
        population="server",
    ),
    Metric(
        name="acceptance_by_position",
        kind="shares",
        formula="draft steps whose token at each position was accepted / draft steps, from the first position on",
        population="server",
        better="more",
    ),
    Metric(
        name="queue_mean_s",
        kind="seconds",
        formula="mean wait of a request in the server before it ran, by its own counter",
        words="mean time in the server's queue",
        population="server",
    ),
    Metric(
        name="startup_mean_s",
        kind="seconds",
        formula="mean time from a server's start to ready, over the starts of the setting",
        words="time to start",
        population="server",
    ),
)

#: Worked out by ``judge.bounds``, which knows the machine; null in what the analysis alone makes.
LIMIT: tuple[Metric, ...] = (
    Metric(
        name="bound_tpot_s",
        kind="seconds",
        formula="least time per output token: (weights / TP + KV cache at half the answer) / bandwidth, or the "
        "arithmetic where that is longer, + 2 x layers x time of an all-reduce; with speculation / acceptance length",
        words="least time per output token",
        population="machine",
    ),
    Metric(
        name="bound_share",
        kind="share",
        formula="least time per output token / mean time per output token: where memory binds, the share of its "
        "bandwidth that was used",
        heading="of\nbound",
        words="share of the bound",
        objectives=("bound_share",),
        population="machine",
        better="more",
        tables=("speed_wide",),
        when="known",
    ),
    Metric(
        name="prefill_bound_share",
        kind="share",
        formula="least time to read the prompt (2 x active parameters x tokens / peak, or reading the weights once) / "
        "mean ttft",
        population="machine",
        better="more",
    ),
    Metric(
        name="step_overhead_s",
        kind="seconds",
        formula="intercept of a least-squares fit of step time on its bound, over the points of the model and engine "
        "without speculation that differ in TP or batch",
        population="machine",
    ),
)
