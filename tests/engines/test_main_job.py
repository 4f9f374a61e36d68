"""The main job on real engines: the grid of both, what cannot run left out; killed at random, nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.integration.running import kill, rows_of, start, wait_until
from tts_compare.cli import main
from tts_compare.rundir import store
from tts_compare.rundir.telemetry import TelemetryRow

pytestmark = [pytest.mark.many_starts, pytest.mark.timeout(2400)]
PROBLEMS = 40
KILLS = int(os.environ.get("TTS_COMPARE_ENGINE_KILLS", "3"))
BUDGET = 64 if KILLS < 10 else 256
VICTIMS = ("program", "engine", "both")


def test_the_grid_of_both_engines_runs_and_what_the_cpu_cannot_do_is_left_out(
    tiny_model: Path, shared_data: Path, on_gpu: bool, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = [
        "--backend=vllm,sglang",
        "--tp=1,2",
        "--spec=none,ngram",
        f"--dataset={shared_data / 'math500.jsonl'}",
        "--problems=10",
        "--budget=128,256",
        f"--model={tiny_model}",
        f"--out={run}",
    ]
    assert main(flags) == 0
    manifest = json.loads((run / "manifest.json").read_text())
    left_out = {item["setting"] for item in manifest["left_out"]}
    if not on_gpu:
        assert left_out == {f"sglang/tiny/tp{size}-pp1-dp1/ngram" for size in (1, 2)}
    assert not manifest["failed"]
    rows = [row for row in rows_of(run) if row.phase == "measured"]
    assert len(rows) == 10 * (8 - len(left_out))
    assert all(row.ok for row in rows)
    assert all(sum(row.timeline.tokens) == row.completion_tokens for row in rows)
    speculated = [row for row in rows if row.setting == "vllm/tiny/tp1-pp1-dp1/ngram"]
    assert any(max(row.timeline.tokens) > 1 for row in speculated)
    points = json.loads((run / "points.json").read_text())
    assert {point["budget"] for point in points} == {128, 256}
    check_telemetry(run, set(manifest["settings"]) - left_out, on_gpu=on_gpu)


def check_telemetry(run: Path, settings: set[str], *, on_gpu: bool) -> None:
    """Each server's gauges were read under their names, some while it had work, and its machine beside them."""
    samples: dict[str, list[TelemetryRow]] = {}
    for row in store.read_rows(store.RunDir(run).telemetry, TelemetryRow):
        samples.setdefault(row.setting, []).append(row)
    assert set(samples) == settings
    for setting, rows in samples.items():
        gauges = [row.engine for row in rows if row.engine is not None]
        assert gauges
        for engine in gauges:
            assert None not in (engine.running, engine.waiting, engine.kv_cache_share)
        if setting.startswith("vllm"):  # SGLang's counter appears with the first preemption
            assert {engine.preemptions for engine in gauges} == {0}
        assert any(engine.running for engine in gauges)
        assert all(row.host and row.host.memory_used_bytes for row in rows)
        assert all(bool(row.gpus) == on_gpu for row in rows)
    codes = {warning["code"] for warning in json.loads((run / "manifest.json").read_text())["doubts"]}
    assert "telemetry_lost" not in codes


def engine_processes(model: Path) -> list[psutil.Process]:
    """Processes of engines that serve this model, and what vLLM's workers call themselves, below any of ours."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(model) in words and "-m tts_compare" not in words:
            found.append(process)
    return found


def servers_of(model: Path) -> list[psutil.Process]:
    """The same without their supervisors, whom nothing outlives but what they supervise."""
    found = []
    for process in engine_processes(model):
        with contextlib.suppress(psutil.Error):
            if not any(word.endswith("supervisor.py") for word in process.cmdline()):
                found.append(process)
    return found


def test_killed_at_random_moments_no_engine_is_left_and_the_run_taken_up_is_whole(
    tiny_model: Path, tmp_path: Path
) -> None:
    run, rng, before = tmp_path / "run", random.Random(3), 0
    argv = [
        "--backend=vllm,sglang",
        f"--model={tiny_model}",
        "--dataset=quickstart",
        f"--problems={PROBLEMS}",
        f"--budget={BUDGET}",
        "--max-restarts=200",
        "--quiet",
        f"--resume={run}",
    ]
    children: set[psutil.Process] = set()
    for number in range(KILLS):
        process, victim = start(argv), VICTIMS[number % len(VICTIMS)]
        # Squared: most of a start is waiting, and moments in it are much alike.
        until = time.monotonic() + 1.0 + 45.0 * rng.random() ** 2
        while time.monotonic() < until and process.poll() is None:
            children.update(_descendants(process.pid))
            time.sleep(0.2)
        children.update(_descendants(process.pid))
        if victim != "program":
            kill(servers_of(tiny_model))
        if victim == "engine":  # the program is left to notice, and to start it again
            time.sleep(rng.uniform(0.0, 3.0))
            children.update(_descendants(process.pid))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        gone = wait_until(lambda: not [child for child in children if child.is_running()], 15)
        assert gone, [child for child in children if child.is_running()]
        assert not engine_processes(tiny_model)
        finished = sum(row.ok for row in rows_of(run)) if (run / "records.jsonl").exists() else 0
        assert finished >= before
        before = finished
    assert main(argv) == 0
    assert main([*argv, "--retry-failed"]) == 0  # what went down with its engine has failed
    done = Counter(replace(row.key, attempt=0) for row in rows_of(run) if row.ok and row.phase == "measured")
    assert len(done) == 2 * PROBLEMS
    assert set(done.values()) == {1}


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
