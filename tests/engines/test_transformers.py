"""The transformers server, started for real: it answers both paths, counts once at the end, and ends in order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.engines.conftest import running
from tests.integration.launching import alive, all_gone
from tts_compare.backends import BACKENDS
from tts_compare.client import TimeLimits, open_client, send
from tts_compare.domain import Call, RequestRecord, RowKey, Sampling, Setting
from tts_compare.launchers import Server, ServerPlan
from tts_compare.launchers.local import LocalLauncher

BACKEND = BACKENDS["transformers"]
GREEDY = Sampling()
KEY = RowKey(setting="s", method="truncate", budget=12, load="c1", problem="p")


@pytest.fixture(scope="module")
def server(tiny_model: Path, engine_plan: Callable[[Setting], ServerPlan], on_gpu: bool) -> Iterator[Server]:
    setting = Setting(backend="transformers", model=str(tiny_model), device="cuda" if on_gpu else "cpu")
    with running(engine_plan(setting)) as started:
        yield started


def answer(server: Server, call: Call) -> RequestRecord:
    path, body = BACKEND.request(call, server.endpoint.model)

    async def ask() -> RequestRecord:
        limits = TimeLimits(connect_s=10, first_byte_s=60, idle_s=60, total_s=120)
        async with open_client(server.endpoint, limits=limits) as client:
            (row,) = await send(client, path=path, body=body, key=KEY, phase="measured", limits=limits)
            return row

    return asyncio.run(ask())


def test_both_paths_are_answered_and_counted(server: Server) -> None:
    for call in (
        Call(max_tokens=12, sampling=GREEDY, prompt="Once upon a time"),
        Call(max_tokens=12, sampling=GREEDY, messages=(("user", "1+1?"),)),
    ):
        row = answer(server, call)
        assert row.error is None
        assert (row.completion_tokens, row.tokens_source, row.finish_reason) == (12, "usage", "length")
        assert sum(row.timeline.tokens) == 12


def test_a_seed_decides_what_is_sampled_and_temperature_0_is_greedy(server: Server) -> None:
    def text(temperature: float, seed: int, top_k: int = -1) -> str:
        sampling = Sampling(temperature=temperature, seed=seed, top_k=top_k)
        return answer(server, Call(max_tokens=12, sampling=sampling, prompt="Once upon a time")).text

    greedy = text(0.0, 1)
    assert greedy == text(0.0, 2)
    assert greedy == text(1.0, 3, top_k=1), "top_k is taken from the request"
    assert text(1.0, 1) == text(1.0, 1)
    assert text(1.0, 1) != text(1.0, 2)


def test_another_model_name_is_refused(server: Server) -> None:
    path, body = BACKEND.request(Call(max_tokens=4, sampling=GREEDY, prompt="x"), "another")

    async def ask() -> RequestRecord:
        limits = TimeLimits(connect_s=10, first_byte_s=60, idle_s=60, total_s=120)
        async with open_client(server.endpoint, limits=limits) as client:
            (row,) = await send(client, path=path, body=body, key=KEY, phase="measured", limits=limits)
            return row

    row = asyncio.run(ask())
    assert row.error is not None
    assert row.error.status == 400


@pytest.mark.many_starts
@pytest.mark.timeout(600)
def test_it_is_stopped_with_a_stream_in_flight_and_said_to_have_died_when_killed(
    tiny_model: Path, engine_plan: Callable[[Setting], ServerPlan], on_gpu: bool
) -> None:
    setting = Setting(backend="transformers", model=str(tiny_model), device="cuda" if on_gpu else "cpu")
    path, body = BACKEND.request(Call(max_tokens=1500, sampling=GREEDY, prompt="Once"), str(tiny_model))

    async def during_a_stream(end: Callable[[Server], Awaitable[None]]) -> tuple[str | None, bool]:
        server = await LocalLauncher().run(engine_plan(setting))
        processes = server.processes()
        try:
            async with (
                httpx.AsyncClient(timeout=60, trust_env=False) as client,
                client.stream("POST", server.endpoint.base_url + path, json=body) as response,
            ):
                await anext(response.aiter_raw())
                await end(server)
            waited_s = 0.0
            while server.died() is None and waited_s < 10 and any(alive(pid) for pid in processes):
                await asyncio.sleep(0.1)
                waited_s += 0.1
            return server.died(), all_gone(processes)
        finally:
            await server.stop()

    async def stop(server: Server) -> None:
        await server.stop()

    async def kill(server: Server) -> None:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.sleep(1)

    assert asyncio.run(during_a_stream(stop)) == (None, True)
    died, gone = asyncio.run(during_a_stream(kill))
    assert gone
    assert "signal 9 (killed)" in str(died)
