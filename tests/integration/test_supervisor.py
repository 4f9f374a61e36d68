"""The supervisor itself, killed off from its parent at the worst moments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.running import wait_until
from tts_compare.launchers import supervisor


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
