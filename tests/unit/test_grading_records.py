"""Records become grades: which, at which cuts, and what a vote makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from tests import builders
from tts_compare.domain import Grade, Problem, RequestError, RequestRecord, RowKey, Timeline
from tts_compare.errors import UsageError
from tts_compare.grading import (
    GraderPool,
    best_of_n_grades,
    explain,
    grade_records,
    grader_version,
    grouped,
    row_key,
    targets,
    vote_grades,
    with_failed,
)
from tts_compare.grading.records import Decode, response_of
from tts_compare.judge.judge import failed_samples

PROBLEMS = {
    "p": Problem(id="p", problem="?", answer="14"),
    "q": Problem(id="q", problem="?", answer="C", kind="choice"),
}


def record(text: str, *, tokens: int | None = None, **fields: object) -> RequestRecord:
    """A success, one token a character unless told otherwise."""
    whole = str(fields.get("reasoning", "")) + text
    count = len(whole) if tokens is None else tokens
    row = builders.record(
        budget=100,
        completion_tokens=count,
        text=text,
        timeline=Timeline(us=(1,) * len(whole), tokens=(1,) * len(whole), chars=(1,) * len(whole)),
    )
    return replace(row, **fields)  # type: ignore[arg-type]


@pytest.fixture
def pool() -> Iterator[GraderPool]:
    with GraderPool() as grader_pool:
        yield grader_pool


def test_a_grade_carries_the_key_of_its_record_and_the_grader(pool: GraderPool) -> None:
    row = record(r"so \boxed{14}", sample=3, repeat=2, attempt=1)
    (grade,) = grade_records([row], PROBLEMS, pool=pool)
    assert row_key(grade) == row.key
    assert (grade.status, grade.answer, grade.layer, grade.cut_tokens) == ("correct", "14", "identical", None)
    assert grade.grader_version == grader_version("layered")
    assert grade.grader_version.startswith("layered-")


def test_only_measured_successes_are_graded(pool: GraderPool) -> None:
    failed = record("", error=RequestError(kind="timeout_idle"), finish_reason=None)
    rows = [record(r"\boxed{14}", phase="warmup"), failed, record("no", sample=1)]
    assert [(grade.sample, grade.status) for grade in grade_records(rows, PROBLEMS, pool=pool)] == [(1, "no_answer")]


def test_a_retry_is_graded_in_place_of_the_attempt_that_failed(pool: GraderPool) -> None:
    failed = record("", error=RequestError(kind="connect"), finish_reason=None)
    grades = list(grade_records([failed, record(r"\boxed{14}", attempt=1)], PROBLEMS, pool=pool))
    assert [(grade.attempt, grade.status) for grade in grades] == [(1, "correct")]


def test_a_problem_that_is_not_in_the_set_is_bad_usage(pool: GraderPool) -> None:
    with pytest.raises(UsageError, match="not in the data set"):
        list(grade_records([record("x", problem="z")], PROBLEMS, pool=pool))


def test_every_smaller_budget_grades_the_prefix_it_leaves(pool: GraderPool) -> None:
    text = r"a \boxed{3} b \boxed{14} c"
    grades = list(grade_records([record(text)], PROBLEMS, pool=pool, budgets={"truncate": (5, 12, 20, 25, 99, 100)}))
    assert [(grade.cut_tokens, grade.status) for grade in grades] == [
        (None, "correct"),
        (5, "no_answer"),
        (12, "incorrect"),
        (20, "incorrect"),
        (25, "correct"),
        (99, "correct"),
    ]


def test_a_prefix_of_reasoning_and_text_apart_splits_where_the_response_did(pool: GraderPool) -> None:
    row = record(r"\boxed{14}", reasoning=r"\boxed{3} hm ")
    budgets = {"truncate": (9, 20, 23)}
    final = grade_records([row], PROBLEMS, pool=pool, policy="final", budgets=budgets)
    assert [grade.status for grade in final] == ["correct", "no_answer", "no_answer", "correct"]
    either = grade_records([row], PROBLEMS, pool=pool, budgets=budgets)
    assert [grade.answer for grade in either] == ["14", "3", "3", "14"]


def test_a_response_that_failed_is_graded_at_the_budgets_that_it_reached(pool: GraderPool) -> None:
    late = RequestError(kind="timeout_total")
    first = record(r"\boxed{3}", error=late, finish_reason=None)
    second = record(r"a \boxed{14} hm", attempt=1, error=late, finish_reason=None)
    grades = grade_records([first, second], PROBLEMS, pool=pool, budgets={"truncate": (9, 13, 50)})
    assert [(grade.attempt, grade.cut_tokens, grade.status) for grade in grades] == [
        (0, 9, "incorrect"),
        (1, 13, "correct"),
    ]


def test_a_budget_inside_a_chunk_cuts_the_text_by_its_token_ids() -> None:
    """Chunks of 3 tokens of 2 characters; the ids' text is what a tokenizer would make of them."""
    text = "aabbccddeeff"
    row = record(
        text, tokens=6, token_ids=(0, 1, 2, 3, 4, 5), timeline=Timeline(us=(1, 1), tokens=(3, 3), chars=(6, 6))
    )

    def decode(setting: str, ids: Sequence[int]) -> str | None:
        return "".join(text[2 * i : 2 * i + 2] for i in ids) if setting == "s" else None

    def prefix(of: RequestRecord, budget: int, how: Decode | None = decode) -> str:
        found = response_of(of, budget, decode=how)
        assert found is not None
        assert found.cut == (budget < 6)
        return found.text

    assert [prefix(row, budget) for budget in (2, 3, 4, 5, 6)] == ["aabb", "aabbcc", "aabbccdd", "aabbccddee", text]
    assert prefix(row, 5, None) == "aabbcc", "without a tokenizer the last whole chunk"
    assert prefix(replace(row, setting="t"), 5) == "aabbcc"
    assert prefix(replace(row, token_ids=None), 5) == "aabbcc"
    assert prefix(replace(row, token_ids=(0, 1, 2, 0, 0, 0)), 5) == "aabbcc", "ids that say another text"


def test_final_knows_from_the_whole_response_that_a_prefix_was_thinking(pool: GraderPool) -> None:
    row = record(r"\boxed{14} so</think> \boxed{14}")
    grades = grade_records([row], PROBLEMS, pool=pool, policy="final", budgets={"truncate": (12,)})
    assert [grade.status for grade in grades] == ["correct", "no_answer"]


def test_no_prefix_is_made_of_spot_checks_other_methods_or_responses_without_a_timeline() -> None:
    spot = record("x", budget=50, sample=1)
    other = record("x", method="force", sample=2)
    untimed = record("x", timeline=Timeline(), sample=3)
    found = targets([record("x"), spot, other, untimed], PROBLEMS, budgets={"truncate": (10,)})
    assert [(target.record.sample, target.cut_tokens) for target in found] == [
        (0, None),
        (0, 10),
        (1, None),
        (2, None),
        (3, None),
    ]


def test_a_sample_of_several_calls_is_graded_once_at_its_last_call(pool: GraderPool) -> None:
    first = record(r"hm \boxed{3", method="force", finish_reason="length")
    second = record("} no: it is", method="force", call=1)
    for policy, answer in (("any", "3"), ("forced", "3")):
        (grade,) = grade_records([first, second], PROBLEMS, pool=pool, policy=policy)  # type: ignore[arg-type]
        assert (grade.call, grade.answer) == (1, answer)
    broken = replace(second, error=RequestError(kind="empty"), finish_reason=None)
    assert list(grade_records([first, broken], PROBLEMS, pool=pool)) == []


def test_grading_is_a_function_of_record_problem_and_version(pool: GraderPool) -> None:
    rows = [record(r"\boxed{14}"), record(r"\boxed{C}", problem="q")]
    assert list(grade_records(rows, PROBLEMS, pool=pool)) == list(grade_records(rows, PROBLEMS, pool=pool))


def poll(pool: GraderPool, *answers: str | None) -> list[Grade]:
    texts = ["none" if answer is None else rf"\boxed{{{answer}}}" for answer in answers]
    rows = [record(text, sample=at, method="vote") for at, text in enumerate(texts)]
    return grouped(grade_records(rows, PROBLEMS, pool=pool), PROBLEMS, pool=pool)


def test_equal_answers_share_a_group_however_they_are_written(pool: GraderPool) -> None:
    grades = poll(pool, r"\frac12", "14", None, "0.5", "x = 14", "1/2", "15")
    assert [grade.group for grade in grades] == [0, 1, None, 0, 1, 0, 2]


def test_a_vote_counts_groups_and_no_answer_votes_for_nothing(pool: GraderPool) -> None:
    votes = vote_grades(poll(pool, r"\frac12", None, "14", "14.0", None, "0.5", "14"))
    assert [(vote.samples, vote.status, vote.answer) for vote in votes] == [
        (1, "incorrect", r"\frac12"),
        (2, "incorrect", r"\frac12"),
        (4, "correct", "14"),
        (7, "correct", "14"),
    ]
    assert {(vote.sample, vote.layer, vote.call, vote.attempt) for vote in votes} == {(None, "vote", 0, 0)}
    assert votes[0].score == pytest.approx(3 / 7)
    assert votes[-1].score == 1.0


def test_a_poll_without_answers_votes_no_answer(pool: GraderPool) -> None:
    assert [(vote.status, vote.score) for vote in vote_grades(poll(pool, None, None))] == [("no_answer", 0.0)] * 2


def test_a_poll_with_a_sample_missing_has_no_vote_of_all(pool: GraderPool) -> None:
    grades = poll(pool, "14", "14", "3")
    assert [vote.samples for vote in vote_grades(grades, samples=4)] == [1, 2]
    assert [vote.samples for vote in vote_grades(grades, samples=3)] == [1, 2, 3]


def failed(*samples: int) -> list[RowKey]:
    return [record("", method="vote", sample=sample).key for sample in samples]


def test_a_failed_sample_abstains_and_a_vote_of_failed_ones_only_is_wrong(pool: GraderPool) -> None:
    votes = vote_grades(with_failed(poll(pool, "14", "3"), failed(2, 3)), samples=4)
    assert [(vote.samples, vote.status) for vote in votes] == [(1, "correct"), (2, "correct"), (4, "correct")]
    # Of six pairs three hold the right answer without losing a tie: with the wrong one it was seen first.
    assert [vote.score for vote in votes] == [pytest.approx(1 / 4), pytest.approx(3 / 6), 1.0]
    assert with_failed([], failed(0, 1)) == []


def test_a_sample_that_failed_in_part_of_its_cuts_is_replaced_only_where_it_has_no_grade(pool: GraderPool) -> None:
    grades = poll(pool, "14", "3")
    cut = [replace(grade, cut_tokens=5) for grade in [*grades, replace(grades[0], sample=2)]]
    made = with_failed([*grades, *cut], failed(2))
    assert len(made) == 6
    (stand_in,) = [grade for grade in made if grade.layer == "failed"]
    assert (stand_in.sample, stand_in.cut_tokens, stand_in.answer, stand_in.status) == (2, None, None, "no_answer")


@pytest.mark.parametrize("weighted", [False, True])
def test_a_failed_sample_is_never_the_best_and_needs_no_score(weighted: bool, pool: GraderPool) -> None:
    grades = poll(pool, "3", "14")
    scores = dict(zip(map(row_key, grades), (-7.0, -9.0), strict=True))
    shifted = [replace(grade, sample=(grade.sample or 0) + 1) for grade in grades]
    moved = {row_key(grade): scores[row_key(old)] for grade, old in zip(shifted, grades, strict=True)}
    rows = best_of_n_grades(with_failed(shifted, failed(0, 3)), moved, samples=4, weighted=weighted)
    assert [(row.samples, row.status, row.answer) for row in rows] == [
        (1, "no_answer", None),
        (2, "incorrect", "3"),
        (4, "incorrect", "3"),
    ]
    assert rows[0].score == pytest.approx(1 / 4)
    unscored = best_of_n_grades(with_failed(shifted, failed(0, 3)), {}, samples=4, weighted=weighted, partial=True)
    assert {row.status for row in unscored} == {"ungraded"}


def test_the_samples_that_failed_are_told_from_those_that_were_not_measured() -> None:
    timeout, key = RequestError(kind="timeout_total"), RequestError(kind="http_4xx", status=401)
    rows = [
        record("fine"),
        record("", sample=1, error=timeout, finish_reason=None),
        record("", sample=2, error=timeout, finish_reason=None),
        record("at last", sample=2, attempt=1),
        record("", sample=3, error=key, finish_reason=None),
        record("first", sample=4),
        record("", sample=4, call=1, error=timeout, finish_reason=None),
        record("", sample=5, error=timeout, finish_reason=None, phase="spot_check"),
    ]
    assert [row.sample for row in failed_samples(rows, hosted=False)] == [1, 4]


def test_polls_are_kept_apart_by_problem_repeat_and_cut(pool: GraderPool) -> None:
    rows = [record(r"\boxed{14}", method="vote", sample=at, repeat=repeat) for at in range(2) for repeat in range(2)]
    grades = grade_records(rows, PROBLEMS, pool=pool, budgets={"vote": (5,)})
    votes = vote_grades(grouped(grades, PROBLEMS, pool=pool))
    assert {(vote.repeat, vote.cut_tokens, vote.samples) for vote in votes} == {
        (repeat, cut, size) for repeat in (0, 1) for cut in (None, 5) for size in (1, 2)
    }


def test_best_of_n_takes_the_best_score_and_the_weighted_one_the_best_sum(pool: GraderPool) -> None:
    grades = poll(pool, "3", "14", "14", None)
    scores = dict(zip(map(row_key, grades), (0.9, 0.5, 0.6, 0.1), strict=True))
    best = best_of_n_grades(grades, scores)[-1]
    assert (best.status, best.answer, best.layer, best.samples) == ("incorrect", "3", "best_of_n", 4)
    weighted = best_of_n_grades(grades, scores, weighted=True)[-1]
    assert (weighted.status, weighted.layer) == ("correct", "weighted_best_of_n")
    assert best_of_n_grades(grades, scores)[0].score == pytest.approx(0.5)
    with pytest.raises(UsageError, match="no score"):
        best_of_n_grades(grades, {})


def test_samples_without_a_score_are_left_out_and_sizes_that_need_them_are_ungraded(pool: GraderPool) -> None:
    grades = poll(pool, "3", "14", "14", "15")
    scores = dict(zip(map(row_key, grades[:3]), (0.9, 0.5, 0.95), strict=True))
    rows = best_of_n_grades(grades, scores, samples=4, partial=True)
    assert [(row.samples, row.status, row.answer) for row in rows] == [
        (1, "incorrect", "3"),
        (2, "incorrect", "3"),
        (4, "ungraded", None),
    ]
    assert [row.score for row in rows] == [pytest.approx(2 / 3), pytest.approx(2 / 3), None]
    assert rows[2] == replace(rows[1], samples=4, status="ungraded", answer=None, group=None, score=None)
    nothing = best_of_n_grades(grades, {}, samples=4, weighted=True, partial=True)
    assert [(row.samples, row.status, row.layer) for row in nothing] == [
        (m, "ungraded", "weighted_best_of_n") for m in (1, 2, 4)
    ]


def test_an_explanation_ends_with_the_status_and_the_layer(pool: GraderPool) -> None:
    target = next(iter(targets([record(r"so \boxed{14.0}")], PROBLEMS)))
    steps = explain(target.item, pool=pool)
    assert [step.step for step in steps][:2] == ["policy any", "extract"]
    assert steps[-1].decision == "correct by value"
    (nothing,) = (step for step in explain(next(iter(targets([record("no")], PROBLEMS))).item, pool=pool)[-1:])
    assert nothing.decision == "no_answer"
