"""One look at the GPUs and at the host. What cannot be read is unknown, never zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tts_compare.machine.gpus import find_gpus
from tts_compare.rundir.telemetry import GpuSample, HostSample

T = TypeVar("T")
#: Bits of nvmlDeviceGetCurrentClocksThrottleReasons that hold clocks down (nvml.h); idleness and clocks that somebody
#: set are not among them.
THROTTLING = {
    0x04: "power_cap",
    0x08: "hardware_slowdown",
    0x20: "thermal",
    0x40: "hardware_thermal",
    0x80: "power_brake",
}
_SM, _MEMORY = 1, 2  # nvmlClockType_t
_DIE = 0  # nvmlTemperatureSensors_t


def whole_gpus(nvml: Any, visible: str | None) -> list[int]:
    """The server's GPUs by number. Figures of a divided GPU are those of all its instances, so it is not among them.

    visible: CUDA_VISIBLE_DEVICES of the server.
    """
    return [gpu.index for gpu in find_gpus(nvml, stated=visible).visible if not gpu.is_mig]


def gpu_sample(nvml: Any, index: int, *, root_pid: int | None, proc: Path = Path("/proc")) -> GpuSample:
    """One GPU now. root_pid: the process below which all of the server's are. Raises NVMLError where it was lost."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def ask(name: str, *arguments: Any) -> Any:
        try:
            return getattr(nvml, name)(handle, *arguments)
        except (nvml.NVMLError, AttributeError):
            return None

    power, energy = ask("nvmlDeviceGetPowerUsage"), ask("nvmlDeviceGetTotalEnergyConsumption")
    rates, memory = ask("nvmlDeviceGetUtilizationRates"), ask("nvmlDeviceGetMemoryInfo")
    return GpuSample(
        index=index,
        power_w=_over(power, 1e3),
        energy_j=_over(energy, 1e3),
        utilization=_over(rates.gpu, 100) if rates else None,
        memory_used_bytes=int(memory.used) if memory else None,
        sm_clock_mhz=ask("nvmlDeviceGetClockInfo", _SM),
        memory_clock_mhz=ask("nvmlDeviceGetClockInfo", _MEMORY),
        temperature_c=ask("nvmlDeviceGetTemperature", _DIE),
        throttled=reasons(ask("nvmlDeviceGetCurrentClocksThrottleReasons")),
        other_processes=others(ask("nvmlDeviceGetComputeRunningProcesses"), root_pid, proc),
    )


def _over(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def reasons(bits: int | None) -> tuple[str, ...] | None:
    """The names of the reasons that hold clocks down."""
    return None if bits is None else tuple(name for bit, name in THROTTLING.items() if bits & bit)


def others(listed: list[Any] | None, root_pid: int | None, proc: Path) -> int | None:
    """How many of the processes on a GPU are not the server's.

    None where none of the server's own is listed: a container is shown none, or numbers of another namespace.
    """
    if listed is None or root_pid is None:
        return None
    pids = {int(one.pid) for one in listed}
    ours = {pid for pid in pids if is_below(pid, root_pid, proc)}
    return len(pids - ours) if ours else None


def is_below(pid: int, root: int, proc: Path) -> bool:
    """Whether ``root`` is the process or one of its parents."""
    return root in _line_of(pid, proc)


def _line_of(pid: int, proc: Path) -> Iterator[int]:
    while pid > 1:
        yield pid
        parent = parent_of(pid, proc)
        if parent is None:
            return
        pid = parent


def parent_of(pid: int, proc: Path = Path("/proc")) -> int | None:
    """The process's parent, None where there is no such process."""
    try:
        return int((proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


@dataclass(slots=True)
class Host:
    """The machine's processor and memory, from one look to the next."""

    proc: Path = Path("/proc")
    _before: tuple[int, int] | None = None

    def sample(self) -> HostSample:
        """The share of processor time that was used since the last look, and the memory in use now."""
        before, self._before = self._before, _known(self._times)
        share = None
        if before and self._before and self._before[1] > before[1]:
            share = (self._before[0] - before[0]) / (self._before[1] - before[1])
        return HostSample(cpu_share=share, memory_used_bytes=_known(self._memory))

    def _times(self) -> tuple[int, int]:
        """Ticks used and ticks in all: user nice system idle iowait irq softirq steal (proc(5))."""
        with (self.proc / "stat").open(encoding="ascii") as stat:
            ticks = [int(word) for word in stat.readline().split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)

    def _memory(self) -> int:
        text = (self.proc / "meminfo").read_text(encoding="ascii")
        kib = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[:5]}
        return (kib["MemTotal"] - kib["MemAvailable"]) * 1024


def _known(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except (OSError, ValueError, IndexError, KeyError):
        return None
