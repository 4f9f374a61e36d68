"""A stream that was held back is told from one that came as it was made, whatever the size of the chunks."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.client.bursts import FEW_CHUNKS, FEW_TOKENS, is_buffered

MS = 1_000_000
SENT = 5_000 * MS


def arrivals(tokens: list[int], *, pace_ms: float, first_ms: float = 50.0) -> list[int]:
    """The instants of chunks of a stream that sends each chunk when its last token is made."""
    made = accumulate(tokens)
    return [SENT + int((first_ms + (count - tokens[0]) * pace_ms) * MS) for count in made]


def flushed(at: list[int], every: int, *, spread_ns: int = 0) -> list[int]:
    """The same chunks held back until ``every`` of them have gathered; ``spread_ns`` lies between two of one flush."""
    held = [at[min(len(at) - 1, i - i % every + every - 1)] for i in range(len(at))]
    return [instant + i % every * spread_ns for i, instant in enumerate(held)]


@given(
    tokens=st.lists(st.integers(1, FEW_TOKENS), min_size=1, max_size=400),
    pace_ms=st.floats(0.5, 200.0),
    first_ms=st.floats(0.0, 60_000.0),
)
def test_chunks_of_a_few_tokens_at_the_pace_of_their_making_are_no_bursts(
    tokens: list[int], pace_ms: float, first_ms: float
) -> None:
    assert not is_buffered(arrivals(tokens, pace_ms=pace_ms, first_ms=first_ms), tokens, SENT)


@given(interval=st.integers(1, 100), chunks=st.integers(2, 60), pace_ms=st.floats(1.0, 100.0))
def test_any_stream_interval_that_begins_with_the_first_token_is_no_burst(
    interval: int, chunks: int, pace_ms: float
) -> None:
    tokens = [1, *[interval] * chunks, 1]
    assert not is_buffered(arrivals(tokens, pace_ms=pace_ms), tokens, SENT)


@given(
    tokens=st.lists(st.integers(1, 6), min_size=20, max_size=300),
    pace_ms=st.floats(2.0, 100.0),
    spread_ns=st.integers(0, 20_000),
)
def test_an_answer_that_comes_whole_at_its_end_is_a_burst(tokens: list[int], pace_ms: float, spread_ns: int) -> None:
    at = flushed(arrivals(tokens, pace_ms=pace_ms), len(tokens), spread_ns=spread_ns)
    assert is_buffered(at, tokens, SENT)


@given(every=st.integers(FEW_CHUNKS + 4, 60), flushes=st.integers(2, 20), pace_ms=st.floats(2.0, 100.0))
def test_an_answer_flushed_a_few_kilobytes_at_a_time_is_a_burst(every: int, flushes: int, pace_ms: float) -> None:
    tokens = [1] * (every * flushes)
    assert is_buffered(flushed(arrivals(tokens, pace_ms=pace_ms), every), tokens, SENT)


@pytest.mark.parametrize(
    ("at_ms", "tokens", "expected"),
    [
        ([400.0], [689], True),  # one chunk with the whole answer
        ([400.0], [16], False),
        ([50.0, 900.0], [1, 149], True),  # a burst at the end
        ([50.0, *[60.0 + 10 * i for i in range(300)], 3080.0], [1, *[1] * 300, 12], False),
        ([50.0, *[60.0 + 10 * i for i in range(100)], 3080.0], [1, *[1] * 100, 120], True),
        ([50.0, *[60.0 + 10 * i for i in range(400)], 4300.0], [1, *[1] * 400, 20], False),  # one stall of the network
        ([50.0, *[60.0 + 10 * i for i in range(40)], *[700.0] * 25], [1] * 66, False),  # one of a loaded machine
        ([2.0] * 40, [1] * 40, False),  # made within 2 ms: nothing was hidden
        ([], [], False),
    ],
)
def test_bursts_by_hand(at_ms: list[float], tokens: list[int], expected: bool) -> None:
    assert is_buffered([SENT + int(ms * MS) for ms in at_ms], tokens, SENT) is expected
