"""Codes with which the client marks a row of ``records.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping

from tts_compare.codes.code import Code

_SELFTEST = "tts-compare selftest"
_AGAIN = "tts-compare run --out NEW"

ROW_CODES: Mapping[str, Code] = {
    "stream_buffered": Code(
        severity="error",
        text="tokens share the instant they arrived at: something buffers the stream, or the client stood still; the "
        "times of its tokens are not known",
        fix="curl --no-buffer URL/chat/completions",
        advice="measure without the proxy, or switch its buffering off (proxy_buffering off), or free a busy machine",
    ),
    "not_streamed": Code(
        severity="warning",
        text="the answer came whole: the time to the first token is that to the end",
        fix="curl --no-buffer URL/chat/completions",
        advice="use an endpoint that streams, or compare mean latency only",
    ),
    "not_stamped_on_arrival": Code(
        severity="warning",
        text="instants are those at which a proxy's bytes were read",
        fix="env -u HTTPS_PROXY -u HTTP_PROXY -u ALL_PROXY tts-compare run",
        advice="measure without a proxy",
    ),
    "past_max_tokens": Code(
        severity="warning",
        text="an answer has more tokens than were asked for: a gateway may count samples that it did not show",
        fix="grep past_max_tokens RUN/records.jsonl",
    ),
    "counts_disagree": Code(
        severity="error",
        text="the token counts of one response contradict each other",
        fix="grep counts_disagree RUN/records.jsonl",
        advice="look at the rows: the usage is taken, and the instants of single tokens are not certain",
    ),
    "usage_absurd": Code(
        severity="warning",
        text="a token count that the server gave is negative or beyond all bounds: it is treated as missing",
        fix="grep usage_absurd RUN/records.jsonl",
    ),
    "timeline_estimated": Code(
        severity="warning",
        text="chunks of a response were not counted: its tokens are shared out among them by their characters",
        fix="tts-compare run --curve per-budget",
        advice="measure each budget: cuts of such a response are estimates",
    ),
    "hidden_reasoning": Code(
        severity="note",
        text="tokens that are counted and charged, and in no chunk",
        fix="grep hidden_reasoning RUN/records.jsonl",
    ),
    "no_done": Code(severity="note", text="a finish_reason and then no [DONE]: the answer is whole", fix=_SELFTEST),
    "unclean_end": Code(
        severity="note",
        text="a finish_reason and then a broken connection: the answer is whole",
        fix=_SELFTEST,
    ),
    "bytes_after_answer": Code(
        severity="note", text="the server went on after its answer: what came then is ignored", fix=_SELFTEST
    ),
    "surrogates_replaced": Code(
        severity="note",
        text="half of a character outside the basic plane came without its other half: it was replaced",
        fix="grep surrogates_replaced RUN/records.jsonl",
    ),
    "more_choices": Code(
        severity="warning",
        text="a response holds more choices than were asked for: those beyond are ignored, and their tokens may be in "
        "the usage",
        fix="grep more_choices RUN/records.jsonl",
    ),
    "other_model": Code(
        severity="warning",
        text="a response names another model than was asked for: a router may have sent it elsewhere",
        fix="curl URL/models",
        advice="name the model that answers",
    ),
    "stop_without_text": Code(
        severity="warning",
        text="a response ended normally and holds no text",
        fix="tts-compare grade RUN --explain PROBLEM",
        advice="look at the prompt template: the model may have ended at once",
    ),
    "thinking_over_budget": Code(
        severity="error",
        text="an answer thought longer than its budget and the slack of its engine: the budget is not obeyed",
        fix="grep thinking_over_budget RUN/records.jsonl",
        advice="start the server with the flags that docs/methods.md names, or leave the setting out",
    ),
    "thinking_reopened": Code(
        severity="warning",
        text="thinking ended more than once in an answer: a model that begins again gets its budget anew",
        fix="grep thinking_reopened RUN/records.jsonl",
    ),
    "thinking_not_seen": Code(
        severity="warning",
        text="an answer under a thinking budget shows no thinking: neither mark is in it, so the budget did nothing",
        fix="grep thinking_not_seen RUN/records.jsonl",
        advice="use a model whose template opens the thinking block, or that opens it itself",
    ),
    "thinking_not_off": Code(
        severity="error",
        text="an answer thought although thinking was switched off: the switch is not obeyed",
        fix="grep thinking_not_off RUN/records.jsonl",
        advice='use method_options.no_thinking.by = "prefill", which asks nothing of the engine',
    ),
    "oversized": Code(
        severity="error",
        text="a response holds more bytes than any answer of its budget could: it was cut off and failed",
        fix=_AGAIN,
        advice="find out what answers at this address",
    ),
}
