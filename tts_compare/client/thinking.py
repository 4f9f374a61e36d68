"""Thinking and answer told apart in one choice: by token ids, else by the server's parser, by marks, by its count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tts_compare.client.timeline import ChoiceStream, ResolvedTimeline
from tts_compare.domain import Marks, Thinking, ThinkingSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """Tokens of thinking, its marks not among them, and how they were counted; closings: ends of thinking seen.

    least: how many they are at the least, where thinking ends inside a chunk of several tokens.
    """

    tokens: int | None = None
    least: int | None = None
    source: ThinkingSource | None = None
    closings: int = 0


_UNKNOWN = Thought()


def thought_of(
    choice: ChoiceStream, resolved: ResolvedTimeline, *, asked: Thinking | None, reasoned: int | None
) -> Thought:
    """What of a choice was thinking; unknown where nothing tells.

    reasoned: the server's own count; engines without a parser, or whose prompt began the thinking, count 0 whatever was
    thought. Ids tell only where they are all there, and the marks' ids are known. A thinking
    that the prompt began has no opening mark in the answer.
    """
    marks = asked.marks if asked else Marks()
    known = choice.ids is not None and len(choice.ids) == resolved.completion_tokens > 0
    if known and choice.ids is not None and marks.close_ids:
        found = _by_ids(choice.ids, marks, begun=bool(choice.reasoning))
        if found is not None:
            return found
    if choice.reasoning:
        return _by_parser(choice, resolved, marks)
    if marks.open in choice.text or marks.close in choice.text:
        return _by_marks(choice, resolved, marks)
    is_off = asked is not None and (asked.enabled is False or asked.effort == "none")
    if reasoned or (reasoned == 0 and is_off):
        return Thought(tokens=reasoned, least=reasoned, source="server")
    return _UNKNOWN


def _by_parser(choice: ChoiceStream, resolved: ResolvedTimeline, marks: Marks) -> Thought:
    """What the server sent as reasoning."""
    if not choice.text:
        return Thought(tokens=resolved.completion_tokens, least=resolved.completion_tokens, source="parser")
    least, tokens = _tokens_up_to(resolved, len(choice.reasoning))
    return Thought(tokens=tokens, least=least, source="parser", closings=1 + choice.text.count(marks.close))


def _by_marks(choice: ChoiceStream, resolved: ResolvedTimeline, marks: Marks) -> Thought:
    """What stands between the marks of a text; before the end alone, where the prompt began the thinking."""
    closed = choice.text.find(marks.close)
    if closed < 0:
        rest = max(0, resolved.completion_tokens - 1)
        return Thought(tokens=rest, least=rest, source="marks")
    begun = choice.text.find(marks.open, 0, closed)
    before = _tokens_up_to(resolved, begun + len(marks.open))[1] if begun >= 0 else 0
    least, most = (max(0, count - before) for count in _tokens_up_to(resolved, closed))
    return Thought(tokens=most, least=least, source="marks", closings=choice.text.count(marks.close))


def _by_ids(ids: Sequence[int], marks: Marks, *, begun: bool) -> Thought | None:
    """Tokens inside thinking blocks; None where neither mark is there and nothing says that the prompt began one."""
    opens, closes = _positions(ids, marks.open_ids), _positions(ids, marks.close_ids)
    if not opens and not closes and not begun:
        return None
    inside = begun or bool(closes and (not opens or closes[0] < opens[0]))
    tokens = start = 0
    steps = sorted([(at, True) for at in opens] + [(at, False) for at in closes])
    for at, is_open in steps:
        if is_open:
            if not inside:
                start, inside = at + len(marks.open_ids), True
            elif at == start:  # the mark itself, where the parser said before that thinking had begun
                start = at + len(marks.open_ids)
        elif inside:
            tokens, inside = tokens + at - start, False
    if inside:
        tokens += len(ids) - start
    return Thought(tokens=tokens, least=tokens, source="token_ids", closings=len(closes))


def _positions(ids: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Where the ids of a mark begin."""
    if not wanted:
        return []
    size = len(wanted)
    return [at for at, number in enumerate(ids) if number == wanted[0] and tuple(ids[at : at + size]) == tuple(wanted)]


def _tokens_up_to(resolved: ResolvedTimeline, chars: int) -> tuple[int, int]:
    """Tokens of the chunks that hold the first ``chars`` characters, at the least and at the most.

    They differ where the last of these chunks holds several tokens, or characters beyond.
    """
    tokens = reached = last = 0
    for gain, gained in zip(resolved.gains, resolved.chars, strict=True):
        if reached >= chars:
            break
        tokens, reached, last = tokens + gain, reached + gained, gain
    return tokens - max(0, last - 1), tokens
