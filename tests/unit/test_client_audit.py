"""What the client's own figures cast warning on."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace

import pytest

from tests import builders
from tts_compare.client import audit as audit_module
from tts_compare.client.audit import (
    MAX_SAMPLES,
    LoopFigures,
    Probe,
    audit_of,
    audit_warnings,
    quantile,
    trail_ms,
    watch,
)
from tts_compare.rundir.metrics import ClientFigures

MS = 1_000_000
ROW = builders.record(
    method="m",
    budget=0,
    load="r1",
    scheduled_ns=0,
    sent_ns=2 * MS,
    first_token_ns=100 * MS,
    last_token_ns=600 * MS,
    server={"generation_time_ms": 480.0},
    finish_reason=None,
)
IDLE = LoopFigures(lags_ms=(0.1, 0.2), cpu_s=0.1, wall_s=1.0)
BUSY = LoopFigures(lags_ms=(5.0, 40.0), cpu_s=0.95, wall_s=1.0)


def test_a_client_that_fared_well_is_not_warned_of() -> None:
    calm = ClientFigures(
        loop_lag_p99_ms=1.0, cpu_share=0.3, send_lag_p99_ms=1.0, trail_p50_ms=1.0, histogram_trail_ms=2.0
    )
    assert audit_warnings(calm) == ()
    assert audit_warnings(ClientFigures()) == ()


@pytest.mark.parametrize(
    ("audit", "code"),
    [
        (ClientFigures(loop_lag_p99_ms=25.0), "client_lag"),
        (ClientFigures(cpu_share=0.97), "client_saturated"),
        (ClientFigures(send_lag_p99_ms=400.0), "client_send_lag"),
        (ClientFigures(trail_p50_ms=30.0), "client_trails_server"),
        (ClientFigures(histogram_trail_ms=30.0), "client_trails_server"),
    ],
)
def test_each_way_to_be_the_bottleneck_is_a_warning_with_the_advice(audit: ClientFigures, code: str) -> None:
    (warning,) = audit_warnings(audit, setting="x")
    assert (warning.code, warning.setting) == (code, "x")
    assert "--workers" in warning.advice


def test_the_trail_is_what_the_client_saw_beyond_the_engines_own_figure() -> None:
    assert trail_ms(ROW) == pytest.approx(20.0)
    assert trail_ms(replace(ROW, server=None)) is None
    audit = audit_of([ROW], [IDLE], server_ttft_s=(0.09, 1.0))
    assert audit.trail_p50_ms == pytest.approx(20.0)
    assert audit.send_lag_p99_ms == pytest.approx(2.0)
    assert audit.histogram_trail_ms == pytest.approx(98.0 - 90.0)


def test_the_worst_process_speaks_for_all() -> None:
    audit = audit_of([], [IDLE, BUSY, IDLE])
    assert (audit.loop_lag_max_ms, audit.workers) == (40.0, 2)
    assert audit.cpu_share == pytest.approx(0.95)


def test_a_loop_held_up_is_seen() -> None:
    async def held() -> ClientFigures:
        async with watch() as probe:
            await asyncio.sleep(0.05)
            time.sleep(0.2)  # noqa: ASYNC251 - the fault looked for
            await asyncio.sleep(0.05)
        return probe.audit()

    audit = asyncio.run(held())
    assert audit.loop_lag_max_ms is not None
    assert audit.loop_lag_max_ms > 100
    assert "client_lag" in {warning.code for warning in audit_warnings(audit)}


def test_one_long_standstill_is_a_warning_however_calm_the_rest_was() -> None:
    calm = LoopFigures(lags_ms=(0.1,) * 10_000 + (5000.0,), cpu_s=0.1, wall_s=200.0)
    audit = audit_of([], [IDLE, calm])
    assert audit.loop_lag_p99_ms == pytest.approx(0.2)
    (warning,) = audit_warnings(audit, setting="x")
    assert (warning.code, warning.setting) == ("client_stood_still", "x")
    assert "5.0 s" in warning.message


def test_a_machine_that_slept_is_seen_although_its_monotonic_clock_slept_too(monkeypatch: pytest.MonkeyPatch) -> None:
    slept_s = iter((100.0, 130.0))
    monkeypatch.setattr(audit_module, "machine_sleep_s", lambda: next(slept_s))

    async def suspended() -> ClientFigures:
        async with watch() as probe:
            await asyncio.sleep(0.03)
        return probe.audit()

    (warning,) = (d for d in audit_warnings(asyncio.run(suspended())) if d.code == "client_stood_still")
    assert "30." in warning.message


def test_a_long_watch_keeps_a_bounded_number_of_lags_their_quantiles_and_the_longest() -> None:
    draw = random.Random(1)
    lags = [draw.expovariate(1.0) for _ in range(5 * MAX_SAMPLES)]
    lags[1] = 900.0  # among the first to be thinned out
    probe = Probe()
    for lag in lags:
        probe.note(lag)
    kept = probe.figures().lags_ms
    assert MAX_SAMPLES / 2 <= len(kept) < MAX_SAMPLES
    assert kept[-1] == 900.0
    for q in (0.5, 0.99):
        assert quantile(kept, q) == pytest.approx(quantile(sorted(lags), q), rel=0.03)
