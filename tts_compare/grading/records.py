"""Records -> grades: the whole response of every sample and, for a curve from one pass, its prefix at each budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tts_compare.analysis.cut import cut
from tts_compare.domain import Grade, Policy, Problem, RequestRecord
from tts_compare.errors import UsageError
from tts_compare.grading.answer import Item, grader_version
from tts_compare.grading.extract import THINK_CLOSE, Response
from tts_compare.grading.judgement import Grader, Judgement
from tts_compare.grading.pool import GraderPool

NO_BUDGETS: Mapping[str, Sequence[int]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One grade to make. cut_tokens: the budget of the prefix, None for the whole response."""

    record: RequestRecord
    cut_tokens: int | None
    item: Item


def grade_records(
    records: Sequence[RequestRecord],
    problems: Mapping[str, Problem],
    *,
    pool: GraderPool,
    policy: Policy = "any",
    budgets: Mapping[str, Sequence[int]] = NO_BUDGETS,
    grader: Grader = "layered",
    stop_at: str | None = None,
) -> Iterator[Grade]:
    """One grade a target of ``targets``, in order; records are only read. Raises UsageError for an unknown problem."""
    version = grader_version(grader)
    under_way: deque[Target] = deque()

    def items() -> Iterator[Item]:
        for target in targets(records, problems, policy=policy, budgets=budgets, stop_at=stop_at):
            under_way.append(target)
            yield target.item

    for judgement in pool.grade_many(items(), grader=grader):
        yield _grade(under_way.popleft(), judgement, policy, version)


def targets(
    records: Sequence[RequestRecord],
    problems: Mapping[str, Problem],
    *,
    policy: Policy = "any",
    budgets: Mapping[str, Sequence[int]] = NO_BUDGETS,
    stop_at: str | None = None,
) -> Iterator[Target]:
    """What there is to grade: the last call of every measured sample, if it succeeded.

    budgets: by method, the budgets a single pass also stands for. Prefixes are made of one-call samples only, and
    only of those sent with the largest budget of their (setting, method, load): the others are spot checks.
    A problem without an answer (what another tool asked) has nothing to be graded against: its rows stay ungraded.
    Raises UsageError where a record's problem is not among ``problems``.
    """
    samples = _samples(records)
    largest: dict[tuple[str, str, str], int] = {}
    for calls in samples:
        point = _point(calls[-1])
        largest[point] = max(largest.get(point, 0), calls[-1].budget)
    for calls in samples:
        record = calls[-1]
        if not all(call.ok for call in calls):
            continue
        if record.problem not in problems:
            raise UsageError(
                f"problem {record.problem!r} of the records is not in the data set; grade with the one it ran"
            )
        if not problems[record.problem].answer:
            continue
        wanted = budgets.get(record.method, ()) if len(calls) == 1 and record.budget == largest[_point(record)] else ()
        before = "".join(call.full_text for call in calls[:-1])
        for budget in (None, *sorted(each for each in wanted if each < record.budget)):
            response = response_of(record, budget, before=before)
            if response is not None:
                problem = problems[record.problem]
                item = Item(gold=problem.answer, response=response, kind=problem.kind, policy=policy, stop_at=stop_at)
                yield Target(record=record, cut_tokens=budget, item=item)


def response_of(record: RequestRecord, budget: int | None = None, *, before: str = "") -> Response | None:
    """The response of a record, or its prefix within a budget of tokens; None for a prefix without a timeline."""
    finished, thinks = record.finish_reason == "stop", THINK_CLOSE in record.full_text
    text, reasoning, shorter = record.text, record.reasoning, False
    if budget is not None:
        if not record.timeline.tokens:
            return None
        kept = cut(record.timeline, budget)
        shorter = kept.tokens < sum(record.timeline.tokens)
        if shorter:
            reasoning = record.reasoning[: kept.chars]
            text = record.text[: max(0, kept.chars - len(record.reasoning))]
    return Response(text=text, reasoning=reasoning, before=before, cut=shorter, finished=finished, thinks=thinks)


def _samples(records: Iterable[RequestRecord]) -> list[list[RequestRecord]]:
    """The measured calls of every sample in order; of the attempts at one call the successful one, else the last."""
    samples: dict[tuple[object, ...], dict[int, RequestRecord]] = {}
    for record in records:
        if record.phase != "measured":
            continue
        key = (*_point(record), record.budget, record.problem, record.sample, record.repeat)
        calls = samples.setdefault(key, {})
        known = calls.get(record.call)
        if known is None or not known.ok:
            calls[record.call] = record
    return [[calls[number] for number in sorted(calls)] for calls in samples.values()]


def _point(record: RequestRecord) -> tuple[str, str, str]:
    return record.setting, record.method, record.load


def _grade(target: Target, judgement: Judgement, policy: Policy, version: str) -> Grade:
    record = target.record
    return Grade(
        setting=record.setting,
        method=record.method,
        budget=record.budget,
        load=record.load,
        problem=record.problem,
        sample=record.sample,
        call=record.call,
        repeat=record.repeat,
        attempt=record.attempt,
        policy=policy,
        cut_tokens=target.cut_tokens,
        status=judgement.status,
        answer=judgement.answer,
        layer=judgement.layer,
        grader_version=version,
    )
