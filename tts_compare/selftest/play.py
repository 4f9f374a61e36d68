"""An answer as steps in time: wait until, send, end. Faults are played here, and nowhere else.

A player (http.py) takes the steps one by one and only when they are due, so that what a step notes as the truth is
noted as it is written.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic_ns
from typing import Literal

from tts_compare.selftest import tokens
from tts_compare.selftest.answer import Renderer, Truth
from tts_compare.selftest.faults import Fault

End = Literal["keep", "close", "reset"]
_ABSURD = re.compile(rb'("prompt_tokens":)\d+(.*"completion_tokens":)\d+')
_PAIR = re.compile(rb"(\\ud[89ab][0-9a-f]{2})(\\ud[c-f][0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Until:
    """Go on so many seconds after the request came."""

    s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Go on so many seconds from now."""

    s: float


Step = bytes | Until | Pause | End


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast tokens come: the first after ``first_token_s``, then ``token_rate`` a second (0: no waiting)."""

    first_token_s: float = 0.0
    token_rate: float = 0.0
    tokens_per_chunk: int = 1

    def due_s(self, token: int) -> float:
        """When token number ``token`` (from 0) is due, in seconds after the request came."""
        return self.first_token_s + (token / self.token_rate if self.token_rate else 0.0)


def stream(
    renderer: Renderer, pace: Pace, truth: Truth, fault: Fault, *, stamp: bool = False, metrics: bool = False
) -> Iterator[Step]:
    """Play a streamed answer, its head included."""
    if fault.is_("early_hints"):
        yield b"HTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\n"
    if fault.is_("other_model"):
        renderer = renderer.named("another-model")
    steps = _stream(renderer, pace, truth, fault, stamp=stamp, metrics=metrics)
    yield from _held_back(steps, fault.value) if fault.is_("buffered") else steps


def _held_back(steps: Iterator[Step], hold_bytes: float | None) -> Iterator[Step]:
    """Gather what is to be written, to the end or until so many bytes are there, while time goes on."""
    held = b""
    for step in steps:
        if isinstance(step, bytes):
            held += step
        if isinstance(step, str) or (hold_bytes and len(held) >= hold_bytes):
            yield held
            held = b""
        if not isinstance(step, bytes):
            yield step


def _bomb(megabytes: float | None) -> Iterator[bytes]:
    """Blocks of a compressed stream, of 16 MB of nothing each in 16 KB."""
    deflate = zlib.compressobj(wbits=-15)
    block = deflate.compress(bytes(2**24)) + deflate.flush(zlib.Z_FULL_FLUSH)
    for _ in range(int(megabytes or 1024) // 16):
        yield block


def _stream(
    renderer: Renderer, pace: Pace, truth: Truth, fault: Fault, *, stamp: bool, metrics: bool
) -> Iterator[Step]:
    yield _head(fault)
    zipped = zlib.compressobj(wbits=31) if fault.is_("gzip", "gzip_bomb") else None
    middle = max(1, sum(-(-len(s.pieces) // pace.tokens_per_chunk) for s in renderer.said) // 2)
    end: End = "close" if fault.is_("close_delimited") else "keep"
    line_end = b"\r\n" if fault.is_("crlf") else b"\n"
    at = 0
    for event in _events(renderer, pace, truth, fault, stamp=stamp, metrics=metrics):
        if not isinstance(event, bytes):
            yield event
            continue
        data = b"" if event.startswith(b":") else b"data: "
        data += event + line_end * 2
        if zipped is not None:
            data = zipped.compress(data) + zipped.flush(zlib.Z_SYNC_FLUSH)
        at += 1
        if at > middle and fault.is_("rst", "cut_hard", "die"):
            yield (_framed(data, fault)[: len(data) // 2])
            yield _broken_off(fault)
            return
        yield from _written(_framed(data, fault), data, fault)
        if at == middle and fault.is_("stall"):
            yield Pause(fault.value or 30.0)
        if at == middle and zipped is not None and fault.is_("gzip_bomb"):
            yield _framed(zipped.flush(zlib.Z_FULL_FLUSH), fault)
            yield from (_framed(block, fault) for block in _bomb(fault.value))
    if zipped is not None:
        yield _framed(zipped.flush(), fault)
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" if fault.is_("two_responses") else b""
    yield b"" if end == "close" else b"0\r\n\r\n" + second
    yield end


def plain(status: int, body: bytes, *, kind: str = "application/json", headers: str = "") -> bytes:
    """Render a whole answer with Content-Length."""
    head = f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n{headers}\r\n".encode() + body


_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def _head(fault: Fault) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    if fault.is_("gzip", "gzip_bomb"):
        head += b"Content-Encoding: gzip\r\n"
    if fault.is_("close_delimited"):
        return head + b"Connection: close\r\n\r\n"
    return head + b"Transfer-Encoding: chunked\r\n\r\n"


def _framed(data: bytes, fault: Fault) -> bytes:
    if fault.is_("close_delimited") or not data:
        return data
    return b"%x\r\n%s\r\n" % (len(data), data)


def _written(framed: bytes, data: bytes, fault: Fault) -> Iterator[Step]:
    """Write an event as the fault has it: at once, in two reads, or byte by byte."""
    if fault.is_("dribble"):
        for i in range(len(framed)):
            yield framed[i : i + 1]
            yield Pause(fault.value or 0.001)
    elif fault.is_("split"):
        # Inside the first multi-byte character where there is one, else in the middle.
        wide = next((i for i, byte in enumerate(data) if byte > 127), len(data) // 2)
        begin = len(framed) - len(data) - 2 + wide + 1
        yield framed[:begin]
        yield Pause(0.001)
        yield framed[begin:]
    else:
        yield framed


def _broken_off(fault: Fault) -> Step:
    if fault.is_("die"):
        os._exit(9)
    return "reset" if fault.is_("rst") else "close"


def _events(
    renderer: Renderer, pace: Pace, truth: Truth, fault: Fault, *, stamp: bool, metrics: bool
) -> Iterator[bytes | Until | Pause]:
    """Play the events of an answer: JSON, comments, and the waiting between them."""
    ask, late_s = renderer.ask, (fault.value or 0.2) if fault.is_("late_role") else 0.0
    if fault.is_("empty"):
        return
    if not late_s:
        yield Until(pace.due_s(0))
    if ask.chat:
        for index in range(ask.n):
            yield renderer.role(index)
    if fault.is_("huge_line"):
        yield renderer.chunk(0, "x" * int(fault.value or 10_000_000), count=1, counted=False)
    if late_s:
        yield Pause(late_s)
    begun_ns = monotonic_ns()
    yield from _tokens(renderer, pace, truth, fault, stamp=stamp)
    if fault.is_("cut", "in_band"):
        return
    if ask.include_usage and not fault.is_("no_usage"):
        last = renderer.last(_metrics(renderer, pace, truth, begun_ns) if metrics else None)
        yield _ABSURD.sub(rb"\g<1>-1\g<2>1" + b"0" * 30, last) if fault.is_("absurd_usage") else last
    if not fault.is_("no_done"):
        yield b"[DONE]"


def _tokens(
    renderer: Renderer, pace: Pace, truth: Truth, fault: Fault, *, stamp: bool
) -> Iterator[bytes | Until | Pause]:
    """Play the token chunks of every choice, in step."""
    said, k = renderer.said, pace.tokens_per_chunk
    longest = max(s.count for s in said)
    begin = 0
    while begin < longest or fault.is_("endless"):
        yield Until(pace.due_s(begin))
        for index, one in enumerate(said):
            if begin < one.count or fault.is_("endless"):
                yield from _chunks(renderer, index, begin, k=k, truth=truth, fault=fault, stamp=stamp)
        begin += k
        if begin * 2 >= longest and fault.is_("cut", "in_band"):
            if fault.is_("in_band"):
                yield b'{"error":{"message":"the engine failed in mid-stream","type":"InternalServerError","code":500}}'
            return
        if begin - k <= longest // 2 < begin:
            yield from _oddities(renderer, begin, fault)


def _oddities(renderer: Renderer, count: int, fault: Fault) -> Iterator[bytes]:
    if fault.is_("comments"):
        yield b": keep-alive"
        yield renderer.chunk(0, "", count=min(count, renderer.said[0].count))
    if fault.is_("lone_surrogate"):
        yield renderer.chunk(0, "\ud83d", count=min(count, renderer.said[0].count))
    if fault.is_("extra_choice"):
        yield renderer.chunk(renderer.ask.n, "unasked", count=1, finish="stop")
    if fault.is_("bad_utf8"):
        yield renderer.chunk(0, "X", count=count).replace(b"X", b"\xff\xfe")
    if fault.is_("bad_json"):
        yield b'{"choices": [{'


def _chunks(
    renderer: Renderer, index: int, begin: int, *, k: int, truth: Truth, fault: Fault, stamp: bool
) -> Iterator[bytes]:
    """One chunk of a choice: tokens [begin, begin + k), the end-of-sequence token among them where it falls there."""
    said = renderer.said[index]
    end = min(begin + k, said.count) if not fault.is_("endless") else begin + k
    spoken = said.pieces[begin:end] if begin < len(said.pieces) or not fault.is_("endless") else (" on",) * k
    is_last = end >= said.count and not fault.is_("endless")
    finish = said.finish_reason if is_last and not fault.is_("no_finish") else None
    thoughts = max(0, min(end, said.reasoning_tokens) - begin)
    parts = [(spoken[:thoughts], True), (spoken[thoughts:], False)] if thoughts else [(spoken, False)]
    parts = [part for part in parts if part[0]] or [((), False)]
    sglang = renderer.style == "sglang"
    count = begin
    for at, (pieces, is_thought) in enumerate(parts):
        is_end = at == len(parts) - 1
        count += len(pieces)
        ids = [tokens.token_id(piece) for piece in pieces]
        if is_end and is_last and said.eos and not sglang:
            count, ids = count + 1, [*ids, tokens.EOS]
        if not (pieces or (is_end and not sglang) or ids):
            continue
        now = monotonic_ns()
        if index == 0:
            truth.sent_ns.append(now)
            truth.tokens.append(len(ids))
            if pieces and not is_thought and truth.first_answer_ns is None:
                truth.first_answer_ns = now
        one = renderer.chunk(
            index,
            "".join(pieces),
            count=count,
            ids=ids,
            thought=is_thought,
            finish=finish if is_end and not sglang else None,
        )
        if stamp:
            one = b'%s,"sent_ns":%d}' % (one[:-1], now)
        yield from _as_written(one, fault)
    if is_last and sglang:
        if index == 0 and said.eos:
            truth.sent_ns.append(monotonic_ns())
            truth.tokens.append(1)
        yield renderer.chunk(index, "", count=0, finish=finish, counted=False)


def _as_written(chunk: bytes, fault: Fault) -> Iterator[bytes]:
    """A chunk as the fault has it: once, twice, or a character's halves apart."""
    if fault.is_("surrogates") and _PAIR.search(chunk):
        yield _PAIR.sub(rb"\1", chunk)
        chunk = _PAIR.sub(rb"\2", chunk)
    yield chunk
    if fault.is_("duplicate"):
        yield chunk


def _metrics(renderer: Renderer, pace: Pace, truth: Truth, begun_ns: int) -> dict[str, float] | None:
    """vLLM's per-request figures, of the one choice."""
    if renderer.ask.n > 1 or not truth.sent_ns:
        return None
    span_ms = (truth.sent_ns[-1] - truth.sent_ns[0]) / 1e6
    count = sum(truth.tokens)
    first_ms = pace.first_token_s * 1e3 or (truth.sent_ns[0] - begun_ns) / 1e6
    return {
        "time_to_first_token_ms": first_ms,
        "generation_time_ms": span_ms,
        "queue_time_ms": 0.0,
        "mean_itl_ms": span_ms / max(1, count - 1),
        "tokens_per_second": count / max(1e-6, (span_ms + first_ms) / 1e3),
    }
