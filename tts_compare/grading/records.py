"""Records -> grades: the whole response of every sample and, for a curve from one pass, its prefix at each budget."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tts_compare.analysis.rows.cut import Cut, cut
from tts_compare.domain import Grade, Policy, Problem, RequestRecord, RowKey
from tts_compare.errors import UsageError
from tts_compare.grading.answer import Item, grader_version
from tts_compare.grading.extract import THINK_CLOSE, Response
from tts_compare.grading.judgement import Grader, Judgement
from tts_compare.grading.pool import GraderPool

#: (setting, token ids) -> their text; None where the setting's tokenizer is not at hand.
Decode = Callable[[str, Sequence[int]], str | None]
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
    decode: Decode | None = None,
    judged: dict[tuple[RowKey, int | None], Judgement] | None = None,
) -> Iterator[Grade]:
    """One grade a target of ``targets``, in order; records are only read. Raises UsageError for an unknown problem.

    judged: judgements that are known, by row and cut, of the same policy and grader; those made here are added.
    """
    version = grader_version(grader)
    known = {} if judged is None else judged
    under_way: deque[Target] = deque()

    def items() -> Iterator[Item]:
        for target in targets(records, problems, policy=policy, budgets=budgets, stop_at=stop_at, decode=decode):
            under_way.append(target)
            if _key(target) not in known:
                yield target.item

    for judgement in pool.grade_many(items(), grader=grader):
        while _key(under_way[0]) in known:
            yield _grade(known[_key(under_way[0])], under_way.popleft(), policy, version)
        known[_key(under_way[0])] = judgement
        yield _grade(judgement, under_way.popleft(), policy, version)
    for target in under_way:
        yield _grade(known[_key(target)], target, policy, version)


def _key(target: Target) -> tuple[RowKey, int | None]:
    return target.record.key, target.cut_tokens


def targets(
    records: Sequence[RequestRecord],
    problems: Mapping[str, Problem],
    *,
    policy: Policy = "any",
    budgets: Mapping[str, Sequence[int]] = NO_BUDGETS,
    stop_at: str | None = None,
    decode: Decode | None = None,
) -> Iterator[Target]:
    """What there is to grade: the last call of every measured sample, if all its calls succeeded, and prefixes.

    budgets: by method, the budgets a single pass also stands for. Prefixes are made of one-call samples only, and
    only of those sent with the largest budget of their (setting, method, load): the others are spot checks. The prefix
    at a budget is that of the first attempt that reached it, however it ended, or that succeeded within it.
    decode: see ``response_of``.
    A problem without an answer (what another tool asked) has nothing to be graded against: its rows stay ungraded.
    Raises UsageError where a record's problem is not among ``problems``.
    """
    samples = _samples(records)
    largest: dict[tuple[str, str, str], int] = {}
    for calls in samples:
        first = calls[0][0]
        largest[_point(first)] = max(largest.get(_point(first), 0), first.budget)
    for calls in samples:
        whole = [_answer(attempts) for attempts in calls]
        found: list[tuple[RequestRecord, int | None]] = [(whole[-1], None)] if all(call.ok for call in whole) else []
        last = whole[-1]
        if len(calls) == 1 and last.budget == largest[_point(last)]:
            found += _prefixes(calls[0], budgets.get(last.method, ()))
        before = "".join(call.full_text for call in whole[:-1])
        for record, budget in found:
            if record.problem not in problems:
                raise UsageError(
                    f"problem {record.problem!r} of the records is not in the data set; grade with the one it ran"
                )
            response = response_of(record, budget, before=before, decode=decode)
            if response is not None and problems[record.problem].answer:
                problem = problems[record.problem]
                item = Item(gold=problem.answer, response=response, kind=problem.kind, policy=policy, stop_at=stop_at)
                yield Target(record=record, cut_tokens=budget, item=item)


def _answer(attempts: Sequence[RequestRecord]) -> RequestRecord:
    """Of the attempts at one call the first that succeeded, else the last."""
    return next((record for record in attempts if record.ok), attempts[-1])


def _prefixes(attempts: Sequence[RequestRecord], budgets: Iterable[int]) -> list[tuple[RequestRecord, int | None]]:
    """Which attempt answers each smaller budget; none where all failed before they reached it."""
    reach = [math.inf if record.ok else sum(record.timeline.tokens) for record in attempts]
    return [
        (record, budget)
        for budget in sorted(each for each in budgets if each < attempts[0].budget)
        if (record := next((r for r, tokens in zip(attempts, reach, strict=True) if tokens >= budget), None))
    ]


def response_of(
    record: RequestRecord, budget: int | None = None, *, before: str = "", decode: Decode | None = None
) -> Response | None:
    """The response of a record, or its prefix within a budget of tokens; None for a prefix without a timeline.

    decode: (setting, token ids) -> text. A budget inside a chunk is cut there by the record's ``token_ids``; without
    them, or without a tokenizer for the setting, at the last whole chunk.
    """
    finished, thinks = record.finish_reason == "stop", THINK_CLOSE in record.full_text
    text, reasoning, shorter = record.text, record.reasoning, False
    if budget is not None:
        if not record.timeline.tokens:
            return None
        kept = cut(record.timeline, budget)
        shorter = kept.tokens < sum(record.timeline.tokens)
        if shorter:
            chars = kept.chars + _chars_of_part(record, kept, decode)
            reasoning = record.reasoning[:chars]
            text = record.text[: max(0, chars - len(record.reasoning))]
    return Response(text=text, reasoning=reasoning, before=before, cut=shorter, finished=finished, thinks=thinks)


def _chars_of_part(record: RequestRecord, kept: Cut, decode: Decode | None) -> int:
    """Characters of a chunk's tokens that are within the budget; 0 where ids, tokenizer and text do not agree."""
    ids = record.token_ids
    if decode is None or ids is None or not kept.inside_chunk or len(ids) != sum(record.timeline.tokens):
        return 0
    whole, part = (decode(record.setting, ids[:count]) for count in (kept.whole_tokens, kept.tokens))
    if whole is None or part is None or not part.startswith(whole):
        return 0
    gained = part[len(whole) :].rstrip("\N{REPLACEMENT CHARACTER}")  # half a character is none
    chunk = record.full_text[kept.chars : kept.chars + kept.chunk_chars]
    return len(gained) if chunk.startswith(gained) else 0


def _samples(records: Iterable[RequestRecord]) -> list[list[list[RequestRecord]]]:
    """The measured calls of every sample in order, each with its attempts in order."""
    samples: dict[tuple[object, ...], dict[int, list[RequestRecord]]] = {}
    for record in records:
        if record.phase == "measured":
            key = (*_point(record), record.budget, record.problem, record.sample, record.repeat)
            samples.setdefault(key, {}).setdefault(record.call, []).append(record)
    return [
        [sorted(calls[number], key=lambda record: record.attempt) for number in sorted(calls)]
        for calls in samples.values()
    ]


def _point(record: RequestRecord) -> tuple[str, str, str]:
    return record.setting, record.method, record.load


def _grade(judgement: Judgement, target: Target, policy: Policy, version: str) -> Grade:
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
