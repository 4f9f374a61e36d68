"""Prompt templates: the named ones, those from files, and a model's own chat template around them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tts_compare.dataset import load_problems
from tts_compare.domain import Problem
from tts_compare.errors import UsageError
from tts_compare.methods import PROMPTS, load_prompt
from tts_compare.methods.chat_template import ChatTemplate
from tts_compare.methods.model_files import chat_template, model_dir, tokens_of

PROBLEM = Problem(id="p", problem="What is $\\frac{1}{2}$ of {x}?", answer="0")
CHATML = (
    "{%- for message in messages %}\n"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n{{ '<|im_start|>assistant\\n' }}\n{%- endif %}"
)


def test_math_asks_in_the_usual_words_without_a_system_text() -> None:
    (message,) = PROMPTS["math"].messages_for(PROBLEM)
    said = "\nPlease reason step by step, and put your final answer within \\boxed{}."
    assert message == ("user", PROBLEM.problem + said)


def test_fewshot_shows_four_boxed_answers_and_then_the_problem() -> None:
    text = PROMPTS["fewshot"].text_for(PROBLEM)
    assert text.count("The answer is \\boxed{") == 4
    assert text.endswith(f"\n\nProblem: {PROBLEM.problem}\nSolution:")
    assert PROMPTS["fewshot"].stop_at == "\n\nProblem"


def test_fewshot_gives_away_no_problem_of_the_quickstart() -> None:
    text = PROMPTS["fewshot"].text
    assert [p.id for p in load_problems("quickstart").problems if p.problem in text] == []


def test_a_text_file_is_the_users_message(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("Solve: {problem} {not a slot}\n")
    template = load_prompt(str(tmp_path / "short.txt"))
    assert (template.name, template.kind) == ("short", "chat")
    assert template.messages_for(PROBLEM) == (("user", f"Solve: {PROBLEM.problem} {{not a slot}}"),)


def test_a_toml_file_is_a_completion_or_a_chat(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('text = "Q: {problem}\\nA:"\nstop_at = "\\nQ:"')
    (tmp_path / "s.toml").write_text('system = "Be brief."\nuser = "{problem}"')
    completion, chat = (load_prompt(str(tmp_path / name)) for name in ("c.toml", "s.toml"))
    assert (completion.kind, completion.stop_at) == ("completion", "\nQ:")
    assert completion.text_for(PROBLEM) == f"Q: {PROBLEM.problem}\nA:"
    assert chat.messages_for(PROBLEM) == (("system", "Be brief."), ("user", PROBLEM.problem))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere", None, "no prompt 'nowhere': give math or fewshot, or a file"),
        ("p.txt", "no slot", "has no place for the problem"),
        ("p.toml", 'text = "{problem}"\nuser = "{problem}"', "a prompt has `text`, or `user`"),
        ("p.toml", 'txet = "{problem}"', "a prompt has `text`, or `user`"),
        ("p.toml", "text = 3", "every value of a prompt is a text"),
        ("p.toml", "not toml", "not TOML"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message) as caught:
        load_prompt(name if content is None else str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_the_hash_is_of_the_content_and_not_of_the_name(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("{problem}")
    (tmp_path / "c.txt").write_text("{problem}!")
    a, b, c = (load_prompt(str(tmp_path / name)).sha256 for name in ("a.txt", "b.txt", "c.txt"))
    assert a == b != c


def model(directory: Path, *, bos: bool = False, **config: Any) -> Path:
    """A model's directory with a tokenizer of words, which adds a first token or does not."""
    tokenizer = Tokenizer(models.WordLevel({"<s>": 0, "a": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<s>"])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", **config}))
    return directory


def test_a_chat_template_is_rendered_up_to_the_models_turn(tmp_path: Path) -> None:
    template = ChatTemplate.from_model_dir(model(tmp_path, chat_template=CHATML))
    assert template.render((("system", "S"), ("user", "U {{ 7 * 7 }}"))) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU {{ 7 * 7 }}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_tag_that_marks_a_models_turn_for_training_changes_nothing(tmp_path: Path) -> None:
    source = "{{ 'U' }}\n{%- generation -%}\n{{ 'A' }}{% endgeneration %}B"
    assert ChatTemplate.from_model_dir(model(tmp_path, chat_template=source)).render((("user", "U"),)) == "UAB"


def test_a_template_in_a_file_of_its_own_comes_first_and_of_named_ones_the_default(tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    directory = model(tmp_path, chat_template=named)
    assert ChatTemplate.from_model_dir(directory).source == "D"
    (directory / "chat_template.jinja").write_text("J")
    assert ChatTemplate.from_model_dir(directory).source == "J"


@pytest.mark.parametrize(("bos", "expected"), [(True, "U"), (False, "<s>U")])
def test_the_first_token_is_not_given_twice(tmp_path: Path, *, bos: bool, expected: str) -> None:
    directory = model(tmp_path, bos=bos, chat_template="{{ bos_token }}{{ messages[0].content }}")
    assert ChatTemplate.from_model_dir(directory).render((("user", "U"),)) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no system text') }}",
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{% for %}",
    ],
)
def test_a_template_that_refuses_or_reaches_out_is_a_usage_error(tmp_path: Path, template: str) -> None:
    directory = model(tmp_path, chat_template=template)
    with pytest.raises(UsageError, match="chat template does not take this prompt"):
        ChatTemplate.from_model_dir(directory).render((("user", "U"),))


def test_a_model_without_a_template_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no chat template; use a completion prompt"):
        ChatTemplate.from_model_dir(model(tmp_path))


def test_a_model_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    assert model_dir("org/model") is None
    with pytest.raises(UsageError, match="could not be fetched; give --model a local directory"):
        chat_template("org/model")


def test_only_small_files_are_fetched_and_of_the_revision_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    asked: dict[str, Any] = {}

    def snapshot_download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.update(name=name, revision=revision, patterns=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert model_dir("org/model", revision="abc") == tmp_path
    assert (asked["name"], asked["revision"]) == ("org/model", "abc")
    assert all(pattern.endswith((".json", ".jinja")) and "*" not in pattern for pattern in asked["patterns"])


def test_a_tokenizer_encodes_without_special_tokens_and_decodes_with_them(tmp_path: Path) -> None:
    tokens = tokens_of(model(tmp_path, bos=True))
    assert tokens is not None
    assert tokens.encode("a") == (1,)
    assert tokens.encode_prompt("a") == (0, 1)
    assert "<s>" in tokens.decode((0, 1))


def test_a_directory_without_a_tokenizer_has_none(tmp_path: Path) -> None:
    assert tokens_of(tmp_path) is None
