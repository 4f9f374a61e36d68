"""The cases of the self-test: what is served, and what a client must say of it.

Each is a way in which a benchmark client is known to fool itself, or a fault that must end in its own error kind. The
truth is noted by the server as it writes; a client's instant may trail it, and never precede it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tts_compare.client import TimeLimits
from tts_compare.domain import ErrorKind, RequestRecord
from tts_compare.selftest import tokens

MAX_TRAIL_MS = 100.0
"""What an arrival may trail its sending by, on a busy machine; the mistakes looked for are at least twice that."""

THOUGHT = "Twice the sum of both sides is even, so the root is whole. " * 3
ANSWER = "It is $\\boxed{7}$."
WIDE = "Größe ≈ 3 µm → 😀 ∑ é \\boxed{9} " * 4
PLANTED: tuple[dict[str, Any], ...] = (
    {"match": "think", "text": ANSWER, "reasoning": THOUGHT},
    {"match": "wide", "text": WIDE},
    {"match": "silent", "text": ""},
    {"match": "short", "text": ANSWER},
)
SERVERS: dict[str, tuple[str, ...]] = {
    "vllm": ("--token-rate", "200", "--first-token-s", "0.02"),
    "sglang": ("--token-rate", "200", "--style", "sglang", "--tokens-per-chunk", "4"),
    "chunky": ("--token-rate", "400", "--tokens-per-chunk", "5"),
    "slow": ("--token-rate", "200", "--first-token-s", "0.5"),
}
"""The servers the cases play on: name to flags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One case as it went: the rows of its attempts, and what the server noted of the last of them."""

    rows: tuple[RequestRecord, ...]
    sent_ns: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    first_answer_ns: int | None = None

    @property
    def last(self) -> RequestRecord:
        """The last row."""
        return self.rows[-1]


Verdict = tuple[str, str, bool]
"""The truth, what was measured, and whether they agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case. ``body`` is laid over the plain request; ``attempts`` are made one after the other."""

    name: str
    check: Callable[[Seen], Verdict]
    server: str = "vllm"
    prompt: str = "short"
    body: Mapping[str, Any] = field(default_factory=dict)
    limits: TimeLimits = field(default_factory=lambda: TimeLimits(first_byte_s=10.0, idle_s=10.0, total_s=15.0))
    attempts: int = 1


def _ms(ns: int | None) -> str:
    return "none" if ns is None else f"{ns / 1e6:.1f} ms"


def _trails(measured_ns: int | None, truth_ns: int | None) -> bool:
    return measured_ns is not None and truth_ns is not None and 0 <= measured_ns - truth_ns <= MAX_TRAIL_MS * 1e6


def instant(which: str, truth_index: int | None) -> Callable[[Seen], Verdict]:
    """The instant ``which`` of the row is that of the server's chunk (None: of its first answer chunk)."""

    def check(seen: Seen) -> Verdict:
        row, sent = seen.last, seen.last.sent_ns or 0
        truth = seen.first_answer_ns if truth_index is None else seen.sent_ns[truth_index]
        measured: int | None = getattr(row, which)
        shown = _ms(None if truth is None else truth - sent), _ms(None if measured is None else measured - sent)
        return *shown, row.ok and _trails(measured, truth)

    return check


def timeline(seen: Seen) -> Verdict:
    """Each entry has the tokens its chunk had, at the instant the chunk was sent."""
    row, at = seen.last, seen.last.sent_ns or 0
    trails = []
    for us, sent in zip(row.timeline.us, seen.sent_ns, strict=False):
        at += us * 1000
        trails.append(at + 1000 - sent)
    same = row.timeline.tokens == seen.tokens and row.completion_tokens == sum(seen.tokens)
    in_time = all(0 <= trail <= MAX_TRAIL_MS * 1e6 for trail in trails)
    measured = f"{sum(row.timeline.tokens)} in {len(row.timeline.tokens)} chunks"
    return f"{sum(seen.tokens)} in {len(seen.tokens)} chunks", measured, row.ok and same and in_time


def tpot(seen: Seen) -> Verdict:
    """Time per output token is the span by the tokens after the first, whatever the chunks."""
    row, span = seen.last, seen.sent_ns[-1] - seen.sent_ns[0]
    after = sum(seen.tokens) - 1
    measured = ((row.last_token_ns or 0) - (row.first_token_ns or 0)) / max(1, (row.completion_tokens or 0) - 1)
    off = abs(measured - span / after) * after
    return _ms(round(span / after)), _ms(round(measured)), row.ok and off <= MAX_TRAIL_MS * 1e6


def fails(kind: ErrorKind, said: str = "") -> Callable[[Seen], Verdict]:
    """The attempt is a failure of this kind, and the message holds what was said."""

    def check(seen: Seen) -> Verdict:
        error = seen.last.error
        measured = "success" if error is None else error.kind
        return kind, measured, error is not None and error.kind == kind and said in error.message

    return check


def succeeds(*, text: str, count: int, warning: str | None = None, source: str = "usage") -> Callable[[Seen], Verdict]:
    """A success with this text and count, and with the warning if one is named."""

    def check(seen: Seen) -> Verdict:
        row = seen.last
        right = row.ok and row.text == text and row.completion_tokens == count == sum(row.timeline.tokens)
        noted = warning is None or warning in row.doubts
        truth = f"{count} tokens ({source}){f', {warning}' if warning else ''}"
        measured = row.error.kind if row.error else f"{row.completion_tokens} tokens ({row.tokens_source})"
        measured += "".join(f", {name}" for name in row.doubts)
        return truth, measured, right and noted and row.tokens_source == source

    return check


def marked(code: str, check: Callable[[Seen], Verdict], *, is_there: bool = True) -> Callable[[Seen], Verdict]:
    """What ``check`` says, and the row carries the mark (or, with ``is_there`` false, does not)."""

    def both(seen: Seen) -> Verdict:
        truth, measured, passed = check(seen)
        found = code in seen.last.doubts
        wanted = code if is_there else f"not {code}"
        return f"{truth}, {wanted}", f"{measured}, {code if found else f'not {code}'}", passed and found is is_there

    return both


def unmarked(code: str, check: Callable[[Seen], Verdict]) -> Callable[[Seen], Verdict]:
    """What ``check`` says, and the row does not carry the mark."""
    return marked(code, check, is_there=False)


def one_row(seen: Seen) -> Verdict:
    """There is one row, of the choice that was asked for, and its tokens are its own."""
    row = seen.last
    right = len(seen.rows) == 1 and row.ok and row.text == ANSWER and row.completion_tokens == _SHORT
    return f"1 row, {_SHORT} tokens", f"{len(seen.rows)} rows, {row.completion_tokens} tokens", right


def reasoned(seen: Seen) -> Verdict:
    """Reasoning and answer are told apart, and both are counted once."""
    row, counts = seen.last, (len(tokens.pieces(THOUGHT)), len(tokens.pieces(ANSWER)) + 1)
    right = row.ok and row.reasoning == THOUGHT and row.text == ANSWER and row.completion_tokens == sum(counts)
    return f"{counts[0]} + {counts[1]} tokens", f"{row.completion_tokens} tokens in all", right


def waited_apart(seen: Seen) -> Verdict:
    """A refusal is a row of its own with the wait it asks for; the success after it is timed from its own sending."""
    first, second = seen.rows
    error = first.error
    right = error is not None and error.kind == "http_429" and error.retry_after_s == 1.0 and second.ok
    in_time = second.sent_ns is not None and first.end_ns is not None and second.sent_ns >= first.end_ns
    return "http_429, then success", f"{error.kind if error else 'success'}, then {_said(second)}", right and in_time


def two_choices(seen: Seen) -> Verdict:
    """Each choice has its row and its tokens; the request and its prompt are one."""
    rows = seen.rows
    right = len(rows) == 2 and all(row.ok for row in rows) and len({row.request_id for row in rows}) == 1
    counted = all(row.completion_tokens == sum(row.timeline.tokens) == _counted(row.text) for row in rows)
    return (
        "2 rows of 1 request",
        f"{len(rows)} rows, {[row.completion_tokens for row in rows]} tokens",
        right and counted,
    )


def gap(seen: Seen) -> Verdict:
    """A stall of 300 ms is one gap of the timeline."""
    longest = max(seen.last.timeline.us[1:], default=0) / 1e3
    return "a gap of 300 ms", f"{longest:.0f} ms", seen.last.ok and 280 <= longest <= 300 + 2 * MAX_TRAIL_MS


def _said(row: RequestRecord) -> str:
    return row.error.kind if row.error else "success"


def _counted(text: str) -> int:
    return len(tokens.pieces(text)) + 1


_SHORT = _counted(ANSWER)
_IDS = {"stream_options": {"include_usage": True}, "return_token_ids": True}
_FINAL = {"stream_options": {"include_usage": True}}
_QUICK = TimeLimits(first_byte_s=0.5, idle_s=0.5, total_s=3.0)
_right = succeeds(text=ANSWER, count=_SHORT)


def _with_a_half(text: str) -> str:
    """The text with the replacement character where the server puts half of another character: behind its middle."""
    pieces = tokens.pieces(text)
    middle = (len(pieces) + 1) // 2 + 1
    return "".join(pieces[:middle]) + "\ufffd" + "".join(pieces[middle:])


def _fault(name: str) -> dict[str, Any]:
    return {"x_fault": name}


CASES: tuple[Case, ...] = (
    Case(name="role chunk early, first token late", body=_fault("late_role=0.4"), check=instant("first_token_ns", 0)),
    Case(name="slow first token", server="slow", prompt="wide", check=instant("first_token_ns", 0)),
    Case(name="last token: the end-of-sequence chunk", check=instant("last_token_ns", -1)),
    Case(name="end of sequence counted in an empty chunk", check=_right),
    Case(name="every token at its instant", prompt="wide", check=timeline),
    Case(name="reasoning, then answer", prompt="think", check=reasoned),
    Case(name="first answer token after reasoning", prompt="think", check=instant("first_answer_ns", None)),
    Case(name="reasoning in the older field", server="sglang", prompt="think", check=reasoned),
    Case(name="no usage on role and finish chunks (SGLang)", server="sglang", check=timeline),
    Case(name="5 tokens a chunk, usage on each", server="chunky", prompt="wide", check=timeline),
    Case(name="5 tokens a chunk, token ids on each", server="chunky", prompt="wide", body=_IDS, check=timeline),
    Case(name="5 tokens a chunk: time per output token", server="chunky", prompt="wide", check=tpot),
    Case(
        name="5 tokens a chunk, counted at the end only",
        server="chunky",
        prompt="wide",
        body=_FINAL,
        check=succeeds(text=WIDE, count=_counted(WIDE), warning="timeline_estimated"),
    ),
    Case(
        name="usage missing: tokens are marked estimated",
        body={"stream_options": {}, **_fault("no_usage")},
        check=succeeds(text=ANSWER, count=_SHORT - 1, source="estimated"),
    ),
    Case(name="n = 2 in one request", body={"n": 2, "temperature": 1.0, "seed": 5}, prompt="any", check=two_choices),
    Case(
        name="cut at max_tokens",
        body={"max_tokens": 3},
        check=succeeds(text="".join(tokens.pieces(ANSWER)[:3]), count=3),
    ),
    Case(name="keep-alive comments and empty chunks", body=_fault("comments"), check=_right),
    Case(name="bytes dribbled one by one", body=_fault("dribble=0.0002"), check=_right),
    Case(
        name="events cut inside characters",
        prompt="wide",
        body=_fault("split"),
        check=succeeds(text=WIDE, count=_counted(WIDE)),
    ),
    Case(name="lines that end in CRLF", body=_fault("crlf"), check=_right),
    Case(name="a stream compressed unasked", body=_fault("gzip"), check=_right),
    Case(
        name="a compressed stream that unfolds without end",
        body=_fault("gzip_bomb"),
        check=marked("oversized", fails("malformed", "an event of more than")),
    ),
    Case(
        name="a stream held back to its end",
        prompt="wide",
        body=_fault("buffered"),
        check=marked("stream_buffered", succeeds(text=WIDE, count=_counted(WIDE))),
    ),
    Case(
        name="a stream held back a few kilobytes at a time",
        prompt="wide",
        body=_fault("buffered=8192"),
        check=marked("stream_buffered", succeeds(text=WIDE, count=_counted(WIDE))),
    ),
    Case(
        name="5 tokens a chunk are not held back",
        server="chunky",
        prompt="wide",
        check=unmarked("stream_buffered", succeeds(text=WIDE, count=_counted(WIDE))),
    ),
    Case(
        name="usage that cannot be",
        body=_fault("absurd_usage"),
        check=marked("usage_absurd", _right),
    ),
    Case(
        name="a character in halves, one a chunk",
        prompt="wide",
        body=_fault("surrogates"),
        check=unmarked("surrogates_replaced", succeeds(text=WIDE, count=_counted(WIDE))),
    ),
    Case(
        name="half a character, and never the other",
        body=_fault("lone_surrogate"),
        check=marked("surrogates_replaced", succeeds(text=_with_a_half(ANSWER), count=_SHORT)),
    ),
    Case(name="a choice that nobody asked for", body=_fault("extra_choice"), check=marked("more_choices", one_row)),
    Case(name="another model's name", body=_fault("other_model"), check=marked("other_model", _right)),
    Case(
        name="a normal stop without text",
        prompt="silent",
        check=marked("stop_without_text", succeeds(text="", count=1)),
    ),
    Case(name="a body that ends with its connection", body=_fault("close_delimited"), check=_right),
    Case(name="an informational answer first", body=_fault("early_hints"), check=_right),
    Case(name="a stall in mid-stream", body=_fault("stall=0.3"), check=gap),
    Case(name="no [DONE]", body=_fault("no_done"), check=succeeds(text=ANSWER, count=_SHORT, warning="no_done")),
    Case(
        name="a second answer behind the first",
        body=_fault("two_responses"),
        check=succeeds(text=ANSWER, count=_SHORT, warning="bytes_after_answer"),
    ),
    Case(name="429, then success", body=_fault("429=1"), attempts=2, check=waited_apart),
    Case(name="503", body=_fault("503"), check=fails("http_5xx", "overloaded")),
    Case(name="a refused request", body={"max_tokens": 10**9}, check=fails("http_4xx", "context length")),
    Case(name="error inside a 200", body=_fault("in_band"), check=fails("in_band", "failed in mid-stream")),
    Case(name="stream cut in the middle", body=_fault("cut"), check=fails("truncated_stream")),
    Case(name="every token, and no finish_reason", body=_fault("no_finish"), check=fails("truncated_stream")),
    Case(name="connection reset in mid-stream", body=_fault("rst"), check=fails("truncated_stream")),
    Case(name="connection closed inside a chunk", body=_fault("cut_hard"), check=fails("truncated_stream")),
    Case(name="an empty stream", body=_fault("empty"), check=fails("empty")),
    Case(name="an HTML page with status 200", body=_fault("html"), check=fails("malformed", "HTML")),
    Case(name="JSON in place of a stream", body=_fault("json_body"), check=fails("malformed", "JSON body")),
    Case(name="bytes that are not HTTP", body=_fault("garbage"), check=fails("malformed")),
    Case(name="invalid UTF-8", body=_fault("bad_utf8"), check=fails("malformed")),
    Case(name="every chunk twice", body=_fault("duplicate"), check=fails("malformed", "repeats")),
    Case(
        name="a stream past max_tokens for ever",
        server="chunky",
        body=_fault("endless"),
        limits=_QUICK,
        check=fails("malformed", "past max_tokens"),
    ),
    Case(
        name="accepted and never answered", body=_fault("no_answer"), limits=_QUICK, check=fails("timeout_first_byte")
    ),
    Case(name="silence in mid-stream", body=_fault("stall=5"), limits=_QUICK, check=fails("timeout_idle")),
    Case(name="closed before an answer", body=_fault("close"), check=fails("connect")),
)
"""Every case, in the order it is shown."""
