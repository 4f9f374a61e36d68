"""Differences between compared settings are named, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tts_compare.backends import differences
from tts_compare.domain import Setting, Speculation

VLLM = Setting(backend="vllm", model="m", max_model_len=2048)
SGLANG = replace(VLLM, backend="sglang")


def codes(*settings: Setting) -> set[str]:
    return {warning.code for warning in differences(settings)}


def test_two_engines_with_the_defaults_are_alike() -> None:
    assert codes(VLLM, SGLANG) == set()


def test_one_setting_or_none_differs_from_nothing() -> None:
    assert codes() == codes(VLLM) == set()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"dtype": "bfloat16"}, "dtype_differs"),
        ({"threads_per_rank": 2}, "threads_per_rank_differ"),
        ({"max_model_len": 4096}, "max_model_len_differs"),
        ({"max_model_len": None}, "max_model_len_differs"),
        ({"prefix_caching": True}, "prefix_caching_differs"),
        ({"max_num_seqs": 8}, "batch_limit_differs"),
        ({"device": "cuda"}, "device_differs"),
        ({"tensor_parallel": 2}, "total_cores_differ"),
    ],
)
def test_what_differs_is_named(changes: dict[str, object], code: str) -> None:
    assert code in codes(VLLM, replace(SGLANG, **changes))  # type: ignore[arg-type]


def test_auto_and_float32_are_one_dtype_on_a_cpu_and_two_on_a_gpu() -> None:
    assert codes(VLLM, replace(VLLM, dtype="float32")) == set()
    on_gpu = replace(VLLM, device="cuda")
    assert codes(on_gpu, replace(on_gpu, dtype="float32")) == {"dtype_differs"}


def test_tensor_parallel_on_gpus_is_what_is_compared_and_no_warning() -> None:
    on_gpu = replace(VLLM, device="cuda")
    assert codes(on_gpu, replace(on_gpu, tensor_parallel=4)) == set()


def test_two_ranks_of_one_thread_against_one_rank_of_two_are_equal_cores_and_unequal_threads() -> None:
    assert codes(replace(VLLM, tensor_parallel=2), replace(VLLM, threads_per_rank=2)) == {"threads_per_rank_differ"}


def test_sglangs_trie_and_vllms_lookup_are_told_apart_where_both_appear() -> None:
    ngram = Speculation(kind="ngram")
    both = differences((replace(VLLM, speculation=ngram), replace(SGLANG, speculation=ngram)))
    assert [warning.code for warning in both] == ["ngram_is_not_one_method"]
    assert "trie" in both[0].message
    assert codes(replace(VLLM, speculation=ngram), SGLANG) == set()


def test_hosted_endpoints_are_left_out() -> None:
    url = "https://example.com/v1"
    hosted = Setting(backend="openai", model="m", base_url=url, hosted=True, dtype="bfloat16", max_num_seqs=1)
    assert codes(VLLM, hosted) == set()
