"""Telemetry of whole runs: the samples that are kept, what they warn of, and that a sampler harms nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.running import Bench, bench, start, wait_until
from tests.nvml import Driver, gpu, machine
from tts_compare.codes import CODES
from tts_compare.rundir import store
from tts_compare.rundir.telemetry import TelemetryRow

SAMPLER = "tts_compare.machine.telemetry.sampler"


def samples(run: Path) -> list[TelemetryRow]:
    return list(store.read_rows(store.RunDir(run).telemetry, TelemetryRow))


def told(run: Path) -> dict[str, str]:
    """code -> message of each warning that telemetry may cause."""
    doubts = json.loads((run / "manifest.json").read_text())["doubts"]
    mine = {"gpu_throttled", "gpu_shared", "clocks_differ", "energy_disagrees", "kv_cache_full", "preempted"}
    return {row["code"]: row["message"] for row in doubts if row["code"] in mine | {"telemetry_lost"}}


def ran(made: Bench, driver: Driver | None, *flags: str) -> Path:
    """A run of vLLM's stand-in, to its end."""
    argv = made.argv("run", "--backend=vllm", "--budget=64", "--problems=6", "--telemetry-s=0.05", *flags)
    with start(argv, **(driver.environment if driver else {})) as process:
        _, talk = process.communicate(timeout=100)
    assert process.returncode == 0, talk
    return made.home / "run"


def slow(tmp_path: Path, *extra: str) -> Bench:
    return bench(tmp_path / "bench", extra=("--token-rate", "60", *extra))


def alone(made: Bench, *gpus: Mapping[str, object]) -> dict[str, object]:
    """A machine on whose GPUs the server's own process is, and those that the GPUs list."""
    answers = machine(*gpus)
    for index in range(len(gpus)):
        own = f"~api_server.entry --model {made.model} "
        others = answers.get(f"{index}.processes")
        answers[f"{index}.processes"] = f"{own},{others}" if others else own
    return answers


def sampler_of(run: Path) -> psutil.Process | None:
    """The sampler that has the run's file open."""
    for process in psutil.process_iter():
        try:
            if SAMPLER in process.cmdline() and str(run / "telemetry.jsonl") in [f.path for f in process.open_files()]:
                return process
        except psutil.Error:
            continue
    return None


def test_a_gpu_that_is_ours_alone_and_at_its_clocks_gives_samples_and_no_warning(
    tmp_path: Path, driver: Driver
) -> None:
    made = slow(tmp_path)
    driver.says(alone(made, gpu(0), gpu(1)))
    run = ran(made, driver, "--device=cuda")
    rows = samples(run)
    assert told(run) == {}
    assert {row.setting for row in rows} == {"vllm/tiny/tp1-pp1-dp1/none"}
    assert [row.at_ns for row in rows] == sorted(row.at_ns for row in rows)
    (sample,) = {len(row.gpus): row.gpus for row in rows}.values()
    (only,) = sample  # of two GPUs the one that the server was given
    assert (only.index, only.power_w, only.sm_clock_mhz, only.temperature_c) == (0, 400.0, 1980, 55)
    assert (only.throttled, only.other_processes, only.utilization) == ((), 0, 0.9)
    energies = [row.gpus[0].energy_j for row in rows]
    assert all(before is not None and after is not None and before < after for before, after in pairwise(energies))
    assert any(row.engine and row.engine.running for row in rows)
    assert all(row.host and row.host.memory_used_bytes for row in rows)
    (stretch,) = json.loads((run / "manifest.json").read_text())["server_metrics"]["vllm/tiny/tp1-pp1-dp1/none"]
    gaps = sorted(after.at_ns - before.at_ns for before, after in pairwise(rows))
    if stretch["power_j"] is None:  # a busy machine: what lies between samples that are missing is not made up
        assert gaps[-1] > 2 * gaps[len(gaps) // 2]
    else:
        assert stretch["power_j"] == pytest.approx(stretch["energy_j"], rel=0.1)


def test_a_gpu_that_throttles_is_named_with_the_reason(tmp_path: Path, driver: Driver) -> None:
    made = slow(tmp_path)
    driver.says(alone(made, gpu(0, throttle=0x40 | 0x1)))
    found = told(ran(made, driver, "--device=cuda"))
    assert found == {"gpu_throttled": "GPU 0 held clocks down in 100% of samples: hardware thermal"}


def test_a_gpu_that_another_process_uses_is_named(tmp_path: Path, driver: Driver) -> None:
    made = slow(tmp_path)
    driver.says(alone(made, gpu(0, processes=os.getpid())))
    (message,) = told(ran(made, driver, "--device=cuda")).values()
    assert message.startswith("another process was on GPU 0 in ")


def test_settings_whose_gpus_ran_at_other_clocks_are_named(tmp_path: Path, driver: Driver) -> None:
    made = slow(tmp_path)
    driver.says(alone(made, gpu(0), gpu(1, sm_clock_mhz=1200)))
    found = told(ran(made, driver, "--device=cuda", "--tp=1,2"))
    assert list(found) == ["clocks_differ"]
    assert "1590 MHz under load for vllm/tiny/tp2-pp1-dp1/none" in found["clocks_differ"]
    assert "1980 MHz for vllm/tiny/tp1-pp1-dp1/none" in found["clocks_differ"]


def test_an_energy_counter_that_power_contradicts_is_told(tmp_path: Path, driver: Driver) -> None:
    made = slow(tmp_path)
    driver.says(alone(made, gpu(0, energy_mw=100_000)))
    found = told(ran(made, driver, "--device=cuda"))
    assert list(found) == ["energy_disagrees"]
    assert "while power drawn over the same time makes" in found["energy_disagrees"]


def test_a_full_kv_cache_and_preempted_requests_are_told(tmp_path: Path) -> None:
    found = told(ran(slow(tmp_path, "--kv-usage", "1.0", "--preempts"), None))
    assert set(found) == {"kv_cache_full", "preempted"}
    assert re.search(r"the engine preempted [1-9]\d* times", found["preempted"])


def test_a_sampler_that_is_killed_is_a_warning_and_the_run_goes_on(tmp_path: Path) -> None:
    made = slow(tmp_path)
    argv = made.argv("run", "--backend=vllm", "--budget=64", "--problems=6", "--telemetry-s=0.05")
    run = made.home / "run"
    with start(argv) as process:
        assert wait_until(lambda: sampler_of(run) is not None, 60)
        sampler = sampler_of(run)
        assert sampler is not None
        sampler.send_signal(signal.SIGKILL)
        _, talk = process.communicate(timeout=100)
    assert process.returncode == 0, talk
    assert told(run) == {
        "telemetry_lost": "samples of the machine are missing: of the sampler, it ended with status -9"
    }


def test_a_sampler_ends_with_the_run_and_with_a_run_that_is_killed(tmp_path: Path) -> None:
    made = slow(tmp_path)
    argv = made.argv("run", "--backend=vllm", "--budget=64", "--problems=6", "--telemetry-s=0.05")
    run = made.home / "run"
    with start(argv) as process:
        assert wait_until(lambda: sampler_of(run) is not None, 60)
        process.kill()
        process.communicate(timeout=100)
    assert wait_until(lambda: sampler_of(run) is None, 20)


def test_no_sampler_runs_where_none_is_wanted(tmp_path: Path) -> None:
    run = ran(slow(tmp_path), None, "--telemetry-s=0")
    assert not (run / "telemetry.jsonl").exists()
    assert told(run) == {}


def test_a_sampler_whose_parent_is_gone_ends_though_its_pipe_is_held(tmp_path: Path) -> None:
    """A process that the parent forked may hold the pipe open."""
    path = tmp_path / "telemetry.jsonl"
    program = f"""
import os, subprocess, sys, time, json
asked = json.dumps({{"path": {str(path)!r}, "setting": "s", "interval_s": 0.05}})
read, write = os.pipe()
os.write(write, asked.encode() + b"\\n")
sampler = subprocess.Popen([sys.executable, "-m", {SAMPLER!r}], stdin=read)
holder = subprocess.Popen(["sleep", "60"], pass_fds=(write,), stdout=-3)
while not os.path.exists({str(path)!r}):
    time.sleep(0.02)
print(sampler.pid, holder.pid, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    sampler, holder = map(int, done.stdout.split())
    try:
        assert wait_until(lambda: not psutil.pid_exists(sampler) or _is_dead(sampler), 20)
        assert psutil.pid_exists(holder)
    finally:
        os.kill(holder, signal.SIGKILL)


def _is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_every_warning_of_telemetry_is_in_the_table() -> None:
    assert {"gpu_throttled", "gpu_shared", "clocks_differ", "energy_disagrees", "kv_cache_full"} <= set(CODES)


def test_no_row_says_what_it_does_not_know(tmp_path: Path) -> None:
    rows: list[Any] = samples(ran(slow(tmp_path), None))
    assert {row.gpus for row in rows} == {()}
    assert rows[0].host is not None
    assert rows[0].host.cpu_share is None
