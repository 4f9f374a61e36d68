"""The whole program against stand-ins for engines: its command line, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.standin import engine_python, model_directory, replies_file
from tts_compare import store
from tts_compare.backends.vllm import server_module
from tts_compare.dataset import load_problems
from tts_compare.domain import Grade, RequestRecord


@dataclass(frozen=True)
class Bench:
    """A model directory and stand-in engines in one directory."""

    home: Path
    model: Path
    vllm: Path
    sglang: Path

    def argv(self, out: str, *flags: str) -> list[str]:
        """A command line over the quickstart problems; flags given twice count the last time."""
        return [
            f"--model={self.model}",
            f"--engine-python=vllm={self.vllm}",
            f"--engine-python=sglang={self.sglang}",
            "--dataset=quickstart",
            f"--out={self.home / out}",
            *flags,
        ]


def bench(home: Path, *, extra: Sequence[str] = ("--token-rate", "2000"), correct_rate: float = 1.0) -> Bench:
    """Stand-ins that answer the quickstart problems rightly."""
    home.mkdir(parents=True, exist_ok=True)
    problems = [(problem.problem, problem.answer) for problem in load_problems("quickstart").problems]
    replies = replies_file(home, problems, correct_rate=correct_rate)
    flags = ["--replies", str(replies), *extra]
    return Bench(
        home=home,
        model=model_directory(home),
        vllm=engine_python(home, "vllm", extra=flags),
        sglang=engine_python(home, "sglang", version="0.5.23", extra=flags),
    )


def start(argv: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    """The program as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tts_compare", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def rows_of(run: Path) -> list[RequestRecord]:
    """Every row of a run, as far as they are whole."""
    return list(store.read_rows(run / "records.jsonl", RequestRecord))


def grades_of(run: Path) -> list[Grade]:
    """Every grade of a run."""
    return list(store.read_rows(run / "grades.jsonl", Grade))


def engines_of(home: Path) -> list[psutil.Process]:
    """Servers that a stand-in under this directory runs; not their supervisors, which nothing survives."""
    return [process for process in psutil.process_iter() if _is_server_of(process, str(home))]


def _is_server_of(process: psutil.Process, home: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    modules = {server_module("0.32.0"), server_module("0.31.0"), "sglang.launch_server"}
    is_server = bool(modules & set(words))
    return is_server and home in " ".join(words) and not any(word.endswith("supervisor.py") for word in words)


def wait_until(what: object, within_s: float = 15.0) -> bool:
    """Whether a condition comes true in time."""
    assert callable(what)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.02)
    return bool(what())


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL, whoever is still there."""
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
