"""What the jobs of a run held, and how much of it was measured: allocated devices x time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tts_compare.codes import warn
from tts_compare.domain import RunWarning
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.parts import Parts, Word, words_of

if TYPE_CHECKING:
    import polars as pl

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Device seconds of all jobs. open: jobs that began and did not say that they ended; they are not counted."""

    devices: int
    device_s: float
    open: int

    @property
    def hours(self) -> float:
        """Hours for which one job after another would have held that many devices."""
        return self.device_s / self.devices / _HOUR_S if self.devices else 0.0


def held(words: Sequence[Sequence[Word]]) -> Held:
    """What jobs held, by the words of each task. devices: the most that one job held."""
    ends = [word for task in words for word in task if word.event == "end"]
    started = [word for task in words for word in task if word.event == "start"]
    return Held(
        devices=max((word.devices for word in (*ends, *started)), default=0),
        device_s=sum(word.devices * word.held_s for word in ends),
        open=len({(w.job, w.attempt, w.at) for w in started}) - len(ends),
    )


def held_warning(path: Path, parts: Parts, records: pl.DataFrame, manifest: Manifest) -> Iterator[RunWarning]:
    """A note: devices x hours that the jobs held, that were measured, and that went to the start of servers."""
    found = held([words_of(path, task.name) for task in parts.tasks])
    if not found.devices or not found.device_s:
        return
    measured, starting = measured_s(records, manifest) / _HOUR_S, started_s(manifest) / _HOUR_S
    total = found.device_s / _HOUR_S
    what, unit = ("GPUs", "GPU-h") if manifest.machine.device == "cuda" else ("devices", "device-h")
    rest = max(0.0, total - measured - starting)
    told = (
        f"held {found.devices} {what} for {_amount(found.hours)} h, {_amount(measured)} of {_amount(total)} {unit} "
        f"measured; {_amount(starting)} went to starting servers, {_amount(rest)} to waiting and idle {what}"
    )
    if found.open:
        told += f"; {found.open} jobs that run, or were killed, are not counted"
    yield warn("jobs_held", told)


def measured_s(records: pl.DataFrame, manifest: Manifest) -> float:
    """Device seconds in which requests were under way, by setting, work and session: their first sent to last end."""
    import polars as pl

    key = ["setting", "method", "budget", "load", "repeat", "round", "session", "phase"]
    spans = (
        records.filter(pl.col("sent_ns").is_not_null() & pl.col("end_ns").is_not_null() & (pl.col("phase") != "warmup"))
        .group_by(key)
        .agg(wall_s=(pl.col("end_ns").max() - pl.col("sent_ns").min()) / 1e9)
    )
    devices = {name: facts.devices or 0 for name, facts in manifest.settings.items()}
    return sum(devices.get(row["setting"], 0) * float(row["wall_s"]) for row in spans.iter_rows(named=True))


def started_s(manifest: Manifest) -> float:
    """Device seconds from the start of servers until they were ready."""
    return sum((facts.devices or 0) * sum(facts.startup_s) for facts in manifest.settings.values())


def _amount(hours: float) -> str:
    """Two significant digits at least: a test's job holds seconds."""
    return f"{hours:.1f}" if hours >= 1 or not hours else f"{hours:.2g}"
