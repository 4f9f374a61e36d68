"""Server-sent events from bytes split anywhere, by the WHATWG specification's rules for an event stream.

Lines end in CR, LF or CRLF; a blank line dispatches; ``data`` lines of one event are joined by LF; comments and
other fields are passed over (an event's name says nothing its JSON does not); an event that no blank line ends is
not an event. Data stays bytes: UTF-8 is checked where the JSON is decoded, so a split inside a character is no split.
"""

from __future__ import annotations

from operator import methodcaller

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""A longer event is refused: it is no answer, and what its JSON unfolds to would fill the memory."""

_BOM = b"\xef\xbb\xbf"
_LF_COUNT = methodcaller("count", b"\n")


class EventTooLongError(ValueError):
    """An event passed ``MAX_EVENT_BYTES``."""


class EventSplitter:
    """Splits a stream of bytes into the data of its events."""

    __slots__ = ("_between", "_data", "_data_bytes", "_fresh", "_head", "_skip_lf", "_tail", "_tail_bytes")

    def __init__(self) -> None:
        self._head = b""  # the first bytes of the stream, until they are known not to be a byte order mark
        self._fresh = True
        self._between = False  # True between two events, where the next byte begins a line
        self._skip_lf = False
        self._tail: list[bytes] = []  # pieces of a line whose end has not come
        self._tail_bytes = 0
        self._data: list[bytes] = []  # the data lines of an event whose end has not come
        self._data_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the data of the events they complete.

        Raises: EventTooLongError.
        """
        if self._between and data.startswith(b"data: ") and data.endswith(b"\n\n") and b"\r" not in data:
            # What an engine sends, nearly always: whole events of one data line each.
            if data.find(b"\n") == len(data) - 2:
                return [data[6:-2]]
            events = data[6:-2].split(b"\n\ndata: ")
            if sum(map(_LF_COUNT, events)) == 0:
                return events
        events = self._feed_any(data)
        self._between = not (self._fresh or self._tail or self._data or self._skip_lf)
        return events

    def _feed_any(self, data: bytes) -> list[bytes]:
        if self._fresh:
            data = self._head + data
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._head = data
                return []
            self._fresh = False
            data = data.removeprefix(_BOM)
        events: list[bytes] = []
        for line in self._lines(data):
            if line:
                self._field(line)
            elif self._data:
                events.append(b"\n".join(self._data))
                self._data, self._data_bytes = [], 0
        return events

    def _lines(self, data: bytes) -> list[bytes]:
        """Return the lines that ``data`` completes, without their ends; keep what follows the last end."""
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if not data:
            return []
        lines = data.splitlines(keepends=True)
        rest = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        if lines:
            self._skip_lf = not rest and lines[-1].endswith(b"\r")
            if self._tail:
                lines[0] = b"".join((*self._tail, lines[0]))
                self._tail, self._tail_bytes = [], 0
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        if self._tail_bytes + self._data_bytes > MAX_EVENT_BYTES:
            raise EventTooLongError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return [line.rstrip(b"\r\n") for line in lines]

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._data_bytes += len(value) + 1
