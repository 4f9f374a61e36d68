"""Every command line that we can generate is one the real engine parses, those that need GPUs included."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tts_compare.backends import BACKENDS
from tts_compare.domain import Call, Device, Reasoning, Sampling, Setting, Speculation, SpeculationKind
from tts_compare.installer.registry import EnginePython

SCRIPT = Path(__file__).with_name("parse_argv.py")
ENGINES = ("vllm", "sglang", "transformers")
KINDS: tuple[SpeculationKind, ...] = ("none", "ngram", "draft_model", "eagle", "eagle3", "mtp")
DEVICES: tuple[Device, ...] = ("cpu", "cuda")


#: How weights and caches are stored, experts spread, and thinking bounded, which transformers serve cannot be told.
STORED: list[dict[str, Any]] = [
    {"quantization": "fp8", "device": "cuda"},
    {"quantization": "awq", "kv_dtype": "fp8", "device": "cuda"},
    {"kv_dtype": "fp8"},
    {"expert_parallel": True, "tensor_parallel": 4, "device": "cuda"},
    {"reasoning": Reasoning(parser="qwen3", end="</think>")},
    {"reasoning": Reasoning(parser="qwen3", end="</think>"), "device": "cuda"},
    {"reasoning": Reasoning(end="\n</think>\n\nThe answer is"), "device": "cuda"},
    {"reasoning": Reasoning(parser="qwen3")},
]


def settings(engine: str) -> list[Setting]:
    """Each speculation on each shape and device, and one of each other knob."""
    base = Setting(backend=engine, model="org/Model-7B", max_model_len=16_384)
    shapes = [(1, 1, 1), (4, 1, 1), (2, 2, 1), (2, 1, 2)]
    grid = [
        replace(
            base,
            device=device,
            tensor_parallel=tp,
            pipeline_parallel=pp,
            data_parallel=dp,
            speculation=Speculation(
                kind=kind, model="org/Draft" if kind in ("draft_model", "eagle", "eagle3") else None
            ),
        )
        for device in DEVICES
        for tp, pp, dp in shapes
        for kind in KINDS
    ]
    knobs: list[dict[str, Any]] = [
        {"prefix_caching": True},
        {"max_model_len": None},
        {"dtype": "bfloat16"},
        {"dtype": "float16", "device": "cuda"},
        {"revision": "abc123"},
        {"max_num_seqs": 256, "seed": 42},
        {"threads_per_rank": 4},
        *([] if engine == "transformers" else STORED),
        {"speculation": Speculation(kind="ngram", num_tokens=3, lookup_min=2, lookup_max=6)},
    ]
    return grid + [replace(base, **knob) for knob in knobs]


def parse(python: EnginePython, engine: str, lines: list[list[str]]) -> list[dict[str, Any]]:
    """What the engine's parser makes of the argument lists, all in one process."""
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")  # with these vLLM looks for the model on the disk, at once
    environ = {name: value for name, value in os.environ.items() if name not in offline}
    environ |= {"VLLM_NO_USAGE_STATS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [str(python.path), str(SCRIPT), engine],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        env=environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    parsed = json.loads(done.stdout.strip().splitlines()[-1])
    assert isinstance(parsed, list)
    return parsed


@pytest.fixture(scope="module", params=ENGINES)
def parsed(
    request: pytest.FixtureRequest, engine_python: Callable[[str], EnginePython]
) -> tuple[str, list[Setting], list[dict[str, Any]]]:
    """The engine, the settings, and what its parser made of each; the last line is one that must be refused."""
    engine: str = request.param
    python = engine_python(engine)
    all_settings = settings(engine)
    lines = [
        list(
            BACKENDS[engine].argv(
                setting,
                python="x",
                host="127.0.0.1",
                port=23_456,
                served_name=BACKENDS[engine].served_name(setting),
                version=python.version,
            )[3:]
        )
        for setting in all_settings
    ]
    return engine, all_settings, parse(python, engine, [*lines, [*lines[0], "--no-such-flag"]])


def test_every_argv_is_parsed(parsed: tuple[str, list[Setting], list[dict[str, Any]]]) -> None:
    _, all_settings, results = parsed
    refused = {setting.id: r["error"] for setting, r in zip(all_settings, results, strict=False) if "error" in r}
    assert refused == {}


def test_a_wrong_flag_would_be_seen(parsed: tuple[str, list[Setting], list[dict[str, Any]]]) -> None:
    assert "--no-such-flag" in parsed[2][-1]["error"]


def test_the_engine_understands_what_the_setting_says(
    parsed: tuple[str, list[Setting], list[dict[str, Any]]],
) -> None:
    engine, all_settings, results = parsed
    if engine == "transformers":
        for setting, result in zip(all_settings, results, strict=False):
            told = (result["force_model"], result["dtype"], result["device"], result["default_seed"])
            served = setting.model + (f"@{setting.revision}" if setting.revision else "")
            dtype = "float32" if setting.dtype == "auto" and setting.device == "cpu" else setting.dtype
            assert told == (served, dtype, setting.device, setting.seed), setting.id
        return
    names = {
        "vllm": ("model", "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "max_model_len",
                 "max_num_seqs", "seed"),
        "sglang": ("model_path", "tp_size", "pp_size", "dp_size", "context_length", "max_running_requests",
                   "random_seed"),
    }[engine]  # fmt: skip
    for setting, result in zip(all_settings, results, strict=False):
        said = (setting.model, setting.tensor_parallel, setting.pipeline_parallel, setting.data_parallel,
                setting.max_model_len, setting.max_num_seqs, setting.seed)  # fmt: skip
        assert tuple(result[name] for name in names) == said, setting.id
        cache_on = result["enable_prefix_caching"] if engine == "vllm" else not result["disable_radix_cache"]
        assert cache_on is setting.prefix_caching, setting.id
        speculates = result["speculative_config" if engine == "vllm" else "speculative_algorithm"] is not None
        assert speculates is (setting.speculation.kind != "none"), setting.id


def test_how_weights_caches_and_thinking_are_stated_is_what_the_engine_understands(
    parsed: tuple[str, list[Setting], list[dict[str, Any]]],
) -> None:
    engine, all_settings, results = parsed
    if engine == "transformers":
        return
    for setting, result in zip(all_settings, results, strict=False):
        assert result["quantization"] == (None if setting.quantization == "none" else setting.quantization)
        kv = {"vllm": "fp8", "sglang": "fp8_e4m3"}[engine] if setting.kv_dtype == "fp8" else "auto"
        assert result["kv_cache_dtype"] == kv
        spread = result["enable_expert_parallel"] if engine == "vllm" else result["ep_size"] == setting.tensor_parallel
        if setting.tensor_parallel > 1:
            assert spread is setting.expert_parallel
        reasoning = setting.reasoning
        # vLLM's own default is an empty text.
        assert (result["reasoning_parser"] or None) == (reasoning.parser if reasoning else None)
        bounded = reasoning is not None and bool(reasoning.end)
        if engine == "vllm":
            assert (reasoning is not None and repr(reasoning.end) in str(result["reasoning_config"])) is bounded
        else:
            strict = bounded and reasoning is not None and reasoning.parser == "qwen3" and setting.device == "cuda"
            assert result["enable_strict_thinking"] is strict
            assert result["enable_custom_logit_processor"] is (bounded and not strict)
            assert result["disable_overlap_schedule"] is (bounded and not strict)


def test_no_engine_takes_sampling_from_the_models_generation_config(
    parsed: tuple[str, list[Setting], list[dict[str, Any]]],
) -> None:
    engine, _, results = parsed
    if engine == "transformers":
        call = Call(max_tokens=1, sampling=Sampling(), prompt="x")
        assert "generation_config" in BACKENDS[engine].request(call, "m")[1], "each request states its own"
        return
    name, value = ("generation_config", "vllm") if engine == "vllm" else ("sampling_defaults", "openai")
    assert {result[name] for result in results[:-1]} == {value}
