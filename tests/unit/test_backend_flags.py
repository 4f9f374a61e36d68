"""Flags and environment that only one engine has."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.backends import BACKENDS, ModelFacts
from tts_compare.backends.limits import rank_cores
from tts_compare.domain import Device, Setting, Speculation

CPU = Setting(backend="vllm", model="/models/tiny", max_model_len=2048)
VLLM, SGLANG = BACKENDS["vllm"], BACKENDS["sglang"]


def argv(setting: Setting, engine: str = "vllm", version: str | None = None) -> tuple[str, ...]:
    return BACKENDS[engine].argv(setting, python="py", host="127.0.0.1", port=1, served_name="n", version=version)


def value_of(flags: tuple[str, ...], flag: str) -> str:
    return flags[flags.index(flag) + 1]


def test_vllms_ngram_is_the_papers_by_default() -> None:
    flags = argv(replace(CPU, speculation=Speculation(kind="ngram")))
    assert json.loads(value_of(flags, "--speculative-config")) == {
        "method": "ngram",
        "num_speculative_tokens": 5,
        "prompt_lookup_min": 1,
        "prompt_lookup_max": 4,
    }


def test_vllms_server_is_run_by_the_module_that_its_version_does_not_deprecate() -> None:
    entry = "vllm.entrypoints.launchers.api_server.entry"
    assert argv(CPU, version="0.32.0")[:3] == argv(CPU, version="0.33.0")[:3] == ("py", "-m", entry)
    assert argv(replace(CPU, version="0.33.0"))[2] == entry
    assert argv(CPU, version="0.31.1")[2] == "vllm.entrypoints.openai.api_server"


def test_vllms_per_request_figures_are_asked_for_only_from_a_version_known_to_have_them() -> None:
    flag = "--enable-per-request-metrics"
    assert flag in argv(CPU, version="0.32.0")
    assert flag in argv(replace(CPU, version="1.0"), version=None)
    assert flag not in argv(CPU, version="0.10.2")
    assert flag not in argv(CPU, version=None)


def test_vllms_speculation_figures_are_asked_for_only_with_speculation_which_it_demands() -> None:
    flag = "--per-request-spec-decode-metrics"
    assert flag not in argv(CPU, version="0.32.0")
    assert flag in argv(replace(CPU, speculation=Speculation(kind="ngram")), version="0.32.0")


def test_vllm_on_a_cpu_starts_in_one_process_only_with_one_rank_of_one_thread() -> None:
    alone, two = VLLM.env(CPU), VLLM.env(replace(CPU, tensor_parallel=2))
    assert value_of(argv(CPU), "--distributed-executor-backend") == "uni"
    assert (alone["VLLM_ENABLE_V1_MULTIPROCESSING"], alone["OMP_NUM_THREADS"]) == ("0", "1")
    assert value_of(argv(replace(CPU, tensor_parallel=2)), "--distributed-executor-backend") == "mp"
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in two
    assert two["VLLM_CPU_OMP_THREADS_BIND"] == "0|1"
    assert VLLM.env(replace(CPU, threads_per_rank=2))["VLLM_CPU_OMP_THREADS_BIND"] == "0,1"


def test_vllms_dev_endpoints_are_open_only_where_the_prefix_cache_is_on() -> None:
    assert "VLLM_SERVER_DEV_MODE" not in VLLM.env(CPU)
    assert VLLM.env(replace(CPU, prefix_caching=True))["VLLM_SERVER_DEV_MODE"] == "1"


def test_the_cpu_cache_holds_as_many_tokens_in_both_engines() -> None:
    model = ModelFacts(layers=30, heads=9, kv_heads=3, head_dim=64)  # 46,080 bytes a token in float32
    tokens = int(value_of(argv(CPU, "sglang"), "--max-total-tokens"))
    gib = int(VLLM.env(CPU, model=model)["VLLM_CPU_KVCACHE_SPACE"])
    per_token = model.kv_bytes_per_token("float32") or 0
    assert tokens == 16 * 2048
    assert tokens * per_token <= gib * 2**30 < tokens * per_token + 2**30


def test_on_a_gpu_nothing_of_the_cpus_is_set() -> None:
    gpu = replace(CPU, device="cuda")
    assert argv(gpu)[argv(gpu).index("--dtype") + 1] == "auto"
    assert not {"--enforce-eager", "--distributed-executor-backend"} & set(argv(gpu))
    assert not {"--max-total-tokens", "--device"} & set(argv(gpu, "sglang"))
    assert SGLANG.env(gpu) == {}
    assert "OMP_NUM_THREADS" not in VLLM.env(gpu)


@pytest.mark.parametrize(
    ("engine", "device", "engine_args", "block"),
    [
        ("vllm", "cpu", (), 128),
        ("vllm", "cuda", (), 16),
        ("vllm", "cpu", ("--block-size", "32"), 32),
        ("vllm", "cpu", ("--block_size=64", "--block-size=32", "--enforce-eager"), 32),
        ("vllm", "cpu", ("--block-size",), 128),
        ("vllm", "cpu", ("--block-size", "none"), 128),
        ("sglang", "cuda", (), 1),
        ("sglang", "cuda", ("--page-size", "64"), 64),
        ("sglang", "cpu", ("--page-size=16",), 16),
    ],
)
def test_the_cache_block_is_the_one_stated_last_or_the_engines_own(
    engine: str, device: Device, engine_args: tuple[str, ...], block: int
) -> None:
    assert BACKENDS[engine].block_tokens(replace(CPU, device=device, engine_args=engine_args)) == block


def test_sglangs_drafts_are_steps_of_one_branch_verified_with_one_token_more() -> None:
    flags = argv(replace(CPU, device="cuda", speculation=Speculation(kind="eagle", num_tokens=3, model="d")), "sglang")
    assert value_of(flags, "--speculative-algorithm") == "EAGLE"
    assert value_of(flags, "--speculative-num-steps") == "3"
    assert value_of(flags, "--speculative-eagle-topk") == "1"
    assert value_of(flags, "--speculative-num-draft-tokens") == "4"
    assert value_of(flags, "--speculative-draft-model-path") == "d"


def test_as_many_tokens_are_proposed_by_both_engines_ngram() -> None:
    ngram = replace(CPU, device="cuda", speculation=Speculation(kind="ngram", num_tokens=5))
    assert json.loads(value_of(argv(ngram), "--speculative-config"))["num_speculative_tokens"] == 5
    # Of the tokens that SGLang verifies the first is the one accepted last: seen of its own trie, 5 gave 4 proposals.
    assert value_of(argv(ngram, "sglang"), "--speculative-num-draft-tokens") == "6"


def test_sglang_tells_what_it_runs_with() -> None:
    told = SGLANG.reported({"tp_size": 2, "dtype": "float32", "disable_radix_cache": True, "context_length": None})
    assert told == {"tensor_parallel": 2, "dtype": "float32", "prefix_caching": False}


@given(ranks=st.integers(1, 4), threads=st.integers(1, 4), cores=st.lists(st.integers(0, 99), unique=True, max_size=9))
def test_ranks_never_share_a_core(ranks: int, threads: int, cores: list[int]) -> None:
    bound = rank_cores(replace(CPU, tensor_parallel=ranks, threads_per_rank=threads), sorted(cores))
    groups = [group.split(",") for group in bound.split("|")]
    flat = [core for group in groups for core in group]
    assert [len(group) for group in groups] == [threads] * ranks
    assert len(set(flat)) == len(flat)
    assert [int(core) for core in flat[: len(cores)]] == sorted(cores)[: len(flat)]
