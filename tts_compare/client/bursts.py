"""Whether the tokens of a stream arrived as they were made, or were held back and came together.

What holds a stream back (a buffering proxy, an endpoint that makes the whole answer before it sends the first byte of
it) hides when its tokens were made: time to first token, time per token and every latency cut out of the answer are
then those of whoever held it. An engine's own chunks are no such burst: n-gram speculation sends up to six tokens at
once and ``--stream-interval 4`` four, at the pace at which they are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import sub

FEW_TOKENS = 16
"""So many tokens may come in one chunk whatever the pace."""
FEW_CHUNKS = 6
"""So many chunks may come at one instant: an engine writes one a step, a slow reader finds a few together."""
TIMES_USUAL = 4
"""More than ``FEW_TOKENS`` at once are a burst where they are so many times the request's usual chunk."""
HIDDEN_NS = 20_000_000
"""A burst that ends a shorter wait hides nothing that a figure would show."""
SHARE = 0.5
"""Bursts with more than this share of the tokens make the stream a buffered one; a stall of the machine has less."""
_TOGETHER_NS = 1_000_000
_OF_PACE = 8


def is_buffered(at: Sequence[int], tokens: Sequence[int], sent_ns: int) -> bool:
    """Tell whether a stream was held back somewhere.

    at: the instants (ns) of its chunks, ascending; tokens: what each brought; sent_ns: when it was asked for. Chunks
    are one arrival where less than 1 ms and less than an eighth of the request's own time per token lies between them.
    A burst is an arrival of more than ``FEW_CHUNKS`` chunks, or of more than ``FEW_TOKENS`` tokens and ``TIMES_USUAL``
    times the usual chunk, after a wait of at least ``HIDDEN_NS``. The first arrival, which an engine sends with its
    first token, need only hold more than ``FEW_TOKENS``.
    """
    total = sum(tokens)
    if total <= FEW_CHUNKS:
        return False
    together_ns = min(_TOGETHER_NS, (at[-1] - sent_ns) // total // _OF_PACE)
    if max(tokens) <= FEW_TOKENS and min(map(sub, at[1:], at), default=0) > together_ns:
        return False  # nearly every stream, told without a loop of ours
    many = max(FEW_TOKENS, TIMES_USUAL * _usual(tokens))
    in_bursts = 0
    for wait_ns, chunks, held, is_first in _arrivals(at, tokens, sent_ns, together_ns):
        if wait_ns >= HIDDEN_NS and (chunks > FEW_CHUNKS or held > (FEW_TOKENS if is_first else many)):
            in_bursts += held
    return in_bursts > SHARE * total


def _arrivals(
    at: Sequence[int], tokens: Sequence[int], sent_ns: int, together_ns: int
) -> Iterator[tuple[int, int, int, bool]]:
    """Each arrival: the wait before it (ns), its chunks, its tokens, whether it is the first."""
    wait_ns = chunks = held = 0
    last_ns, is_first = sent_ns, True
    for instant, count in zip(at, tokens, strict=True):
        if chunks and instant - last_ns <= together_ns:
            chunks, held = chunks + 1, held + count
        else:
            if chunks:
                yield wait_ns, chunks, held, is_first
                is_first = False
            wait_ns, chunks, held = instant - last_ns, 1, count
        last_ns = instant
    yield wait_ns, chunks, held, is_first


def _usual(tokens: Sequence[int]) -> int:
    """The chunk in which the median token came, the largest chunk aside: it may itself be the burst. 1 without others.

    The median token, not the median chunk: with ``--stream-interval 20`` a short answer comes in 1, 20, 20, 1 tokens.
    """
    others = sorted(tokens)[:-1]
    half, reached = sum(others) / 2, 0
    for count in others:
        reached += count
        if reached >= half > 0:
            return count
    return 1
