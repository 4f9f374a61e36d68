"""Warnings from what samplers saw: throttled, shared and unlike GPUs, a full KV cache, unlike energies. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from tts_compare.codes import warn
from tts_compare.domain import RunWarning
from tts_compare.rundir.telemetry import GpuSample, TelemetryRow

#: The share of the KV cache from which it is full: SGLang and vLLM hand it out in blocks.
FULL = 0.99
#: Medians of clocks that differ by more than this are other clocks; GPUs step by 15 MHz.
CLOCKS_ALIKE = 0.03
#: NVML tells power to within 5 %, and the counter integrates it finer than the samples do.
ENERGY_ALIKE = 0.10


def telemetry_warnings(rows: Sequence[TelemetryRow], models: Mapping[str, str]) -> tuple[RunWarning, ...]:
    """The warnings of one session's samples. models: setting -> its model; only settings of one model are compared."""
    by_setting: dict[str, list[TelemetryRow]] = {}
    for row in rows:
        by_setting.setdefault(row.setting, []).append(row)
    found: list[RunWarning] = []
    for setting, mine in by_setting.items():
        found += [warning for of in (_throttled, _shared, _full) if (warning := of(setting, mine)) is not None]
    return (*found, *_clocks(by_setting, models))


def energy_warning(counted_j: float | None, power_j: float | None, *, setting: str) -> RunWarning | None:
    """A warning where the energy counter and the power integrated over the same stretch disagree."""
    if not counted_j or not power_j or abs(power_j / counted_j - 1) <= ENERGY_ALIKE:
        return None
    told = f"the energy counter grew by {counted_j:.0f} J while power drawn over the same time makes {power_j:.0f} J"
    return warn("energy_disagrees", told, setting=setting)


def _throttled(setting: str, rows: Sequence[TelemetryRow]) -> RunWarning | None:
    known = [row for row in rows if any(gpu.throttled is not None for gpu in row.gpus)]
    held = [row for row in known if any(gpu.throttled for gpu in row.gpus)]
    if not held:
        return None
    reasons = Counter(reason for row in held for gpu in row.gpus for reason in set(gpu.throttled or ()))
    gpus = sorted({gpu.index for row in held for gpu in row.gpus if gpu.throttled})
    told = ", ".join(name.replace("_", " ") for name, _ in reasons.most_common())
    share = len(held) / len(known)
    return warn("gpu_throttled", f"{_named(gpus)} held clocks down in {share:.0%} of samples: {told}", setting=setting)


def _shared(setting: str, rows: Sequence[TelemetryRow]) -> RunWarning | None:
    shared = [row for row in rows if any(gpu.other_processes for gpu in row.gpus)]
    if not shared:
        return None
    gpus = sorted({gpu.index for row in shared for gpu in row.gpus if gpu.other_processes})
    most = max(gpu.other_processes or 0 for row in shared for gpu in row.gpus)
    what = "another process was" if most == 1 else f"{most} other processes were"
    return warn("gpu_shared", f"{what} on {_named(gpus)} in {len(shared)} of {len(rows)} samples", setting=setting)


def _named(gpus: Sequence[int]) -> str:
    return f"GPU {', '.join(map(str, gpus))}"


def _full(setting: str, rows: Sequence[TelemetryRow]) -> RunWarning | None:
    shares = [row.engine.kv_cache_share for row in rows if row.engine and row.engine.kv_cache_share is not None]
    full = sum(share >= FULL for share in shares)
    if not full:
        return None
    return warn("kv_cache_full", f"the KV cache was full in {full} of {len(shares)} samples", setting=setting)


def _clocks(by_setting: Mapping[str, Sequence[TelemetryRow]], models: Mapping[str, str]) -> Iterator[RunWarning]:
    """Of each model whose settings' GPUs ran at other clocks under load."""
    medians: dict[str, dict[str, float]] = {}
    for setting, rows in by_setting.items():
        clocks = [gpu.sm_clock_mhz for row in rows for gpu in row.gpus if gpu.sm_clock_mhz and _is_busy(row, gpu)]
        if clocks:
            medians.setdefault(models.get(setting, ""), {})[setting] = median(clocks)
    for mine in medians.values():
        (low, slow), (high, fast) = (pick(mine.items(), key=lambda one: one[1]) for pick in (min, max))
        if fast > slow * (1 + CLOCKS_ALIKE):
            told = f"GPUs ran at {slow:.0f} MHz under load for {low} and at {fast:.0f} MHz for {high} (medians)"
            yield warn("clocks_differ", told)


def _is_busy(row: TelemetryRow, gpu: GpuSample) -> bool:
    """An idle GPU lowers its clocks."""
    if row.engine is not None and row.engine.running is not None and row.engine.running > 0:
        return True
    return bool(gpu.utilization)
