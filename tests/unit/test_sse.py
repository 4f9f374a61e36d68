"""Events of a stream, by the WHATWG rules, however the bytes are split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.client import sse
from tts_compare.client.sse import EventSplitter, EventTooLongError


def split_whole(data: bytes) -> list[bytes]:
    """What comes of a stream fed in one piece."""
    return EventSplitter().feed(data)


def by_the_letter(data: bytes) -> list[bytes]:
    """The specification's algorithm on the whole stream, written for clarity and nothing else."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    # A line ends in CRLF, CR or LF; what no line end ends is no line.
    *lines, _unfinished = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    events: list[bytes] = []
    gathered: list[bytes] = []
    for line in lines:
        if not line:
            if gathered:
                events.append(b"\n".join(gathered))
            gathered = []
        elif line.partition(b":")[0] == b"data":
            gathered.append(line.partition(b":")[2].removeprefix(b" "))
    return events


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  two spaces lose one\n\n", [b" two spaces lose one"]),
        (b"data: a\r\n\r\ndata: b\r\r", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b": a comment\n\ndata: a\n\n", [b"a"]),
        (b"event: error\nid: 7\nretry: 10\ndata: a\n\n", [b"a"]),
        (b"data: never ended by a blank line\n", []),
        (b"data\n\n", [b""]),
        (b"\xef\xbb\xbfdata: after a byte order mark\n\n", [b"after a byte order mark"]),
        (b"\n\n\n", []),
        (b"data: a\n\r\n", [b"a"]),
        (b"data: x\n\ndata: y\nmore: z\n\n", [b"x", b"y"]),
    ],
)
def test_events_are_those_of_the_specification(stream: bytes, events: list[bytes]) -> None:
    assert split_whole(stream) == events == by_the_letter(stream)


pieces_of_streams = st.lists(
    st.sampled_from(
        [
            b"data: ",
            b"data:",
            b"data",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b": c",
            b"\xef\xbb\xbf",
            b" ",
            b"x",
            b"{}",
            "é😀".encode(),
        ]
    ),
    max_size=30,
).map(b"".join)


@given(pieces_of_streams, st.lists(st.integers(0, 200), max_size=12))
def test_a_stream_split_anywhere_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    splitter = EventSplitter()
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    events = [event for begin, end in pairwise(bounds) for event in splitter.feed(stream[begin:end])]
    assert events == by_the_letter(stream)


@given(st.binary(max_size=300))
def test_any_bytes_give_the_events_of_the_specification(stream: bytes) -> None:
    splitter = EventSplitter()
    one_by_one = [event for i in range(len(stream)) for event in splitter.feed(stream[i : i + 1])]
    assert one_by_one == by_the_letter(stream)


def test_an_event_past_the_cap_is_refused_however_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    endless_line = [b"data: ", *[b"0123456789"] * 200]
    endless_event = [b"data: many lines of one event\n"] * 200
    for stream in (endless_line, endless_event):
        with pytest.raises(EventTooLongError):
            feed_all(stream)


def feed_all(stream: list[bytes]) -> None:
    """Feed piece after piece."""
    splitter = EventSplitter()
    for piece in stream:
        splitter.feed(piece)
