"""What this machine is: cores, memory, GPUs."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Literal

from tts_compare.backends import Machine, Node
from tts_compare.machine.gpus import Gpus, find_gpus
from tts_compare.rundir.facts import MachineRow, NodeRow

FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def probe_machine(
    device: Literal["auto", "cpu", "cuda"] = "auto", *, nvml: Any = None, root: Path = Path("/")
) -> Machine:
    """The machine as engines will find it; ``auto`` is ``cuda`` where a GPU answers.

    nvml: the pynvml module or a fake of it; imported where not given. root: of /proc and /sys.
    """
    gpus = find_gpus(nvml) if device != "cpu" else Gpus()
    cores = usable_cores(root)
    on_gpu = device == "cuda" or bool(gpus.visible)
    return Machine(
        device="cuda" if on_gpu else "cpu",
        devices=len(gpus.visible) if on_gpu else len(cores),
        memory_bytes=memory_bytes(root),
        cores=cores,
        cpu_model=_cpu_line(root, "model name") or platform.processor() or platform.machine(),
        features=tuple(f for f in FEATURES if f in _cpu_line(root, "flags").split()),
        gpu_names=tuple(gpu.name for gpu in gpus.visible),
        gpu_memory_bytes=min((gpu.memory_bytes for gpu in gpus.visible if gpu.memory_bytes), default=None),
        driver=gpus.driver,
    )


def usable_cores(root: Path = Path("/")) -> tuple[int, ...]:
    """Ids of the cores we may run on: the affinity mask, cut to the container's CPU quota (at least one)."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    stated = [_text(group / "cpu.max") for group in _groups(root)]
    old = _groups(root, "cpu")
    stated += [f"{_text(group / 'cpu.cfs_quota_us')} {_text(group / 'cpu.cfs_period_us')}" for group in old]
    for quota, _, period in (text.partition(" ") for text in stated):
        if quota.isdigit() and period.isdigit() and int(period):
            allowed = allowed[: max(1, int(quota) // int(period))]
    return tuple(allowed)


def memory_bytes(root: Path = Path("/")) -> int:
    """Main memory, or the container's limit where that is less."""
    import psutil

    stated = [_text(group / "memory.max") for group in _groups(root)]
    stated += [_text(group / "memory.limit_in_bytes") for group in _groups(root, "memory")]
    return min([int(psutil.virtual_memory().total), *(int(limit) for limit in stated if limit.isdigit())])


def _groups(root: Path, controller: str = "") -> list[Path]:
    """Our control group and those above it: a batch system's limits stand above us, a container's at the mount.

    controller: of version 1, where each has a tree of its own.
    """
    lines = [line.split(":", 2) for line in _text(root / "proc/self/cgroup").splitlines() if line.count(":") >= 2]
    own = next((path for _, controllers, path in lines if controller in controllers.split(",")), "/")
    steps = [step for step in own.split("/") if step]
    top = root / "sys/fs/cgroup" / controller
    return [top.joinpath(*steps[:depth]) for depth in range(len(steps) + 1)]


def manifest_facts(machine: Machine) -> MachineRow:
    """The machine for ``manifest.json``; no host name but a cluster's of its nodes."""
    return MachineRow(
        device=machine.device,
        devices=machine.devices,
        cpu_model=machine.cpu_model,
        cpu_features=tuple(machine.features),
        cores=len(machine.cores),
        memory_bytes=machine.memory_bytes,
        gpus=tuple(machine.gpu_names),
        gpu_memory_bytes=machine.gpu_memory_bytes,
        driver=machine.driver,
        kernel=platform.release(),
        platform=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        partition=machine.partition,
        job=machine.job,
        nodes=tuple(_row(node) for node in machine.nodes),
    )


def _row(node: Node) -> NodeRow:
    return NodeRow(
        name=node.name,
        devices=node.devices,
        cores=node.cores,
        memory_bytes=node.memory_bytes,
        cpu_model=node.cpu_model,
        gpus=node.gpu_names,
        gpu_memory_bytes=node.gpu_memory_bytes,
        driver=node.driver,
    )


def _cpu_line(root: Path, key: str) -> str:
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
