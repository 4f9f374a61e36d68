"""Real engines for the tests: their Pythons, small random models, and one running server of each.

An engine's Python is ``TTS_COMPARE_ENGINE_VLLM`` or ``TTS_COMPARE_ENGINE_SGLANG`` where that is set, else the one
``tts-compare engines install`` made. A missing engine fails the tests that need it; only
``TTS_COMPARE_TESTS_WITHOUT_ENGINES=1`` lets them be skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tts_compare.backends import ModelFacts, model_facts
from tts_compare.domain import Setting, Speculation
from tts_compare.errors import UsageError
from tts_compare.installer.hardware import detect_device
from tts_compare.installer.models import make_tiny_model
from tts_compare.installer.recipes import PINNED
from tts_compare.installer.registry import EnginePython, find_python
from tts_compare.launchers import Place, Server, ServerPlan, plan_server, probe_machine
from tts_compare.launchers.local import LocalLauncher

HERE = Path(__file__).parent
MAX_MODEL_LEN = 2048
#: Tokens of a block of the running servers' prefix caches. vLLM's own on a CPU, 128, is longer than short prompts.
CACHE_BLOCK = {"vllm": 32, "sglang": 1}
START_TIMEOUT_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here needs engines, and the time of an engine's start (a minute and more on two cores)."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.engines)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(START_TIMEOUT_S))


@pytest.fixture(scope="session")
def on_gpu() -> bool:
    """Whether a GPU answers here; the engines then run on it."""
    return detect_device() == "cuda"


@pytest.fixture(scope="session")
def engine_python() -> Callable[[str], EnginePython]:
    """The Python of an engine, by its name."""
    found: dict[str, EnginePython | str] = {}
    for engine in PINNED:
        stated = os.environ.get(f"TTS_COMPARE_ENGINE_{engine.upper()}")
        try:
            overrides = {engine: stated} if stated else {}
            found[engine] = find_python(engine, None, overrides=overrides, device=detect_device())
        except UsageError as error:
            found[engine] = str(error)

    def python(engine: str) -> EnginePython:
        there = found[engine]
        if isinstance(there, EnginePython):
            return there
        if os.environ.get("TTS_COMPARE_TESTS_WITHOUT_ENGINES") == "1":
            pytest.skip(f"TTS_COMPARE_TESTS_WITHOUT_ENGINES=1, and {there}")
        pytest.fail(there)

    return python


@pytest.fixture(scope="session")
def tiny_model(engine_python: Callable[[str], EnginePython], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of two layers and two heads: TP 1 and 2 run, 3 does not."""
    return make_tiny_model(engine_python("vllm").path, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_model_tp3(engine_python: Callable[[str], EnginePython], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with three heads: TP 1 and 3 run, 2 does not."""
    directory = tmp_path_factory.mktemp("models") / "tiny-tp3"
    return make_tiny_model(engine_python("vllm").path, directory, heads=3, kv_heads=3)


@pytest.fixture(scope="session")
def engine_plan(
    engine_python: Callable[[str], EnginePython], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Setting], ServerPlan]:
    """The plan of a setting's server on this machine, its log in a directory of its own."""
    machine = probe_machine()

    def plan(setting: Setting) -> ServerPlan:
        there = engine_python(setting.backend)
        place = Place(
            python=str(there.path),
            log_path=tmp_path_factory.mktemp("servers") / "server.log",
            machine=machine,
            model=_facts(Path(setting.model)),
            version=there.version,
            deadline_s=START_TIMEOUT_S - 60,
        )
        return plan_server(setting, place)

    return plan


def _facts(model: Path) -> ModelFacts | None:
    config = model / "config.json"
    return model_facts(json.loads(config.read_text())) if config.exists() else None


@contextmanager
def running(plan: ServerPlan) -> Iterator[Server]:
    """A server that runs until the block is left."""
    server = asyncio.run(LocalLauncher().run(plan))
    try:
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture(scope="session")
def vllm_server(tiny_model: Path, engine_plan: Callable[[Setting], ServerPlan], on_gpu: bool) -> Iterator[Server]:
    """vLLM, TP 1, with n-gram speculation: its chunks hold several tokens. Its prefix cache is on."""
    setting = Setting(
        backend="vllm",
        model=str(tiny_model),
        device="cuda" if on_gpu else "cpu",
        speculation=Speculation(kind="ngram"),
        max_model_len=MAX_MODEL_LEN,
        prefix_caching=True,
        engine_args=("--block-size", str(CACHE_BLOCK["vllm"])),
    )
    with running(engine_plan(setting)) as server:
        yield server


@pytest.fixture(scope="session")
def sglang_server(tiny_model: Path, engine_plan: Callable[[Setting], ServerPlan], on_gpu: bool) -> Iterator[Server]:
    """SGLang, TP 1, that sends about four tokens a chunk. Its prefix cache is on."""
    setting = Setting(
        backend="sglang",
        model=str(tiny_model),
        device="cuda" if on_gpu else "cpu",
        max_model_len=MAX_MODEL_LEN,
        prefix_caching=True,
        engine_args=("--stream-interval", "4"),
    )
    with running(engine_plan(setting)) as server:
        yield server
