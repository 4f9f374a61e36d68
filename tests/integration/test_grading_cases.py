"""The grader against labelled answers: equal ones, near misses, real outputs, truncated outputs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.integration.grading_variants import equal_variants, wrong_variants
from tts_compare.domain import Problem, RequestRecord
from tts_compare.grading import (
    GraderPool,
    Item,
    Response,
    best_of_n_grades,
    grade_records,
    grouped,
    row_key,
    vote_grades,
)


@pytest.fixture(scope="module")
def pool() -> Iterator[GraderPool]:
    with GraderPool() as grader_pool:
        yield grader_pool


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def accepted(pool: GraderPool, pairs: Iterable[tuple[str, str]]) -> list[bool]:
    """Whether each (gold, response) is judged correct; an ungraded one fails the test."""
    judgements = list(pool.grade_many(Item(gold=gold, response=Response(text=text)) for gold, text in pairs))
    assert all(judgement.status != "ungraded" for judgement in judgements)
    return [judgement.status == "correct" for judgement in judgements]


def boxed(answer: str) -> str:
    return rf"So the final answer is $\boxed{{{answer}}}$."


def test_equal_cases_are_accepted_and_wrong_ones_are_not(pool: GraderPool, shared_data: Path) -> None:
    cases = rows(shared_data / "grader_cases.jsonl")
    found = accepted(pool, ((case["gold"], case["pred"]) for case in cases))
    equal = [ok for ok, case in zip(found, cases, strict=True) if case["expected"]]
    wrong = [case for ok, case in zip(found, cases, strict=True) if ok and not case["expected"]]
    assert len(cases) > 2_000
    assert sum(equal) >= 0.995 * len(equal)
    assert len(wrong) <= 1, wrong


def test_labels_of_real_outputs_are_met(pool: GraderPool, shared_data: Path) -> None:
    outputs = rows(shared_data / "real_outputs.jsonl")
    found = accepted(pool, ((output["gold"], output["output"]) for output in outputs))
    assert len(outputs) == 360
    assert sum(ok != output["label"] for ok, output in zip(found, outputs, strict=True)) <= 1


def test_every_math500_gold_is_equal_to_itself(pool: GraderPool, shared_data: Path) -> None:
    golds = [row["answer"] for row in rows(shared_data / "math500.jsonl")]
    assert accepted(pool, ((gold, boxed(gold)) for gold in golds)) == [True] * 500


def test_every_math500_solution_answers_its_own_problem(pool: GraderPool, shared_data: Path) -> None:
    problems = rows(shared_data / "math500.jsonl")
    found = accepted(pool, ((row["answer"], row["solution"]) for row in problems))
    assert sum(found) >= 498


def test_variants_of_every_math500_gold_are_told_apart(pool: GraderPool, shared_data: Path) -> None:
    golds = [row["answer"] for row in rows(shared_data / "math500.jsonl")]
    equal = [(gold, rule, answer) for gold in golds for rule, answer in equal_variants(gold)]
    wrong = [(gold, rule, answer) for gold in golds for rule, answer in wrong_variants(gold)]
    assert len(equal) > 4_000
    assert len(wrong) > 1_500
    taken = accepted(pool, ((gold, boxed(answer)) for gold, _, answer in equal))
    missed = [case for case, ok in zip(equal, taken, strict=True) if not ok]
    assert not missed
    taken = accepted(pool, ((gold, boxed(answer)) for gold, _, answer in wrong))
    passed = [case for case, ok in zip(wrong, taken, strict=True) if ok]
    assert not passed


def test_a_cut_output_is_credited_only_where_a_complete_box_precedes_the_cut(
    pool: GraderPool, shared_data: Path
) -> None:
    outputs = [output for output in rows(shared_data / "real_outputs.jsonl") if output["label"]]
    credited: Counter[int] = Counter()
    for share in (30, 50, 70, 90):
        prefixes = [output["output"][: len(output["output"]) * share // 100] for output in outputs]
        found = accepted(pool, ((output["gold"], text) for output, text in zip(outputs, prefixes, strict=True)))
        for ok, text, output in zip(found, prefixes, outputs, strict=True):
            box = "\\boxed{" + output["output"].rpartition("\\boxed{")[2].partition("}")[0]
            assert not ok or "\\boxed{" in text, (output["gold"], box)
            closed = "\\boxed{" in text and text.rpartition("\\boxed{")[2].count("}") > 0
            assert not ok or closed
            credited[share] += ok
    assert credited[30] <= credited[90] < len(outputs) / 10


def test_votes_and_best_of_n_over_17_samples_agree_with_their_definitions(pool: GraderPool, shared_data: Path) -> None:
    samples = rows(shared_data / "samples_20x17.jsonl")
    problems = {row["unique_id"]: Problem(id=row["unique_id"], problem="", answer=row["gold"]) for row in samples}
    seen: Counter[str] = Counter()
    records, reward = [], {}
    for row in samples:
        record = _record(row["unique_id"], seen[row["unique_id"]], row["output"])
        seen[row["unique_id"]] += 1
        records.append(record)
        reward[record.key] = float(row["prm_last_reward"])
    grades = grouped(grade_records(records, problems, pool=pool), problems, pool=pool)
    assert set(seen.values()) == {17}
    votes = [vote for vote in vote_grades(grades) if vote.samples == 17]
    best = [vote for vote in best_of_n_grades(grades, reward) if vote.samples == 17]
    weighted = [vote for vote in best_of_n_grades(grades, reward, weighted=True) if vote.samples == 17]
    assert len(votes) == len(best) == len(weighted) == 20
    for problem, vote, chosen in zip(dict.fromkeys(r.problem for r in records), votes, best, strict=True):
        own = [grade for grade in grades if grade.problem == problem]
        counts = Counter(grade.group for grade in own if grade.group is not None)
        assert vote.group is not None
        assert counts[vote.group] == max(counts.values())
        assert vote.score == float(vote.status == "correct")
        assert chosen.answer == max(own, key=lambda grade: reward[row_key(grade)]).answer
    single = sum(grade.status == "correct" for grade in grades) / len(grades)
    assert sum(vote.score or 0 for vote in votes) / 20 > single


def _record(problem: str, sample: int, text: str) -> RequestRecord:
    return builders.record(
        method="vote",
        budget=1,
        problem=problem,
        sample=sample,
        request_id=f"{problem}-{sample}",
        text=text,
    )
