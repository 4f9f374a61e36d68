r"""What a response answers: the policy chooses the text to look in, the last complete box in it is the answer.

There is no rule that takes "the last number": it would credit a response cut in the middle of its work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tts_compare.domain import Policy

BOX_LIMIT_CHARS = 2_000
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_UNCLOSED_LIMIT = 100
_RUN_LIMIT = 20
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_OPENING = re.compile(r"\s{0,8}\{")
_BETWEEN_BOXES = re.compile(
    r"(?:[ \t,;$&*]|\n(?!\s*\n)|\\[,;:!()\[\]\\ ]|\\q?quad|(?:\\text\s*\{\s*(?:and|or)\s*\})|\b(?:and|or)\b){0,40}"
)
_BLANK_BOX = re.compile(r"(?:[\s.…?_~,]|\\[lc]?dots|\\text\s*\{\s*\}|\\[,;:! ])*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The text of one response, or of the prefix of one.

    reasoning: what a reasoning parser took apart, "" where none did. before: what earlier calls of the same sample
    generated, where an answer took several. cut: this is a prefix of a longer response. finished: the whole response
    ended by itself (``finish_reason`` is ``stop``). thinks: the whole response holds ``</think>``, so a prefix
    without it is still thinking.
    """

    text: str
    reasoning: str = ""
    before: str = ""
    cut: bool = False
    finished: bool = True
    thinks: bool = False

    @property
    def open_ended(self) -> bool:
        """True where the last word may be half a word: a prefix, or a response that hit its token limit."""
        return self.cut or not self.finished


def parts(response: Response, policy: Policy, stop_at: str | None = None) -> tuple[str, ...]:
    """The texts a policy looks in, the one that counts most first; empty where the policy allows none.

    ``any``: the text, then the reasoning. ``final``: the text after the last ``</think>``, or the whole text where
    the reasoning came apart; with neither, the last call's text where there were several calls; nothing while the
    model is known or may be supposed to be thinking (``<think>`` stands there, the whole response closes it later,
    or the response was truncated before any mark); else the whole text. ``forced``: the text of the last call, the
    one that asked for the answer, searched like ``any``.
    stop_at: a marker after which a base model goes on to other problems; the text ends before its first one.
    """
    earlier = "" if policy == "forced" else response.before
    thinking, close, after = (earlier + response.text).rpartition(THINK_CLOSE)
    if stop_at:
        after = after.partition(stop_at)[0]
    if policy != "final":
        text = f"{thinking}{close}{after}"
        return (text, response.reasoning) if response.reasoning else (text,)
    if close or response.reasoning:
        return (after,)
    if earlier:
        return (response.text.partition(stop_at)[0] if stop_at else response.text,)
    if THINK_OPEN in response.text or response.thinks or not response.finished:
        return ()
    return (after,)


def last_box(text: str) -> str | None:
    r"""The content of the last complete ``\boxed{}`` or ``\fbox{}``, a run of neighbouring boxes joined by commas.

    A box counts as complete when its brace closes within 2,000 characters. Empty boxes (a quoted instruction)
    are passed over. Of nested boxes the inner one is taken. Work is linear in the text: after 100 boxes that
    never close the search ends.
    """
    finder = _BoxFinder(text)
    for _ in range(_UNCLOSED_LIMIT):
        start = finder.previous()
        if start < 0:
            return None
        closed = _content(text, start)
        if closed is not None and not _BLANK_BOX.fullmatch(closed[0]):
            return _joined(text, finder, start, closed[0])
    return None


def continued_box(before: str, text: str) -> str | None:
    """The answer in a text that begins inside a box: one that ``before`` opened, or one that its prompt did."""
    depth = 0
    for match in _BRACE.finditer(text, 0, BOX_LIMIT_CHARS):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth < 0:
            joined = last_box(before + text[: match.end()]) if before else None
            if joined is not None and joined != last_box(before):
                return joined
            return text[: match.start()].strip() or None
    return None


class _BoxFinder:
    """Walks the box commands of a text from its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._next = {name: text.rfind(name) for name in ("\\boxed", "\\fbox")}

    def previous(self) -> int:
        """The offset of the next command towards the beginning, -1 when there is none."""
        name = max(self._next, key=lambda command: self._next[command])
        at = self._next[name]
        if at >= 0:
            self._next[name] = self._text.rfind(name, 0, at)
        return at


def _content(text: str, start: int) -> tuple[str, int] | None:
    """Content and end of the box command at ``start``; None where its brace does not close within the limit."""
    command = start + (6 if text.startswith("\\boxed", start) else 5)
    opening = _OPENING.match(text, command)
    if not opening:
        return None
    depth = 1
    for match in _BRACE.finditer(text, opening.end(), opening.end() + BOX_LIMIT_CHARS + 1):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return text[opening.end() : match.start()].strip(), match.end()
    return None


def _joined(text: str, finder: _BoxFinder, start: int, content: str) -> str:
    """``content`` with the boxes right before it, separated by nothing but commas, and, or and spacing."""
    run = [content]
    for _ in range(_RUN_LIMIT):
        earlier = finder.previous()
        closed = _content(text, earlier) if earlier >= 0 else None
        if closed is None or closed[1] > start or not _BETWEEN_BOXES.fullmatch(text, closed[1], start):
            break
        if closed[0] and closed[0] not in run:
            run.insert(0, closed[0])
        start = earlier
    return ", ".join(run)
