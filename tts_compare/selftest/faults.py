"""What can be made to go wrong with an answer, by name."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts_compare.errors import UsageError

FAULTS: dict[str, str] = {
    "429": "refuse the first attempt of a prompt with 429 and Retry-After (value: its seconds, 1); then answer",
    "503": "refuse with 503 and Retry-After (value: its seconds, 1)",
    "500": "refuse with 500",
    "no_answer": "accept the request and never answer",
    "close": "close the connection before answering",
    "html": "200 with an HTML page",
    "json_body": "200 with a JSON answer although a stream was asked for",
    "garbage": "bytes that are not HTTP",
    "early_hints": "an informational answer (103) before the real one",
    "gzip": "compress the stream although nobody asked",
    "close_delimited": "a body that ends with the connection, neither chunked nor counted",
    "stall": "stop for a while in mid-stream (value: seconds, 30), then go on",
    "dribble": "send byte by byte (value: seconds between bytes, 0.001)",
    "rst": "reset the connection in mid-stream",
    "cut": "end the stream cleanly in the middle: no finish_reason",
    "cut_hard": "close the connection in the middle of a chunk",
    "in_band": "an error object inside the 200 stream after half of the tokens",
    "empty": "200 and an empty stream",
    "no_usage": "no usage, although asked for",
    "no_done": "no [DONE]",
    "no_finish": "all tokens and usage, no finish_reason",
    "late_role": "the role chunk at once, the first token late (value: seconds, 0.2)",
    "comments": "keep-alive comments and empty chunks between the tokens",
    "crlf": "lines that end in CRLF",
    "split": "cut into two reads inside every event, multi-byte characters included",
    "endless": "go on past max_tokens for ever",
    "duplicate": "every chunk twice",
    "two_responses": "a second answer behind the first",
    "huge_line": "one chunk with a text of many bytes (value: 10000000)",
    "buffered": "hold the answer back as a proxy does (value: bytes held, to the end) and send it at once",
    "absurd_usage": "usage whose counts cannot be: 10^30 tokens, of a prompt of -1",
    "surrogates": "characters beyond the basic plane as two halves in two chunks",
    "lone_surrogate": "half of such a character, whose other half never comes",
    "extra_choice": "a choice that nobody asked for",
    "other_model": "another model's name in every chunk",
    "gzip_bomb": "a compressed stream that unfolds without end (value: megabytes, 1024)",
    "bad_utf8": "a chunk that is not UTF-8",
    "bad_json": "a chunk that is not JSON",
    "die": "the process exits in mid-stream",
}
"""Every fault and what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault; ``value`` is a number where the fault takes one."""

    name: str = ""
    value: float | None = None

    def is_(self, *names: str) -> bool:
        """True where the fault has one of the names."""
        return self.name in names


NO_FAULT = Fault()


def parse_fault(text: str) -> Fault:
    """Parse ``stall`` or ``stall=2.5``. Raises: UsageError for an unknown name or a value that is no number."""
    name, _, value = text.strip().partition("=")
    if name not in FAULTS:
        raise UsageError(f"unknown fault {name!r}; known: {', '.join(sorted(FAULTS))}")
    try:
        return Fault(name=name, value=float(value) if value else None)
    except ValueError:
        raise UsageError(f"the value of fault {name} must be a number, not {value!r}") from None


def parse_shares(text: str) -> tuple[tuple[Fault, float], ...]:
    """Parse ``stall=2:0.02,rst:0.01``: faults with the share of requests each befalls. Raises: UsageError."""
    shares = []
    for part in filter(None, text.split(",")):
        fault, _, share = part.rpartition(":")
        try:
            shares.append((parse_fault(fault), float(share)))
        except ValueError:
            raise UsageError(f"a fault is given as NAME[=VALUE]:SHARE, not {part!r}") from None
    if sum(share for _, share in shares) > 1:
        raise UsageError("the shares of the faults add up to more than 1")
    return tuple(shares)


def choose(
    headers: Mapping[str, str], body: Mapping[str, Any], shares: Sequence[tuple[Fault, float]], draw: random.Random
) -> Fault:
    """Return the fault of a request: as its ``x-fault`` header or field says, else by the shares."""
    stated = headers.get("x-fault") or body.get("x_fault")
    if isinstance(stated, str):
        return parse_fault(stated)
    at = draw.random()
    for fault, share in shares:
        at -= share
        if at < 0:
            return fault
    return NO_FAULT
