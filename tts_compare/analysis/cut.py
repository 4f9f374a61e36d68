"""One long response holds every smaller budget: where its timeline is cut for a budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tts_compare.domain import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The prefix of a response that a budget leaves.

    tokens: tokens of it; chars: characters of reasoning + text; us: microseconds from ``sent_ns`` to its last
    token. inside_chunk: the budget fell inside a chunk, so the prefix is shorter than the budget asked for.
    """

    tokens: int
    chars: int
    us: int
    inside_chunk: bool


def cut(timeline: Timeline, budget: int) -> Cut:
    """Cut a timeline at the last whole chunk at or before ``budget`` tokens.

    Entries that bring text but no token belong to the tokens before them: their characters count, their
    instant does not, so ``us`` is always the instant of a token.
    """
    tokens = chars = us = elapsed = 0
    for delta_us, delta_tokens, delta_chars in zip(timeline.us, timeline.tokens, timeline.chars, strict=True):
        if tokens + delta_tokens > budget:
            break
        elapsed += delta_us
        tokens += delta_tokens
        chars += delta_chars
        if delta_tokens:
            us = elapsed
    total = sum(timeline.tokens)
    return Cut(tokens=tokens, chars=chars, us=us, inside_chunk=tokens < min(budget, total))


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
