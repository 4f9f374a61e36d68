"""Whole-number answers (AIME): the last box, compared by value; anything that is not that number is incorrect."""

from __future__ import annotations

from tts_compare.grading.equality import equal_answers
from tts_compare.grading.extract import last_box
from tts_compare.grading.judgement import Judgement, NeedsSymbolic, Verdict, judged
from tts_compare.grading.normalise import normalise


def extract(text: str, *, open_ended: bool) -> str | None:  # noqa: ARG001 - a box says itself whether it is complete
    """The last complete box."""
    return last_box(text)


def compare(gold: str, answer: str) -> Judgement | NeedsSymbolic:
    """Equal values are correct (``033`` is 33, ``2^5`` is 32); there is no symbolic step."""
    verdict = equal_answers(normalise(gold), normalise(answer))
    return judged(answer, Verdict(equal=verdict.equal is True, layer=verdict.layer if verdict.equal else "value"))
