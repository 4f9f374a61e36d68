"""What a user reads when a real engine does not start: its cause, soon, and nothing left running.

Each case starts an engine that must fail, 15 s to 2 minutes on two cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tts_compare.backends import BACKENDS
from tts_compare.domain import Setting, Speculation
from tts_compare.errors import StartError
from tts_compare.launchers import ServerPlan, probe_machine
from tts_compare.launchers.local import LocalLauncher

pytestmark = pytest.mark.many_starts
Plan = Callable[[Setting], ServerPlan]
#: Each failure is shown on one engine at every change, and on the other in `make test-slow`: a start costs a minute.
VLLM_SOON = ("vllm", pytest.param("sglang", marks=pytest.mark.slow))
SGLANG_SOON = (pytest.param("vllm", marks=pytest.mark.slow), "sglang")
MARK = "TTS_COMPARE_TEST_MARK"


def running_with(mark: str) -> list[int]:
    """Process ids whose environment holds our mark: an engine's processes and all that they started."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
    return found


def failure(plan: ServerPlan) -> StartError:
    """The error of a start that must fail; fails where a process is left, or the log is not where it says."""
    mark = uuid.uuid4().hex

    async def start() -> None:
        server = await LocalLauncher().run(replace(plan, env=plan.env | {MARK: mark}))
        await server.stop()

    with pytest.raises(StartError) as caught:
        asyncio.run(start())
    assert running_with(mark) == []
    assert "\n" not in str(caught.value), "one line"
    assert caught.value.log == str(plan.log_path)
    return caught.value


def setting(backend: str, model: Path, **changes: object) -> Setting:
    """A setting of the tiny model."""
    return replace(Setting(backend=backend, model=str(model), max_model_len=2048), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", SGLANG_SOON)
def test_an_unknown_flag_is_named(engine: str, tiny_model: Path, engine_plan: Plan) -> None:
    error = failure(engine_plan(setting(engine, tiny_model, engine_args=("--no-such-flag", "1"))))
    assert "unrecognized arguments: --no-such-flag" in error.cause


@pytest.mark.parametrize("engine", VLLM_SOON)
def test_a_model_that_does_not_exist_is_told_as_that(engine: str, tmp_path: Path, engine_plan: Plan) -> None:
    error = failure(engine_plan(setting(engine, tmp_path / "no" / "such" / "model")))
    assert str(tmp_path) in error.cause or "epo id" in error.cause
    assert "--model" in error.advice


@pytest.mark.parametrize("engine", VLLM_SOON)
def test_a_context_longer_than_the_models_is_told_with_what_to_lower(
    engine: str, tiny_model: Path, engine_plan: Plan
) -> None:
    error = failure(engine_plan(setting(engine, tiny_model, max_model_len=1_000_000)))
    assert "1000000" in error.cause
    assert "--max-model-len" in error.advice


@pytest.mark.parametrize("engine", VLLM_SOON)
def test_a_tensor_parallel_size_that_does_not_divide_the_heads_is_told_before_and_after(
    engine: str, tiny_model_tp3: Path, engine_plan: Plan
) -> None:
    wrong = setting(engine, tiny_model_tp3, tensor_parallel=2)
    error = failure(engine_plan(wrong))
    assert "tensor parallel size" in error.advice, error.cause
    config = json.loads((tiny_model_tp3 / "config.json").read_text())
    from tts_compare.backends import model_facts

    reason = BACKENDS[engine].unsupported(wrong, probe_machine(), model_facts(config))
    assert reason is not None
    assert "3" in reason


def test_sglang_itself_refuses_the_ngram_that_we_leave_out_on_a_cpu(
    tiny_model: Path, engine_plan: Plan, on_gpu: bool
) -> None:
    if on_gpu:
        pytest.skip("needs a machine without a GPU: there NGRAM runs")
    wrong = setting("sglang", tiny_model, speculation=Speculation(kind="ngram"))
    reason = BACKENDS["sglang"].unsupported(wrong, probe_machine())
    assert reason is not None
    assert "NGRAM" in reason
    assert "sgl_kernel" in failure(engine_plan(wrong)).cause


@pytest.mark.parametrize("engine", SGLANG_SOON)
def test_a_port_that_is_taken_is_told_before_the_engine_is_started(
    engine: str, tiny_model: Path, engine_plan: Plan
) -> None:
    plan = engine_plan(setting(engine, tiny_model))
    with socket.create_server(("127.0.0.1", plan.port)):
        error = failure(plan)
    assert f"port {plan.port} is taken" in error.cause
    assert not plan.log_path.exists()


@contextlib.asynccontextmanager
async def impostor(port: int, served: str) -> AsyncIterator[None]:
    """Somebody else's server on our port, which answers as a ready engine with our model's name would."""
    body = json.dumps({"data": [{"id": served, "object": "model"}]}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield


@pytest.mark.parametrize("engine", VLLM_SOON)
def test_a_stranger_that_takes_the_port_while_the_engine_loads_is_not_taken_for_it(
    engine: str, tiny_model: Path, engine_plan: Plan
) -> None:
    mark = uuid.uuid4().hex
    plan = engine_plan(setting(engine, tiny_model))
    plan = replace(plan, env=plan.env | {MARK: mark})

    async def start() -> None:
        starting = asyncio.create_task(LocalLauncher().run(plan))
        while not running_with(mark):  # noqa: ASYNC110  (another process is awaited)
            await asyncio.sleep(0.05)
        async with impostor(plan.port, plan.served_name):
            await starting

    with pytest.raises(StartError, match=f"port {plan.port} was taken by another program"):
        asyncio.run(start())
    assert running_with(mark) == []
