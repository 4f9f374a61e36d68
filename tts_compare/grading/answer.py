"""One response against one gold: the pure steps, and the question they leave for a worker."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from tts_compare.domain import Policy
from tts_compare.grading.extract import Response, continued_box, parts
from tts_compare.grading.judgement import Grader, Judgement, NeedsSymbolic, no_answer
from tts_compare.grading.kinds import answer_kind

#: Of our rules. 2: derived texts end at the budget's token, and no longer before the chunk that holds it.
VERSION = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to grade. stop_at: see ``extract.parts``."""

    gold: str
    response: Response
    kind: str = "math"
    policy: Policy = "any"
    stop_at: str | None = None


def grader_version(grader: Grader) -> str:
    """What a grade depends on besides the record and the problem: our rules and the library of the symbolic step."""
    try:
        library = version("math-verify")
    except PackageNotFoundError:
        library = "none"
    return f"{grader}-{VERSION}/math-verify-{library}"


def find_answer(item: Item) -> str | None:
    """The answer a response gives under the item's policy, as it is written there."""
    kind = answer_kind(item.kind)
    for text in parts(item.response, item.policy, item.stop_at):
        found = kind.extract(text, open_ended=item.response.open_ended)
        if found is None and item.policy == "forced":
            found = continued_box(item.response.before, text)
        if found is not None:
            return found
    return None


def judge(gold: str, answer: str, *, kind: str = "math", grader: Grader = "layered") -> Judgement | NeedsSymbolic:
    """Judge an extracted answer without any symbolic work. Raises UsageError for an unknown kind."""
    if grader == "math-verify" and kind != "choice":
        return NeedsSymbolic(gold=gold, candidate=answer, answer=answer)
    return answer_kind(kind).compare(gold, answer)


def cheap_judgement(item: Item, *, grader: Grader = "layered") -> Judgement | NeedsSymbolic:
    """Extract and judge, all in this process: bounded work, nothing evaluated. Raises UsageError."""
    answer = find_answer(item)
    return no_answer() if answer is None else judge(item.gold, answer, kind=item.kind, grader=grader)
