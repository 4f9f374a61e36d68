"""Energy as power integrated over time, to hold beside what the energy counters say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tts_compare.rundir.telemetry import TelemetryRow

#: Fewer samples say too little: NVML's power is itself an average over up to a second.
LEAST_SAMPLES = 8
#: A gap longer than this many times the usual one is not bridged.
_LONGEST_GAP = 4.0


def integrated_j(rows: Sequence[TelemetryRow], begin_ns: int, end_ns: int) -> float | None:
    """Joules between two instants by the trapezoidal rule over samples of power, the ends as the nearest samples.

    None with fewer than ``LEAST_SAMPLES``, where a sample lacks the power of a GPU, or where samples are missing.
    """
    within = [row for row in rows if begin_ns <= row.at_ns <= end_ns]
    samples = [(row.at_ns, watts) for row in within if (watts := _watts(row)) is not None]
    if len(samples) < max(LEAST_SAMPLES, len(within)):
        return None
    edges = [(begin_ns, samples[0][1]), *samples, (end_ns, samples[-1][1])]
    gaps = [after[0] - before[0] for before, after in pairwise(edges)]
    if max(gaps) > _LONGEST_GAP * sorted(gaps)[len(gaps) // 2]:
        return None
    return sum((a[1] + b[1]) / 2 * gap for (a, b), gap in zip(pairwise(edges), gaps, strict=True)) / 1e9


def _watts(row: TelemetryRow) -> float | None:
    powers = [gpu.power_w for gpu in row.gpus]
    return sum(power for power in powers if power is not None) if powers and None not in powers else None
