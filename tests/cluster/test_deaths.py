"""Whatever ends a server over two nodes, nothing of it is left on any, and its end is called what it was."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.cluster import head
from tests.cluster.conftest import allocated
from tests.cluster.private import CPUS, Cluster
from tests.cluster.trees import GONE_S, Roles, kill, nothing_left, roles_of, start_tree
from tests.integration.launching import alive, until, with_marker

ROOT = Path(__file__).parents[2]


@pytest.fixture
def marker(monkeypatch: pytest.MonkeyPatch) -> str:
    """In the environment of every process that the test starts."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("TTS_TEST_MARKER", value)
    return value


@pytest.fixture
def job(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A job that holds both nodes, and the variables by which the launcher finds it."""
    with allocated(cluster, "-N2", "-n2", f"-c{CPUS}") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield variables["SLURM_JOB_ID"]


#: What is done to a server, and what its end is then: its own, or the cluster's doing.
DEATHS: dict[str, tuple[Callable[[Roles, Cluster], object], str]] = {
    "the head's engine is killed": (lambda who, _: kill(who.engine[0]), "died"),
    "the other node's engine is killed": (lambda who, _: kill(who.engine[1]), "died"),
    "the other node's supervisor is killed": (lambda who, _: kill(who.supervisor[1]), "died"),
    "the head node's supervisor is killed": (lambda who, _: kill(who.supervisor[0]), "died"),
    "the other node's guard is killed": (lambda who, _: kill(who.guard[1]), "died"),
    "srun is killed": (lambda who, _: kill(who.srun), "lost"),
    "slurmstepd is killed": (lambda who, _: kill(who.slurmstepd[1]), "lost"),
    "the step is cancelled": (lambda who, cluster: cluster.run("scancel", who.step), "lost"),
    "the step is killed": (lambda who, cluster: cluster.run("scancel", "-s", "KILL", who.step), "lost"),
    "the job is cancelled": (lambda who, cluster: cluster.run("scancel", who.step.partition(".")[0]), "lost"),
}


#: Slurm sends SIGTERM to the engine too: where that is seen before Slurm's own word, the end is called the engine's.
RACES = ("the job is cancelled",)


@pytest.mark.parametrize(
    "death", [pytest.param(name, marks=[pytest.mark.many_starts] * (name in RACES)) for name in DEATHS]
)
def test_nothing_is_left_of_a_server_and_its_end_is_called_what_it_was(
    death: str, cluster: Cluster, job: str, marker: str, tmp_path: Path
) -> None:
    happens, called = DEATHS[death]
    server = start_tree(tmp_path)
    who = roles_of(server)
    assert server.died() is None
    assert server.lost() is None
    assert len(server.processes()) >= 6
    happens(who, cluster)
    assert until(lambda: bool(server.died() or server.lost())), "nobody noticed"
    told = {"died": server.died(), "lost": server.lost()}
    assert told.pop(called), told
    assert list(told.values()) == [None], told
    srun = {server._step.process.pid, *(child.pid for child in psutil.Process().children(recursive=True))}
    assert until(lambda: not set(with_marker(marker)) - srun, GONE_S), "nobody was asked to stop it"
    asyncio.run(server.stop())
    assert nothing_left(marker, tmp_path, who.engine) == []


def test_a_part_that_ended_names_its_node_and_its_status(job: str, marker: str, tmp_path: Path) -> None:
    server = start_tree(tmp_path)
    who = roles_of(server)
    kill(who.engine[1], number=signal.SIGSEGV)
    assert until(lambda: server.died() is not None)
    cause = server.died() or ""
    asyncio.run(server.stop())
    assert cause.startswith("node 1 (n2) of the server ended with signal 11 (segmentation fault)")
    assert nothing_left(marker, tmp_path, who.engine) == []


def test_the_end_of_a_part_is_known_from_the_instant_at_which_it_was_noticed(
    job: str, marker: str, tmp_path: Path
) -> None:
    server = start_tree(tmp_path)
    kill(roles_of(server).engine[1])
    assert until(lambda: server.died() is not None)
    ended = server._step.control.first_end
    assert ended is not None
    assert server.died(by_ns=ended.at_ns - 1) is None, "an answer that was whole before stands"
    assert server.died(by_ns=ended.at_ns) == server.died()
    asyncio.run(server.stop())


def test_a_server_whose_srun_is_gone_altogether_serves_on_and_is_ended_by_a_stop(
    job: str, marker: str, tmp_path: Path
) -> None:
    server = start_tree(tmp_path)
    who = roles_of(server)
    kill(who.shepherd, who.srun)  # in this order: the helper, left alone, ends the step
    assert not until(lambda: bool(server.died() or server.lost()), 2.0)
    assert all(map(alive, who.engine)), "the connections are what holds it"
    asyncio.run(server.stop())
    assert nothing_left(marker, tmp_path, who.engine) == []


def test_signals_that_slurm_sends_before_a_time_limit_end_nothing(
    cluster: Cluster, job: str, marker: str, tmp_path: Path
) -> None:
    server = start_tree(tmp_path)
    who = roles_of(server)
    for number in ("USR1", "USR2"):
        cluster.run("scancel", "-s", number, who.step)
    assert not until(lambda: not all(map(alive, (*who.engine, *who.supervisor, *who.guard))), 1.0)
    assert (server.died(), server.lost()) == (None, None)
    asyncio.run(server.stop())
    assert nothing_left(marker, tmp_path, who.engine) == []


def test_a_server_that_is_stopped_leaves_a_log_for_each_node_and_nothing_else(
    job: str, marker: str, tmp_path: Path
) -> None:
    server = start_tree(tmp_path)
    engines = roles_of(server).engine
    asyncio.run(server.stop())
    assert (server.died(), server.lost()) == (None, None)
    assert nothing_left(marker, tmp_path, engines) == []
    assert [log.name for log in server.logs] == ["tree.node0.log", "tree.node1.log"]
    assert all(log.stat().st_mode & 0o777 == 0o600 for log in server.logs)
    assert server.hosts == ("n1", "n2")


def run_head(directory: Path) -> tuple[subprocess.Popen[bytes], Roles]:
    """The program as a process of its own, in our environment's job, once its server is ready."""
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", head.__name__, str(directory)]
    with (directory / "head.log").open("wb") as log:
        process = subprocess.Popen(argv, env=environ, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    return process, roles_in(directory)


def roles_in(directory: Path) -> Roles:
    """Who is who, as the program wrote it down."""
    ready = directory / "roles.json"
    assert until(ready.exists, 60), (directory / "head.log").read_text()
    return msgspec.json.decode(ready.read_bytes(), type=Roles)


@pytest.mark.parametrize("others", [(), ("srun",), ("srun", "shepherd")], ids="+".join)
def test_nothing_outlives_a_head_that_is_killed(others: tuple[str, ...], job: str, marker: str, tmp_path: Path) -> None:
    process, who = run_head(tmp_path)
    kill(process.pid, *(getattr(who, name) for name in others))
    process.wait()
    assert until(lambda: not with_marker(marker), GONE_S)
    # Without srun's parent its shepherd ends the step by SIGKILL: what that leaves in shared memory, the next removes.
    server = start_tree(tmp_path)
    engines = roles_of(server).engine
    asyncio.run(server.stop())
    assert nothing_left(marker, tmp_path, (*who.engine, *engines)) == []


def test_a_head_that_is_told_to_end_stops_its_server_in_order(job: str, marker: str, tmp_path: Path) -> None:
    process, who = run_head(tmp_path)
    process.terminate()
    assert process.wait(60) == 0
    assert nothing_left(marker, tmp_path, who.engine) == []


def batch(cluster: Cluster, directory: Path, *options: str) -> str:
    """The program as a batch job over both nodes; its id."""
    script = directory / "job.sbatch"
    script.write_text(f"#!/bin/bash\nexec {sys.executable} -m {head.__name__} {directory}\n")
    common = ("-N2", "-n2", f"-c{CPUS}", f"--chdir={ROOT}", f"--output={directory}/head.log", "--open-mode=append")
    environ = {"TTS_TEST_MARKER": os.environ["TTS_TEST_MARKER"], "PYTHONPATH": str(ROOT)}
    return cluster.run("sbatch", "--parsable", *common, *options, str(script), environ=environ).stdout.strip()


def test_nothing_is_left_of_a_batch_job_that_is_cancelled(cluster: Cluster, marker: str, tmp_path: Path) -> None:
    job = batch(cluster, tmp_path)
    who = roles_in(tmp_path)
    cluster.cancel(job)
    assert nothing_left(marker, tmp_path, who.engine) == []


def test_a_job_that_is_preempted_leaves_nothing_and_runs_again(cluster: Cluster, marker: str, tmp_path: Path) -> None:
    job = batch(cluster, tmp_path, "--partition=gpu", "--requeue")
    first = roles_in(tmp_path)
    (tmp_path / "roles.json").unlink()
    urgent = cluster.run("srun", "--partition=urgent", "-N2", "-n2", f"-c{CPUS}", "true", check=False)
    assert urgent.returncode == 0, urgent.stderr
    assert until(lambda: not any(map(alive, (*first.engine, *first.supervisor, *first.guard))), 15)
    cluster.run("scontrol", "release", job, check=False)
    cluster.cancel(job)
    assert nothing_left(marker, tmp_path, first.engine) == []


@pytest.mark.many_starts
@pytest.mark.timeout(300)
def test_a_job_whose_time_is_over_leaves_nothing(cluster: Cluster, marker: str, tmp_path: Path) -> None:
    job = batch(cluster, tmp_path, "--time=1")
    who = roles_in(tmp_path)
    cluster.wait(lambda: job not in cluster.jobs(), 200)
    assert nothing_left(marker, tmp_path, who.engine) == []


def test_a_node_whose_slurmd_is_killed_is_left_clean_by_a_stop(
    cluster: Cluster, marker: str, job: str, tmp_path: Path
) -> None:
    server = start_tree(tmp_path)
    who = roles_of(server)
    daemon = cluster.daemons["n2"]
    daemon.kill()
    daemon.wait()
    try:
        assert server.died() is None, "the step does not need slurmd to go on"
        asyncio.run(server.stop())
        assert nothing_left(marker, tmp_path, who.engine) == []
    finally:
        cluster.start_node("n2")
