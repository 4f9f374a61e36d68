"""What this machine has for an engine: GPUs, memory, disk."""

from __future__ import annotations

import importlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.domain import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as NVIDIA's driver tells it."""

    name: str
    memory_bytes: int
    free_bytes: int


def gpus(nvml: Any = None) -> tuple[Gpu, ...]:
    """The GPUs whose driver answers; none without a driver. nvml: the pynvml module, or a fake of it."""
    library = nvml or importlib.import_module("pynvml")
    try:
        library.nvmlInit()
    except library.NVMLError:
        return ()
    try:
        return tuple(_gpu(library, library.nvmlDeviceGetHandleByIndex(i)) for i in range(library.nvmlDeviceGetCount()))
    except library.NVMLError:
        return ()
    finally:
        library.nvmlShutdown()


def _gpu(library: Any, handle: Any) -> Gpu:
    name = library.nvmlDeviceGetName(handle)
    memory = library.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        name=name.decode() if isinstance(name, bytes) else str(name),
        memory_bytes=int(memory.total),
        free_bytes=int(memory.free),
    )


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
