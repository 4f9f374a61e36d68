"""The whole program inside an allocation, with stand-ins for engines: what a run says of its nodes and their ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.conftest import allocated
from tests.cluster.private import CPUS, Cluster
from tests.cluster.trees import place_in, setting_over
from tests.integration.launching import until
from tests.integration.running import Bench, bench, rows_of
from tts_compare.launchers import LAUNCHERS
from tts_compare.launchers.slurm import SlurmServer
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.store import RunDir, read_manifest

SLOW = ("--token-rate", "40")
OVER_TWO = ("--launcher=slurm", "--backend=sglang", "--tp=2", "--nodes-per-server=2", "--budget=64", "--quiet")


@pytest.fixture
def variables(cluster: Cluster) -> Iterator[dict[str, str]]:
    """By which the program finds a job over both nodes. It stands where a batch script does: on the first node."""
    with allocated(cluster, "-N2", "-n2", f"-c{CPUS}", "--gres=gpu:2") as found:
        yield found | {"SLURMD_NODENAME": "n1"}


@pytest.fixture
def slow(tmp_path: Path) -> Bench:
    """Stand-ins that take about a second an answer."""
    return bench(tmp_path, extra=SLOW)


def start(there: Bench, variables: dict[str, str], out: str, *flags: str) -> subprocess.Popen[str]:
    """The program with these flags."""
    argv = [sys.executable, "-m", "tts_compare", *there.argv(out, *flags)]
    return subprocess.Popen(argv, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit status and all that it said."""
    out, err = process.communicate(timeout=100)
    return process.returncode, out + err


def manifest_of(there: Bench, out: str) -> Manifest:
    """What the run says of itself."""
    return read_manifest(RunDir(there.home / out))


def engines_on(there: Bench, rank: int) -> list[int]:
    """Process ids of the stand-in's part with this rank."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if (
                "sglang.launch_server" in words
                and str(there.model) in words
                and words[words.index("--node-rank") + 1] == str(rank)
            ):
                found.append(int(process.name))
    return found


def test_a_run_over_two_nodes_says_where_it_ran_and_skips_what_does_not_fit(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    there = bench(tmp_path)
    flags = ("--launcher=slurm", "--backend=vllm,sglang", "--tp=1,2", "--budget=16", "--problems=3", "--quiet")
    code, said = finished(start(there, variables, "run", *flags, "--pp=1,8"))
    assert code == 0, said
    found = manifest_of(there, "run")
    assert (found.machine.partition, found.machine.job) == ("gpu", variables["SLURM_JOB_ID"])
    assert [(node.name, node.cores) for node in found.machine.nodes] == [("n1", CPUS - 1), ("n2", CPUS)]
    assert {setting.hosts for setting in found.settings.values()} == {("n1",)}
    assert len(found.settings) == 4
    reasons = {skipped.setting: skipped.reason for skipped in found.left_out}
    assert reasons, "eight stages fit nowhere"
    assert all("pp8" in setting for setting in reasons)
    assert {row.ok for row in rows_of(there.home / "run") if row.phase == "measured"} == {True}


def test_a_part_that_dies_between_requests_is_noticed_before_the_next_one_counts(
    slow: Bench, variables: dict[str, str]
) -> None:
    process = start(slow, variables, "run", *OVER_TWO, "--problems=8", "--request-rate=0.5")
    records = slow.home / "run" / "records.jsonl"
    assert until(lambda: records.exists() and any(row.phase == "measured" for row in rows_of(slow.home / "run")), 60)
    part = engines_on(slow, 1)
    assert len(part) == 1
    killed_ns = time.monotonic_ns()
    os.kill(part[0], 9)
    code, said = finished(process)
    found = manifest_of(slow, "run")
    (death,) = found.deaths
    assert death.cause.startswith("node 1 (n2) of the server ended with"), said
    (facts,) = found.settings.values()
    assert len(facts.startup_s) == 2, "it was started again"
    again_ns = killed_ns + int(min(facts.startup_s) * 1e9 * 0.5)
    between = [row for row in rows_of(slow.home / "run") if row.sent_ns and killed_ns < row.sent_ns < again_ns]
    assert not any(row.ok for row in between)
    logs = sorted(path.name for path in (slow.home / "run" / "servers").glob("*.node*.log"))
    assert [name.rpartition(".node")[2] for name in logs] == ["0.log", "1.log"]
    assert code in (0, 1)


def test_a_step_that_slurm_takes_away_is_not_measured_and_the_run_can_be_resumed(
    slow: Bench, cluster: Cluster, variables: dict[str, str]
) -> None:
    process = start(slow, variables, "run", *OVER_TWO, "--problems=6")
    run = slow.home / "run"
    assert until(lambda: (run / "records.jsonl").exists() and any(r.phase == "measured" for r in rows_of(run)), 60)
    steps = cluster.run("squeue", "--steps", "--noheader", "--format=%i").stdout.split()
    cluster.run("scancel", *[step for step in steps if step.rpartition(".")[2].isdigit()])
    code, said = finished(process)
    assert code == 1, said
    found = manifest_of(slow, "run")
    assert (found.state, found.deaths, found.failed) == ("stopped", (), ()), said
    kinds = {row.error.kind for row in rows_of(run) if row.error}
    assert kinds <= {"cancelled"}
    code, said = finished(start(slow, variables, "run", *OVER_TWO, "--problems=6", f"--resume={run}"))
    assert code == 0, said
    answered = [row.problem for row in rows_of(run) if row.ok and row.phase == "measured"]
    assert len(answered) == len(set(answered)) == 6


def test_a_warning_that_slurm_sends_to_all_processes_ends_no_run(slow: Bench, variables: dict[str, str]) -> None:
    process = start(slow, variables, "run", *OVER_TWO, "--problems=3")
    run = slow.home / "run"
    assert until(lambda: (run / "records.jsonl").exists() and any(r.phase == "measured" for r in rows_of(run)), 60)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        process.send_signal(number)
    code, said = finished(process)
    assert code == 0, said


def test_servers_side_by_side_get_devices_of_their_own_by_slurms_choice(
    tmp_path: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    launcher, setting = LAUNCHERS["slurm"], replace(setting_over(1), device="cuda")
    machine = launcher.machine("cuda")
    assert (machine.device, machine.devices) == ("cuda", 4)
    assert launcher.lanes((setting,), machine, asked=9) == 4

    async def both() -> list[tuple[str, str | None, tuple[int, ...]]]:
        places = [
            replace(place_in(tmp_path), machine=machine, lane=lane, log_path=tmp_path / f"{lane}.log")
            for lane in range(3)
        ]
        servers = await asyncio.gather(*(launcher.start(setting, place) for place in places))
        try:
            found = []
            for server in servers:
                assert isinstance(server, SlurmServer)
                hello = server._step.control.hellos[0]
                found.append((hello.node, hello.devices, tuple(server.processes())))
            return found
        finally:
            await asyncio.gather(*(server.stop() for server in servers))

    found = asyncio.run(both())
    assert sorted((node, devices) for node, devices, _ in found)[:2] == [("n1", "0"), ("n1", "1")]
    assert [node for node, _, _ in found] == ["n1", "n1", "n2"]


def test_outside_of_an_allocation_the_program_says_how_to_get_one(tmp_path: Path) -> None:
    there = bench(tmp_path)
    code, said = finished(start(there, {"SLURM_JOB_ID": ""}, "run", "--launcher=slurm", "--budget=8"))
    assert code == 2
    assert "sbatch" in said
