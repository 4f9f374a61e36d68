"""How each engine is asked to think, which flags that needs, and what is refused because it would be ignored."""

from __future__ import annotations

import json
import pickletools

import pytest

from tts_compare.backends import BACKENDS
from tts_compare.backends.controls import Controls, template_variables
from tts_compare.domain import Marks, Reasoning, Setting, Speculation, Thinking

MARKS = Marks(open_ids=(11,), close_ids=(12,), line_ids=(13,))
BUDGET = Thinking(budget=20, marks=MARKS)
FORCED = Thinking(budget=20, marks=MARKS, end="\n</think>\n\nAnswer:")


def controls(backend: str) -> Controls:
    found = BACKENDS[backend].controls
    assert found is not None
    return found


def setting(backend: str, model: str = "qwen3-8b", end: str = "</think>", **more: object) -> Setting:
    parser = controls(backend).parser(model, "")
    return Setting(backend=backend, model=model, reasoning=Reasoning(parser=parser, end=end), **more)  # type: ignore[arg-type]


def argv(of: Setting) -> tuple[str, ...]:
    return BACKENDS[of.backend].argv(of, python="python", host="h", port=1, served_name="m")


def refusal(thinking: Thinking, of: Setting) -> str:
    return controls(of.backend).refusal(thinking, of) or ""


def test_vllm_is_told_the_marks_and_the_parser_and_asked_by_a_field_of_its_own() -> None:
    of = setting("vllm")
    told = argv(of)
    assert told[told.index("--reasoning-parser") + 1] == "qwen3"
    config = json.loads(told[told.index("--reasoning-config") + 1])
    assert config == {"reasoning_start_str": "<think>", "reasoning_end_str": "</think>"}
    assert controls("vllm").fields(BUDGET, of)["thinking_token_budget"] == 20
    assert not refusal(BUDGET, of)


def test_flags_of_the_users_own_are_not_given_twice() -> None:
    told = argv(setting("vllm", engine_args=("--reasoning-parser=mine",)))
    assert "--reasoning-parser" not in told
    assert "--reasoning-parser=mine" in told


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_controls_without_a_budget_need_the_parser_alone(backend: str) -> None:
    told = argv(setting(backend, end=""))
    assert told[-2:] == ("--reasoning-parser", "qwen3")


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_without_a_method_that_controls_thinking_nothing_is_told(backend: str) -> None:
    told = " ".join(argv(Setting(backend=backend, model="qwen3-8b")))
    assert "reasoning" not in told
    assert "thinking" not in told
    assert "overlap" not in told


def test_sglang_on_a_cpu_keeps_budgets_by_a_processor_without_overlap() -> None:
    of = setting("sglang")
    assert {"--enable-custom-logit-processor", "--disable-overlap-schedule"} <= set(argv(of))
    assert "--enable-strict-thinking" not in argv(of)
    fields = controls("sglang").fields(BUDGET, of)
    assert fields["custom_params"] == {"thinking_budget": 20}
    pickled = bytes.fromhex(json.loads(fields["custom_logit_processor"])["callable"])
    steps = [(code.name, value) for code, value, _ in pickletools.genops(pickled)]
    assert [value for name, value in steps if name == "GLOBAL"] == [
        "builtins type",
        "sglang.srt.sampling.custom_logit_processor ThinkingBudgetLogitProcessor",
    ]
    assert [value for name, value in steps if name == "INT"] == [11, 12, 13]


def test_sglang_on_a_gpu_thinks_strictly_where_its_parser_can_and_by_the_processor_elsewhere() -> None:
    strict, other = setting("sglang", device="cuda"), setting("sglang", "deepseek-r1-distill-qwen-7b", device="cuda")
    assert "--enable-strict-thinking" in argv(strict)
    assert "custom_logit_processor" not in controls("sglang").fields(BUDGET, strict)
    assert "--enable-strict-thinking" not in argv(other)
    assert "custom_logit_processor" in controls("sglang").fields(BUDGET, other)


@pytest.mark.parametrize(
    ("thinking", "of", "why"),
    [
        (BUDGET, setting("sglang", speculation=Speculation(kind="ngram"), device="cuda", model="r1-distill"), "drafts"),
        (Thinking(budget=20), setting("sglang"), "tokenizer is not at hand"),
        (
            Thinking(budget=20, marks=Marks(open_ids=(1, 2), close_ids=(3,), line_ids=(4,))),
            setting("sglang"),
            "one token",
        ),
        (FORCED, setting("sglang"), "force_in to client"),
        (BUDGET, setting("sglang", "gpt-oss-20b"), "channels"),
        (BUDGET, setting("vllm", "gpt-oss-20b"), "channels"),
        (FORCED, setting("vllm", "a-model-of-mine"), "--reasoning-parser"),
        (Thinking(effort="none"), setting("sglang", "gpt-oss-20b"), "low, medium, high"),
        (Thinking(effort="xhigh"), setting("vllm", "gpt-oss-20b"), "low, medium, high"),
        (Thinking(effort="ultra"), setting("vllm"), "not ultra"),
        (Thinking(effort="fast"), setting("sglang"), "not fast"),
        (BUDGET, Setting(backend="transformers", model="m"), "no thinking budget"),
        (Thinking(effort="low"), Setting(backend="transformers", model="m"), "reasoning_effort"),
    ],
)
def test_what_an_engine_would_ignore_or_cannot_do_is_refused_with_the_reason(
    thinking: Thinking, of: Setting, why: str
) -> None:
    assert why in refusal(thinking, of)


def hosted(host: str) -> Setting:
    return Setting(backend="openai", model="m", base_url=f"https://{host}/v1", hosted=True)


@pytest.mark.parametrize(
    ("host", "thinking", "fields"),
    [
        ("openrouter.ai", Thinking(budget=64), {"reasoning": {"max_tokens": 64}}),
        ("openrouter.ai", Thinking(effort="low"), {"reasoning": {"effort": "low"}}),
        ("api.anthropic.com", Thinking(budget=2048), {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("api.deepseek.com", Thinking(enabled=False), {"thinking": {"type": "disabled"}}),
        ("api.together.xyz", Thinking(enabled=True), {"reasoning": {"enabled": True}}),
        ("api.openai.com", Thinking(effort="xhigh"), {"reasoning_effort": "xhigh"}),
        ("localhost", Thinking(effort="low"), {"reasoning_effort": "low"}),
    ],
)
def test_a_hosted_endpoint_is_asked_as_its_provider_documents(host: str, thinking: Thinking, fields: object) -> None:
    assert not refusal(thinking, hosted(host))
    assert controls("openai").fields(thinking, hosted(host)) == fields


@pytest.mark.parametrize(
    ("host", "thinking"),
    [
        ("api.openai.com", Thinking(budget=64)),
        ("evil-openrouter.ai", Thinking(budget=64)),
        ("api.anthropic.com", Thinking(budget=1023)),
        ("api.anthropic.com", Thinking(effort="low")),
        ("api.openai.com", Thinking(enabled=True)),
        ("localhost", Thinking(enabled=False)),
        ("openrouter.ai", FORCED),
    ],
)
def test_a_control_that_no_provider_documents_is_refused(host: str, thinking: Thinking) -> None:
    assert refusal(thinking, hosted(host))


@pytest.mark.parametrize(
    ("model", "architecture", "vllm", "sglang"),
    [
        ("org/Qwen3-8B", "", "qwen3", "qwen3"),
        ("Qwen3-30B-A3B-Thinking-2507", "", "qwen3", "qwen3-thinking"),
        ("DeepSeek-R1-Distill-Qwen-7B", "Qwen2ForCausalLM", "deepseek_r1", "deepseek-r1"),
        ("mine", "Qwen3MoeForCausalLM", "qwen3", "qwen3"),
        ("Llama-3.1-8B", "LlamaForCausalLM", None, None),
    ],
)
def test_the_parser_follows_from_the_name_and_then_from_the_architecture(
    model: str, architecture: str, vllm: str | None, sglang: str | None
) -> None:
    assert controls("vllm").parser(model, architecture) == vllm
    assert controls("sglang").parser(model, architecture) == sglang


def test_an_effort_of_none_switches_the_templates_thinking_off() -> None:
    assert template_variables(Thinking(effort="none"))["enable_thinking"] is False
    assert template_variables(Thinking(effort="low")) == {
        "reasoning_effort": "low",
        "enable_thinking": True,
        "thinking": True,
    }
