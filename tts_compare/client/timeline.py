"""Who got which tokens when: stamped chunks of a choice, resolved to a timeline.

A chunk is not a token. Where the server counts (usage on every chunk, or token ids) its running count is the truth,
and an entry of the timeline is a chunk that raised it or brought text. A count that comes later than the chunks it
covers (only in the last chunk, say) is spread over them: one each where that fits, in proportion to their characters
otherwise, which is an estimate and says so.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from itertools import compress, pairwise

from tts_compare.client.delta import ChunkChoice
from tts_compare.domain import Timeline, TokensSource

UNKNOWN = -1
_MAX_COUNT = 2**31 - 1
_STOPS = {"eos": "stop", "eos_token": "stop"}
"""What Together and others call the end of the sequence, where OpenAI says ``stop``."""
_THINK_OPEN, _THINK_CLOSE = "<think>", "</think>"
_MAX_REASON_CHARS = 80
_HALF = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"
"""What stands where half of a surrogate pair had no other half."""


_WHOLE = ("", "")


@dataclass(slots=True)
class ChoiceStream:
    """What has come of one choice so far, kept compact: 20 bytes a chunk, and its text.

    at: instants (ns); counts: the server's running count of tokens after the chunk, UNKNOWN where it gave none;
    chars: characters of reasoning + text it brought. own_total: tokens by a usage event right behind its last chunk.
    held_chars: characters so far. replaced: halves of surrogate pairs had no other half. overflown: token ids past
    what a row's numbers hold.
    """

    at: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))
    chars: array[int] = field(default_factory=lambda: array("i"))
    count: int = 0
    counted_by_ids: bool = False
    ids: array[int] | None = field(default_factory=lambda: array("q"))
    many_a_chunk: bool = False
    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    own_total: int | None = None
    first_content_ns: int | None = None
    repeated: bool = False
    held_chars: int = 0
    replaced: bool = False
    overflown: bool = False
    _halves: tuple[str, str] = ("", "")
    _answers: list[str] = field(default_factory=list)
    _thoughts: list[str] = field(default_factory=list)
    _last: tuple[str, str] | None = None

    def add(self, now: int, chunk: ChunkChoice, running_count: int | None) -> None:
        """Take one chunk; ``running_count`` is the choice's completion_tokens so far as its usage says."""
        answer, thought = self._texts(chunk)
        if answer:
            self._answers.append(answer)
            if self.first_content_ns is None:
                self.first_content_ns = now
        if thought:
            self._thoughts.append(thought)
        before = count = self.count
        known = True
        if chunk.token_ids is None and running_count is not None and before <= running_count <= _MAX_COUNT:
            self.count = count = running_count
            if count > before + 1:
                self.many_a_chunk = True
        else:
            known = self._count(chunk.token_ids, running_count)
            count = self.count
        chars = len(answer) + len(thought)
        if count > before or chars or (chunk.finish_reason and not known):
            self.at.append(now)
            self.counts.append(count if known else UNKNOWN)
            self.chars.append(chars)
        if chars:
            self.held_chars += chars
            if count == before and running_count is not None:
                self.repeated = self.repeated or self._last == (answer, thought)
            self._last = (answer, thought)
        if chunk.finish_reason:
            self.finish_reason = _STOPS.get(chunk.finish_reason, chunk.finish_reason)[:_MAX_REASON_CHARS]

    def close(self, *, forget: bool = False) -> None:
        """Replace what still waits for its other half when no more can come, and gather the text, or forget it."""
        ends = tuple(REPLACEMENT if half else "" for half in self._halves)
        self._halves = _WHOLE
        if any(ends) and self.at:
            self.replaced = True
            self._answers.append(ends[0])
            self._thoughts.append(ends[1])
            self.chars[-1] += len("".join(ends))
        self.compact()
        if forget:
            self.text = self.reasoning = ""
            self.chars = array("i", bytes(self.chars.itemsize * len(self.chars)))

    def _texts(self, chunk: ChunkChoice) -> tuple[str, str]:
        answer, thought = chunk.texts()
        if self._halves == _WHOLE and answer.isascii() and thought.isascii():
            return answer, thought
        return self._joined(answer, thought)

    def _joined(self, answer: str, thought: str) -> tuple[str, str]:
        """Join halves of surrogate pairs with what was held back of the chunk before, and hold back a last one."""
        texts, halves = [], []
        for held, text in zip(self._halves, (answer, thought), strict=True):
            if not text:
                texts.append("")
                halves.append(held)
                continue
            whole = held + text
            half = whole[-1] if "\ud800" <= whole[-1] <= "\udbff" else ""
            whole = whole[: len(whole) - len(half)]
            if _HALF.search(whole):
                stated = whole.count(REPLACEMENT)
                whole = whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
                self.replaced = self.replaced or whole.count(REPLACEMENT) > stated
            texts.append(whole)
            halves.append(half)
        self._halves = (halves[0], halves[1])
        return texts[0], texts[1]

    def compact(self) -> None:
        """Join the pieces of text gathered since the last time: a short string costs ten times its characters."""
        self.text += "".join(self._answers)
        self.reasoning += "".join(self._thoughts)
        self._answers.clear()
        self._thoughts.clear()

    @property
    def at_least_tokens(self) -> int:
        """Tokens the choice has for certain, or one for each chunk of text where nobody counts."""
        return self.count or len(self.at)

    def _count(self, token_ids: list[int] | None, running_count: int | None) -> bool:
        """Raise the running count by what a chunk says, its usage before its ids; False where it says nothing."""
        if token_ids is not None and self.ids is not None:
            try:
                self.ids.extend(token_ids)
            except (OverflowError, TypeError):
                self.ids, self.overflown = None, True
        if running_count is not None and 0 <= running_count <= _MAX_COUNT:
            raised = max(self.count, running_count)
        elif token_ids is not None:
            self.counted_by_ids = True
            raised = self.count + len(token_ids)
        else:
            return False
        self.many_a_chunk = self.many_a_chunk or raised > self.count + 1
        self.count = raised
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTimeline:
    """A choice's timeline with its instants: gains are tokens an entry brought, chars its characters."""

    at: tuple[int, ...]
    gains: tuple[int, ...]
    chars: tuple[int, ...]
    completion_tokens: int
    source: TokensSource
    doubts: tuple[str, ...]

    @property
    def first_token_ns(self) -> int | None:
        """The first instant a token arrived at."""
        return next((at for at, gain in zip(self.at, self.gains, strict=True) if gain), None)

    @property
    def last_token_ns(self) -> int | None:
        """The last instant a token arrived at."""
        pairs = zip(reversed(self.at), reversed(self.gains), strict=True)
        return next((at for at, gain in pairs if gain), None)

    def since(self, sent_ns: int) -> Timeline:
        """Return it as deltas in microseconds from ``sent_ns``; rounding never adds up."""
        elapsed = [0, *((at - sent_ns) // 1000 for at in self.at)]
        return Timeline(us=tuple(b - a for a, b in pairwise(elapsed)), tokens=self.gains, chars=self.chars)


def resolve(choice: ChoiceStream, total: int | None, *, hidden_tokens: int = 0) -> ResolvedTimeline:
    """Give every chunk its tokens.

    total: the choice's completion_tokens of the final usage, None without one. hidden_tokens: how many of them the
    server kept to itself (reasoning that is charged and not shown); they are counted and are on no timeline.
    """
    gains, begun, doubts = _counted(choice)
    source: TokensSource = "usage"
    if total is not None:
        doubts |= _finish(choice, gains, begun, total - hidden_tokens)
    else:
        reached = sum(gains)
        estimated = [i for i in range(begun, len(gains)) if choice.chars[i]]
        if not estimated and not reached and gains:
            estimated = [len(gains) - 1]  # it ended at once: the end-of-sequence token, which has no text
        for i in estimated:
            gains[i] = 1
        total = reached + len(estimated)
        if estimated or not reached:
            source = "estimated"
        elif choice.counted_by_ids:
            source = "token_ids"
    if hidden_tokens:
        doubts.add("hidden_reasoning")
    kept = [bool(gain or n) for gain, n in zip(gains, choice.chars, strict=True)]
    return ResolvedTimeline(
        at=tuple(compress(choice.at, kept)),
        gains=tuple(compress(gains, kept)),
        chars=tuple(compress(choice.chars, kept)),
        completion_tokens=total,
        source=source,
        doubts=tuple(sorted(doubts)),
    )


def _counted(choice: ChoiceStream) -> tuple[list[int], int, set[str]]:
    """Give tokens to the entries that the running counts cover; return them, the first entry beyond, and warnings."""
    gains = [0] * len(choice.counts)
    doubts: set[str] = set()
    begun = reached = 0
    for i, count in enumerate(choice.counts):
        if count != UNKNOWN:
            if begun == i:
                gains[i] = count - reached
            elif not _spread(gains, choice.chars, begun, i + 1, count - reached):
                doubts.add("timeline_estimated")
            begun, reached = i + 1, count
    return gains, begun, doubts


def _finish(choice: ChoiceStream, gains: list[int], begun: int, total: int) -> set[str]:
    """Give what the final usage says beyond the running counts to the entries from ``begun`` on; return warnings."""
    rest = total - sum(gains)
    if rest < 0:
        return {"counts_disagree"}
    if rest and begun < len(gains):
        return set() if _spread(gains, choice.chars, begun, len(gains), rest) else {"timeline_estimated"}
    if rest and gains:
        gains[-1] += rest
        return {"counts_disagree"}
    return set()


def _spread(gains: list[int], chars: array[int], begin: int, end: int, tokens: int) -> bool:
    """Share ``tokens`` among the entries [begin, end); False where the shares are an estimate."""
    last = end - 1
    if end - begin == 1:
        gains[last] = max(0, tokens)
        return True
    texts = [i for i in range(begin, end) if chars[i]]
    silent_end = chars[last] == 0
    if tokens in (len(texts), len(texts) + silent_end):
        for i in texts:
            gains[i] = 1
        if silent_end:
            gains[last] = tokens - len(texts)  # the end-of-sequence token, which has no text
        return True
    if not texts:
        gains[last] = max(0, tokens)
        return False
    whole = sum(chars[i] for i in texts)
    seen = given = 0
    for i in texts:
        seen += chars[i]
        share = round(max(0, tokens) * seen / whole)
        gains[i], given = share - given, share
    return False


def first_answer_ns(choice: ChoiceStream, resolved: ResolvedTimeline) -> int | None:
    """Return when the first *answer* token arrived, None where no answer began.

    With a reasoning field: the first chunk of ``content``. Without: the chunk with the first non-space after the last
    ``</think>``, None where a thought was opened and never closed, the first token where nobody thinks.
    """
    if choice.reasoning:
        return choice.first_content_ns
    closed = choice.text.rfind(_THINK_CLOSE)
    if closed < 0:
        return None if _THINK_OPEN in choice.text else resolved.first_token_ns
    begin = closed + len(_THINK_CLOSE)
    behind = choice.text[begin:]
    position = begin + len(behind) - len(behind.lstrip())
    reached = 0
    for at, chars in zip(resolved.at, resolved.chars, strict=True):
        reached += chars
        if reached > position:
            return at
    return None


def shares(choices: list[ChoiceStream], total: int | None) -> list[int | None]:
    """Share the one usage of an n > 1 request among its choices; each is known where the server counted per choice.

    llama.cpp's server sends a chat's usage once a choice, right behind the choice's last chunk, and no sum.
    What the counts leave over goes, one each, to choices that stopped by themselves (an uncounted end-of-sequence
    token); where nothing was counted the choices share by chunks of text, or by characters if that does not add up.
    """
    if total is None or len(choices) == 1:
        return [total] * len(choices)
    own = [choice.own_total for choice in choices]
    if None not in own:
        return own
    counts = [choice.count for choice in choices]
    if any(counts):
        left = total - sum(counts)
        for i, choice in enumerate(choices):
            if left > 0 and choice.counts and choice.counts[-1] == UNKNOWN:
                counts[i] += 1
                left -= 1
        return list(counts)
    chunks = [sum(1 for n in choice.chars if n) for choice in choices]
    for more in (0, 1):
        if sum(chunks) + more * len(choices) == total:
            return [n + more for n in chunks]
    weights = [sum(choice.chars) for choice in choices]
    whole, seen, given, result = sum(weights) or 1, 0, 0, []
    for weight in weights:
        seen += weight
        share = round(total * seen / whole)
        result.append(share - given)
        given = share
    return list(result)
