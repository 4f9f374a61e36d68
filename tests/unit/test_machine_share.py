"""A point beside its bound, the overhead that a fit finds, and the bandwidth of a CPU that is measured once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.machine.catalogue import catalogue
from tts_compare.machine.roofline import Drafts, Layout, decode_step, prefill_s
from tts_compare.machine.share import fixed_overhead, prefill_share, reached, share_warning
from tts_compare.machine.triad import TIMES, _pass, array_bytes, last_cache_bytes, memory_bandwidth, triad
from tts_compare.models.known import known_shapes

SHAPE = known_shapes()["deepseek-ai/DeepSeek-R1-Distill-Qwen-14B"]
H100 = catalogue()["H100-SXM"]


def test_half_the_bandwidth_is_a_share_of_one_half_and_speculation_is_judged_by_its_steps() -> None:
    plain = decode_step(SHAPE, H100, layout=Layout(), context=2048)
    assert reached(plain, measured_s=2 * plain.seconds, devices=1).share == pytest.approx(0.5)
    drafted = decode_step(SHAPE, H100, layout=Layout(), context=2048, drafts=Drafts(tokens=5, accepted_length=2.0))
    assert reached(drafted, measured_s=plain.seconds, devices=1).share == pytest.approx(0.5)


def test_tokens_a_second_are_shared_out_among_the_devices() -> None:
    step = decode_step(SHAPE, H100, layout=Layout(tensor_parallel=4), context=2048, batch=8)
    point = reached(step, measured_s=0.01, devices=4, sequences=8)
    assert point.tokens_s_device == pytest.approx(8 / 0.01 / 4)
    assert point.beyond_s == pytest.approx(0.01 - step.seconds)


def test_the_prefill_share_is_the_least_time_over_the_measured_one() -> None:
    bound = prefill_s(SHAPE, H100, layout=Layout(), tokens=4096)
    assert prefill_share(bound, 4 * bound) == pytest.approx(0.25)


@pytest.mark.parametrize("measured", [0.0, -1.0, float("nan")])
def test_a_time_that_is_none_has_no_share(measured: float) -> None:
    with pytest.raises(ValueError, match="no measurement"):
        reached(decode_step(SHAPE, H100, layout=Layout(), context=0), measured_s=measured, devices=1)
    with pytest.raises(ValueError, match="no measurement"):
        prefill_share(0.1, measured)


def test_a_point_above_its_bound_is_a_warning_that_says_why_and_one_below_is_none() -> None:
    step = decode_step(SHAPE, H100, layout=Layout(), context=2048)
    above = share_warning(reached(step, measured_s=step.seconds / 2, devices=1), setting="s", on_cpu=True)
    assert above is not None
    assert "200%" in above.message
    assert "cache" in above.message
    gpu = share_warning(reached(step, measured_s=step.seconds / 2, devices=1), setting="s", on_cpu=False)
    assert gpu is not None
    assert "bandwidth" in gpu.message
    assert share_warning(reached(step, measured_s=step.seconds, devices=1), setting="s", on_cpu=True) is None


@given(
    slowdown=st.floats(1.0, 4.0),
    fixed=st.floats(0.0, 0.02),
    bounds=st.lists(st.floats(1e-4, 0.05), min_size=2, max_size=6).filter(lambda b: max(b) >= 1.2 * min(b)),
)
def test_the_fit_finds_the_overhead_that_was_put_in(slowdown: float, fixed: float, bounds: list[float]) -> None:
    found = fixed_overhead([(bound, slowdown * bound + fixed) for bound in bounds])
    assert found is not None
    assert found.fixed_s == pytest.approx(fixed, abs=1e-6)
    assert found.slowdown == pytest.approx(slowdown, rel=1e-3)
    assert found.residual_s < 1e-6
    assert found.step_s(0.01) == pytest.approx(slowdown * 0.01 + fixed, rel=1e-3)


@given(st.lists(st.tuples(st.floats(1e-4, 0.1), st.floats(1e-4, 0.1)), min_size=2, max_size=8))
def test_the_fit_is_never_faster_than_the_bound(steps: list[tuple[float, float]]) -> None:
    found = fixed_overhead(steps)
    if found is not None:
        assert found.slowdown >= 1
        assert found.fixed_s >= 0


def test_points_of_one_bound_tell_no_overhead() -> None:
    assert fixed_overhead([(0.01, 0.02)]) is None
    assert fixed_overhead([(0.01, 0.02), (0.01, 0.03)]) is None
    assert fixed_overhead([(0.0100, 0.02), (0.0101, 0.03)]) is None, "a slope of noise"
    assert fixed_overhead([]) is None


# The triad.


def test_the_largest_of_five_triads_is_kept_and_never_measured_again(tmp_path: Path) -> None:
    rates = iter([1.0, 5.0, 3.0, 2.0, 4.0])
    sizes: list[int] = []

    def fake(threads: int, size: int) -> float:
        sizes.append(size)
        return next(rates) * 1e9

    file = tmp_path / "deep" / "bandwidth.json"
    first = memory_bandwidth("cpu x", 2, memory_bytes=2**36, cache=file, measure=fake)
    again = memory_bandwidth("cpu x", 2, memory_bytes=2**36, cache=file, measure=fake)
    assert first == again
    assert first.bytes_s == 5e9
    assert len(sizes) == TIMES
    assert first.array_bytes > last_cache_bytes()


def test_another_processor_or_number_of_threads_is_measured_for_itself(tmp_path: Path) -> None:
    def fake(threads: int, size: int) -> float:
        return threads * 1e9

    file = tmp_path / "bandwidth.json"
    one = memory_bandwidth("x", 1, memory_bytes=2**36, cache=file, measure=fake)
    two = memory_bandwidth("x", 2, memory_bytes=2**36, cache=file, measure=fake)
    assert (one.bytes_s, two.bytes_s) == (1e9, 2e9)
    other = memory_bandwidth("y", 1, memory_bytes=2**36, cache=file, measure=lambda _t, _s: 7e9)
    assert other.bytes_s == 7e9


@pytest.mark.parametrize(
    "text", ["", "[]", '{"x, 1 threads": 3}', '{"x, 1 threads": {"bytes_s": -1, "array_bytes": 1}}']
)
def test_a_file_that_cannot_be_used_is_measured_over(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bandwidth.json"
    file.write_text(text)
    assert memory_bandwidth("x", 1, memory_bytes=2**36, cache=file, measure=lambda _t, _s: 2e9).bytes_s == 2e9


@given(st.integers(0, 2**33), st.integers(2**26, 2**42))
def test_arrays_are_larger_than_the_cache_where_the_memory_allows(cache: int, memory: int) -> None:
    size = array_bytes(cache, memory)
    assert 3 * size <= max(memory // 4, 3 * 16_384 * 8)
    if memory // 12 > 4 * cache and cache < 2**28:
        assert size > cache


def test_the_triad_counts_three_accesses_an_element(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 2.0])
    monkeypatch.setattr("tts_compare.machine.triad.time.perf_counter", lambda: next(ticks))
    assert triad(2, 8 * 100_000) == 3 * 8 * 100_000 / 2.0


@pytest.mark.parametrize("length", [1, 16_384, 40_001])
def test_a_pass_computes_the_triad_of_every_element(length: int) -> None:
    out, first, second = np.zeros(length), np.arange(length, dtype=np.float64), np.full(length, 2.0)
    _pass(out, first, second)
    assert (out == first + 3.0 * second).all()


def test_the_kernel_tells_the_size_of_the_cache(tmp_path: Path) -> None:
    home = tmp_path / "sys/devices/system/cpu/cpu0/cache"
    for index, size in enumerate(["32K", "1024K", "32M", "odd"]):
        (home / f"index{index}").mkdir(parents=True)
        (home / f"index{index}" / "size").write_text(size + "\n")
    assert last_cache_bytes(tmp_path) == 32 * 2**20
    assert last_cache_bytes(tmp_path / "none") == 0
