"""Servers of stand-in processes over both nodes, and finding every process and file that belongs to one."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.cluster import tree
from tests.integration.launching import until, with_marker
from tts_compare.domain import Setting
from tts_compare.launchers import LAUNCHERS, Place
from tts_compare.launchers.slurm import SlurmServer

GONE_S = 15.0
TREE = f"""#!/bin/sh
exec {sys.executable} {tree.__file__} "$@"
"""


def place_in(directory: Path, **changes: object) -> Place:
    """Where a stand-in runs; its logs are in ``directory``."""
    python = directory / "python"
    if not python.exists():
        python.write_text(TREE)
        python.chmod(0o755)
    machine = LAUNCHERS["slurm"].machine("cpu")
    return Place(log_path=directory / "servers" / "tree.log", python=str(python), machine=machine, deadline_s=60)


def setting_over(nodes: int) -> Setting:
    """A rank a node."""
    return Setting(backend="vllm", model="tree", tensor_parallel=nodes, nodes=nodes, max_model_len=2048)


def start_tree(directory: Path, nodes: int = 2) -> SlurmServer:
    """A ready server; its processes carry TTS_TEST_MARKER of our environment."""
    server = asyncio.run(LAUNCHERS["slurm"].start(setting_over(nodes), place_in(directory)))
    assert isinstance(server, SlurmServer)
    return server


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who is who in a server over two nodes, by process id; the tasks' by rank."""

    srun: int
    shepherd: int
    step: str
    engine: tuple[int, ...]
    supervisor: tuple[int, ...]
    guard: tuple[int, ...]
    slurmstepd: tuple[int, ...]


def roles_of(server: SlurmServer) -> Roles:
    """As they are now."""
    step = server._step
    started = [step.control.started[rank] for rank in sorted(step.control.started)]
    guards = [psutil.Process(pids[1]).ppid() for pids in started]
    return Roles(
        srun=step.process.pid,
        shepherd=psutil.Process(step.process.pid).children()[0].pid,
        step=step.control.hellos[0].step,
        engine=tuple(pids[0] for pids in started),
        supervisor=tuple(pids[1] for pids in started),
        guard=tuple(guards),
        slurmstepd=tuple(psutil.Process(guard).ppid() for guard in guards),
    )


def left_of(marker: str, directory: Path, engines: tuple[int, ...] = ()) -> list[str]:
    """What is still there of a server: processes, shared memory, the file of its keys."""
    found = [f"process {pid} {_words(pid)}" for pid in with_marker(marker)]
    found += [str(path) for pid in engines for path in Path("/dev/shm").glob(f"vllm_dist_{pid}")]
    return found + [str(path) for path in directory.rglob("*.key")]


def nothing_left(marker: str, directory: Path, engines: tuple[int, ...] = ()) -> list[str]:
    """What is left after 15 s, if anything."""
    until(lambda: not left_of(marker, directory, engines), GONE_S)
    return left_of(marker, directory, engines)


def _words(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())[:120]
    except psutil.Error:
        return "(gone)"


def kill(*pids: int, number: int = 9) -> None:
    """Send a signal to each, at once."""
    for pid in pids:
        os.kill(pid, number)
