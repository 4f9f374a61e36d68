"""What the doctor finds in environments that are well, broken, missing or half-built; and what it advises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tts_compare.domain import Device
from tts_compare.installer import doctor as module
from tts_compare.installer.doctor import GIB, Diagnosis, doctor
from tts_compare.installer.hardware import free_disk_bytes
from tts_compare.installer.registry import Installed, engines_dir, write_marker
from tts_compare.machine.gpus import Gpu, Gpus

GPU = Gpu(index=0, uuid="GPU-a000", name="NVIDIA H100", memory_bytes=80 * GIB)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, memory and disk enough, and no engine."""
    monkeypatch.setenv("TTS_COMPARE_DATA", str(tmp_path / "data"))
    here(monkeypatch)


def here(
    monkeypatch: pytest.MonkeyPatch, *, gpu: tuple[Gpu, ...] = (), memory: int = 16 * GIB, disk: int = 99 * GIB
) -> None:
    monkeypatch.setattr(module, "find_gpus", lambda: Gpus(visible=gpu))
    monkeypatch.setattr(module, "detect_device", lambda: "cuda" if gpu else "cpu")
    monkeypatch.setattr(module, "free_memory_bytes", lambda: memory)
    monkeypatch.setattr(module, "free_disk_bytes", lambda _: disk)


def built(script: str, *, device: Device = "cpu", version: str = "0.32.0", whole: bool = True) -> Path:
    """An environment of vLLM's whose Python is a script."""
    home = engines_dir() / f"vllm-{version}-{device}"
    python = home / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    facts: dict[str, Any] = {"torch": None, "python": "3.11.7", "seconds": 1.0, "recipe": (), "deviations": ()}
    if whole:
        write_marker(Installed(engine="vllm", version=version, device=device, directory=home, **facts))
    return home


def of_vllm() -> Diagnosis:
    (row,) = doctor(only=("vllm",))
    return row


OLD_DRIVER = 'echo noise; echo \'{"torch": "2.13.0", "gpu": false, "cuda": "13.0"}\''
SEES = 'echo noise; echo \'{"torch": "2.13.0", "gpu": true, "cuda": "13.0"}\''
BLIND = 'echo noise; echo \'{"torch": "2.13.0+cpu", "gpu": false}\''


def test_an_engine_that_imports_is_healthy_and_nothing_is_advised() -> None:
    built(BLIND)
    row = of_vllm()
    assert row.healthy
    assert (row.imports, row.error, row.torch, row.torch_sees_gpu) == (True, None, "2.13.0+cpu", False)
    assert row.advice == ()


def test_an_engine_that_does_not_import_is_told_with_its_last_line_and_what_mends_it() -> None:
    home = built("echo 'Traceback' >&2; echo 'RuntimeError: operator torchvision::nms does not exist' >&2; exit 1")
    row = of_vllm()
    assert not row.healthy
    assert row.error == "RuntimeError: operator torchvision::nms does not exist"
    assert row.advice == (f"delete {home} and run `tts-compare engines install vllm --device cpu`",)


def test_an_engine_killed_by_a_signal_is_told_by_its_status() -> None:
    built("kill -SEGV $$", version="0.31.0")
    row = of_vllm()
    assert row.error == "exit status -11"
    assert "install vllm --version 0.31.0 --device cpu" in row.advice[0]


def test_an_import_that_takes_too_long_is_told_in_a_line_and_nothing_is_to_be_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.1)
    built("exec sleep 30")
    row = of_vllm()
    assert row.error == "importing it took over 0.1 s"
    assert not row.healthy
    assert "delete" not in row.advice[0]


def test_a_python_that_answers_nonsense_is_told() -> None:
    built("echo hello")
    assert of_vllm().error == "it answered 'hello'"


def test_engines_that_are_nowhere_are_listed_with_the_command_that_installs_them() -> None:
    rows = doctor()
    engines = ("llamacpp", "sglang", "transformers", "vllm")
    assert [(r.engine, r.imports, r.path) for r in rows] == [(name, None, None) for name in engines]
    assert rows[0].advice == ("give --engine-python llamacpp=/path/to/llama-server",)
    assert [r.advice for r in rows[1:]] == [(f"run `tts-compare engines install {name}`",) for name in engines[1:]]
    assert not any(r.healthy for r in rows)


def test_a_half_built_environment_is_told_with_the_command_that_goes_on_with_it() -> None:
    home = built(BLIND, whole=False)
    rows = [r for r in doctor(only=("vllm",)) if r.path]
    assert [(r.path, r.imports, r.version) for r in rows] == [(home, None, "0.32.0")]
    assert rows[0].advice == ("run `tts-compare engines install vllm --device cpu` to go on with it",)


def test_a_gpu_that_torch_cannot_use_and_a_gpu_that_is_not_used_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, gpu=(GPU,))
    built(OLD_DRIVER, device="cuda")
    assert "CUDA 13.0 or newer, cannot use the GPU: update the driver (here unknown)" in of_vllm().advice[0]
    built(SEES, device="cpu", version="0.31.0")
    cpu = next(r for r in doctor(only=("vllm",)) if r.device == "cpu")
    assert "install vllm --device cuda" in cpu.advice[0]


def test_a_gpu_that_torch_sees_needs_no_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, gpu=(GPU,))
    built(SEES, device="cuda")
    row = of_vllm()
    assert row.healthy
    assert row.gpus == (GPU,)


@pytest.mark.parametrize("gpu", [(), (GPU,)])
def test_a_torch_without_cuda_is_told_before_any_word_of_the_driver(
    gpu: tuple[Gpu, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    here(monkeypatch, gpu=gpu)
    built(BLIND, device="cuda")
    (advice,) = of_vllm().advice
    assert advice.startswith("torch 2.13.0+cpu was built without CUDA")
    assert "torch===2.13.0" in advice
    assert "PIP_CONSTRAINT" in advice
    assert "driver" not in advice


def test_kernels_that_do_not_load_are_told_where_a_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, gpu=(GPU,))
    built(SEES.replace('"13.0"', '"13.0", "kernels": "vllm._C: undefined symbol: x"'), device="cuda")
    (advice,) = of_vllm().advice
    assert "do not load: vllm._C: undefined symbol: x" in advice


def test_the_doctor_tries_the_first_kernels_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "sound.py").touch()
    (tmp_path / "broken.py").write_text("raise ImportError('libcuda.so.1: cannot open')")

    def told(*kernels: str) -> object:
        argv = [sys.executable, "-c", module._EXAMINE, "json", *kernels]
        asked = subprocess.run(argv, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tmp_path)})
        return json.loads(asked.stdout.splitlines()[-1])["kernels"]

    assert told() is None
    assert told("not_there", "sound", "broken") is None
    assert told("not_there", "broken", "sound") == "broken: libcuda.so.1: cannot open"


def test_an_environment_for_gpus_where_none_is_seen_cannot_be_launched() -> None:
    built(OLD_DRIVER, device="cuda")
    row = of_vllm()
    assert not row.healthy
    assert "no GPU is seen" in row.advice[0]
    assert "install vllm --device cpu" in row.advice[0]


def test_little_memory_is_told_and_little_disk_where_something_is_yet_to_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here(monkeypatch, memory=3 * GIB, disk=2 * GIB)
    built(BLIND)
    vllm, sglang = of_vllm(), doctor(only=("sglang",))[0]
    assert [a for a in vllm.advice if "disk" in a] == []
    assert "only 3.0 GiB of memory is free" in vllm.advice[0]
    assert "only 2.0 GiB of disk is free" in sglang.advice[-1]


def test_a_python_of_the_users_is_looked_at_once_and_never_deleted(tmp_path: Path) -> None:
    home = built(f'case "$2" in *importlib.metadata*) echo 0.32.0;; *) {BLIND};; esac')
    path = str(home / "bin" / "python")
    (row,) = doctor({"vllm": path}, only=("vllm",))
    assert (row.path, row.healthy) == (Path(path), True)
    mine = tmp_path / "mine"
    mine.write_text('#!/bin/sh\ncase "$2" in *metadata*) echo 0.30.0;; *) echo "ImportError: no" >&2; exit 1;; esac\n')
    mine.chmod(0o755)
    row = next(r for r in doctor({"vllm": str(mine)}, only=("vllm",)) if r.path == mine)
    assert (row.version, row.imports, row.error) == ("0.30.0", False, "ImportError: no")
    assert row.advice[0].startswith(f"fix vllm in {mine}")


def test_free_disk_is_asked_of_a_directory_that_is_yet_to_be_made(tmp_path: Path) -> None:
    assert free_disk_bytes(tmp_path / "not" / "there") > 0


def test_the_doctor_runs_engines_without_network_or_the_users_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    built(f"env > {tmp_path}/seen; {BLIND}")
    assert of_vllm().healthy
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines() if "=" in line)
    assert (seen["HF_HUB_OFFLINE"], seen["VLLM_NO_USAGE_STATS"]) == ("1", "1")
    assert "PYTHONPATH" not in seen
    assert "PYTHONDONTWRITEBYTECODE" not in seen


def test_a_python_of_the_users_is_looked_at_as_it_is_launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/modules/vllm")
    mine = tmp_path / "mine"
    mine.write_text(f'#!/bin/sh\ncase "$2" in *metadata*) echo 0.30.0;; *) env > {tmp_path}/seen; {BLIND};; esac\n')
    mine.chmod(0o755)
    (row,) = doctor({"vllm": str(mine)}, only=("vllm",))
    assert row.healthy
    assert "PYTHONPATH=/modules/vllm" in (tmp_path / "seen").read_text().splitlines()
