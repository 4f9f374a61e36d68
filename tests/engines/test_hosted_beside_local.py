"""A local vLLM, a local SGLang and a third real server that plays a hosted one, in one frontier with dollars on it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines.conftest import running
from tests.integration.fault_proxy import RateLimit, fault_proxy
from tests.integration.running import rows_of
from tts_compare.cli import main
from tts_compare.domain import Setting
from tts_compare.installer.models import prepare_quickstart_model
from tts_compare.installer.registry import EnginePython
from tts_compare.launchers import Server, ServerPlan

pytestmark = [pytest.mark.many_starts, pytest.mark.timeout(1800)]
PROBLEMS = 12
INPUT_USD, OUTPUT_USD = 0.15, 0.60
"""Dollars a million tokens."""


@pytest.fixture(scope="module")
def small_model(engine_python: Callable[[str], EnginePython]) -> Path:
    """The quickstart's model: a frontier of dollars per correct answer needs correct answers."""
    return prepare_quickstart_model(engine_python("vllm").path)


@pytest.fixture(scope="module")
def third_server(small_model: Path, engine_plan: Callable[[Setting], ServerPlan], on_gpu: bool) -> Iterator[Server]:
    """A vLLM that is somebody else's, as far as the program can see."""
    setting = Setting(backend="vllm", model=str(small_model), device="cuda" if on_gpu else "cpu", max_model_len=512)
    with running(engine_plan(setting)) as server:
        yield server


def test_local_engines_and_a_hosted_endpoint_end_in_one_frontier_with_dollars_per_correct_answer(
    small_model: Path, third_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTED_KEY", third_server.endpoint.api_key or "none")
    run, config, limit = tmp_path / "run", tmp_path / "three.toml", RateLimit(3, 15.0)
    with fault_proxy(third_server.endpoint.base_url, limit=limit) as gateway:
        config.write_text(f"""
            backend = ["vllm", "sglang"]
            model = "{small_model}"
            dataset = "quickstart"
            problems = {PROBLEMS}
            prompt = "fewshot"
            budget = [16, 32]
            gpu_hour_usd = 0.05

            [[settings]]
            base_url = "{gateway.url}"
            model = "{third_server.endpoint.model}"
            api_key_env = "HOSTED_KEY"
            price_usd_per_million = {{ input = {INPUT_USD}, output = {OUTPUT_USD} }}
            requests_per_minute = 600
        """)
        assert main([f"--config={config}", f"--out={run}"]) == 0

    rows = [row for row in rows_of(run) if row.phase == "measured"]
    refused = [row for row in rows if row.error]
    assert limit.refused, "the gateway's limit was never reached"
    assert {row.error.kind for row in refused if row.error} == {"http_429"}
    assert {row.setting.split("/")[0] for row in refused} == {"openai"}
    done = [row for row in rows if row.ok]
    assert len({row.key for row in done}) == len(done) == 3 * PROBLEMS

    points = {(p["setting"].split("/")[0], p["budget"]): p for p in json.loads((run / "points.json").read_text())}
    assert set(points) == {(engine, budget) for engine in ("vllm", "sglang", "openai") for budget in (16, 32)}
    assert all(point["usd_per_correct"] for (_, budget), point in points.items() if budget == 32)
    assert any(point["on_usd_frontier"] for point in points.values())
    assert {point["failed"] for point in points.values()} == {0}

    hosted = points["openai", 32]
    paid = sum(INPUT_USD * (row.prompt_tokens or 0) + OUTPUT_USD * (row.completion_tokens or 0)
               for row in done if row.setting.startswith("openai")) / 1e6  # fmt: skip
    assert hosted["usd_per_correct"] == pytest.approx(paid / round(hosted["accuracy"] * hosted["n"]))
    assert hosted["latency_p90_s"] < 15, "the wait for the gateway is in no latency"
    text = "".join(path.read_text(errors="replace") for path in run.rglob("*") if path.is_file())
    assert os.environ["HOSTED_KEY"] not in text
