"""What is known of controls before a server starts: levels that are one, what is refused, what servers are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.standin import model_directory, tokenizer_file
from tts_compare.backends import Machine
from tts_compare.config import load_experiment
from tts_compare.domain import Work
from tts_compare.errors import UsageError
from tts_compare.plan.grid import work
from tts_compare.plan.manifest import setting_facts
from tts_compare.plan.prepare import Prepared, prepare

CPU = Machine(device="cpu", devices=4, memory_bytes=2**35, cores=(0, 1, 2, 3))
SWITCH = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>{% else %}<think>{% endif %}"
LEVELS = "{% set e = reasoning_effort | default('medium') %}{{ 'low' if e == 'minimal' else e }}: "


def model(home: Path, template: str | None, *, marks: tuple[str, ...] = ("<think>", "</think>")) -> Path:
    """A directory with a template, and a tokenizer in which the marks are tokens of their own."""
    from tokenizers import Tokenizer

    path = model_directory(home, architectures=["Qwen3ForCausalLM"], max_position_embeddings=32768)
    if template is not None:
        (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    tokenizer = Tokenizer.from_file(str(tokenizer_file(path, ["<think>", "</think>", "\n", "x"])))
    tokenizer.add_tokens(list(marks))
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def prepared(home: Path, template: str | None, *, methods: dict[str, Any], **given: Any) -> Prepared:
    asked = {"model": str(model(home, template)), "backend": "vllm,sglang", "dataset": "quickstart", "prompt": "math"}
    return prepare(load_experiment(None, {**asked, **methods, **given}, environ={}), machine=CPU)


def reasons(of: Prepared) -> str:
    return " | ".join(item.reason for item in of.left_out)


def methods_of(of: Prepared) -> list[str]:
    return [item.method for item in of.work_of(of.settings[0])]


def test_levels_that_render_the_same_prompt_are_one_point_and_that_is_told(tmp_path: Path) -> None:
    found = prepared(tmp_path, LEVELS + SWITCH, methods={"effort": "high,low,minimal,none"})
    assert methods_of(found) == ["effort-none", "effort-minimal", "effort-high"]
    told = [warning.message for warning in found.doubts if warning.code == "efforts_alike"]
    assert len(told) == len(found.settings)
    assert all("minimal and low" in message for message in told)


def test_a_template_that_never_looks_at_the_level_is_refused(tmp_path: Path) -> None:
    for levels in ("low", "low,high"):
        found = prepared(tmp_path, SWITCH, methods={"effort": levels})
        assert not found.settings
        assert "does not use reasoning_effort" in reasons(found)


def test_an_effort_of_none_needs_the_templates_switch_alone(tmp_path: Path) -> None:
    assert methods_of(prepared(tmp_path, SWITCH, methods={"effort": "none,low"})) == ["effort-none", "effort-low"]
    assert methods_of(prepared(tmp_path, SWITCH, methods={"effort": "none"})) == ["effort-none"]
    assert not prepared(tmp_path, "x", methods={"effort": "none"}).settings


def test_a_switch_that_the_template_does_not_have_is_refused(tmp_path: Path) -> None:
    assert prepared(tmp_path, SWITCH, methods={"method": "thinking"}).settings
    assert "no switch of thinking" in reasons(prepared(tmp_path, "x<think>", methods={"method": "thinking"}))


def test_all_servers_of_a_run_are_told_what_budgets_need(tmp_path: Path) -> None:
    found = prepared(tmp_path, SWITCH, methods={"method": "truncate,thinking_budget", "budget": "5,20"})
    assert {setting.backend for setting in found.settings} == {"vllm", "sglang"}
    for setting in found.settings:
        assert setting.reasoning is not None
        assert (setting.reasoning.end, setting.reasoning.parser) == ("</think>", "qwen3")
        assert setting_facts(setting).reasoning == setting.reasoning
    plain = prepared(tmp_path, SWITCH, methods={"method": "truncate"})
    assert [setting.reasoning for setting in plain.settings] == [None, None]
    assert [setting.id for setting in plain.settings] == [setting.id for setting in found.settings]


def test_a_budget_that_could_do_nothing_is_refused(tmp_path: Path) -> None:
    asked = {"model": str(model(tmp_path, "x", marks=())), "backend": "vllm", "dataset": "quickstart"}
    asked |= {"method": "thinking_budget", "prompt": "math"}
    found = prepare(load_experiment(None, asked, environ={}), machine=CPU)
    assert "does not open a thinking block" in reasons(found)


def test_speculation_on_sglang_is_skipped_with_a_budget(tmp_path: Path) -> None:
    gpu = Machine(device="cuda", devices=1, memory_bytes=2**35, gpu_memory_bytes=2**36)
    path = model(tmp_path, SWITCH).rename(tmp_path / "deepseek-r1-distill")
    asked = {"model": str(path), "backend": "sglang", "spec": "none,ngram", "dataset": "quickstart"}
    asked |= {"method": "thinking_budget", "prompt": "math"}
    found = prepare(load_experiment(None, asked, environ={}), machine=gpu)
    assert [setting.speculation.kind for setting in found.settings] == ["none"]
    assert "verification of drafts" in reasons(found)


def test_without_model_files_the_parser_follows_from_the_name_and_that_is_said() -> None:
    asked = {"model": "org/Qwen3-8B", "backend": "vllm", "dataset": "quickstart", "prompt": "math"}
    asked |= {"method": "thinking_budget"}
    found = prepare(load_experiment(None, asked, environ={}), fetch=False, machine=CPU)
    (setting,) = found.settings
    assert setting.reasoning is not None
    assert setting.reasoning.parser == "qwen3"
    (told,) = [warning for warning in found.doubts if warning.code == "parser_unchecked"]
    assert "not checked" in told.message
    unknown = prepare(load_experiment(None, {**asked, "model": "org/Mine-8B"}, environ={}), fetch=False, machine=CPU)
    assert "no parser is known" in reasons(unknown)


def test_two_ends_of_thinking_in_one_run_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        f'model = "{model(tmp_path, SWITCH)}"\nbackend = "vllm"\ndataset = "quickstart"\nprompt = "math"\n'
        'method = ["thinking_budget", "force"]\n[method_options.force]\nforce_in = "engine"\n'
    )
    with pytest.raises(UsageError, match="in different ways"):
        prepare(load_experiment(tmp_path / "x.toml", {}, environ={}), machine=CPU)


def test_a_further_field_that_a_method_states_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'reasoning_effort' is how effort-low asks for effort low"):
        prepared(
            tmp_path, LEVELS + SWITCH, methods={"effort": "low,high"}, extra_body='vllm={"reasoning_effort": "max"}'
        )


def works(**given: Any) -> tuple[Work, ...]:
    return work(load_experiment(None, {"model": "m", **given}, environ={}))


def test_efforts_imply_their_method_and_need_no_budget() -> None:
    found = works(effort="high,low")
    assert [(item.method, item.budget) for item in found] == [("effort-low", 16384), ("effort-high", 16384)]
    assert [(item.method, item.budget) for item in works(effort="low", budget="1k,2k")] == [("effort-low", 2048)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "effort"}, "needs its levels"),
        ({"method": "truncate", "effort": "low"}, "axis of the method effort"),
    ],
)
def test_a_method_without_its_axis_and_an_axis_without_its_method_are_refused(
    given: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        works(**given)


def test_a_budget_of_nothing_is_for_thinking_alone() -> None:
    found = works(method="thinking_budget,truncate", budget="0,8", curve="per-budget")
    assert [(item.method, item.budget) for item in found] == [
        ("thinking_budget", 0),
        ("thinking_budget", 8),
        ("truncate", 8),
    ]
    with pytest.raises(UsageError, match="only the method thinking_budget takes 0"):
        works(budget="0,8")
