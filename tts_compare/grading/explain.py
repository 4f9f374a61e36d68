"""Why an answer was judged as it was: every step with what went in, what came out and what it decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tts_compare.domain import GradeStatus
from tts_compare.grading.answer import Item, find_answer
from tts_compare.grading.extract import parts
from tts_compare.grading.judgement import Grader, NeedsSymbolic
from tts_compare.grading.normalise import compact, normalise
from tts_compare.grading.pool import GraderPool
from tts_compare.grading.structure import parse_answer

_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderStep:
    """One step of the grader. input and output are shortened to 200 characters."""

    step: str
    input: str
    output: str
    decision: str


class Judged(Protocol):
    """A Judgement or a Grade."""

    @property
    def status(self) -> GradeStatus:
        """The outcome."""
        ...


JudgedT = TypeVar("JudgedT", bound=Judged)


def explain(item: Item, *, pool: GraderPool, grader: Grader = "layered") -> list[GraderStep]:
    """The steps of one grading, in order; the last one states the status and the layer that decided."""
    texts = parts(item.response, item.policy, item.stop_at)
    whole = item.response.reasoning + item.response.before + item.response.text
    looked_in = " | ".join(_shown(text) for text in texts) if texts else "nothing"
    steps = [GraderStep(step=f"policy {item.policy}", input=_shown(whole), output=looked_in, decision="where to look")]
    answer = find_answer(item)
    steps.append(_step("extract", looked_in, answer or "", "answer found" if answer is not None else "no_answer"))
    if answer is None:
        return steps
    if item.kind == "math" and grader == "layered":
        steps += _readings(item.gold, answer)
    asked = pool.judge(item.gold, answer, kind=item.kind, grader=grader)
    if isinstance(asked, NeedsSymbolic):
        steps.append(_step("cheap layers", f"{item.gold} = {answer}?", "undecided", "ask the symbolic step"))
    (judgement,) = pool.settle([asked])
    decision = f"{judgement.status} by {judgement.layer}"
    return [*steps, _step("compare", f"gold {item.gold}", f"answer {answer}", decision)]


def disagreements(first: Iterable[JudgedT], second: Iterable[JudgedT]) -> Iterator[tuple[JudgedT, JudgedT]]:
    """The pairs, of the same things judged by two graders in the same order, whose statuses differ."""
    return ((a, b) for a, b in zip(first, second, strict=True) if a.status != b.status)


def _readings(gold: str, answer: str) -> Iterator[GraderStep]:
    expected, given = normalise(gold), normalise(answer)
    same = compact(expected) == compact(given)
    yield _step("normalise gold", gold, expected, "")
    yield _step("normalise answer", answer, given, "identical" if same else "not identical")
    if not same:
        for name, text in (("read gold", expected), ("read answer", given)):
            yield _step(name, text, type(parse_answer(text)).__name__.lower(), "")


def _step(step: str, given: str, output: str, decision: str) -> GraderStep:
    return GraderStep(step=step, input=_shown(given), output=_shown(output), decision=decision)


def _shown(text: str) -> str:
    """The end of a text, where answers stand, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"...{line[-_SHOWN_CHARS:]}"
