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
from tests.integration.running import Bench, bench
from tts_compare.domain import RequestRecord
from tts_compare.rundir import store
from tts_compare.rundir.parts import part_of, read_parts

REQUESTS = 12
#: Each setting starts in each of two rounds, and takes half of the problems in each.
FLAGS = ("--backend=vllm,sglang", "--dataset=quickstart", "--rounds=2", "--budget=64", "--device=cpu")


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
    cluster.wait(lambda: not cluster.jobs(), 110)


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
