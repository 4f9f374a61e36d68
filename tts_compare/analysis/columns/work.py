"""Columns of points on the tokens that answers took, how fast they came, and what they cost."""

from __future__ import annotations

from tts_compare.analysis.columns.formulas import BOOTSTRAP
from tts_compare.analysis.metric import Interval, Mean, Metric, Ratio

_BILL = f"{BOOTSTRAP}; the wall time is shared out by how long each problem's requests ran"

TOKENS: tuple[Metric, ...] = (
    Metric(
        name="tokens_mean",
        kind="tokens",
        formula="mean completion tokens a problem; votes: of the m samples together",
        heading="tokens",
        words="tokens per problem",
        interval=Interval(lo="tokens_lo", hi="tokens_hi", formula=BOOTSTRAP),
        objectives=("tokens",),
        answer="tokens",
        tables=("speed", "speed_wide"),
    ),
    Metric(
        name="thinking_tokens_mean",
        kind="tokens",
        formula="mean thinking tokens of a request, its marks not among them; measured points where every answer tells",
        population="answered",
    ),
    Metric(
        name="answer_tokens_mean",
        kind="tokens",
        formula="mean completion tokens of a request - mean thinking tokens; marks count here",
        population="answered",
    ),
    Metric(
        name="prompt_tokens_mean",
        kind="tokens",
        formula="mean prompt tokens, one request's prompt charged once among its choices",
        population="answered",
        aggregation=Mean(column="prompt_tokens"),
    ),
    Metric(
        name="cached_tokens_mean",
        kind="tokens",
        formula="mean prompt tokens served from the prefix cache",
        population="answered",
        aggregation=Mean(column="cached_tokens"),
    ),
    Metric(
        name="flops_mean",
        kind="flops",
        formula="2 x parameters x (generated, rejected draft and uncached prompt tokens) + 4 x layers x heads x head "
        "size x (sum over tokens of the context each attends to)",
        words="FLOPs per problem",
        population="answered",
        aggregation=Mean(column="flops"),
    ),
)

RATES: tuple[Metric, ...] = (
    Metric(
        name="devices",
        kind="count",
        formula="tensor x pipeline x data parallel; the ranks on a CPU",
        population="point",
    ),
    Metric(
        name="wall_s",
        kind="seconds",
        formula="first sent to last end of what was measured, summed over repeats, rounds and sessions of a resumed "
        "run; the restart of a server that died is in it",
    ),
    Metric(
        name="requests_per_s",
        kind="number",
        formula="answers measured / wall time",
        aggregation=Ratio(above="outcomes", below="wall_s"),
        better="more",
    ),
    Metric(
        name="output_tokens_per_s",
        kind="number",
        formula="completion tokens of all attempts / wall time",
        aggregation=Ratio(above="tokens_sum", below="wall_s"),
        better="more",
    ),
    Metric(
        name="total_tokens_per_s",
        kind="number",
        formula="(completion + prompt tokens) / wall time",
        aggregation=Ratio(above="all_tokens_sum", below="wall_s"),
        better="more",
    ),
    Metric(
        name="output_tokens_per_device_s",
        kind="number",
        formula="output tokens/s / devices",
        aggregation=Ratio(above="tokens_sum", below="device_wall_s"),
        better="more",
    ),
    Metric(
        name="output_tokens_per_user_s",
        kind="number",
        formula="sum of (completion tokens - 1) / sum of (latency - ttft): how fast the tokens of one answer follow "
        "each other",
        words="output tokens/s of one answer",
        population="answered",
        aggregation=Ratio(above="decode_tokens_sum", below="decode_s_sum"),
        better="more",
    ),
    Metric(
        name="concurrency_mean",
        kind="number",
        formula="seconds for which requests were in flight, summed over attempts / wall time",
        words="requests in flight",
        aggregation=Ratio(above="in_flight_s", below="wall_s"),
        better="more",
    ),
    Metric(
        name="goodput_share",
        kind="share",
        formula="answers that kept every objective of --slo on a figure of single answers (latency, times to tokens, "
        "tokens, dollars) / answers measured; a failed answer kept none",
        aggregation=Ratio(above="kept", below="outcomes"),
        better="more",
    ),
    Metric(
        name="goodput_per_s",
        kind="number",
        formula="answers that kept every objective, as in goodput_share / wall time",
        words="goodput",
        aggregation=Ratio(above="kept", below="wall_s"),
        better="more",
    ),
)

COSTS: tuple[Metric, ...] = (
    Metric(
        name="cost_per_token_gpu_s",
        kind="device_seconds",
        formula="devices x sum of latency / sum of completion tokens (the definition of arXiv:2509.19645)",
        heading="per token",
        words="cost per token",
        interval=Interval(lo="cost_per_token_lo_gpu_s", hi="cost_per_token_hi_gpu_s", formula=BOOTSTRAP),
        objectives=("cost_per_token",),
        tables=("cost", "cost_hosted", "cost_wide"),
        when="devices",
        at_most="cost_is_upper_bound",
    ),
    Metric(
        name="gpu_s_per_token",
        kind="device_seconds",
        formula="devices x wall time / all completion tokens; derived points: sum of latencies at concurrency 1",
        words="device-seconds per token",
        at_most="cost_is_upper_bound",
    ),
    Metric(
        name="gpu_s_per_problem",
        kind="device_seconds",
        formula="devices x wall time / answers measured; derived points: sum of latencies at concurrency 1; "
        "votes of fewer samples than were sent: at most devices x the slowest of them",
        heading="per problem",
        words="cost per problem",
        interval=Interval(lo="gpu_s_per_problem_lo", hi="gpu_s_per_problem_hi", formula=_BILL),
        objectives=("cost",),
        tables=("cost", "cost_hosted", "cost_wide"),
        when="devices",
        at_most="cost_is_upper_bound",
    ),
    Metric(
        name="gpu_s_per_problem_least",
        kind="device_seconds",
        formula="votes of fewer samples than were sent: m / k of what the k cost",
        population="votes",
    ),
    Metric(
        name="cost_is_upper_bound",
        kind="flag",
        formula="a vote of fewer samples than were sent: what they alone cost is not known",
        population="votes",
    ),
    Metric(
        name="gpu_s_per_correct",
        kind="device_seconds",
        formula="device-seconds / correct answers; a failed answer is charged the most that a compared point needed "
        "for its problem",
        heading="per correct",
        words="cost per correct answer",
        objectives=("cost_per_correct",),
        tables=("cost_wide",),
        when="devices",
        at_most="cost_is_upper_bound",
    ),
    Metric(
        name="usd_per_problem",
        kind="usd",
        formula="device-seconds / 3600 x price of a device hour, or the hosted price of the tokens",
        heading="$ per\nproblem",
        words="dollars per problem",
        objectives=("usd",),
        answer="usd",
        tables=("cost_hosted", "cost_wide"),
        when="hosted",
    ),
    Metric(
        name="usd_per_correct",
        kind="usd",
        formula="dollars / correct answers; a failed answer is charged as in gpu_s_per_correct",
        heading="$ per\ncorrect",
        words="dollars per correct answer",
        objectives=("usd_per_correct",),
        tables=("cost_hosted", "cost_wide"),
        when="known",
    ),
)
