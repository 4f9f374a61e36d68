"""What a plan is computed from: this machine's own bandwidth, the model's own files, the prompts, and earlier runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.standin import model_directory
from tts_compare.config import load_experiment
from tts_compare.machine import machine_from
from tts_compare.machine.triad import Bandwidth
from tts_compare.methods.lengths import TEMPLATE_TOKENS
from tts_compare.plan import inputs as module
from tts_compare.plan.design import GUESSED_PROMPT_TOKENS, Design
from tts_compare.plan.inputs import design_of
from tts_compare.plan.prepare import Prepared, prepare


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Threads whose bandwidth was asked for; no test measures anything."""
    asked: list[int] = []

    def fake(_cpu: str, threads: int, *, memory_bytes: int) -> Bandwidth:
        asked.append(threads)
        return Bandwidth(bytes_s=threads * 1e10, threads=threads, array_bytes=memory_bytes // 12)

    monkeypatch.setattr(module, "memory_bandwidth", fake)
    return asked


def prepared(home: Path, **given: Any) -> Prepared:
    stated = {"backend": "vllm", "model": str(model_directory(home)), "dataset": "quickstart", "budget": "8"}
    return prepare(load_experiment(None, {**stated, "device": "cpu", **given}, environ={}), fetch=False)


def design(home: Path, **given: Any) -> Design:
    return design_of(prepared(home, **given), None, runs=home / "runs")


def test_the_bandwidth_of_this_machine_is_measured_for_the_threads_of_its_settings(
    tmp_path: Path, measured: list[int]
) -> None:
    made = design(tmp_path)
    assert measured == [1]
    assert made.bandwidths == {1: 1e10}
    assert made.machine is not None
    assert made.machine.at_hand
    assert made.machine.accelerator.bandwidth_bytes_s == 1e10
    (setting,) = made.settings
    device = made.device_of(setting)
    assert device is not None
    assert device.memory_bytes == made.memory_bytes > 0


def test_nothing_is_measured_for_a_machine_that_is_not_this_one(tmp_path: Path, measured: list[int]) -> None:
    planned = machine_from("2xH100")
    stated = {"backend": "vllm", "model": str(model_directory(tmp_path)), "dataset": "quickstart", "budget": "8"}
    other = prepare(load_experiment(None, stated, environ={}), fetch=False, machine=planned.probed())
    made = design_of(other, planned, runs=tmp_path)
    assert measured == []
    assert made.machine == planned
    assert {setting.device for setting in made.settings} == {"cuda"}


def test_a_models_own_files_are_read_and_its_starts_and_passes_counted(tmp_path: Path) -> None:
    made = design(tmp_path, repeats="3")
    (setting,) = made.settings
    assert setting.model in made.shapes
    assert (made.starts, made.passes) == (3, 3)


def test_prompts_are_counted_by_their_characters_and_guessed_where_they_are_not_at_hand(tmp_path: Path) -> None:
    chat, shots = design(tmp_path, prompt="math"), design(tmp_path, prompt="fewshot")
    assert TEMPLATE_TOKENS < chat.prompt_tokens < 400
    assert shots.prompt_tokens > chat.prompt_tokens - TEMPLATE_TOKENS
    if not prepared(tmp_path, dataset="math500").dataset.problems:
        assert design(tmp_path, dataset="math500").prompt_tokens == GUESSED_PROMPT_TOKENS


def test_earlier_runs_are_read_from_the_directory_of_runs(tmp_path: Path) -> None:
    golden = Path(__file__).resolve().parents[1] / "golden" / "quickstart"
    (tmp_path / "runs" / "a").mkdir(parents=True)
    for name in ("manifest.json", "points.json"):
        (tmp_path / "runs" / "a" / name).write_bytes((golden / name).read_bytes())
    made = design(tmp_path)
    assert len(made.earlier) == len(json.loads((golden / "points.json").read_text()))
