"""One long response holds every smaller budget: where its timeline is cut for a budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tts_compare.domain import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The prefix of a response that a budget leaves.

    tokens: tokens of it, the budget or all there were. us: microseconds from ``sent_ns`` to the entry that brought the
    last of them. whole_tokens, chars: tokens, and characters of reasoning + text, of the whole chunks in it.
    inside_chunk: the budget fell inside a chunk, whose ``chunk_chars`` characters are not in ``chars``.
    """

    tokens: int
    us: int
    whole_tokens: int
    chars: int
    chunk_chars: int

    @property
    def inside_chunk(self) -> bool:
        """Whether the prefix ends inside a chunk."""
        return self.whole_tokens < self.tokens


def cut(timeline: Timeline, budget: int) -> Cut:
    """Cut a timeline at the entry at which the count of tokens reaches ``budget``.

    Entries that bring text but no token belong to the tokens before them: their characters count, their
    instant does not, so ``us`` is always the instant of a token.
    """
    tokens = chars = us = elapsed = chunk_chars = 0
    for delta_us, delta_tokens, delta_chars in zip(timeline.us, timeline.tokens, timeline.chars, strict=True):
        elapsed += delta_us
        if tokens + delta_tokens > budget:
            if tokens < budget:
                us, chunk_chars = elapsed, delta_chars
            break
        tokens += delta_tokens
        chars += delta_chars
        if delta_tokens:
            us = elapsed
    total = sum(timeline.tokens)
    return Cut(tokens=min(budget, total), us=us, whole_tokens=tokens, chars=chars, chunk_chars=chunk_chars)


def cut_only_at(timeline: Timeline, budgets: Iterable[int]) -> Timeline:
    """Join a timeline's entries where none of the budgets cuts: a cut there leaves the same tokens and characters.

    A timeline of thousands of entries becomes one of at most a few, for those who need no instants.
    """
    left = sorted(budgets)
    joined: list[list[int]] = []
    tokens = 0
    for delta_us, delta_tokens, delta_chars in zip(timeline.us, timeline.tokens, timeline.chars, strict=True):
        tokens += delta_tokens
        is_cut = not joined
        while left and tokens > left[0]:
            left.pop(0)
            is_cut = True
        if is_cut:
            joined.append([0, 0, 0])
        joined[-1][0] += delta_us
        joined[-1][1] += delta_tokens
        joined[-1][2] += delta_chars
    us, gained, chars = zip(*joined, strict=True) if joined else ((), (), ())
    return Timeline(us=us, tokens=gained, chars=chars)
