"""Quantization, the KV cache's type and expert parallelism as axes: settings, ids, flags, pairs, what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tts_compare.analysis.findings.compare import SETTING_AXES, difference_axis, setting_pairs
from tts_compare.backends import BACKENDS, Machine, ModelFacts
from tts_compare.config import load_experiment
from tts_compare.domain import Setting
from tts_compare.plan.design import layout_of
from tts_compare.plan.grid import expand
from tts_compare.plan.manifest import setting_facts
from tts_compare.rundir.facts import SettingFacts

GPU = Machine(device="cuda", devices=8, memory_bytes=2**40, gpu_memory_bytes=80 * 2**30)


def made(**given: Any) -> tuple[Setting, ...]:
    return expand(load_experiment(None, {"model": "m", "backend": "vllm", **given}, environ={}), device="cuda")


def argv(setting: Setting) -> tuple[str, ...]:
    return BACKENDS[setting.backend].argv(setting, python="p", host="h", port=1, served_name="m")


def test_the_axes_multiply_and_each_value_stands_in_the_id() -> None:
    found = [s.id for s in made(quantization="none,fp8", kv_dtype="auto,fp8", expert_parallel="off,on")]
    assert len(set(found)) == 8
    base = "vllm/m/tp1-pp1-dp1/none"
    assert {base, f"{base}/fp8", f"{base}/kv_fp8", f"{base}/ep", f"{base}/fp8-kv_fp8-ep"} <= set(found)


def test_an_id_without_them_is_what_it_was() -> None:
    (plain,) = made()
    assert plain.id == "vllm/m/tp1-pp1-dp1/none"
    (hashed,) = made(dtype="float16")
    assert hashed.id.rsplit("/", 1)[1].isalnum()
    assert len(hashed.id.rsplit("/", 1)[1]) == 6


@pytest.mark.parametrize(
    ("axis", "value", "vllm", "sglang"),
    [
        ("quantization", "fp8", ("--quantization", "fp8"), ("--quantization", "fp8")),
        ("kv_dtype", "fp8", ("--kv-cache-dtype", "fp8"), ("--kv-cache-dtype", "fp8_e4m3")),
        ("expert_parallel", "on", ("--enable-expert-parallel",), ("--ep-size", "4")),
    ],
)
def test_each_engine_gets_its_own_flag_and_none_where_nothing_is_asked(
    axis: str, value: str, vllm: tuple[str, ...], sglang: tuple[str, ...]
) -> None:
    for backend, flags in (("vllm", vllm), ("sglang", sglang)):
        (asked,) = made(backend=backend, tp="4", **{axis: value})
        (plain,) = made(backend=backend, tp="4")
        at = argv(asked).index(flags[0])
        assert argv(asked)[at : at + len(flags)] == flags
        assert flags[0] not in argv(plain)


@pytest.mark.parametrize("axis", ["quantization", "kv_dtype", "expert_parallel"])
def test_two_settings_that_differ_in_one_of_them_are_a_pair_whose_texts_are_compared(axis: str) -> None:
    value = {"quantization": "fp8", "kv_dtype": "fp8", "expert_parallel": True}[axis]
    plain = setting_facts(Setting(backend="vllm", model="m"))
    other = msgspec.structs.replace(plain, **{axis: value})
    assert difference_axis(plain, other) == axis
    assert list(setting_pairs({"a": other, "b": plain})) == [(axis, "b", "a")], "the plainer one first"
    assert SETTING_AXES[axis]


def test_a_manifest_from_before_is_of_settings_without_them() -> None:
    old = msgspec.convert({"backend": "vllm", "model": "m"}, SettingFacts)
    assert (old.quantization, old.kv_dtype, old.expert_parallel) == ("none", "auto", False)


def test_what_cannot_be_is_refused_with_the_reason() -> None:
    dense = ModelFacts(layers=2, experts=False)
    (spread,) = made(expert_parallel="on")
    assert "no experts" in (BACKENDS["vllm"].unsupported(spread, GPU, dense) or "")
    assert BACKENDS["vllm"].unsupported(spread, GPU, ModelFacts(layers=2, experts=True)) is None
    (other,) = made(backend="transformers", quantization="fp8")
    assert "quantization" in (BACKENDS["transformers"].unsupported(other, GPU, None) or "")


def test_weights_that_fit_a_gpu_only_in_8_bits_are_not_refused_in_8_bits() -> None:
    large = ModelFacts(layers=2, parameters=60 * 10**9, dtype="bfloat16")
    (plain,), (small,) = made(), made(quantization="fp8")
    assert "its weights take" in (BACKENDS["vllm"].unsupported(plain, GPU, large) or "")
    assert BACKENDS["vllm"].unsupported(small, GPU, large) is None


def test_the_roofline_reads_8_bit_weights_and_caches() -> None:
    (both,) = made(quantization="fp8", kv_dtype="fp8")
    layout = layout_of(both, None)
    assert (layout.dtype, layout.kv_width) == ("float8", 1.0)
    (plain,) = made()
    assert layout_of(plain, None).kv_width == 2.0


def test_rules_know_the_axes() -> None:
    (left,) = made(quantization="none,fp8", exclude=[{"quantization": "none"}])
    assert left.quantization == "fp8"
