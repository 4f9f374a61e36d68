"""The client watched by itself: figures that say whether it was the client that was timed.

Thresholds are where a figure of this tool begins to suffer: a median inter-token time is tens of milliseconds, so ten
of lag in one reading in a hundred is seen in it.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tts_compare.codes import warn
from tts_compare.domain import RequestRecord, RunWarning
from tts_compare.rundir.metrics import ClientFigures

SAMPLE_S = 0.02
MAX_SAMPLES = 2**16
"""Lags that one probe keeps, 256 KB: every one of the first 22 minutes, then every second, every fourth, ..."""
MAX_LAG_P99_MS = 10.0
MAX_CPU_SHARE = 0.85
MAX_SEND_LAG_P99_MS = 50.0
MAX_TRAIL_P50_MS = 10.0
MAX_STILL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFigures:
    """One process's part of an audit: sorted lags in ms, its CPU and wall seconds, and how long the machine slept."""

    lags_ms: tuple[float, ...]
    cpu_s: float
    wall_s: float
    asleep_s: float = 0.0


class Probe:
    """Samples the event loop while ``watch`` is open."""

    def __init__(self) -> None:
        self._lags_ms = array("f")
        self._longest_ms = 0.0
        self._noted, self._stride = 0, 1
        self._cpu_s = time.process_time()
        self._begun_s = time.monotonic()
        self._slept_s = machine_sleep_s()

    async def sample(self) -> None:
        """Ask for a timer every ``SAMPLE_S`` and note how late it comes; runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            self.note(max(0.0, (loop.time() - due) * 1e3))

    def note(self, lag_ms: float) -> None:
        """Take one lag; the longest is always kept."""
        self._longest_ms = max(self._longest_ms, lag_ms)
        if self._noted % self._stride == 0:
            self._lags_ms.append(lag_ms)
            if len(self._lags_ms) == MAX_SAMPLES:
                del self._lags_ms[1::2]
                self._stride *= 2
        self._noted += 1

    def figures(self) -> LoopFigures:
        """What was sampled so far in this process."""
        lags_ms = sorted(self._lags_ms)
        lags_ms[-1:] = [self._longest_ms] if lags_ms else []
        return LoopFigures(
            lags_ms=tuple(lags_ms),
            cpu_s=time.process_time() - self._cpu_s,
            wall_s=time.monotonic() - self._begun_s,
            asleep_s=machine_sleep_s() - self._slept_s,
        )

    def audit(
        self,
        rows: Iterable[RequestRecord] = (),
        *,
        server_ttft_s: tuple[float, float] | None = None,
        others: Sequence[LoopFigures] = (),
    ) -> ClientFigures:
        """Judge the time since ``watch`` was opened.

        rows: what was sent meanwhile. server_ttft_s: sum (seconds) and count by which the engine's TTFT histogram
        grew. others: the figures of worker processes; the audit is that of the worst.
        """
        return audit_of(rows, [self.figures(), *others], server_ttft_s=server_ttft_s)


def machine_sleep_s() -> float:
    """Seconds the machine has slept since it was started; 0 where that cannot be told.

    Linux's monotonic clock stands still while the machine sleeps and its boot-time clock does not (clock_gettime(2)),
    so a sleep is in no timer's lateness.
    """
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


@asynccontextmanager
async def watch() -> AsyncIterator[Probe]:
    """Sample this event loop while the block runs."""
    probe = Probe()
    sampling = asyncio.create_task(probe.sample())
    try:
        yield probe
    finally:
        sampling.cancel()


def audit_of(
    rows: Iterable[RequestRecord],
    processes: Sequence[LoopFigures],
    *,
    server_ttft_s: tuple[float, float] | None = None,
) -> ClientFigures:
    """Make an audit of rows and of the client's processes."""
    rows = tuple(rows)
    send_lags = sorted(
        (row.sent_ns - row.scheduled_ns) / 1e6
        for row in rows
        if row.sent_ns is not None and row.scheduled_ns is not None
    )
    trails = sorted(trail for row in rows if (trail := trail_ms(row)) is not None)
    ttfts_ms = [(row.first_token_ns - row.sent_ns) / 1e6 for row in rows if row.first_token_ns and row.sent_ns]
    histogram = None
    if server_ttft_s is not None and server_ttft_s[1] > 0 and ttfts_ms:
        histogram = sum(ttfts_ms) / len(ttfts_ms) - server_ttft_s[0] / server_ttft_s[1] * 1e3
    # The process whose loop was slowest speaks for all: its rows are the ones in warning.
    worst = max(processes, key=lambda p: quantile(p.lags_ms, 0.99) or 0.0, default=None)
    lags = worst.lags_ms if worst else ()
    return ClientFigures(
        loop_lag_p50_ms=quantile(lags, 0.5),
        loop_lag_p99_ms=quantile(lags, 0.99),
        loop_lag_max_ms=quantile(lags, 1.0),
        cpu_share=max((p.cpu_s / p.wall_s for p in processes if p.wall_s > 0), default=None),
        send_lag_p99_ms=quantile(send_lags, 0.99),
        trail_p50_ms=quantile(trails, 0.5),
        trail_p99_ms=quantile(trails, 0.99),
        histogram_trail_ms=histogram,
        still_s=max((sum(p.lags_ms[-1:]) / 1e3 + p.asleep_s for p in processes), default=None),
        workers=max(1, len(processes) - 1),
    )


def trail_ms(row: RequestRecord) -> float | None:
    """How far the client's first-to-last-token time exceeds the engine's own ``generation_time_ms`` (vLLM's metric)."""
    told = (row.server or {}).get("generation_time_ms")
    if told is None or row.first_token_ns is None or row.last_token_ns is None:
        return None
    return (row.last_token_ns - row.first_token_ns) / 1e6 - told


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The nearest-rank quantile of sorted values, None of none."""
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else None


def audit_warnings(audit: ClientFigures, *, setting: str | None = None) -> tuple[RunWarning, ...]:
    """Return what an audit casts warning on; ``setting`` is the id of the setting whose point it was."""
    found: list[tuple[str, str]] = []
    if (lag := audit.loop_lag_p99_ms) is not None and lag > MAX_LAG_P99_MS:
        found.append(("client_lag", f"the client's event loop ran {lag:.0f} ms late (p99): arrivals are stamped late"))
    if (share := audit.cpu_share) is not None and share > MAX_CPU_SHARE:
        found.append(("client_saturated", f"the client used {share:.0%} of a core: it may be what was timed"))
    if (lag := audit.send_lag_p99_ms) is not None and lag > MAX_SEND_LAG_P99_MS:
        found.append(("client_send_lag", f"requests went out {lag:.0f} ms after their time (p99): the load was lower"))
    for trail in (audit.trail_p50_ms, audit.histogram_trail_ms):
        if trail is not None and trail > MAX_TRAIL_P50_MS:
            what = f"arrivals trail the engine's own figures by {trail:.0f} ms"
            found.append(("client_trails_server", f"{what}: the client, or what lies between, is in them"))
            break
    doubts = [warn(code, message, setting=setting) for code, message in found]
    if (still_s := audit.still_s) is not None and still_s > MAX_STILL_S:
        message = f"the client stood still for {still_s:.1f} s: what arrived meanwhile is stamped with the end of it"
        doubts.append(warn("client_stood_still", message, setting=setting))
    return tuple(doubts)
