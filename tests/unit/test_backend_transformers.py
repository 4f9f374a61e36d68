"""What is asked of Hugging Face's server, and what it is spared because it cannot do it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tts_compare.backends import BACKENDS, Machine, differences
from tts_compare.config import load_experiment
from tts_compare.domain import Call, Sampling, Setting, Speculation
from tts_compare.plan.grid import expand, refused, work

ENGINE = BACKENDS["transformers"]
CPU = Setting(backend="transformers", model="org/Model-7B")
LAPTOP = Machine(device="cpu", devices=8, memory_bytes=2**36, cores=tuple(range(8)))


def test_the_model_with_its_revision_is_the_positional_argument_and_the_name_in_requests() -> None:
    setting = replace(CPU, revision="abc")
    name = ENGINE.served_name(setting)
    argv = ENGINE.argv(setting, python="py", host="h", port=1, served_name=name)
    assert name == "org/Model-7B@abc"
    assert argv[:5] == ("py", "-m", "transformers.cli.transformers", "serve", name)
    assert ENGINE.request(Call(max_tokens=1, sampling=Sampling(), prompt="x"), name)[1]["model"] == name


@pytest.mark.parametrize(
    ("sampling", "stated"),
    [
        (Sampling(), {"do_sample": False, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}),
        (
            Sampling(temperature=0.7, top_k=20, min_p=0.05, repetition_penalty=1.1),
            {"do_sample": True, "top_k": 20, "min_p": 0.05, "repetition_penalty": 1.1},
        ),
    ],
)
def test_sampling_that_openai_has_no_field_for_is_in_the_generation_config(
    sampling: Sampling, stated: dict[str, object]
) -> None:
    body = ENGINE.request(Call(max_tokens=1, sampling=sampling, prompt="x"), "m")[1]
    assert json.loads(body["generation_config"]) == stated
    assert not {"top_k", "min_p", "repetition_penalty", "n"} & body.keys(), "unknown fields are answered with 422"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"tensor_parallel": 2}, "one device"),
        ({"speculation": Speculation(kind="ngram")}, "no speculation"),
        ({"prefix_caching": True}, "no prefix cache"),
    ],
)
def test_what_it_has_not_is_a_reason(change: dict[str, object], word: str) -> None:
    assert word in str(ENGINE.unsupported(replace(CPU, **change), LAPTOP))  # type: ignore[arg-type]


def test_beside_another_engine_what_it_cannot_be_told_is_a_warning() -> None:
    other = Setting(backend="vllm", model="org/Model-7B")
    (warning,) = (d for d in differences((CPU, other)) if d.code == "setting_not_stated")
    assert "transformers cannot be told max_model_len, max_num_seqs, prefix_caching" in warning.message
    assert not [d for d in differences((CPU,)) if d.code == "setting_not_stated"]


def test_budgets_are_measured_one_by_one_where_one_of_the_engines_counts_no_chunks() -> None:
    def works(backend: str, **flags: object) -> list[tuple[int, tuple[int, ...]]]:
        asked = {"backend": backend, "model": "m", "budget": "64,256", **flags}
        return [
            (item.budget, item.derived_budgets) for item in work(load_experiment(None, asked)) if not item.spot_check
        ]

    assert works("vllm,transformers") == works("transformers") == [(64, ()), (256, ())]
    assert works("vllm,sglang") == works("transformers", curve="single-pass") == [(256, (64,))]


def test_derived_budgets_and_several_choices_are_refused_with_the_reason() -> None:
    derived = work(load_experiment(None, {"backend": "vllm", "model": "m", "budget": "64,256"}))
    assert "--curve per-budget" in str(refused(CPU, derived))
    assert refused(replace(CPU, backend="vllm"), derived) is None
    flags = {
        "backend": "transformers",
        "model": "m",
        "budget": "64",
        "method": "vote",
        "samples": 4,
        "temperature": 0.6,
    }
    separate = load_experiment(None, flags)
    one = load_experiment(None, flags | {"method_options": {"vote": {"requests": "one"}}})
    assert refused(CPU, work(separate)) is None
    assert "one choice a request" in str(refused(CPU, work(one)))


def test_a_method_that_reuses_prefixes_turns_a_cache_on_only_where_there_is_one() -> None:
    flags = {
        "backend": "vllm,transformers",
        "model": "m",
        "budget": "64",
        "method": "vote",
        "samples": 4,
        "temperature": 0.6,
    }
    made = expand(load_experiment(None, flags), device="cpu")
    assert {s.backend: s.prefix_caching for s in made} == {"vllm": True, "transformers": False}


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("Usage: transformers serve [OPTIONS]\nError: No such option '--nope'.\n", "No such option '--nope'."),
        (
            "Traceback (most recent call last):\n  File x\nValueError: Unsupported dtype: 'int3'. Must be 'auto'.\n",
            "ValueError: Unsupported dtype: 'int3'. Must be 'auto'.",
        ),
    ],
)
def test_the_cause_of_a_failed_start_is_found(log: str, line: str) -> None:
    cause = ENGINE.startup_cause(log)
    assert cause.line == line
    assert cause.advice
