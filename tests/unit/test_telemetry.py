"""Telemetry's pure parts: gauges from a text, power over time, what samples warn of; the unknown stays unknown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.analysis.findings.telemetry_warnings import energy_warning, telemetry_warnings
from tts_compare.backends import BACKENDS
from tts_compare.client.scrape import parse, total
from tts_compare.machine.telemetry.gauges import engine_sample, values_of
from tts_compare.machine.telemetry.power import LEAST_SAMPLES, integrated_j
from tts_compare.machine.telemetry.sample import Host, gpu_sample, others, parent_of, reasons
from tts_compare.rundir.telemetry import EngineSample, GpuSample, TelemetryRow
from tts_compare.selftest.metrics import Counters

S = 1_000_000_000


def row(setting: str = "s", at_s: float = 0.0, *gpus: GpuSample, **engine: float) -> TelemetryRow:
    sample = EngineSample(**engine) if engine else None
    return TelemetryRow(setting=setting, at_ns=int(at_s * S), gpus=gpus, engine=sample)


def powered(watts: Sequence[float | None], every_s: float = 1.0) -> list[TelemetryRow]:
    return [row("s", at * every_s, GpuSample(index=0, power_w=power)) for at, power in enumerate(watts)]


TEXT = """
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m}1 2"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0 1700000000000
vllm:num_requests_running_total{engine="1"} 99
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
vllm:num_preemptions_total 2
vllm:num_requests_waiting{engine="0"} NaN
"""
NAMES = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv_cache_share": "vllm:kv_cache_usage_perc",
    "preemptions": "vllm:num_preemptions_total",
}


def test_counts_are_summed_over_an_engines_ranks_and_the_fullest_cache_is_told() -> None:
    assert engine_sample(TEXT, NAMES) == EngineSample(running=7.0, waiting=None, kv_cache_share=0.75, preemptions=2.0)


@pytest.mark.parametrize("text", ["", "vllm:num_requests_running", "vllm:num_requests_running{a=", "<html>"])
def test_a_text_without_the_gauges_says_nothing(text: str) -> None:
    assert engine_sample(text, NAMES) == EngineSample()


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1))
def test_gauges_are_what_the_whole_parser_reads(running: int, preemptions: int, usage: float) -> None:
    counters = Counters(running=running, preemptions=preemptions)
    text = counters.text("m", draft_tokens=0, block_tokens=16, kv_usage=usage)
    whole = parse(text)
    for name in NAMES.values():
        assert sum(values_of(text, name)) == total(whole, name)


def test_engines_name_their_gauges() -> None:
    for name in ("vllm", "sglang"):
        metrics = BACKENDS[name].metrics
        assert all((metrics.running, metrics.waiting, metrics.kv_cache_share, metrics.preemptions))


def test_constant_power_is_power_times_time() -> None:
    assert integrated_j(powered([300.0] * 11), 0, 10 * S) == pytest.approx(3000)


def test_power_that_rises_is_integrated_between_its_samples() -> None:
    assert integrated_j(powered([float(at) for at in range(11)]), 0, 10 * S) == pytest.approx(50)


def test_the_ends_count_as_their_nearest_samples() -> None:
    assert integrated_j(powered([100.0] * 10), -S // 2, int(9.5 * S)) == pytest.approx(1000)


@pytest.mark.parametrize(
    "watts",
    [[100.0] * (LEAST_SAMPLES - 1), [100.0] * 10 + [None], [], [None] * 20],
    ids=["few", "one unknown", "none", "all unknown"],
)
def test_power_that_is_not_known_is_not_integrated(watts: list[float | None]) -> None:
    assert integrated_j(powered(watts), 0, len(watts) * S) is None


def test_a_sampler_that_was_killed_half_way_gives_no_energy() -> None:
    assert integrated_j(powered([100.0] * 20), 0, 60 * S) is None


@pytest.mark.parametrize(("counted", "power", "told"), [(100, 109, False), (100, 111, True), (100, 89, True)])
def test_energies_that_differ_by_over_a_tenth_disagree(counted: float, power: float, *, told: bool) -> None:
    assert (energy_warning(counted, power, setting="s") is not None) is told


@pytest.mark.parametrize(("counted", "power"), [(None, 5), (5, None), (0, 5), (None, None)])
def test_an_energy_that_is_unknown_disagrees_with_nothing(counted: float | None, power: float | None) -> None:
    assert energy_warning(counted, power, setting="s") is None


def test_samples_without_a_fact_warn_of_nothing() -> None:
    rows = [row("s", 0), row("s", 1, GpuSample(index=0)), row("s", 2, running=1.0)]
    assert telemetry_warnings(rows, {"s": "m"}) == ()


def test_the_share_of_samples_is_that_of_those_that_know() -> None:
    held, free, blind = (GpuSample(index=1, throttled=told) for told in (("power_cap",), (), None))
    (found,) = telemetry_warnings([row("s", 0, held), row("s", 1, free), row("s", 2, blind)], {})
    assert (found.code, found.setting) == ("gpu_throttled", "s")
    assert found.message == "GPU 1 held clocks down in 50% of samples: power cap"


def test_idle_clocks_are_not_compared() -> None:
    busy, idle = GpuSample(index=0, sm_clock_mhz=1980, utilization=0.5), GpuSample(index=0, sm_clock_mhz=345)
    rows = [row("a", 0, busy), row("a", 1, idle), row("b", 2, busy)]
    assert telemetry_warnings(rows, {"a": "m", "b": "m"}) == ()


def test_clocks_of_settings_of_other_models_are_not_compared() -> None:
    fast, slow = (GpuSample(index=0, sm_clock_mhz=mhz, utilization=0.5) for mhz in (1980, 1200))
    rows = [row("a", 0, fast), row("b", 1, slow)]
    assert telemetry_warnings(rows, {"a": "m", "b": "n"}) == ()
    assert [w.code for w in telemetry_warnings(rows, {"a": "m", "b": "m"})] == ["clocks_differ"]


def test_a_cache_that_is_nearly_full_is_not_full() -> None:
    assert telemetry_warnings([row("s", 0, kv_cache_share=0.98)], {}) == ()
    (found,) = telemetry_warnings([row("s", 0, kv_cache_share=0.98), row("s", 1, kv_cache_share=0.995)], {})
    assert found.message == "the KV cache was full in 1 of 2 samples"


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (None, None),
        (0, ()),
        (1, ()),
        (0x2 | 0x100, ()),
        (0x4, ("power_cap",)),
        (0x28, ("hardware_slowdown", "thermal")),
    ],
)
def test_idleness_and_clocks_that_somebody_set_are_no_throttling(bits: int | None, names: object) -> None:
    assert reasons(bits) == names


def processes(root: Path, **parents: int) -> Path:
    for pid, parent in parents.items():
        (root / pid[1:]).mkdir(parents=True)
        (root / pid[1:] / "stat").write_text(f"{pid[1:]} (a (b) c) S {parent} 1 1")
    return root


def test_processes_below_the_servers_parent_are_its_own(tmp_path: Path) -> None:
    proc = processes(tmp_path, p1=0, p10=1, p20=10, p30=20, p99=1)

    def count(*pids: int) -> int | None:
        return others([SimpleNamespace(pid=pid) for pid in pids], 10, proc)

    assert count(30, 20) == 0
    assert count(30, 99) == 1
    assert count(30, 12345) == 1
    assert count(99) is None  # numbers of another namespace, or the server does not use the GPU
    assert count() is None
    assert others(None, 10, proc) is None
    assert parent_of(12345, proc) is None


def test_a_driver_that_tells_nothing_leaves_all_unknown() -> None:
    nvml = SimpleNamespace(NVMLError=RuntimeError, nvmlDeviceGetHandleByIndex=lambda index: index)
    assert gpu_sample(nvml, 3, root_pid=1) == GpuSample(index=3)


def test_the_hosts_share_is_of_the_time_between_two_looks(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu 10 0 10 80 0 0 0 0 0 0\n")
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 40 kB\n")
    host = Host(proc=tmp_path)
    first = host.sample()
    assert (first.cpu_share, first.memory_used_bytes) == (None, 60 * 1024)
    (tmp_path / "stat").write_text("cpu 40 0 10 120 30 0 0 0 0 0\n")
    assert host.sample().cpu_share == pytest.approx(0.3)


def test_a_host_that_tells_nothing_is_unknown(tmp_path: Path) -> None:
    sample = Host(proc=tmp_path).sample()
    assert (sample.cpu_share, sample.memory_used_bytes) == (None, None)
