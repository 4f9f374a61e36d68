"""What the pure steps of the grader hand on: a judgement, or a question for the symbolic step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tts_compare.domain import GradeStatus

Grader = Literal["layered", "math-verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How one answer was judged: its status, the answer as extracted, and the layer that decided."""

    status: GradeStatus
    answer: str | None
    layer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsSymbolic:
    """The cheap layers could not decide; ``gold`` and ``candidate`` are what a worker compares."""

    gold: str
    candidate: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Equal, not equal, or (None) undecided, and the layer that says so."""

    equal: bool | None
    layer: str


def judged(answer: str, verdict: Verdict) -> Judgement:
    """The judgement of a decided verdict; an undecided one is ``ungraded``."""
    status: GradeStatus = "ungraded" if verdict.equal is None else "correct" if verdict.equal else "incorrect"
    return Judgement(status=status, answer=answer, layer=verdict.layer)


def no_answer() -> Judgement:
    """The judgement of a response without an answer."""
    return Judgement(status="no_answer", answer=None, layer="extract")
