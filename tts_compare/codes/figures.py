"""Codes of what the analysis finds in the figures themselves."""

from __future__ import annotations

from collections.abc import Mapping

from tts_compare.codes.code import Code

_RESUME = "tts-compare run --resume RUN"
_PER_BUDGET = 'set curve = "per-budget" in the experiment, or pass --curve per-budget'
_ROUNDS = "tts-compare run --rounds 3"

FIGURE_CODES: Mapping[str, Code] = {
    "effort_collapsed": Code(
        severity="warning",
        text="two effort levels give answers of the same length: the endpoint may treat them as one",
        fix="tts-compare run --effort L,...",
        advice="leave one of the levels out, or ask the provider which levels the model has",
    ),
    "effort_not_told_apart": Code(
        severity="note",
        text="two effort levels cannot be distinguished by the lengths of their answers",
        fix="tts-compare run --problems N",
        advice="more problems or samples would tell",
    ),
    "not_measured": Code(
        severity="error",
        text="some requests were not measured: they were interrupted, refused for a key or a name, or met a quota",
        fix=_RESUME,
        advice="resume the run: what was not measured is sent again",
    ),
    "failed_requests": Code(
        severity="warning",
        text="some requests failed: their answers count as wrong, and in comparisons as slow as the slowest",
        fix="tts-compare run --resume RUN --retry-failed",
        advice="see the cause; --retry-failed sends them again as new attempts",
    ),
    "never_sent": Code(
        severity="error",
        text="some requests were never sent, because their server had died or could not be started",
        fix=_RESUME + " --retry-failed",
        advice="see the server's log, then run them",
    ),
    "engine_died": Code(
        severity="error",
        text="the engine died while it was measured: its requests in flight failed",
        fix="tail -n 50 RUN/servers/SETTING.log",
        advice="see the server's log for the cause",
    ),
    "failures_lighten_load": Code(
        severity="warning",
        text="requests failed at concurrency above 1: the others had less load, and look faster than they are",
        fix="tts-compare run --concurrency 1",
        advice="measure at a concurrency that the setting serves whole",
    ),
    "retried": Code(
        severity="warning",
        text="answers needed more than one attempt: latency and cost include the failed attempts and the waits",
        fix="grep -c '\"attempt\": *[1-9]' RUN/records.jsonl",
        advice="see the errors of the first attempts",
    ),
    "censored": Code(
        severity="warning",
        text="some answers never came: mean latency is a lower bound",
        fix="tts-compare run --config FILE  # with [limits] total_s = 3600",
        advice="see why they failed; where that is timeout_total, raise limits.total_s",
    ),
    "nothing_correct": Code(
        severity="warning",
        text="no answer was right: the cost of accuracy is unknown",
        fix="tts-compare grade RUN --explain PROBLEM",
        advice="read an answer; the prompt, the grader or the budget may be wrong",
    ),
    "all_truncated": Code(
        severity="warning",
        text="every response was cut by the budget: latencies are those of the budget",
        fix="tts-compare run --budget 16k",
        advice="give a larger budget",
    ),
    "ungraded": Code(
        severity="warning",
        text="some answers could not be graded; accuracy counts them as wrong and shows its bounds",
        fix="tts-compare grade RUN",
        advice="grade again, or read them with `grade --explain`",
    ),
    "left_out": Code(
        severity="warning",
        text="more than 1 % of the problems were not measured on every setting and are excluded from the comparison",
        fix=_RESUME,
        advice="resume the run until all problems are measured",
    ),
    "one_server_start": Code(
        severity="warning",
        text="one server start: the intervals do not know how much two starts of one setting differ",
        fix=_ROUNDS,
        advice="run again with --rounds 3: three starts of each setting, and hardly more requests",
    ),
    "few_rounds": Code(
        severity="warning",
        text="two rounds: three are needed for an interval that knows the server starts",
        fix=_ROUNDS,
    ),
    "small_rounds": Code(
        severity="warning",
        text="a round has few problems: differences between starts and between problems cannot be distinguished",
        fix="tts-compare run --problems N",
        advice="measure a larger data set, or fewer rounds",
    ),
    "rounds_missing": Code(
        severity="warning",
        text="a round was not measured by every setting: the pairs leave its share out",
        fix=_RESUME,
    ),
    "bimodal_starts": Code(
        severity="warning",
        text="the server starts of a setting fall into two groups: some are much slower than others",
        fix="tts-compare run --rounds 5",
    ),
    "bound_by_limits": Code(
        severity="warning",
        text="requests waited for limits of ours: the waits are excluded from a closed loop's latencies",
        fix="tts-compare run --concurrency 1",
        advice="raise the limits, or lower the load",
    ),
    "load_not_reached": Code(
        severity="error",
        text="the load that was asked for was not reached: a limit of ours held requests back",
        fix="tts-compare run --request-rate LOWER",
        advice="raise the limit, or ask for less",
    ),
    "limits_differ": Code(
        severity="warning",
        text="settings were measured under different time limits or retry rules: no verdict on latency and cost",
        fix="tts-compare run --config FILE",
        advice="measure both in one run, or with the same limits",
    ),
    "derived_biased": Code(
        severity="warning",
        text="latency derived from longer responses at concurrency above 1 is biased: short budgets would free the "
        "batch sooner",
        fix="tts-compare run --curve per-budget",
        advice='measure each budget with curve = "per-budget", or use concurrency 1',
    ),
    "derived_short": Code(
        severity="warning",
        text="derived from chunks of many tokens: prefixes end more than a tenth short of the budget",
        fix="tts-compare run --curve per-budget",
        advice=_PER_BUDGET,
    ),
    "cut_inside_chunk": Code(
        severity="warning",
        text="many derived answers are cut inside a chunk of several tokens: the chunk's instant is taken",
        fix="tts-compare run --curve per-budget",
        advice=_PER_BUDGET,
    ),
    "cut_text_approximate": Code(
        severity="warning",
        text="the text of derived answers ends at a chunk, not at the budget's token",
        fix="tts-compare run --curve per-budget",
        advice=_PER_BUDGET,
    ),
    "grades_of_format_1": Code(
        severity="note",
        text="derived answers were graded by an earlier version, whose cuts end before the budget",
        fix="tts-compare grade RUN",
    ),
    "vote_cost_bound": Code(
        severity="note",
        text="the cost of a vote of fewer samples than were drawn is an upper bound",
        fix="tts-compare run --samples M",
        advice="draw as many samples as vote",
    ),
    "truncated": Code(
        severity="warning",
        text="more than a fifth of the responses were cut by the budget",
        fix="tts-compare run --budget 16k",
        advice="compare accuracy at a larger budget",
    ),
    "price_missing": Code(
        severity="note",
        text="no price and no devices are known, so costs are unknown",
        fix="tts-compare run --price IN/OUT",
        advice="give --price IN/OUT",
    ),
    "cost_unknown": Code(
        severity="note",
        text="the endpoint does not count the tokens of prompts, so its price says nothing of cost",
        advice="compare its cost by an endpoint that sends usage",
    ),
    "above_the_bound": Code(
        severity="warning",
        text="tokens came faster than the machine's bandwidth allows: a figure of the machine or of the model is wrong",
        fix="tts-compare plan --machine FILE",
        advice="state the device's own figures in a file and name it with --machine",
    ),
    "few_problems": Code(
        severity="warning",
        text="fewer than 100 problems: the accuracy interval is wide",
        fix="tts-compare run --problems 200",
        advice="run more problems",
    ),
    "too_few_problems": Code(
        severity="warning",
        text="accuracy differences cannot be told with the problems run",
        fix="tts-compare run --problems N",
        advice="the comparisons say how many each would need",
    ),
    "cold_first_request": Code(
        severity="warning",
        text="the first request of a server start waited over three times the median for its first token",
        fix=_ROUNDS,
        advice="start each setting more often: one slow first request then weighs less",
    ),
    "drift": Code(
        severity="warning",
        text="time per token of the last third of the requests differs from the first third's by over 5 % and three "
        "standard errors",
        fix=_ROUNDS,
        advice="look for heat, other load on the machine, or a growing cache; run again",
    ),
    "spread_between_repeats": Code(
        severity="warning",
        text="server starts of one setting differ by over 5 % (standard deviation of time per token)",
        fix="tts-compare run --rounds 5",
        advice="run more rounds, and look at what else ran on the machine",
    ),
    "client_bottleneck": Code(
        severity="warning",
        text="over 1 % of an open loop's requests went out more than 50 ms late: the client was what was timed",
        fix="tts-compare run --workers 4",
        advice="use --workers, a lower rate, or a machine of its own for the client",
    ),
    "interrupted": Code(
        severity="warning",
        text="a point was measured in parts; the pause between them is not in its wall time",
        fix="tts-compare run --out NEW",
        advice="run the point again where its cost matters",
    ),
    "tokens_estimated": Code(
        severity="warning",
        text="token counts are estimates: a text chunk was counted as one token, or another tool counted",
        fix="tts-compare run --backend openai --base-url URL",
        advice="ask the server for usage (stream_options.include_usage)",
    ),
    "spot_check_latency": Code(
        severity="warning",
        text="derived latency differs by over 5 % from that of real requests",
        fix="tts-compare run --curve per-budget",
        advice='measure each budget with curve = "per-budget"',
    ),
    "spot_check_prefix": Code(
        severity="warning",
        text="real responses at a derived budget differ from the derived prefix",
        fix="tts-compare run --curve per-budget",
        advice="speculation and batching change greedy text; measure each budget instead",
    ),
    "scoring_apart": Code(
        severity="note",
        text="the time in which a reward model was asked is in no latency and no cost",
        advice="add them, and what the reward model runs on, where the choice is waited for",
    ),
    "scoring_untimed": Code(
        severity="note",
        text="the scores came from a file: the time it took to make them is not known, and in no figure",
        fix="tts-compare grade RUN --scores URL",
        advice="let a reward model be asked (scores = URL), which is timed",
    ),
    "unscored": Code(
        severity="warning",
        text="responses have no score; choices that need them are ungraded",
        fix="tts-compare grade RUN --scores URL",
        advice="see the errors in scores.jsonl; `tts-compare grade RUN --scores URL` asks for what is missing",
    ),
    "scores_saturated": Code(
        severity="warning",
        text="several responses share a best score of exactly 1: the first is taken",
        fix="tts-compare grade RUN --scores URL",
        advice="ask for rewards without activation (scores_activation = false)",
    ),
    "prefix_cache_hits": Code(
        severity="error",
        text="more prompt tokens came from the prefix cache than the point's own prompts explain",
        fix="tts-compare run --engine-args vllm=--no-enable-prefix-caching",
        advice="flush the cache before each point, or switch prefix caching off",
    ),
    "rows_set_aside": Code(
        severity="error",
        text="some rows of records.jsonl cannot be read and are in no figure",
        fix="sed -n LINEp RUN/records.jsonl",
        advice="look at the lines named; --resume measures what they held",
    ),
    "grades_unreadable": Code(
        severity="warning",
        text="grades.jsonl could not be read: the answers were graded anew",
        fix="tts-compare grade RUN",
    ),
}
