"""Grading: a response and a gold answer -> a judgement that names the layer which decided. Rules: docs/grading.md."""

from __future__ import annotations

from tts_compare.domain import Policy
from tts_compare.grading.answer import VERSION, Item, cheap_judgement, grader_version
from tts_compare.grading.estimators import pass_at_k
from tts_compare.grading.explain import GraderStep, disagreements, explain
from tts_compare.grading.extract import Response
from tts_compare.grading.judgement import Grader, Judgement, NeedsSymbolic
from tts_compare.grading.kinds import ANSWER_KINDS
from tts_compare.grading.pool import GraderPool
from tts_compare.grading.records import Target, grade_records, targets
from tts_compare.grading.responses import file_items, grade_file
from tts_compare.grading.votes import best_of_n_grades, grouped, row_key, vote_grades, with_failed

__all__ = [
    "ANSWER_KINDS",
    "VERSION",
    "Grader",
    "GraderPool",
    "GraderStep",
    "Item",
    "Judgement",
    "NeedsSymbolic",
    "Response",
    "Target",
    "best_of_n_grades",
    "cheap_judgement",
    "disagreements",
    "explain",
    "file_items",
    "grade_answer",
    "grade_file",
    "grade_records",
    "grader_version",
    "grouped",
    "pass_at_k",
    "row_key",
    "targets",
    "vote_grades",
    "with_failed",
]


def grade_answer(
    gold: str,
    response: str,
    *,
    kind: str = "math",
    policy: Policy = "any",
    grader: Grader = "layered",
    stop_at: str | None = None,
    pool: GraderPool | None = None,
) -> Judgement:
    """Grade one response. A symbolic question goes to ``pool``, or to a worker of its own, which takes a second.

    Raises UsageError for an unknown kind.
    """
    item = Item(gold=gold, response=Response(text=response), kind=kind, policy=policy, stop_at=stop_at)
    if pool is not None:
        return next(pool.grade_many([item], grader=grader))
    judgement = cheap_judgement(item, grader=grader)
    if isinstance(judgement, Judgement):
        return judgement
    with GraderPool(workers=1) as own:
        return next(own.settle([judgement]))
