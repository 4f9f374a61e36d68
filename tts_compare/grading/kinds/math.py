r"""MATH answers: the last box, compared layer by layer."""

from __future__ import annotations

from tts_compare.grading.equality import equal_answers
from tts_compare.grading.extract import last_box
from tts_compare.grading.judgement import Judgement, NeedsSymbolic, judged
from tts_compare.grading.normalise import normalise


def extract(text: str, *, open_ended: bool) -> str | None:  # noqa: ARG001 - a box says itself whether it is complete
    """The last complete box."""
    return last_box(text)


def compare(gold: str, answer: str) -> Judgement | NeedsSymbolic:
    """Decide by the cheap layers, or ask with both sides normalised."""
    expected, given = normalise(gold), normalise(answer)
    verdict = equal_answers(expected, given)
    if verdict.equal is None and verdict.layer == "symbolic":
        return NeedsSymbolic(gold=expected, candidate=given, answer=answer)
    return judged(answer, verdict)
