"""Graded samples -> classes of equal answers -> votes and best of N, one row a number of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from tts_compare.domain import Grade, GradeStatus, Problem, RowKey
from tts_compare.errors import UsageError
from tts_compare.grading.estimators import (
    best_scores,
    majority,
    majority_scores,
    sizes,
    weighted_choice,
    weighted_score,
)
from tts_compare.grading.judgement import Grader, Judgement, NeedsSymbolic
from tts_compare.grading.normalise import whole_number
from tts_compare.grading.pool import GraderPool

Poll = list[Grade]
#: The layer of the stand-in for a sample that failed: it has a place among the samples, and no voice.
FAILED = "failed"


def grouped(
    grades: Iterable[Grade], problems: Mapping[str, Problem], *, pool: GraderPool, grader: Grader = "layered"
) -> list[Grade]:
    """The same sample grades with ``group`` set: equal answers of one poll share a number, counted from the first seen.

    A poll is all samples of one (setting, method, budget, load, problem, repeat, policy, cut). Answers that were
    judged correct are equal to each other; the rest are compared in pairs by the same layers, but for two whole
    numbers that are seen to differ. no_answer has no group.
    """
    polls = _polls(grades)
    pairs = [(at, *pair) for at, poll in enumerate(polls) for pair in _open_pairs(poll)]

    def questions() -> Iterator[Judgement | NeedsSymbolic]:
        for at, first, second in pairs:
            yield pool.judge(first, second, kind=problems[polls[at][0].problem].kind, grader=grader)

    equal: list[dict[str, str]] = [{} for _ in polls]
    for (at, first, second), judgement in zip(pairs, pool.settle(questions()), strict=True):
        if judgement.status == "correct":
            _unite(equal[at], first, second)
    return [grade for poll, links in zip(polls, equal, strict=True) for grade in _numbered(poll, links)]


def with_failed(grades: Iterable[Grade], failed: Iterable[RowKey]) -> list[Grade]:
    """The sample grades, and in every poll a stand-in for each of its samples that failed and has no grade.

    A stand-in has no answer: it abstains from a vote, and is never the best. A poll of failed samples only stays
    empty, and its votes have failed. failed: keys of samples, of which ``call`` and ``attempt`` are not read.
    """
    found = list(grades)
    missing: dict[tuple[object, ...], set[int]] = {}
    for key in failed:
        missing.setdefault(_asked(key), set()).add(key.sample)
    for poll in _polls(found):
        for sample in sorted(missing.get(_asked(poll[0]), set()) - {grade.sample for grade in poll}):
            stand_in = replace(poll[0], sample=sample, call=0, attempt=0, layer=FAILED)
            found.append(replace(stand_in, status="no_answer", answer=None, group=None))
    return found


def vote_grades(grades: Iterable[Grade], *, samples: int | None = None) -> list[Grade]:
    """Majority votes (arXiv:2203.11171) of grouped sample grades, for 1, 2, 4, ... and all samples of every poll.

    samples: how many were asked for; a poll with fewer, stand-ins of failed ones included, gets no row for "all".
    status and answer are those of the first m samples, score the expected correctness over all m-subsets.
    """

    def choose(poll: Sequence[Grade]) -> Grade | None:
        winner = majority([grade.group for grade in poll])
        return _first_of(poll, winner)

    def score(poll: Sequence[Grade]) -> Callable[[int], float]:
        shares = majority_scores([grade.group for grade in poll], _right(poll))
        return lambda m: shares[m - 1]

    return [row for poll in _polls(grades) for row in _rows(poll, "vote", choose, score(poll), samples)]


def best_of_n_grades(
    grades: Iterable[Grade],
    scores: Mapping[RowKey, float],
    *,
    weighted: bool = False,
    samples: int | None = None,
    partial: bool = False,
) -> list[Grade]:
    """The best scored sample, or (weighted) the class of answers with the largest sum, of grouped sample grades.

    scores: one a sample, by its key; a failed sample needs none and is never chosen. partial: samples without one are
    omitted, and sizes that are then too large are ungraded; else UsageError is raised where one is missing.
    """
    rows: list[Grade] = []
    layer = "weighted_best_of_n" if weighted else "best_of_n"
    for whole in _polls(grades):
        poll = [grade for grade in whole if not partial or grade.layer == FAILED or row_key(grade) in scores]
        poll = poll if any(grade.layer != FAILED for grade in poll) else []
        known = {id(grade): _score(grade, scores) for grade in poll}

        def choose(some: Sequence[Grade], known: Mapping[int, float] = known) -> Grade | None:
            values = [known[id(grade)] for grade in some]
            if weighted:
                return _first_of(some, weighted_choice([grade.group for grade in some], values))
            best = max(range(len(some)), key=lambda at: values[at])
            return some[best] if values[best] > -math.inf else None

        expected = _expected(poll, [known[id(grade)] for grade in poll], weighted=weighted)
        made = list(_rows(poll, layer, choose, expected, samples))
        rows += made
        missing = [m for m in sizes(len(whole), samples) if m not in {row.samples for row in made}]
        rows += [_row(whole[0], layer, samples=m, status="ungraded") for m in missing]
    return rows


def row_key(grade: Grade) -> RowKey:
    """The key of the record behind a sample's grade. Raises UsageError for a vote, which has none."""
    if grade.sample is None:
        raise UsageError("a vote is not a sample: it has no record of its own")
    return RowKey.of(grade)


def _asked(of: Grade | RowKey) -> tuple[object, ...]:
    """The request for samples that a sample is of."""
    return (of.setting, of.method, of.budget, of.load, of.problem, of.repeat)


def _polls(grades: Iterable[Grade]) -> list[Poll]:
    """Sample grades by poll, each in the order of its samples."""
    polls: dict[tuple[object, ...], Poll] = {}
    for g in grades:
        if g.sample is not None:
            key = (g.setting, g.method, g.budget, g.load, g.problem, g.repeat, g.policy, g.cut_tokens)
            polls.setdefault(key, []).append(g)
    return [sorted(poll, key=lambda grade: grade.sample or 0) for poll in polls.values()]


def _open_pairs(poll: Poll) -> Iterator[tuple[str, str]]:
    """The pairs of distinct answers that are not known to be correct, in the order they were seen.

    Whole numbers are most of what there is, and 200 different ones are 19,900 pairs.
    """
    answers = dict.fromkeys(g.answer for g in poll if g.answer is not None and g.status != "correct")
    wholes = {answer: whole_number(answer) for answer in answers}
    for first, second in combinations(answers, 2):
        if wholes[first] is None or wholes[second] is None or wholes[first] == wholes[second]:
            yield first, second


def _unite(links: dict[str, str], first: str, second: str) -> None:
    """Put two answers into one class; the root is the one seen first."""
    early, late = _root(links, first), _root(links, second)
    if early != late:
        links[late] = early


def _root(links: Mapping[str, str], answer: str) -> str:
    while answer in links:
        answer = links[answer]
    return answer


def _numbered(poll: Poll, links: Mapping[str, str]) -> Iterator[Grade]:
    numbers: dict[str | None, int] = {}
    for grade in poll:
        if grade.answer is None:
            yield replace(grade, group=None)
            continue
        name = None if grade.status == "correct" else _root(links, grade.answer)
        yield replace(grade, group=numbers.setdefault(name, len(numbers)))


def _right(poll: Sequence[Grade]) -> int | None:
    """The number of the correct class, None where no sample is correct."""
    return next((grade.group for grade in poll if grade.status == "correct"), None)


def _first_of(poll: Sequence[Grade], group: int | None) -> Grade | None:
    return next((grade for grade in poll if group is not None and grade.group == group), None)


def _rows(
    poll: Sequence[Grade],
    layer: str,
    choose: Callable[[Sequence[Grade]], Grade | None],
    score: Callable[[int], float],
    asked: int | None,
) -> Iterator[Grade]:
    for m in sizes(len(poll), asked):
        chosen = choose(poll[:m])
        status: GradeStatus = chosen.status if chosen else "no_answer"
        yield replace(
            _row(poll[0], layer, samples=m, status=status),
            answer=chosen.answer if chosen else None,
            group=chosen.group if chosen else None,
            score=score(m),
        )


def _row(of: Grade, layer: str, *, samples: int, status: GradeStatus) -> Grade:
    """A row of a poll, without an answer."""
    return replace(
        of, sample=None, call=0, attempt=0, samples=samples, status=status, answer=None, group=None, layer=layer
    )


def _expected(poll: Sequence[Grade], values: Sequence[float], *, weighted: bool) -> Callable[[int], float]:
    if weighted:
        groups = [grade.group for grade in poll]
        return lambda m: weighted_score(groups, values, _right(poll), m)
    shares = best_scores(values, [grade.status == "correct" for grade in poll])
    return lambda m: shares[m - 1]


def _score(grade: Grade, scores: Mapping[RowKey, float]) -> float:
    if grade.layer == FAILED:
        return -math.inf
    key = row_key(grade)
    if key not in scores:
        raise UsageError(f"no score for sample {grade.sample} of {grade.problem!r}: best of N needs one a sample")
    return scores[key]
