"""Answer kinds: how an answer is found in a text and compared with the gold. One module and one line each."""

from __future__ import annotations

from typing import Protocol

from tts_compare.errors import UsageError
from tts_compare.grading.judgement import Judgement, NeedsSymbolic
from tts_compare.grading.kinds import choice, gsm8k, integer, math


class Kind(Protocol):
    """A module of this package."""

    def extract(self, text: str, *, open_ended: bool) -> str | None:
        """The last answer in a text; open_ended: the text may break off in the middle of a word."""
        ...

    def compare(self, gold: str, answer: str) -> Judgement | NeedsSymbolic:
        """Judge an answer against the gold, or ask the symbolic step."""
        ...


ANSWER_KINDS: dict[str, Kind] = {
    "math": math,
    "integer": integer,
    "gsm8k": gsm8k,
    "choice": choice,
}


def answer_kind(name: str) -> Kind:
    """The kind of that name. Raises UsageError."""
    if name not in ANSWER_KINDS:
        raise UsageError(f"unknown answer kind {name!r}; known: {', '.join(ANSWER_KINDS)}")
    return ANSWER_KINDS[name]
