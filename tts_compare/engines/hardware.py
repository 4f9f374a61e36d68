"""What this machine has for an engine: GPUs, memory, disk."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tts_compare.domain import Device

_QUERY = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as nvidia-smi tells it."""

    name: str
    memory_bytes: int
    free_bytes: int


def gpus() -> tuple[Gpu, ...]:
    """The GPUs whose driver answers; none where there is no nvidia-smi or it fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        asked = subprocess.run([program, *_QUERY], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_gpus(asked.stdout) if asked.returncode == 0 else ()


def parse_gpus(table: str) -> tuple[Gpu, ...]:
    """nvidia-smi's CSV, memory in MiB; a line that is not a GPU is passed over."""
    found = []
    for line in table.splitlines():
        parts = [p.strip() for p in line.rsplit(",", 2)]
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            found.append(Gpu(name=parts[0], memory_bytes=int(parts[1]) * MIB, free_bytes=int(parts[2]) * MIB))
    return tuple(found)


def detect_device() -> Device:
    """``cuda`` where a GPU answers, else ``cpu``."""
    return "cuda" if gpus() else "cpu"


def free_memory_bytes() -> int:
    """Main memory that can be had without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def free_disk_bytes(path: Path) -> int:
    """Free space where ``path`` is, or will be."""
    there = next(p for p in (path, *path.parents) if p.exists())
    return shutil.disk_usage(there).free
