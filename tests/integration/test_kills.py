"""A run killed again and again and resumed each time: the keys of an undisturbed run, none twice, nothing running."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.running import Bench, bench, engines_of, kill, rows_of, start, wait_until
from tts_compare.cli import main
from tts_compare.domain import RowKey

pytestmark = pytest.mark.many_starts
KILLS = int(os.environ.get("TTS_COMPARE_KILLS", "50"))
CONCURRENCY = 2
WORK = (
    "--backend=vllm",
    "--problems=30",
    "--budget=8,32",
    f"--concurrency={CONCURRENCY}",
    "--max-restarts=200",
    "--quiet",
)


def finished(run: Path) -> Counter[RowKey]:
    """How often each call was brought to a success."""
    rows = [row for row in rows_of(run) if row.phase == "measured" and row.ok]
    return Counter(replace(row.key, attempt=0) for row in rows)


def failed(run: Path) -> dict[RowKey, str]:
    """The calls that have no success, and the kind of error that each ended in last."""
    rows = [row for row in rows_of(run) if row.phase == "measured"]
    answered = {replace(row.key, attempt=0) for row in rows if row.ok}
    last = {replace(row.key, attempt=0): row.error.kind for row in rows if row.error}
    return {key: kind for key, kind in last.items() if key not in answered}


def go_on(table: Bench) -> list[str]:
    argv = [flag for flag in table.argv("killed", *WORK) if not flag.startswith("--out")]
    return [*argv, f"--resume={table.home / 'killed'}"]


@pytest.mark.timeout(900)
def test_kills_at_random_moments_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    table = bench(tmp_path, extra=("--token-rate", "60"))
    run, rng, before, engine_kills = table.home / "killed", random.Random(7), 0, 0
    for number in range(KILLS):
        process = start(go_on(table))
        victim = number % 3
        time.sleep(rng.uniform(0.2, 3.5))
        engines = engines_of(table.home)
        if victim in (0, 2):
            process.send_signal(signal.SIGKILL)
        if victim in (1, 2):
            kill(engines)
            engine_kills += 1
        if victim == 1:
            time.sleep(rng.uniform(0.0, 0.5))
            process.send_signal(signal.SIGKILL)
        process.wait(30)
        assert wait_until(lambda: not engines_of(table.home), 15)
        now = sum(finished(run).values()) if (run / "records.jsonl").exists() else 0
        assert now >= before
        before = now
    assert main(go_on(table)) == 0
    lost = failed(run)
    assert set(lost.values()) <= {"server_died"}
    assert len(lost) <= CONCURRENCY * engine_kills
    assert main([*go_on(table), "--retry-failed"]) == 0
    quiet = bench(tmp_path / "quiet", extra=("--token-rate", "2000"))
    assert main(quiet.argv("undisturbed", *WORK)) == 0
    killed, undisturbed = finished(run), finished(quiet.home / "undisturbed")
    assert set(killed) == set(undisturbed)
    assert set(killed.values()) == {1}


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    table = bench(tmp_path, extra=("--token-rate", "20"))
    first = start(go_on(table))
    try:
        assert wait_until((table.home / "killed" / "records.jsonl").exists, 30)
        second = start(go_on(table))
        _, said = second.communicate(timeout=60)
        assert second.returncode == 2
        assert "another process is writing" in said
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=30)
    assert wait_until(lambda: not engines_of(table.home), 15)


def test_a_second_interruption_ends_at_once_and_leaves_no_engine(tmp_path: Path) -> None:
    table = bench(tmp_path, extra=("--token-rate", "5"))
    process = start(go_on(table))
    assert wait_until(lambda: bool(engines_of(table.home)), 60)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert wait_until(lambda: not engines_of(table.home), 15)
