"""A minute of 200 streams with every fault: nothing lost, nothing growing, nothing left. Longer: benchmarks/soak.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINUTES = os.environ.get("TTS_COMPARE_SOAK_MINUTES", "1")


@pytest.fixture(scope="module")
def soaked() -> dict[str, Any]:
    command = [sys.executable, "benchmarks/soak.py", "--minutes", MINUTES, "--streams", "200", "--share", "0.02"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


pytestmark = [pytest.mark.many_starts, pytest.mark.timeout(120 + 60 * float(MINUTES))]


def test_every_request_that_the_server_read_is_a_whole_row(soaked: dict[str, Any]) -> None:
    assert soaked["requests"] > soaked["streams"]
    assert soaked["rows"] == soaked["requests"]
    assert (soaked["lost"], soaked["torn"]) == (0, 0)


def test_every_kind_of_failure_befell_it(soaked: dict[str, Any]) -> None:
    expected = {"http_429", "http_5xx", "timeout_first_byte", "timeout_idle", "timeout_total", "truncated_stream"}
    assert set(soaked["kinds"]) >= expected | {"ok", "malformed", "in_band", "empty", "connect"}


def test_memory_is_flat_as_it_is_and_as_it_is_held(soaked: dict[str, Any]) -> None:
    assert soaked["growth"] < 0.05, soaked
    assert soaked["held_growth"] < 0.05, soaked


def test_nothing_waits_for_the_collector_of_cycles(soaked: dict[str, Any]) -> None:
    assert soaked["collected"] < 1


def test_no_task_descriptor_or_process_is_left(soaked: dict[str, Any]) -> None:
    assert (soaked["tasks_left"], soaked["processes_left"]) == (0, 0)
    assert soaked["fds_left"] <= 0
    assert soaked["broken"] == []
