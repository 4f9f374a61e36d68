"""The supervisor itself, killed off from its parent at the worst moments."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.running import wait_until
from tts_compare.launchers import local, supervisor


@pytest.mark.parametrize("reader", ["gone before it tells", "there"])
def test_the_server_ends_with_its_parents_pipe_whoever_reads_what_the_supervisor_tells(
    reader: str, tmp_path: Path
) -> None:
    control_read, control_write = os.pipe()
    status_read, status_write = os.pipe()
    if reader == "gone before it tells":
        os.close(status_read)
    mark = str(tmp_path)
    argv = [sys.executable, "-S", "-E", supervisor.__file__, str(control_read), str(status_write), str(os.getpid())]
    code = f"import time; mark = {mark!r}; time.sleep(300)"
    process = subprocess.Popen(
        [*argv, "--", sys.executable, "-c", code], pass_fds=(control_read, status_write), start_new_session=True
    )
    os.close(control_read)
    os.close(status_write)
    try:
        assert wait_until(lambda: servers(mark), 20)
    finally:
        os.close(control_write)
    process.wait(20)
    assert wait_until(lambda: not servers(mark), 10)


def test_a_process_that_takes_long_to_die_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(os, "kill", lambda *_: None)
    monkeypatch.setattr(supervisor, "reap", lambda _: None)
    monkeypatch.setattr(supervisor, "below", lambda _: [999_999_999] if now < 20 else [])
    supervisor.kill_all(999_999_999)
    assert now == pytest.approx(20, abs=0.1), "a GPU's memory is free when its process is gone, not before"
    assert local.KILL_WAIT_S > supervisor.KILL_S, "the launcher waits for the supervisor"


def servers(mark: str) -> list[psutil.Process]:
    """Processes that run the marked code, the supervisor not among them."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(mark in word for word in words) and supervisor.__file__ not in words:
            found.append(process)
    return found
