"""What this machine has for an engine: GPUs, memory, disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from tts_compare.domain import Device
from tts_compare.machine.gpus import find_gpus


def detect_device() -> Device:
    """``cuda`` where a GPU answers, else ``cpu``."""
    return "cuda" if find_gpus().visible else "cpu"


def free_memory_bytes() -> int:
    """Main memory that can be had without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def free_disk_bytes(path: Path) -> int:
    """Free space where ``path`` is, or will be."""
    there = next(p for p in (path, *path.parents) if p.exists())
    return shutil.disk_usage(there).free
