"""What a request leaves in memory: nothing that waits for the collector, which in a long run comes late."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, get_args

import pytest
import uvloop

from tests.integration.client_kit import BODY, KEY, attempt
from tts_compare.client import TimeLimits, open_client
from tts_compare.domain import Call, Endpoint, ErrorKind, RequestRecord, RowKey, Sampling
from tts_compare.limits.pacing import Concurrent
from tts_compare.limits.retry import RetryPolicy
from tts_compare.measure.replay import Batches, Replay, Task, replay
from tts_compare.selftest import embedded_server

LIMITS = TimeLimits(connect_s=30.0, first_byte_s=30.0, idle_s=30.0, total_s=60.0)
REQUESTS = 10
#: A fault of the embedded server, the kind of error it becomes, and the limits under which it does.
FAULTS: tuple[tuple[str, ErrorKind | None, TimeLimits], ...] = (
    ("", None, LIMITS),
    ("close_delimited", None, LIMITS),
    ("two_responses", None, LIMITS),
    ("gzip", None, LIMITS),
    ("429=0.1", "http_429", LIMITS),
    ("500", "http_5xx", LIMITS),
    ("close", "connect", LIMITS),
    ("no_answer", "timeout_first_byte", replace(LIMITS, first_byte_s=0.3)),
    ("stall=30", "timeout_idle", replace(LIMITS, idle_s=0.3)),
    ("stall=30", "timeout_total", replace(LIMITS, total_s=0.3)),
    ("rst", "truncated_stream", LIMITS),
    ("cut_hard", "truncated_stream", LIMITS),
    ("cut", "truncated_stream", LIMITS),
    ("in_band", "in_band", LIMITS),
    ("empty", "empty", LIMITS),
    ("garbage", "malformed", LIMITS),
    ("html", "malformed", LIMITS),
    ("bad_json", "malformed", LIMITS),
    ("endless", "malformed", LIMITS),
)
#: Made by other means below; ``server_died`` is another kind renamed by the replay.
OTHERS: set[ErrorKind] = {"http_4xx", "timeout_connect", "cancelled", "server_died"}


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def left_by(make: Callable[[int], Awaitable[object]]) -> float:
    """Objects that only the collector can free, a call of ``make``; a first one, which fills caches, aside."""
    await make(REQUESTS)
    await asyncio.sleep(0.05)
    gc.collect()
    await asyncio.gather(*(make(number) for number in range(REQUESTS)))
    await asyncio.sleep(0.05)
    return gc.collect() / REQUESTS


def with_client(play: Callable[[Any], Awaitable[None]]) -> None:
    """Play against the embedded server, on the loop that the program runs on."""

    async def main() -> None:
        async with embedded_server() as url, open_client(Endpoint(base_url=url, model="selftest")) as client:
            await play(client)

    uvloop.run(main())


def body(fault: str, number: int) -> dict[str, Any]:
    stated = {"x_fault": fault} if fault else {}
    return {**BODY, **stated, "messages": [{"role": "user", "content": f"{fault} {number}"}]}


def test_every_kind_of_error_is_among_them() -> None:
    assert {kind for _, kind, _ in FAULTS if kind} | OTHERS == set(get_args(ErrorKind))


@pytest.mark.parametrize(("fault", "kind", "limits"), FAULTS, ids=[f"{fault}-{kind}" for fault, kind, _ in FAULTS])
def test_a_request_leaves_no_cycle_to_the_collector(fault: str, kind: ErrorKind | None, limits: TimeLimits) -> None:
    kinds: set[ErrorKind | None] = set()

    async def play(client: Any) -> None:
        async def one(number: int) -> None:
            (row,) = await attempt(client, body=body(fault, number), limits=limits)
            kinds.add(row.error.kind if row.error else None)

        assert await left_by(one) < 1

    with_client(play)
    assert kinds == {kind}


def test_neither_does_one_that_is_refused_or_is_not_connected_in_time() -> None:
    kinds: list[str] = []

    late = replace(LIMITS, connect_s=0.0)

    async def play(client: Any) -> None:
        async with open_client(Endpoint(base_url=str(client.base_url), model="selftest")) as fresh:

            async def one(number: int) -> None:
                (refused,) = await attempt(client, body={**body("", number), "model": "another"})
                (unconnected,) = await attempt(fresh, limits=late)
                kinds.extend(row.error.kind for row in (refused, unconnected) if row.error)

            assert await left_by(one) < 1

    with_client(play)
    assert set(kinds) == {"http_4xx", "timeout_connect"}


@pytest.mark.parametrize("fault", ["no_answer", "stall=30"])
def test_neither_does_one_that_is_cancelled(fault: str) -> None:
    kinds: list[str] = []

    def keep(rows: tuple[RequestRecord, ...]) -> None:
        kinds.extend(row.error.kind for row in rows if row.error)

    async def play(client: Any) -> None:
        async def one(number: int) -> None:
            sending = asyncio.create_task(attempt(client, body=body(fault, number), on_cancel=keep))
            await asyncio.sleep(0.1)
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending

        assert await left_by(one) < 1

    with_client(play)
    assert set(kinds) == {"cancelled"}


def test_neither_does_a_replay_that_tries_again() -> None:
    attempts: list[int] = []

    def lane(number: int) -> Batches:
        yield (Call(max_tokens=30, sampling=Sampling(), messages=(("user", f"again {number}"),)),)

    def emit(rows: tuple[RequestRecord, ...]) -> None:
        attempts.extend(row.attempt for row in rows)

    async def play(client: Any) -> None:
        async def post(call: Call, key: RowKey, *, scheduled_ns: int | None) -> tuple[RequestRecord, ...]:
            fault = "close" if key.attempt == 0 else ""
            return await attempt(client, body=body(fault, int(key.problem)), key=key, scheduled_ns=scheduled_ns)

        how = Replay(send=post, emit=emit, retry=RetryPolicy(first_s=0.001))

        async def one(number: int) -> None:
            task = Task(key=replace(KEY, problem=str(number)), start=lambda: lane(number))
            await replay([task], load=Concurrent(1), how=how)

        assert await left_by(one) < 1

    with_client(play)
    assert sorted(attempts) == [0] * (REQUESTS + 1) + [1] * (REQUESTS + 1)
