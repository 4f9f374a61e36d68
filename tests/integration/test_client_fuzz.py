"""Whatever a server says, however it is cut and however it ends: one row a choice, and no hang."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.client_kit import ANSWER, BODY, CHUNK, OK, attempt, chunked, read_request, serving
from tts_compare.client import TimeLimits, open_client
from tts_compare.domain import Endpoint, RequestRecord

LIMITS = TimeLimits(connect_s=2.0, first_byte_s=0.1, idle_s=0.1, total_s=0.5)
heads = st.sampled_from(
    [
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: 40\r\n\r\n",
        OK + b"Content-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nRetry-After: x\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"",
    ]
)
bodies = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                CHUNK,
                b"5\r\nhello\r\n",
                b"0\r\n\r\n",
                b"ffffffffff\r\n",
                b"data: {}\n\n",
                b"\r\n\r\n",
                ANSWER,
                b"data: \xff\n\n",
            ]
        ),
    ),
    max_size=5,
).map(b"".join)
whole = st.sampled_from([ANSWER, chunked([CHUNK]), chunked([CHUNK] * 3), ANSWER + ANSWER])
streams = st.one_of(whole, st.tuples(heads, bodies).map(b"".join), st.binary(max_size=80))


class Script:
    """A server that says what it is told next, cut where it is told, and then closes, resets or stays."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.end = "close"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for part in self.parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            if self.end == "reset":
                sock = writer.get_extra_info("socket")
                sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER 0: a reset
                writer.transport.abort()
            if self.end != "stay":
                return


@pytest.fixture(scope="module")
def loop() -> Any:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def played(loop: asyncio.Runner) -> Any:
    script = Script()

    async def open_all() -> AsyncGenerator[Any, None]:
        async with serving(script) as url, open_client(Endpoint(base_url=url, model="m")) as client:
            yield client

    opened = open_all()

    async def first() -> Any:
        return await anext(opened)

    client = loop.run(first())
    yield script, client
    loop.run(opened.aclose())


@given(
    stream=streams,
    cuts=st.lists(st.integers(0, 200), max_size=4),
    end=st.sampled_from(["close", "close", "reset", "stay"]),
    n=st.integers(1, 2),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_attempt_ends_in_one_row_a_choice(
    loop: asyncio.Runner, played: Any, *, stream: bytes, cuts: list[int], end: str, n: int
) -> None:
    script, client = played
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    script.parts = [stream[a:b] for a, b in pairwise(bounds)]
    script.end = end

    async def main() -> tuple[RequestRecord, ...]:
        return await asyncio.wait_for(attempt(client, body={**BODY, "n": n}, limits=LIMITS), 5.0)

    rows = loop.run(main())
    assert [row.sample for row in rows] == list(range(n))
    assert all(row.ok == (row.error is None) and row.end_ns is not None for row in rows)
    assert sum(len(row.text) for row in rows) == sum(sum(row.timeline.chars) for row in rows)
