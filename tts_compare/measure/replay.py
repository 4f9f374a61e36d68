"""Problems x method x pacer x client -> request records: the loop that spends the engine's time.

A method is a generator of batches of calls; a task drives one of them for one problem. A row that a run
before this one left is used in place of a request, so that a resumed run sends only what is missing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

from tts_compare.domain import Call, Phase, RequestError, RequestRecord, RowKey
from tts_compare.domain.ending import ending
from tts_compare.errors import LostError
from tts_compare.limits.pacing import Concurrent, Load, Poisson, offsets_ns
from tts_compare.limits.retry import RetryPolicy, is_exhausted, with_retries

Batches = Generator[tuple[Call, ...], tuple[RequestRecord, ...], None]
#: Kinds by which a server that died shows itself to a client.
_SUSPICIOUS = frozenset({"connect", "truncated_stream", "in_band", "empty", "http_5xx", "malformed", "timeout_idle"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One problem under one method: ``key`` names its first call, ``start`` begins its batches."""

    key: RowKey
    start: Callable[[], Batches]


class Send(Protocol):
    """Sends one call and returns a row a choice; never raises for what goes wrong with the request."""

    def __call__(
        self, call: Call, key: RowKey, *, scheduled_ns: int | None
    ) -> Awaitable[tuple[RequestRecord, ...]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the record log already holds: results to use, and how many attempts each call has had."""

    done: Mapping[RowKey, RequestRecord] = field(default_factory=dict)
    attempts: Mapping[RowKey, int] = field(default_factory=dict)


def known_rows(
    records: Iterable[RequestRecord],
    *,
    phase: Phase = "measured",
    hosted: bool = False,
    retry_before: int = 0,
    seed: int = 0,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
) -> Known:
    """What the rows of a phase mean for a run that goes on.

    An answer is done, and so is a failure, which is a result. What was not measured is sent again, as its next attempt:
    interruptions of ours, refusals (``ending``), and failures whose retry was still to come when the run was stopped.
    hosted: whether the server is not ours. retry_before: failures of sessions before this number are sent again too.
    seed, retry: as in the ``Replay`` that made the rows.
    """
    calls: dict[RowKey, list[RequestRecord]] = {}
    first_sample: dict[str, int] = {}
    for row in records:
        if row.phase == phase:
            calls.setdefault(replace(row.key, attempt=0), []).append(row)
            first_sample[row.request_id] = min(row.sample, first_sample.get(row.request_id, row.sample))
    done: dict[RowKey, RequestRecord] = {}
    for key, rows in calls.items():
        last = rows[-1]
        ends = [ending(row.error, row.finish_reason, hosted=hosted) for row in rows]
        own = replace(key, sample=first_sample[last.request_id])
        if "answered" in ends:
            done[key] = rows[ends.index("answered")]
        elif ends[-1] == "failed" and last.session >= retry_before and _is_final(rows, own, seed=seed, retry=retry):
            done[key] = last
    return Known(done=done, attempts={key: max(row.attempt for row in rows) + 1 for key, rows in calls.items()})


def _is_final(rows: Sequence[RequestRecord], own: RowKey, *, seed: int, retry: RetryPolicy) -> bool:
    """Whether no retry of a failed call was due: the waits of its last session are drawn again."""
    errors = [row.error for row in rows if row.session == rows[-1].session and row.error is not None]
    return not errors or is_exhausted(errors, policy=retry, rng=_jitter(seed, own))


def _jitter(seed: int, own: RowKey) -> random.Random:
    """What draws the waits between the attempts at one call; own: its key at the first attempt."""
    return random.Random(f"{seed}/{own}")  # noqa: S311 - jitter, not a secret


async def _alive() -> str | None:
    return None


def _never(_by_ns: int) -> str | None:
    return None


def _open_limiter(_call: Call) -> AbstractAsyncContextManager[int]:
    return nullcontext(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How tasks are driven.

    emit: takes the rows of each attempt as it ends, before anything waits on them. died: says why the server is
    gone, None while it lives; raises LostError where a cluster took it away. gone_by: says why the server was gone by
    an instant, though it answered: a part of it on another node was. limiter: what a request passes through while it
    runs (rates, a spending limit); it yields the ns that the request waited for it.
    """

    send: Send
    emit: Callable[[tuple[RequestRecord, ...]], None]
    died: Callable[[], Awaitable[str | None]] = _alive
    gone_by: Callable[[int], str | None] = _never
    limiter: Callable[[Call], AbstractAsyncContextManager[int]] = _open_limiter
    known: Known = field(default_factory=Known)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    seed: int = 0


class ServerGoneError(Exception):
    """The server died while tasks were running; ``cause`` says why. The rows in flight carry ``server_died``."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


async def replay(tasks: Iterable[Task], *, load: Load, how: Replay) -> None:
    """Drive every task under a load; every attempt goes to ``how.emit``.

    ``Concurrent(n)`` keeps n problems going, the next starting when one ends. ``Poisson`` starts each at its
    instant on an absolute schedule, however the ones before it fare. Raises ServerGoneError once when the
    server died, after the requests in flight have ended.
    """
    try:
        if isinstance(load, Concurrent):
            await _closed_loop(tuple(tasks), load.n, how)
        else:
            await _open_loop(tuple(tasks), load, how)
    except BaseExceptionGroup as group:
        raise _first_leaf(group) from group


def _first_leaf(error: BaseException) -> BaseException:
    """What went wrong first; the group says only that several tasks were ended for it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _closed_loop(tasks: tuple[Task, ...], width: int, how: Replay) -> None:
    waiting = iter(tasks)
    gone: list[ServerGoneError] = []

    async def lane() -> None:
        for task in waiting:
            if gone:
                return
            try:
                await _drive(task, how, scheduled_ns=None)
            except ServerGoneError as error:
                gone.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(width, len(tasks))):
            group.create_task(lane())
    if gone:
        raise gone[0]


async def _open_loop(tasks: tuple[Task, ...], load: Poisson, how: Replay) -> None:
    start_ns = time.monotonic_ns()
    gone: list[ServerGoneError] = []

    async def one(task: Task, at_ns: int) -> None:
        try:
            await _drive(task, how, scheduled_ns=at_ns)
        except ServerGoneError as error:
            gone.append(error)

    async with asyncio.TaskGroup() as group:
        for task, offset_ns in zip(tasks, offsets_ns(load), strict=False):
            at_ns = start_ns + offset_ns
            # An event loop's timer may ring up to a millisecond early: no request goes before its instant.
            while (left_ns := at_ns - time.monotonic_ns()) > 0:  # noqa: ASYNC110 - it waits for the clock
                await asyncio.sleep(left_ns / 1e9)
            if gone:
                break
            group.create_task(one(task, at_ns))
    if gone:
        raise gone[0]


async def _drive(task: Task, how: Replay, *, scheduled_ns: int | None) -> None:
    """Run one method to its end; what a call that failed for good means is the method's to decide."""
    batches = task.start()
    rows: tuple[RequestRecord, ...] = ()
    try:
        batch = next(batches)
        while True:
            async with asyncio.TaskGroup() as group:
                sending = [group.create_task(_one_call(task.key, call, how, scheduled_ns)) for call in batch]
            rows = tuple(row for sent in sending for row in sent.result()[0])
            gone = next((cause for sent in sending if (cause := sent.result()[1])), None)
            if gone:
                raise ServerGoneError(gone)
            batch, scheduled_ns = batches.send(rows), None
    except StopIteration:
        return
    finally:
        batches.close()


def choice_keys(key: RowKey, call: Call) -> tuple[RowKey, ...]:
    """The keys of the rows that one call leaves, at its first attempt: one a choice."""
    own = replace(key, sample=key.sample + call.sample, call=call.call)
    return tuple(replace(own, sample=own.sample + index) for index in range(call.n))


async def _one_call(
    key: RowKey, call: Call, how: Replay, scheduled_ns: int | None
) -> tuple[tuple[RequestRecord, ...], str | None]:
    """The final rows of one call, and why the server is gone if it is."""
    own = replace(key, sample=key.sample + call.sample, call=call.call)
    choices = choice_keys(key, call)
    if all(choice in how.known.done for choice in choices):
        return tuple(how.known.done[choice] for choice in choices), None
    rng = _jitter(how.seed, own)
    before = max(how.known.attempts.get(choice, 0) for choice in choices)

    async def attempt(retries: int) -> tuple[tuple[tuple[RequestRecord, ...], str | None], RequestError | None]:
        async with how.limiter(call) as limited_ns:
            at = replace(own, attempt=before + retries)
            rows = await how.send(call, at, scheduled_ns=None if retries else scheduled_ns)
        if limited_ns:
            rows = tuple(replace(row, limit_wait_ns=limited_ns) for row in rows)
        error = next((row.error for row in rows if row.error), None)
        try:
            if error is None:
                cause = how.gone_by(max((row.end_ns or 0 for row in rows), default=0))
            else:
                cause = await how.died() if error.kind in _SUSPICIOUS else None
        except asyncio.CancelledError:
            how.emit(rows)
            raise
        except LostError as lost:
            how.emit(tuple(_cut(row, lost.cause) for row in rows))
            raise
        if cause:
            rows = tuple(_died(row, cause, whole=error is None) for row in rows)
        how.emit(rows)
        return (rows, cause), None if cause else error

    return await with_retries(attempt, policy=how.retry, rng=rng)


def _died(row: RequestRecord, cause: str, *, whole: bool) -> RequestRecord:
    """whole: an answer came, from a server of which a part was gone."""
    if row.error is None:
        return replace(row, error=RequestError(kind="server_died", message=cause)) if whole else row
    return replace(row, error=replace(row.error, kind="server_died", message=f"{cause}; {row.error.message}"))


def _cut(row: RequestRecord, cause: str) -> RequestRecord:
    """What a cluster's own doing cut is not measured."""
    return row if row.error is None else replace(row, error=replace(row.error, kind="cancelled", message=cause))
