"""Stamped bytes of one answer in, what they say out; runs on the loop, or on a thread while a stream goes on."""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from collections.abc import Sequence

from tts_compare.client.bounded import DECODED, Unzipper
from tts_compare.client.delta import (
    MAX_TOKENS,
    Chunk,
    ChunkChoice,
    Usage,
    believable,
    error_of,
    metrics_of,
    parse_chunk,
)
from tts_compare.client.names import is_other_model
from tts_compare.client.sse import EventSplitter, EventTooLongError
from tts_compare.client.timeline import ChoiceStream
from tts_compare.client.wire import Read

_SLICE_READS = 32
_YIELD_S = 50e-6
_MAX_WHOLE_BYTES = 16 * 1024 * 1024
_MAX_STREAM_BYTES = 64 * 1024 * 1024
_BYTES_A_TOKEN = 4096
"""What a stream may hold beside its first ``_MAX_STREAM_BYTES``; an engine's chunk of one token has 200 to 500."""
_MAX_CHARS = 4 * 1024 * 1024
"""Text of one choice; a budget of 128 thousand tokens makes about half a million characters."""
_MAX_EXTRA_CHOICES = 16
_ABSURD_TIMES = 100
"""A usage of so many times the tokens that were asked for is not believed; best of n behind a proxy counts n times."""


class Reducer:
    """Gathers one answer: choices, usage, errors, or the whole body where it is no event stream.

    max_tokens, n, model: what was asked for (None: not known); ``extra_choices``, ``other_model`` and ``absurd_usage``
    say that the answer has more choices, another model's name, counts that cannot be. ``oversized``: it was broken
    off, because what it says, decompressed, is longer than any answer; its text is not kept.

    ``put`` and ``drain`` may be called from two threads: what is put is drained in order, by one at a time.
    """

    def __init__(
        self,
        *,
        status: int,
        encoding: str = "",
        max_tokens: int | None = None,
        n: int | None = None,
        model: str | None = None,
    ) -> None:
        self.choices: dict[int, ChoiceStream] = {}
        self.final_usage: Usage | None = None
        self.running_usage: Usage | None = None
        self.metrics: dict[str, float] = {}
        self.in_band: tuple[str, int | None] | None = None
        self.malformed: str | None = None
        self.done = False
        self.after_done = False
        self.runaway = False
        self.whole = b""
        self.last_ns = 0
        self.extra_choices = False
        self.absurd_usage = False
        self.other_model = False
        self.oversized = False
        self._max_tokens = max_tokens
        self._n = n
        self._most_choices = (n or 1024) + _MAX_EXTRA_CHOICES
        self._model = model
        asked = (max_tokens or MAX_TOKENS) * (n or 1)
        self._most_tokens = min(MAX_TOKENS, _ABSURD_TIMES * (asked + 16))
        self._most_bytes = _MAX_STREAM_BYTES + _BYTES_A_TOKEN * asked
        self._bytes = 0
        self._just_ended: ChoiceStream | None = None
        self._events: EventSplitter | None = None
        self._is_whole = status != 200
        self._sniffed = b""
        self._whole: list[bytes] = []
        self._whole_bytes = 0
        self._unzip = Unzipper() if encoding in DECODED else None
        if encoding and encoding != "identity" and self._unzip is None:
            self.malformed = f"the answer is encoded as {encoding}, which was not asked for"
        self._pending: deque[list[Read]] = deque()
        self._lock = threading.Lock()

    def put(self, batch: list[Read]) -> None:
        """Queue a batch of reads."""
        self._pending.append(batch)

    def drain(self, *, politely: bool = False) -> None:
        """Reduce all that is queued. ``politely``: on a thread, leave the interpreter to the loop every few chunks.

        A thread that computes keeps the interpreter lock for up to 5 ms at a stretch, and each would be lag in the
        stamps; a sleep of 50 us after 32 reads bounds that to a fraction of a millisecond.
        """
        with self._lock:
            while self._pending:
                batch = self._pending.popleft()
                for begin in range(0, len(batch), _SLICE_READS):
                    for now, data in batch[begin : begin + _SLICE_READS]:
                        self._read(now, data)
                    if politely:
                        time.sleep(_YIELD_S)
                for choice in self.choices.values():
                    choice.compact()
            self.whole = b"".join(self._whole)
            self._bound()

    def _bound(self) -> None:
        """Give an answer up that goes on past what was asked for, or past what memory is for."""
        limit = self._max_tokens
        if limit is not None and any(c.at_least_tokens > limit + 16 for c in self.choices.values()):
            self.runaway = True
        elif self._bytes > self._most_bytes or any(choice.held_chars > _MAX_CHARS for choice in self.choices.values()):
            self._too_long("an answer longer than any that was asked for")

    def _too_long(self, message: str) -> None:
        self.malformed = self.malformed or message
        self.runaway = self.oversized = True

    @property
    def is_stream(self) -> bool:
        """True where the answer is an event stream."""
        return self._events is not None

    def _read(self, now: int, data: bytes) -> None:
        self.last_ns = now
        if self._unzip is None:
            self._plain(now, data)
            return
        try:
            for piece in self._unzip.pieces(data):
                self._plain(now, piece)
                self._bound()
                if self.runaway:
                    return
        except zlib.error as error:
            self.malformed = self.malformed or f"broken compression: {error}"

    def _plain(self, now: int, data: bytes) -> None:
        if self.runaway:
            return
        self._bytes += len(data)
        if self._events is None and not self._sniff(data):
            return
        if self._sniffed:
            data, self._sniffed = self._sniffed, b""
        try:
            for event in self._events.feed(data) if self._events is not None else ():
                self._event(now, event)
        except EventTooLongError as error:
            self._too_long(str(error))

    def _sniff(self, data: bytes) -> bool:
        """Tell a stream from a whole body by its first visible byte; True where the stream begins with this read."""
        if not self._is_whole:
            self._sniffed = (self._sniffed + data).lstrip(b" \t\r\n") or b"\n"
            if self._sniffed == b"\n":
                return False
            if self._sniffed[:1] not in b"{[<":
                self._events = EventSplitter()
                return True
            self._is_whole = True
            data, self._sniffed = self._sniffed, b""
        if self._whole_bytes < _MAX_WHOLE_BYTES:
            self._whole.append(data)
            self._whole_bytes += len(data)
        return False

    def _event(self, now: int, data: bytes) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        if self.done:
            self.after_done = True
            return
        if not data:
            return
        try:
            chunk = parse_chunk(data)
        except ValueError as error:
            self.malformed = self.malformed or f"an event that is not JSON ({error}): {preview(data)}"
            return
        self.take(now, chunk)

    def take(self, now: int, chunk: Chunk) -> None:
        """Take one decoded chunk, or the whole answer of a request that asked for no stream."""
        if chunk.error is not None or chunk.object == "error":
            self.in_band = self.in_band or error_of(chunk)
        if chunk.model is not None and chunk.model != self._model:
            self.other_model = self.other_model or is_other_model(self._model, chunk.model)
        usage, choices = self._meant(chunk)
        running: int | None = None
        if usage is not None:
            if len(choices) == 1:
                self.running_usage = usage
                running = usage.completion_tokens
                if running is not None and not 0 <= running <= self._most_tokens:
                    self.absurd_usage, running = True, None
            else:
                self.final_usage = usage = self.believed(usage)
                if self._just_ended is not None:
                    self._just_ended.own_total = usage.generated
        if chunk.metrics:
            self.metrics = metrics_of({**self.metrics, **metrics_of(chunk.metrics)})
        self._just_ended = None
        for part in choices:
            choice = self.choices.get(part.index)
            if choice is None and (choice := self._begun(part.index)) is None:
                continue
            choice.add(now, part, running)
            self._just_ended = choice if part.finish_reason else None

    def believed(self, usage: Usage) -> Usage:
        """Return a usage without the counts that cannot be."""
        usage, was_absurd = believable(usage, most=self._most_tokens)
        self.absurd_usage = self.absurd_usage or was_absurd
        return usage

    def close(self) -> None:
        """Take note that no more of the answer comes."""
        for choice in self.choices.values():
            choice.close(forget=self.oversized)
            self.absurd_usage = self.absurd_usage or choice.overflown

    def _begun(self, index: int) -> ChoiceStream | None:
        """Begin a choice; None for one that nobody asked for, where there are many already."""
        if index < 0 or (self._n is not None and index >= self._n):
            self.extra_choices = True
        if index < 0 or len(self.choices) >= self._most_choices:
            return None
        choice = self.choices[index] = ChoiceStream()
        return choice

    def _meant(self, chunk: Chunk) -> tuple[Usage | None, Sequence[ChunkChoice]]:
        """Return a chunk's usage and choices, without what is there for form's sake only."""
        usage, choices = chunk.usage, chunk.choices or ()
        if usage is not None and len(choices) == 1:
            part, has_text = choices[0], any(choices[0].texts())
            choice = self.choices.get(part.index)
            if choice is not None and choice.finish_reason and not has_text and not part.token_ids:
                return usage, ()  # OpenRouter's usage, beside a choice that is over
            if has_text and usage.completion_tokens == 0:
                return None, choices  # filled with zeros, not counted
        return usage, choices


def preview(data: bytes) -> str:
    """The first characters of something the server sent, in one printable line."""
    text = data[:120].decode("utf-8", errors="replace")
    return "".join(c if c.isprintable() else " " for c in text)
