"""The replay loop: every attempt becomes a row, nothing known is sent again, and a dead server ends it once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tts_compare.domain import Call, ErrorKind, RequestError, RequestRecord, RowKey, Sampling
from tts_compare.errors import RunError
from tts_compare.limits.pacing import Concurrent, Poisson
from tts_compare.limits.retry import RetryPolicy
from tts_compare.measure.replay import Batches, Known, Replay, ServerGoneError, Task, known_rows, replay

NO_WAIT = RetryPolicy(first_s=0.0)


def row(key: RowKey, *, error: ErrorKind | None = None, text: str = "") -> RequestRecord:
    return builders.record(
        setting=key.setting,
        method=key.method,
        budget=key.budget,
        load=key.load,
        problem=key.problem,
        sample=key.sample,
        call=key.call,
        repeat=key.repeat,
        attempt=key.attempt,
        request_id=f"{key.problem}/{key.sample}/{key.attempt}",
        finish_reason=None if error else "stop",
        text=text,
        error=RequestError(kind=error) if error else None,
    )


def key(problem: str) -> RowKey:
    return RowKey(setting="s", method="m", budget=8, load="c1", problem=problem)


def call(*, n: int = 1, sample: int = 0, call: int = 0) -> Call:
    return Call(max_tokens=8, sampling=Sampling(), prompt="p", n=n, sample=sample, call=call)


def one_call(problem: str) -> Task:
    def batches() -> Batches:
        yield (call(),)

    return Task(key=key(problem), start=batches)


class Server:
    """Plays a script: which error the n-th attempt of a problem ends in; counts what is in flight."""

    def __init__(self, script: dict[tuple[str, int], ErrorKind] | None = None, *, hold_s: float = 0.0) -> None:
        self.script = script or {}
        self.hold_s = hold_s
        self.in_flight = self.peak = 0
        self.sent: list[RowKey] = []
        self.sent_at: list[tuple[int | None, int]] = []

    async def __call__(self, call: Call, key: RowKey, *, scheduled_ns: int | None) -> tuple[RequestRecord, ...]:
        self.sent.append(key)
        self.sent_at.append((scheduled_ns, time.monotonic_ns()))
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        await asyncio.sleep(self.hold_s)
        self.in_flight -= 1
        error = self.script.get((key.problem, key.attempt))
        return tuple(
            row(replace(key, sample=key.sample + index), error=error, text=f"{key.problem}{index}")
            for index in range(call.n)
        )


def drive(tasks: list[Task], server: Server, load: Concurrent | Poisson, **how: object) -> list[RequestRecord]:
    rows: list[RequestRecord] = []
    given = {"retry": NO_WAIT, "emit": rows.extend, **how}
    asyncio.run(replay(tasks, load=load, how=Replay(send=server, **given)))  # type: ignore[arg-type]
    return rows


@given(n=st.integers(1, 5), problems=st.integers(0, 12))
def test_a_closed_loop_keeps_exactly_n_going_and_sends_each_once(n: int, problems: int) -> None:
    server = Server(hold_s=0.001)
    rows = drive([one_call(str(i)) for i in range(problems)], server, Concurrent(n))
    assert sorted(row.problem for row in rows) == sorted(str(i) for i in range(problems))
    assert server.peak == min(n, problems)


def test_an_open_loop_sends_on_its_schedule_whatever_the_requests_before_do() -> None:
    server = Server(hold_s=0.2)
    drive([one_call(str(i)) for i in range(10)], server, Poisson(200.0, seed=1))
    scheduled = [at for at, _ in server.sent_at]
    assert all(at is not None for at in scheduled)
    assert scheduled == sorted(scheduled, key=lambda at: at or 0)
    assert all(at <= sent for at, sent in server.sent_at if at is not None)
    assert server.peak > 1


def test_each_attempt_is_a_row_of_its_own() -> None:
    server = Server({("a", 0): "http_429", ("a", 1): "http_5xx"})
    rows = drive([one_call("a")], server, Concurrent(1))
    assert [(row.attempt, row.error.kind if row.error else None) for row in rows] == [
        (0, "http_429"),
        (1, "http_5xx"),
        (2, None),
    ]


def test_what_cannot_be_cured_is_sent_once_and_the_method_decides_what_it_means() -> None:
    begun: list[str] = []

    def two_steps() -> Batches:
        (first,) = yield (call(),)
        begun.append("failed" if first.error else "succeeded")

    server = Server({("a", 0): "http_4xx"})
    rows = drive([Task(key=key("a"), start=two_steps)], server, Concurrent(1))
    assert len(rows) == 1
    assert begun == ["failed"]


def test_a_later_call_sees_the_rows_of_the_one_before() -> None:
    seen: list[tuple[str, ...]] = []

    def two_steps() -> Batches:
        rows = yield (call(sample=0), call(sample=1, n=2))
        seen.append(tuple(row.text for row in rows))
        yield (call(call=1),)

    server = Server()
    rows = drive([Task(key=key("a"), start=two_steps)], server, Concurrent(1))
    assert seen == [("a0", "a0", "a1")]
    assert [(row.sample, row.call) for row in rows] == [(0, 0), (1, 0), (2, 0), (0, 1)]


def test_a_known_row_is_used_and_not_sent_again() -> None:
    known_row = row(key("a"), text="kept")
    seen: list[str] = []

    def two_steps() -> Batches:
        rows = yield (call(),)
        seen.append(rows[0].text)
        yield (call(call=1),)

    server = Server()
    rows = drive([Task(key=key("a"), start=two_steps)], server, Concurrent(1), known=Known(done={key("a"): known_row}))
    assert seen == ["kept"]
    assert [(row.call) for row in rows] == [1]


def failing(problem: str, kind: ErrorKind, *, attempts: int = 1, session: int = 0, **error: Any) -> list[RequestRecord]:
    return [
        replace(
            row(replace(key(problem), attempt=attempt)),
            finish_reason=None,
            session=session,
            error=RequestError(kind=kind, **error),
        )
        for attempt in range(attempts)
    ]


def test_answers_and_failures_of_a_run_before_are_results_and_are_not_sent_again() -> None:
    rows = [row(key("ok")), *failing("slow", "timeout_total"), *failing("gone", "server_died")]
    known = known_rows(rows)
    assert set(known.done) == {key("ok"), key("slow"), key("gone")}
    assert known.attempts[key("gone")] == 1


@pytest.mark.parametrize(
    ("rows", "hosted"),
    [
        (failing("a", "cancelled"), False),
        (failing("a", "http_4xx", status=401), True),
        (failing("a", "http_4xx", status=404), False),
        (failing("a", "http_429", attempts=4, message="your quota of 10 requests per minute"), True),
    ],
    ids=["cancelled", "key", "model", "quota"],
)
def test_what_was_not_measured_is_sent_again_as_its_next_attempt(rows: list[RequestRecord], hosted: bool) -> None:
    known = known_rows(rows, hosted=hosted)
    assert not known.done
    assert known.attempts[key("a")] == len(rows)


def test_a_429_of_a_server_of_ours_is_a_failure_after_its_retries() -> None:
    rows = failing("a", "http_429", attempts=4, message="your quota of 10 requests per minute")
    assert set(known_rows(rows, hosted=False).done) == {key("a")}


@pytest.mark.parametrize("attempts", [1, 2, 3, 4])
def test_a_failure_whose_retry_was_still_to_come_is_no_result_yet(attempts: int) -> None:
    known = known_rows(failing("a", "http_5xx", attempts=attempts), retry=NO_WAIT)
    assert bool(known.done) == (attempts == 1 + NO_WAIT.attempts)


@given(scripted=st.lists(st.sampled_from(["http_5xx", "http_429", "empty", "in_band"]), min_size=5, max_size=5))
def test_a_run_that_ended_by_itself_leaves_no_failure_open(scripted: list[ErrorKind]) -> None:
    server = Server({("a", attempt): kind for attempt, kind in enumerate(scripted)})
    rows = drive([one_call("a")], server, Concurrent(1), seed=3)
    assert set(known_rows(rows, seed=3, retry=NO_WAIT).done) == {key("a")}
    assert len(rows) == 4 or (rows[-1].error and rows[-1].error.kind == "in_band")


def test_failures_of_sessions_before_are_sent_again_only_where_that_is_asked_for() -> None:
    rows = [*failing("old", "timeout_total"), *failing("new", "timeout_total", session=1), row(key("ok"))]
    assert set(known_rows(rows, retry_before=1).done) == {key("new"), key("ok")}


def test_a_wait_for_limits_of_ours_is_in_the_row_that_waited() -> None:
    @asynccontextmanager
    async def limiter(_call: Call) -> AsyncIterator[int]:
        yield 7

    rows = drive([one_call("a")], Server({("a", 0): "http_5xx"}), Concurrent(1), limiter=limiter)
    assert [row.limit_wait_ns for row in rows] == [7, 7]
    assert [row.limit_wait_ns for row in drive([one_call("a")], Server(), Concurrent(1))] == [0]


def test_a_call_that_failed_before_goes_on_counting_its_attempts() -> None:
    server = Server()
    rows = drive([one_call("a")], server, Concurrent(1), known=Known(attempts={key("a"): 2}))
    assert [row.attempt for row in rows] == [2]


@pytest.mark.parametrize("load", [Concurrent(2), Poisson(1000.0, seed=0)], ids=["closed", "open"])
def test_a_dead_server_ends_the_replay_once_and_marks_the_rows_in_flight(load: Concurrent | Poisson) -> None:
    async def died() -> str:
        return "exit 137"

    rows: list[RequestRecord] = []
    server = Server({(str(i), 0): "truncated_stream" for i in range(20)}, hold_s=0.05)
    with pytest.raises(ServerGoneError, match="exit 137"):
        drive([one_call(str(i)) for i in range(20)], server, load, emit=rows.extend, died=died)
    assert rows
    assert {row.error.kind for row in rows if row.error} == {"server_died"}
    assert len(rows) == len(server.sent)


def test_an_interruption_while_the_server_is_asked_after_loses_no_row() -> None:
    rows: list[RequestRecord] = []

    async def main() -> None:
        asked = asyncio.Event()

        async def died() -> None:
            asked.set()
            await asyncio.Event().wait()

        server = Server({("a", 0): "in_band"})
        how = Replay(send=server, emit=rows.extend, died=died)
        under_way = asyncio.create_task(replay([one_call("a")], load=Concurrent(1), how=how))
        await asked.wait()
        under_way.cancel()
        await asyncio.wait([under_way])

    asyncio.run(main())
    assert [row.error.kind for row in rows if row.error] == ["in_band"]


def _full_disk(_rows: tuple[RequestRecord, ...]) -> None:
    raise RunError("disk full")


@pytest.mark.parametrize("emit", [_full_disk])
def test_a_row_that_cannot_be_kept_ends_the_run_with_its_own_error(
    emit: Callable[[tuple[RequestRecord, ...]], None],
) -> None:
    with pytest.raises(RunError, match="disk full"):
        drive([one_call(str(i)) for i in range(4)], Server(), Concurrent(2), emit=emit)
