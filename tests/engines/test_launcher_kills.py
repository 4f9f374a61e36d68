"""No process of a real engine outlives us, however we end, and one that dies is said to have died.

Each case starts an engine of its own: 20 s to 2 minutes on two cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from tests.integration.launching import alive, all_gone, until, with_marker, writing_to
from tts_compare.backends import BACKENDS
from tts_compare.domain import Call, Device, Sampling, Setting
from tts_compare.launchers import Server, ServerPlan, probe_machine
from tts_compare.launchers.local import LocalLauncher
from tts_compare.launchers.supervisor import left, present

pytestmark = [pytest.mark.many_starts, pytest.mark.timeout(900)]

ENGINES = pytest.mark.parametrize("engine", ["vllm", "sglang"])
#: Two ranks, and an engine that is stopped while idle, are the slow part of the matrix: `make test-slow`.
RANKS = pytest.mark.parametrize("ranks", [pytest.param(1, id="tp1"), pytest.param(2, id="tp2", marks=pytest.mark.slow)])
GONE_WITHIN_S = 15.0
MADE = ("psm_", "sem.", "sgl", "torch_", "vllm")  # what engines and multiprocessing make in /dev/shm
LONG = Call(max_tokens=1900, sampling=Sampling(temperature=1.0), prompt="Once upon a time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A plan whose processes are marked, and what was in /dev/shm before."""

    plan: ServerPlan
    marker: str
    shm_before: frozenset[str]

    def processes(self) -> list[int]:
        """Those marked, and those that write to the log: engines rename processes, which overwrites the environment."""
        return sorted({*with_marker(self.marker), *writing_to(self.plan.log_path.resolve())})

    def shm_left(self) -> set[str]:
        """What came since and nobody holds: other programs may run beside the test."""
        return left(MADE, set(self.shm_before))


@pytest.fixture
def case(
    engine: str, ranks: int, tiny_model: Path, engine_plan: Callable[[Setting], ServerPlan], on_gpu: bool
) -> Iterator[Case]:
    """A server of the engine with so many ranks; whatever is left of it at the end is killed, and fails the test."""
    if on_gpu and probe_machine().devices < ranks:
        pytest.skip(f"tensor parallel {ranks} needs {ranks} GPUs")
    device: Device = "cuda" if on_gpu else "cpu"
    setting = Setting(
        backend=engine,
        model=str(tiny_model),
        device=device,
        tensor_parallel=ranks,
        max_model_len=2048,
    )
    marker = uuid.uuid4().hex
    plan = engine_plan(setting)
    made = Case(
        plan=replace(plan, env=plan.env | {"TTS_TEST_MARKER": marker}),
        marker=marker,
        shm_before=frozenset(present(MADE)),
    )
    yield made
    remaining = made.processes()
    for pid in remaining:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert remaining == []


@contextlib.asynccontextmanager
async def streaming(server: Server) -> AsyncIterator[AsyncIterator[bytes]]:
    """A long stream from the server, past its first bytes."""
    path, body = BACKENDS[setting_of(server).backend].request(LONG, server.endpoint.model)
    key = server.endpoint.api_key
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx.AsyncClient(headers=headers, timeout=120, trust_env=False) as client,
        client.stream("POST", server.endpoint.base_url + path, json=body | {"ignore_eos": True}) as response,
    ):
        assert response.status_code == 200
        chunks = response.aiter_raw()
        await anext(chunks)
        yield chunks


def setting_of(server: Server) -> Setting:
    plan = getattr(server, "plan", None)
    assert isinstance(plan, ServerPlan)
    return plan.setting


async def read_to_end(chunks: AsyncIterator[bytes]) -> bytes:
    """All that still comes; a connection that breaks is an end."""
    got = b""
    with contextlib.suppress(httpx.HTTPError):
        async for chunk in chunks:
            got += chunk
    return got


@pytest.mark.slow
@ENGINES
@RANKS
def test_stop_when_idle_leaves_no_process_and_no_shared_memory(case: Case) -> None:
    async def use() -> int:
        server = await LocalLauncher().run(case.plan)
        started = len(case.processes())
        await server.stop()
        return started

    assert asyncio.run(use()) >= 2
    assert case.processes() == []
    assert case.shm_left() == set()


@ENGINES
@RANKS
def test_stop_with_a_stream_in_flight_ends_in_bounded_time(case: Case) -> None:
    async def use() -> None:
        server = await LocalLauncher().run(case.plan)
        async with streaming(server) as chunks:
            await server.stop()
            assert case.processes() == []
            await read_to_end(chunks)
        assert server.died() is None

    asyncio.run(use())
    assert case.shm_left() == set()


@ENGINES
@pytest.mark.parametrize("ranks", [1])
def test_an_engine_killed_in_mid_stream_ends_the_stream_and_is_said_to_have_died(case: Case) -> None:
    """The victim is the server's heaviest child: vLLM's engine core, SGLang's scheduler."""

    async def use() -> str | None:
        server = await LocalLauncher().run(case.plan)
        assert server.pid is not None
        async with streaming(server) as chunks:
            victim = max((pid for pid in case.processes() if pid != server.pid), key=resident_bytes)
            os.kill(victim, signal.SIGKILL)
            rest = await asyncio.wait_for(read_to_end(chunks), 120)
            assert b'"finish_reason":"stop"' not in rest
            assert b'"finish_reason":"length"' not in rest
        assert await asyncio.to_thread(until, lambda: server.died() is not None, 120)
        cause = server.died()
        await server.stop()
        return cause

    cause = asyncio.run(use())
    assert cause is not None
    assert cause.startswith("server ended with")
    assert "\n" not in cause
    assert all_gone(case.processes(), GONE_WITHIN_S)


def resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


LAUNCH = """
import asyncio, pickle, sys
from tests.engines.test_launcher_kills import streaming
from tts_compare.launchers.local import LocalLauncher

async def use():
    print("starting", flush=True)
    server = await LocalLauncher().run(pickle.load(sys.stdin.buffer))
    async with streaming(server):
        print("streaming", flush=True)
        await asyncio.sleep(600)

asyncio.run(use())
"""


@contextlib.contextmanager
def launcher_process(case: Case, told: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """A process that starts the server and streams from it, as far as it says ``told``."""
    with subprocess.Popen([sys.executable, "-c", LAUNCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(case.plan))
        process.stdin.close()
        try:
            if not any(line.strip() == told for line in process.stdout):
                pytest.fail(f"the launcher ended before it said {told!r}; log: {case.plan.log_path}")
            yield process
        finally:
            process.kill()


@ENGINES
@RANKS
def test_nothing_is_left_of_a_launcher_sigkilled_in_mid_stream(case: Case) -> None:
    with launcher_process(case, b"streaming") as launcher:
        started = case.processes()
        assert len(started) >= 2 + case.plan.setting.tensor_parallel
        launcher.kill()
        launcher.wait()
        assert all_gone(started, GONE_WITHIN_S)
    assert case.processes() == []
    assert case.shm_left() == set()


@ENGINES
@pytest.mark.parametrize("ranks", [2])
@pytest.mark.parametrize(
    "processes", [pytest.param(2, id="at_once", marks=pytest.mark.slow), pytest.param(4, id="among_workers")]
)
def test_nothing_is_left_of_a_launcher_sigkilled_while_loading(case: Case, processes: int) -> None:
    with launcher_process(case, b"starting") as launcher:
        assert until(lambda: len(case.processes()) >= processes, 300)
        started = case.processes()
        launcher.kill()
        launcher.wait()
        assert all_gone(started, GONE_WITHIN_S)
    assert case.processes() == []
    assert not any(alive(pid) for pid in started)
