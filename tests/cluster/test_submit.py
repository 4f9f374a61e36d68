"""One experiment as the jobs of a cluster, with stand-ins for engines: submitted, stopped, resumed, cancelled, read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import private
from tests.cluster.conftest import private_cluster
from tests.cluster.private import Cluster
from tests.integration.running import Bench, bench, engines_of
from tts_compare.domain import RequestRecord
from tts_compare.rundir import store
from tts_compare.rundir.parts import part_of, read_parts, words_of

#: Each setting starts in each of two rounds, and takes half of the problems in each.
FLAGS = ("--backend=vllm,sglang", "--dataset=quickstart", "--rounds=2", "--budget=64", "--device=cpu")


pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _ends(cluster: Cluster) -> Iterator[None]:
    """No test leaves a job to the next."""
    yield
    cluster.cancel()


@pytest.fixture
def stand(tmp_path: Path) -> Bench:
    """Stand-in engines in a directory with spaces in its path."""
    return bench(tmp_path / "a place with spaces")


def program(cluster: Cluster, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tts_compare", *words],
        env=cluster.environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr + done.stdout
    return done


def submitted(cluster: Cluster, stand: Bench, *flags: str) -> Path:
    argv = stand.argv("run", *FLAGS, "--time=10:00", "--no-check", *flags)
    program(cluster, "submit", *argv)
    return stand.home / "run"


def measured(run: Path) -> Counter[tuple[object, ...]]:
    """Attempts that ended well, by what they answer."""
    rows = [
        row
        for task in read_parts(run).tasks
        for row in store.read_rows(part_of(run, task.name).records, RequestRecord)
        if row.phase == "measured" and row.ok
    ]
    return Counter((row.setting, row.problem, row.round) for row in rows)


def until_over(cluster: Cluster) -> None:
    cluster.wait(lambda: not cluster.jobs(), 250)


def report(cluster: Cluster, run: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(program(cluster, "report", str(run), "--format=json").stdout)
    return found


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Two nodes as large as those of the paper: four GPUs, and processors enough."""
    wide = private.SLURM_CONF.replace("Gres=gpu:h100:2", "Gres=gpu:h100:4")
    monkeypatch.setattr(private, "SLURM_CONF", wide)
    monkeypatch.setattr(private, "CPUS", 72)
    files = ("null", "zero", "full", "random")
    monkeypatch.setattr(private, "GRES_CONF", "".join(f"Name=gpu Type=h100 File=/dev/{name}\n" for name in files))
    with private_cluster() as made:
        yield made


@pytest.mark.parametrize("how", ["requeue", "chain", "stop"])
def test_the_file_of_the_paper_is_accepted_and_clean(large: Cluster, tmp_path: Path, how: str) -> None:
    out = tmp_path / "runs with a space" / "paper's"
    (out / "jobs").mkdir(parents=True)
    argv = ["--config=paper", "--machine=4xGH200-96", f"--out={out}", "--sbatch=comment=mine", f"--on-preempt={how}"]
    file = tmp_path / "job.sbatch"
    file.write_text(program(large, "submit", "--dry-run", *argv).stdout)
    large.run("sbatch", "--test-only", str(file))
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: `make cluster-packages` installs it as root on Debian")
    assert subprocess.run(["shellcheck", str(file)], check=False, capture_output=True, text=True).stdout == ""


def test_jobs_measure_one_experiment_that_is_read_as_one(cluster: Cluster, stand: Bench) -> None:
    run = submitted(cluster, stand)
    until_over(cluster)
    counts = measured(run)
    assert set(counts.values()) == {1}
    problems = {(problem, number) for _, problem, number in counts}
    assert len(counts) == 2 * len(problems) > 0
    found = report(cluster, run)
    assert {row["n"] for row in found["points"]} == {len(problems)}  # type: ignore[attr-defined]
    assert all(row["setting"].startswith(("vllm/", "sglang/")) for row in found["points"])  # type: ignore[attr-defined]
    codes = {warning["code"] for warning in found["doubts"]}  # type: ignore[attr-defined]
    assert "jobs_held" in codes
    assert not codes & {"parts_missing", "parts_unfinished", "parts_set_aside", "parts_differ", "rounds_missing"}
    status = program(cluster, "status", str(run))
    assert status.stdout.count(" done ") == len(read_parts(run).tasks)


def words(run: Path) -> Iterator[str]:
    """Why attempts ended, of all tasks."""
    for task in read_parts(run).tasks:
        yield from (word.why for word in words_of(run, task.name) if word.event == "end")


def until_it_sends(cluster: Cluster, run: Path, least: int = 3) -> None:
    cluster.wait(lambda: sum(measured(run).values()) >= least, 60)


@pytest.fixture
def slow(tmp_path: Path) -> Bench:
    """Stand-in engines that take their time, so that a task can be met in the middle."""
    return bench(tmp_path / "slow", extra=("--token-rate", "150"))


@pytest.mark.slow  # Slurm holds a job that was queued again for two minutes
def test_a_preempted_task_is_requeued_and_nothing_is_measured_twice(cluster: Cluster, slow: Bench) -> None:
    run = submitted(cluster, slow)
    until_it_sends(cluster, run)
    (job,) = {job.partition("_")[0] for job in cluster.jobs()}
    cluster.run("scancel", "--signal=USR2", "--batch", f"{job}_0")
    cluster.wait(lambda: "requeued" in words(run), 30)
    until_over(cluster)
    assert set(measured(run).values()) == {1}
    assert Counter(words(run)) == {"requeued": 1, "done": len(read_parts(run).tasks)}


def test_a_task_whose_job_was_killed_is_missing_until_it_is_submitted_again(cluster: Cluster, slow: Bench) -> None:
    run = submitted(cluster, slow, "--on-preempt=stop")
    until_it_sends(cluster, run)
    job = cluster.jobs()[0].partition("_")[0]
    cluster.run("scancel", "--signal=USR2", "--batch", f"{job}_0")
    until_over(cluster)
    found = report(cluster, run)
    assert "parts_unfinished" in {warning["code"] for warning in found["doubts"]}  # type: ignore[attr-defined]
    status = program(cluster, "status", str(run), check=False)
    assert status.returncode == 1
    assert "interrupted" in status.stdout
    assert "submit --resume" in status.stderr
    program(cluster, "submit", "--resume", str(run))
    until_over(cluster)
    assert set(measured(run).values()) == {1}
    codes = {warning["code"] for warning in report(cluster, run)["doubts"]}  # type: ignore[attr-defined]
    assert not codes & {"parts_missing", "parts_unfinished", "rounds_missing", "left_out"}
    assert "nothing to submit" in program(cluster, "submit", "--resume", str(run)).stderr


def test_a_successor_goes_on_where_a_stopped_job_ended_and_none_follows_a_job_that_ended_well(
    cluster: Cluster, slow: Bench
) -> None:
    run = submitted(cluster, slow, "--on-preempt=chain")
    until_it_sends(cluster, run)
    first = min(word.job for task in read_parts(run).tasks for word in words_of(run, task.name))
    cluster.run("scancel", "--signal=USR2", "--batch", first)
    until_over(cluster)
    assert set(measured(run).values()) == {1}
    assert Counter(words(run)) == {"interrupted": 1, "done": len(read_parts(run).tasks)}


def test_cancel_leaves_no_job_no_writer_and_no_engine(cluster: Cluster, slow: Bench) -> None:
    run = submitted(cluster, slow)
    until_it_sends(cluster, run)
    assert engines_of(slow.home)
    said = program(cluster, "cancel", str(run)).stderr
    assert "no job and no writer is left" in said
    assert cluster.jobs() == []
    cluster.wait(lambda: not engines_of(slow.home), 15)
    kept = measured(run)
    assert kept
    assert set(kept.values()) == {1}


@pytest.mark.slow
def test_a_task_that_uses_up_its_attempts_is_given_up(cluster: Cluster, slow: Bench) -> None:
    run = submitted(cluster, slow, "--on-preempt=chain", "--max-attempts=1")
    until_it_sends(cluster, run)
    first = min(word.job for task in read_parts(run).tasks for word in words_of(run, task.name))
    cluster.run("scancel", "--signal=USR2", "--batch", first)
    until_over(cluster)
    assert Counter(words(run)) == {"interrupted": 1, "given up": 1, "done": len(read_parts(run).tasks) - 1}
    assert "given up" in program(cluster, "status", str(run), check=False).stdout
