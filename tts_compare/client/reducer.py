"""Stamped bytes of one answer in, what they say out; runs on the loop, or on a thread while a stream goes on."""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from collections.abc import Sequence

from tts_compare.client.delta import Chunk, ChunkChoice, Usage, error_of, metrics_of, parse_chunk
from tts_compare.client.sse import EventSplitter, EventTooLongError
from tts_compare.client.timeline import Choice
from tts_compare.client.wire import Read

_SLICE_READS = 32
_YIELD_S = 50e-6
_MAX_WHOLE_BYTES = 64 * 1024 * 1024
_DECODED = ("gzip", "x-gzip", "deflate")


class Reducer:
    """Gathers one answer: choices, usage, errors, or the whole body where it is no event stream.

    ``put`` and ``drain`` may be called from two threads: what is put is drained in order, by one at a time.
    """

    def __init__(self, *, status: int, encoding: str = "", max_tokens: int | None = None) -> None:
        self.choices: dict[int, Choice] = {}
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
        self._max_tokens = max_tokens
        self._just_ended: Choice | None = None
        self._events: EventSplitter | None = None
        self._is_whole = status != 200
        self._sniffed = b""
        self._whole: list[bytes] = []
        self._whole_bytes = 0
        self._unzip = zlib.decompressobj(wbits=47) if encoding in _DECODED else None
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
            limit = self._max_tokens
            if limit is not None and any(c.at_least_tokens > limit + 16 for c in self.choices.values()):
                self.runaway = True

    @property
    def is_stream(self) -> bool:
        """True where the answer is an event stream."""
        return self._events is not None

    def _read(self, now: int, data: bytes) -> None:
        self.last_ns = now
        if self._unzip is not None:
            try:
                data = self._unzip.decompress(data)
            except zlib.error as error:
                self.malformed = self.malformed or f"broken compression: {error}"
                return
        if self._events is None and not self._sniff(data):
            return
        if self._sniffed:
            data, self._sniffed = self._sniffed, b""
        try:
            for event in self._events.feed(data) if self._events is not None else ():
                self._event(now, event)
        except EventTooLongError as error:
            self.malformed = self.malformed or str(error)
            self.runaway = True

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
        usage, choices = self._meant(chunk)
        running: int | None = None
        if usage is not None:
            if len(choices) == 1:
                self.running_usage = usage
                running = usage.completion_tokens
            else:
                self.final_usage = usage
                if self._just_ended is not None:
                    self._just_ended.own_total = usage.generated
        if chunk.metrics:
            self.metrics |= metrics_of(chunk.metrics)
        self._just_ended = None
        for part in choices:
            choice = self.choices.get(part.index)
            if choice is None:
                choice = self.choices[part.index] = Choice()
            choice.add(now, part, running)
            self._just_ended = choice if part.finish_reason else None

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
