"""What a server's machine did while it was measured: the row of ``telemetry.jsonl``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from tts_compare.domain.about import about


class GpuSample(Struct, frozen=True, kw_only=True):
    """One GPU of the server at one instant; null where the driver does not tell."""

    index: Annotated[int, about("the GPU's number by the driver, in PCI order")]
    power_w: Annotated[float | None, about("power drawn, watts")] = None
    energy_j: Annotated[float | None, about("the energy counter, joules since the driver was loaded")] = None
    utilization: Annotated[float | None, about("share of the last sampling period in which a kernel ran")] = None
    memory_used_bytes: Annotated[int | None, about("memory in use, of all processes")] = None
    sm_clock_mhz: Annotated[int | None, about("clock of the streaming multiprocessors")] = None
    memory_clock_mhz: Annotated[int | None, about("clock of the memory")] = None
    temperature_c: Annotated[int | None, about("temperature of the die, degrees Celsius")] = None
    throttled: Annotated[
        tuple[str, ...] | None,
        about(
            "why its clocks were held down: `power_cap`, `thermal`, `hardware_thermal`, `hardware_slowdown`, "
            "`power_brake`"
        ),
    ] = None
    other_processes: Annotated[
        int | None,
        about("processes on it that are not the server's; null where the driver does not show the server's own"),
    ] = None


class EngineSample(Struct, frozen=True, kw_only=True):
    """The engine's own gauges; null where it does not have them."""

    running: Annotated[float | None, about("requests running")] = None
    waiting: Annotated[float | None, about("requests waiting")] = None
    kv_cache_share: Annotated[float | None, about("share of the KV cache in use, the fullest of several")] = None
    preemptions: Annotated[float | None, about("requests preempted since the server started")] = None


class HostSample(Struct, frozen=True, kw_only=True):
    """The machine that the server runs on."""

    cpu_share: Annotated[float | None, about("share of all cores' time that was used since the sample before")] = None
    memory_used_bytes: Annotated[int | None, about("main memory that is not available to new programs")] = None


class TelemetryRow(Struct, frozen=True, kw_only=True):
    """One sample of one server and its machine."""

    setting: Annotated[str, about("the setting's id")]
    at_ns: Annotated[int, about("when it was taken, on the clock of the records of this session")]
    session: Annotated[int, about("which process of a resumed run, from 0")] = 0
    round: Annotated[int, about("the server's round")] = 0
    gpus: Annotated[tuple[GpuSample, ...], about("the server's GPUs; none on a CPU and of a divided GPU")] = ()
    engine: Annotated[EngineSample | None, about("its gauges; null where it did not answer or has none")] = None
    host: Annotated[HostSample | None, about("the machine; null for a server that is not ours")] = None
