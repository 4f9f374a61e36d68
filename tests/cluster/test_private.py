"""The private cluster is one: jobs, arrays, two nodes, devices of their own."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.private import NODES, Cluster


def test_a_step_over_both_nodes_has_a_rank_and_devices_on_each(cluster: Cluster) -> None:
    told = "echo $SLURMD_NODENAME $SLURM_PROCID $CUDA_VISIBLE_DEVICES"
    said = cluster.run("srun", "-N2", "-n2", "--ntasks-per-node=1", "--gres=gpu:2", "bash", "-c", told).stdout
    assert sorted(line.split() for line in said.splitlines()) == [["n1", "0", "0,1"], ["n2", "1", "0,1"]]


def test_tasks_of_an_array_run_and_leave_what_they_wrote(cluster: Cluster, tmp_path: Path) -> None:
    script = tmp_path / "job.sbatch"
    script.write_text("#!/bin/bash\necho task $SLURM_ARRAY_TASK_ID\n")
    cluster.run("sbatch", "--wait", "--array=0-2", f"--output={tmp_path}/%a.out", str(script))
    assert [(tmp_path / f"{task}.out").read_text() for task in range(3)] == [f"task {task}\n" for task in range(3)]


def test_an_allocation_without_a_command_is_cancelled_and_gone(cluster: Cluster) -> None:
    job = cluster.allocate("-N2", "-n2")
    assert job in cluster.jobs()
    cluster.cancel(job)
    assert job not in cluster.jobs()
    cluster.wait(lambda: cluster.states() == dict.fromkeys(NODES, "idle"), 30)
