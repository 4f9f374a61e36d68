"""The srun command lines of steps, and their environment. Pure. Written for Slurm 22.05 and later.

Each option that is not plain from ``man srun``, and why it is there:

- ``--exact`` lets several steps run at once, each on processors and GPUs of its own. ``--mem=0``: another step would
  wait for the memory. ``--cpus-per-task`` is always said: releases differ in whether a step inherits the job's.
- ``--overlap`` only where we are a step ourselves: steps that overlap are given the same GPUs.
- ``--kill-on-bad-exit`` and ``--wait``: a second net below the control connection; the first does not see exit 0.
- ``--ntasks`` is said because a task count in the environment would go before the nodes' number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tts_compare.launchers.allocation import Allocation

#: Of Slurm's variables those that say where Slurm is. The others would be read as options of srun.
_KEPT = ("SLURM_CONF", "SLURM_JOB_ID", "SLURM_CLUSTER_NAME", "SLURM_WORKING_CLUSTER", "SLURM_CLUSTERS")
_WAIT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a step is given: its nodes by name, and on each of them processors and GPUs."""

    nodes: tuple[str, ...]
    processors: int
    gpus: int = 0


def server_step(allocation: Allocation, shape: Shape, program: Sequence[str]) -> tuple[str, ...]:
    """The command line of a step that runs ``program`` once on each node of its shape."""
    own = ("--overlap",) if allocation.in_step else ()
    gpus = f"--gres=gpu:{shape.gpus}" if shape.gpus else "--gres=none"
    asked = (f"--cpus-per-task={shape.processors}", "--exact", *own, gpus)
    return (*_on(allocation, shape.nodes), *asked, *program)


def short_step(allocation: Allocation, nodes: Sequence[str], program: Sequence[str]) -> tuple[str, ...]:
    """The command line of a short step beside whatever runs on the nodes; it sees all of the job's GPUs."""
    return (*_on(allocation, nodes), "--overlap", *program)


def _on(allocation: Allocation, nodes: Sequence[str]) -> tuple[str, ...]:
    return (
        "srun",
        f"--jobid={allocation.job}",
        "--job-name=tts-compare",
        f"--nodes={len(nodes)}",
        f"--ntasks={len(nodes)}",
        "--ntasks-per-node=1",
        f"--nodelist={','.join(nodes)}",
        "--mem=0",
        "--input=none",
        "--kill-on-bad-exit=1",
        f"--wait={_WAIT_S}",
    )


def step_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for srun: without what it reads as options, and without keys, for it gives all to every task."""
    return {
        name: value
        for name, value in environ.items()
        if not name.endswith("_API_KEY") and (name in _KEPT or not name.startswith(("SLURM_", "SRUN_", "SBATCH_")))
    }
