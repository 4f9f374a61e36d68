"""Bytes of KV cache a token takes are those that the engines themselves reserve, for three models on the CPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.conftest import running
from tts_compare.domain import Setting
from tts_compare.domain.model_shape import ModelShape
from tts_compare.installer.models import make_tiny_model, prepare_quickstart_model
from tts_compare.installer.registry import EnginePython
from tts_compare.launchers import ServerPlan
from tts_compare.models.shape import shape_of

pytestmark = [pytest.mark.many_starts, pytest.mark.timeout(1800)]

GIB = 2**30
FLOAT32 = 4.0  # the weights' type on a CPU, and the cache's with it
MODELS = ("two heads", "grouped heads", "quickstart")


@pytest.fixture(scope="module")
def models(engine_python: Callable[[str], EnginePython], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    python, home = engine_python("vllm").path, tmp_path_factory.mktemp("kv")
    return {
        "two heads": make_tiny_model(python, home / "two"),
        "grouped heads": make_tiny_model(python, home / "grouped", heads=8, kv_heads=2, layers=3),
        "quickstart": prepare_quickstart_model(python),
    }


def shape(model: Path) -> ModelShape:
    found = shape_of(str(model), directory=model)
    assert found is not None
    return found


def logged(plan: ServerPlan, pattern: str) -> re.Match[str]:
    with running(plan):
        text = plan.log_path.read_text(errors="replace")
    found = re.search(pattern, text)
    assert found is not None, text[-4000:]
    return found


@pytest.mark.parametrize("name", MODELS)
def test_vllm_holds_as_many_tokens_as_the_bytes_of_one_allow(
    name: str, models: dict[str, Path], engine_plan: Callable[[Setting], ServerPlan], on_gpu: bool
) -> None:
    if on_gpu:
        pytest.skip("the cache of a GPU is what its memory leaves, not a stated size")
    setting = Setting(backend="vllm", model=str(models[name]), max_model_len=1024)
    plan = engine_plan(setting)
    reserved = int(plan.env["VLLM_CPU_KVCACHE_SPACE"]) * GIB
    tokens = int(logged(plan, r"KV cache size: ([\d,]+) tokens")[1].replace(",", ""))
    assert reserved / tokens == pytest.approx(shape(models[name]).kv_bytes(1, width=FLOAT32), rel=0.01)


@pytest.mark.parametrize("name", MODELS)
def test_sglang_reserves_the_bytes_of_a_token_for_each_token(
    name: str, models: dict[str, Path], engine_plan: Callable[[Setting], ServerPlan], on_gpu: bool
) -> None:
    if on_gpu:
        pytest.skip("the cache of a GPU is what its memory leaves, not a stated size")
    each = shape(models[name]).kv_bytes(1, width=FLOAT32)
    asked = int(GIB / each)  # its log says sizes in hundredths of a GiB: enough of them for 1 %
    setting = Setting(
        backend="sglang", model=str(models[name]), max_model_len=1024, engine_args=("--max-total-tokens", str(asked))
    )
    found = logged(engine_plan(setting), r"#tokens: (\d+), K size: ([\d.]+) GB, V size: ([\d.]+) GB")
    assert (float(found[2]) + float(found[3])) * GIB / int(found[1]) == pytest.approx(each, rel=0.02)
