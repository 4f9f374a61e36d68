"""Plans and waits that the launcher tests share."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from tts_compare.domain import Setting
from tts_compare.launchers import Place, ServerPlan, plan_server

STUB = Path(__file__).with_name("stub_engine.py")


def stub_plan(
    tmp_path: Path, *flags: str, model: str = "stub", own_packages: bool = False, **changes: object
) -> ServerPlan:
    """A plan whose program is the stub engine, which answers as vLLM does."""
    setting = Setting(backend="vllm", model=model, max_model_len=2048)
    log = tmp_path / "servers" / "stub.log"
    place = Place(python=sys.executable, own_packages=own_packages, log_path=log, deadline_s=60)
    plan = plan_server(setting, place)
    argv = (sys.executable, str(STUB), "--port", str(plan.port), *flags)
    return replace(plan, argv=argv, stop_grace_s=1.0, **changes)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], bool], within_s: float = 30.0) -> bool:
    """Wait until it holds; False when it does not in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def all_gone(pids: Iterable[int], within_s: float = 15.0) -> bool:
    """Whether none of the processes is left, in time."""
    pids = list(pids)
    return until(lambda: not any(alive(pid) for pid in pids), within_s)


def with_marker(marker: str) -> list[int]:
    """Process ids whose environment holds ``TTS_TEST_MARKER=marker``: all that a test's server started."""
    wanted = f"TTS_TEST_MARKER={marker}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                environ = (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if wanted in environ and alive(int(process.name)):
                found.append(int(process.name))
    return found


def writing_to(log: Path) -> list[int]:
    """Process ids that hold the log open: a server's, also those whose new title has overwritten their environment."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid() and alive(int(process.name)):
            for descriptor in (1, 2):
                with contextlib.suppress(OSError):
                    if (process / "fd" / str(descriptor)).readlink() == log:
                        found.append(int(process.name))
                        break
    return found
