"""The machine's NUMA nodes: which cores and which GPUs are near each other, as Linux tells in /sys."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tts_compare.machine.gpus import Gpu, nvml_session


def numa_nodes(usable: Collection[int], root: Path = Path("/")) -> dict[int, tuple[int, ...]]:
    """Node -> the usable cores on it; memory without cores (that of a GH200's GPU) is no node here."""
    found = {}
    for node in (root / "sys/devices/system/node").glob("node[0-9]*"):
        cores = tuple(core for core in core_list(_text(node / "cpulist")) if core in usable)
        if cores:
            found[int(node.name.removeprefix("node"))] = cores
    return dict(sorted(found.items()))


def core_list(text: str) -> list[int]:
    """The cores of ``0-3,8``; empty where it is no such list."""
    ranges = [re.fullmatch(r"(\d+)(?:-(\d+))?", part) for part in text.strip().split(",")]
    return [core for one in ranges if one for core in range(int(one[1]), int(one[2] or one[1]) + 1)]


def gpu_nodes(gpus: Sequence[Gpu], *, nvml: Any = None, root: Path = Path("/")) -> tuple[int | None, ...]:
    """The node of each GPU; None where neither the driver nor the kernel tells, as in many virtual machines."""
    with nvml_session(nvml) as library:
        if library is None:
            return (None,) * len(gpus)
        return tuple(_node(library, gpu.index, root) for gpu in gpus)


def _node(library: Any, index: int, root: Path) -> int | None:
    try:
        bus = library.nvmlDeviceGetPciInfo_v3(library.nvmlDeviceGetHandleByIndex(index)).busId
    except (library.NVMLError, AttributeError):
        return None
    text = bus.decode() if isinstance(bus, bytes) else str(bus)
    domain, _, rest = text.lower().partition(":")  # NVML writes the domain with 8 digits, the kernel with 4
    node = _text(root / "sys/bus/pci/devices" / f"{domain[-4:]}:{rest}" / "numa_node").strip()
    return int(node) if node.isdigit() else None  # -1 where it is not known


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
