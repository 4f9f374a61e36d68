"""The Slurm allocation that we run in, by Slurm's own words: its nodes, and what of each is ours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tts_compare.errors import UsageError

ANSWER_S = 60.0
#: Step ids from here on are Slurm's own: the batch script, an interactive shell, external processes.
_OWN_STEPS = 0xFFFF_FFF0
_SHARE = re.compile(r"\bNodes=(\S+) CPU_IDs=(\S*) Mem=(\d+) GRES=(\S*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What of one node is allocated: processors as Slurm counts them, GPUs, bytes of memory (None: all of it)."""

    node: str
    processors: int
    gpus: int = 0
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """One job. own: the name of the node we are on, None outside the allocation's nodes (a login node).

    in_step: we are a step of the job ourselves, so that other steps wait for us unless they overlap.
    """

    job: str
    partition: str
    shares: tuple[Share, ...]
    own: str | None = None
    in_step: bool = False


def read_allocation(environ: Mapping[str, str] = os.environ) -> Allocation:
    """The allocation that the environment names. Raises UsageError outside of one, and where Slurm does not answer."""
    job = environ.get("SLURM_JOB_ID")
    if not job:
        raise UsageError(
            "--launcher slurm works inside an allocation, and SLURM_JOB_ID is not set: start from a batch script "
            "(sbatch) or in a shell of salloc"
        )
    if shutil.which("srun", path=environ.get("PATH")) is None:
        raise UsageError("--launcher slurm needs srun and scontrol, which are not on PATH: load Slurm's module")
    told = _ask("scontrol", "show", "job", "--details", "--oneliner", job, environ=environ)
    listed = {names for names, *_ in _SHARE.findall(told)}
    hosts = {names: _ask("scontrol", "show", "hostnames", names, environ=environ).split() for names in listed}
    step = environ.get("SLURM_STEP_ID", "")
    return Allocation(
        job=job,
        partition=_word(told, "Partition"),
        shares=shares_in(told, hosts),
        own=environ.get("SLURMD_NODENAME"),
        in_step=step.isdigit() and int(step) < _OWN_STEPS,
    )


def node_address(node: str, environ: Mapping[str, str] = os.environ) -> str:
    """The address, or the host name, by which Slurm itself reaches a node."""
    return _word(_ask("scontrol", "show", "node", "--oneliner", node, environ=environ), "NodeAddr") or node


def shares_in(told: str, hosts: Mapping[str, list[str]]) -> tuple[Share, ...]:
    """The shares that ``scontrol show job --details --oneliner`` tells. hosts: the nodes that each list names.

    Raises UsageError where it tells none, as of a job that waits or has ended.
    """
    found = [
        Share(
            node=node,
            processors=_how_many(processors),
            gpus=gpus_in(gres),
            memory_bytes=int(memory) << 20 if int(memory) else None,
        )
        for names, processors, memory, gres in _SHARE.findall(told)
        for node in hosts[names]
    ]
    if not found:
        raise UsageError(f"the job holds no nodes: Slurm calls it {_word(told, 'JobState') or 'unknown'}")
    return tuple(found)


def gpus_in(gres: str) -> int:
    """GPUs in ``gpu:h100:2(IDX:0-1),gpu:a100:1``; 0 where other resources alone are named."""
    return sum(int(count) for count in re.findall(r"(?:^|,)gpu(?::[^:,(]+)?:(\d+)", gres))


def _how_many(ids: str) -> int:
    """Ids in ``0-3,8``."""
    spans = (span.partition("-") for span in ids.split(",") if span)
    return sum(int(last or first) - int(first) + 1 for first, _, last in spans)


def _word(told: str, name: str) -> str:
    match = re.search(rf"\b{name}=(\S+)", told)
    return match[1] if match else ""


def _ask(*argv: str, environ: Mapping[str, str]) -> str:
    """What a command of Slurm's says. Raises UsageError with its own words where it fails."""
    try:
        done = subprocess.run(
            argv,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"Slurm does not answer: {error}") from None
    if done.returncode:
        raise UsageError(f"{' '.join(argv[:3])}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout
