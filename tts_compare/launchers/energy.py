"""Energy counters of the machine: NVML's total energy of a server's GPUs, or RAPL's packages on a CPU.

Both count everything that runs on the device, not our engine alone. Sources: NVML API reference
(nvmlDeviceGetTotalEnergyConsumption, millijoules since the driver was loaded); Linux powercap documentation
(energy_uj and max_energy_range_uj, microjoules that wrap around).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.domain import Device
from tts_compare.machine.gpus import find_gpus, nvml_session


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """One energy counter: joules now, and the joules at which it starts again from 0 (None: it does not)."""

    joules: float
    wraps_at: float | None = None


Reading = Mapping[str, Counter]


def read_energy(
    device: Device, *, visible: str | None = None, nvml: Any = None, root: Path = Path("/")
) -> dict[str, Counter]:
    """Every counter that can be read now, by name; empty where there is none or we may not read it.

    visible: CUDA_VISIBLE_DEVICES of the server; those of ours where not given.
    """
    return _gpus(nvml, visible) if device == "cuda" else _packages(root)


def used_j(before: Reading, after: Reading) -> float | None:
    """Joules between two readings, None where either has no counter or they are not the same ones."""
    if not before or before.keys() != after.keys():
        return None
    total = 0.0
    for name, start in before.items():
        used = after[name].joules - start.joules
        if used < 0:
            if start.wraps_at is None:
                return None
            used += start.wraps_at
        total += used
    return total


def _packages(root: Path) -> dict[str, Counter]:
    found = {}
    for zone in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        if zone.name.count(":") != 1:  # a part of a package, which the package counts too
            continue
        try:
            joules = int((zone / "energy_uj").read_text()) / 1e6
            wraps_at = int((zone / "max_energy_range_uj").read_text()) / 1e6
        except (OSError, ValueError):
            continue
        found[zone.name] = Counter(joules=joules, wraps_at=wraps_at)
    return found


def _gpus(nvml: Any, visible: str | None) -> dict[str, Counter]:
    with nvml_session(nvml) as library:
        if library is None:
            return {}
        seen = find_gpus(library, stated=visible).visible
        if any(gpu.is_mig for gpu in seen):  # the counter is that of the whole GPU
            return {}
        try:
            handles = {gpu.index: library.nvmlDeviceGetHandleByIndex(gpu.index) for gpu in seen}
            return {
                f"gpu{index}": Counter(joules=library.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)
                for index, handle in handles.items()
            }
        except library.NVMLError:  # a GPU older than the counter (Volta)
            return {}
