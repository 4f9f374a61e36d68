"""Where an installation cannot be done it says why in a line; nothing is downloaded here."""

from __future__ import annotations

import errno
import fcntl
import re
import subprocess
from pathlib import Path

import pytest

from tts_compare.errors import RunError
from tts_compare.installer.install import install
from tts_compare.installer.models import QUICKSTART_MODEL, prepare_quickstart_model
from tts_compare.installer.pip import PipResult
from tts_compare.installer.recipes import recipe
from tts_compare.installer.registry import Installed, engines_dir, interpreter, write_marker


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of the test's own."""
    monkeypatch.setenv("TTS_COMPARE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_file_system_without_locks_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(RunError, match=r"cannot be locked: Function not implemented; set TTS_COMPARE_DATA"):
        install("vllm", device="cpu")
    with pytest.raises(RunError, match=r"Function not implemented; set TTS_COMPARE_DATA"):
        prepare_quickstart_model(Path("python"))


def test_a_place_that_cannot_be_written_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TTS_COMPARE_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(RunError, match=r"Not a directory: .*set TTS_COMPARE_DATA"):
        install("sglang", device="cpu")
    with pytest.raises(RunError, match=r"Not a directory: .*set TTS_COMPARE_DATA"):
        prepare_quickstart_model(Path("python"))


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory",
            "on a node with a GPU",
        ),
        ("ImportError: toy is broken", "delete "),
    ],
)
def test_an_import_that_needs_the_driver_is_proved_on_a_node_that_has_it(
    error: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "venv" in argv:
            Path(argv[-1]).mkdir(parents=True)
            return subprocess.CompletedProcess(argv, 0, "", "")
        return subprocess.CompletedProcess(argv, 1, "", f"Traceback\n{error}\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("tts_compare.installer.install.run_pip", lambda *_, **__: PipResult(status=0, lines=()))
    with pytest.raises(RunError, match=re.escape(error)) as caught:
        install("sglang", device="cuda")
    assert advice in str(caught.value)


def test_what_is_whole_is_found_where_nothing_can_be_written(data: Path) -> None:
    made = recipe("vllm", None, "cpu")
    home = engines_dir() / made.name
    interpreter(home).parent.mkdir(parents=True)
    interpreter(home).touch()
    write_marker(
        Installed(
            engine="vllm",
            version="0.32.0",
            device="cpu",
            torch=None,
            python="3.11.7",
            seconds=1.0,
            recipe=tuple(step.stamp for step in made.steps),
            deviations=(),
            directory=home,
        )
    )
    (engines_dir() / f".{made.name}.lock").mkdir()  # cannot be opened as a file, whoever we are
    assert install("vllm", device="cpu").path == interpreter(home)
    model = data / "models" / QUICKSTART_MODEL
    model.mkdir(parents=True)
    (data / "models" / f".{QUICKSTART_MODEL}.lock").mkdir()
    assert prepare_quickstart_model(Path("python")) == model


def test_a_torch_without_cuda_is_the_reason_whatever_the_import_of_the_engine_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To pip 2.13.0+cpu satisfies torch==2.13.0; installing it again from the same places would give the same."""

    def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "venv" in argv:
            Path(argv[-1]).mkdir(parents=True)
            return subprocess.CompletedProcess(argv, 0, "", "")
        facts = 'noise\n{"torch": "2.13.0+cpu", "cuda": null}\n'
        return subprocess.CompletedProcess(argv, 1, facts, "RuntimeError: operator torchvision::nms does not exist\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("tts_compare.installer.install.run_pip", lambda *_, **__: PipResult(status=0, lines=()))
    with pytest.raises(RunError, match=r"torch 2\.13\.0\+cpu, a build without CUDA") as caught:
        install("vllm", device="cuda")
    assert "torch===2.13.0" in str(caught.value)
    assert "whl/cu130" in str(caught.value)
