"""The dialects of hosted endpoints."""

from __future__ import annotations

import pytest

from tts_compare.backends import Dialect, OpenAI, dialect_for
from tts_compare.domain import Call, Sampling

CHAT = Call(max_tokens=9, sampling=Sampling(seed=4), messages=(("user", "hi"),))


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "openai/o3"])
def test_reasoning_families_take_max_completion_tokens_and_no_temperature(model: str) -> None:
    _, body = OpenAI().request(CHAT, model)
    assert body["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature", "top_p"} & set(body)


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-5-chat-latest", "olmo-2", "meta-llama/Llama-3.1-8B", "o-model"])
def test_other_models_take_the_common_fields(model: str) -> None:
    _, body = OpenAI().request(CHAT, model)
    assert (body["max_tokens"], body["temperature"], body["top_p"], body["seed"]) == (9, 0.0, 1.0, 4)


def test_only_standard_fields_are_sent() -> None:
    _, body = OpenAI().request(CHAT, "gpt-4o")
    standard = {"model", "messages", "max_tokens", "stream", "stream_options", "temperature", "top_p", "seed"}
    assert set(body) == standard
    assert body["stream_options"] == {"include_usage": True}


# Messages as OpenAI, Azure, Mistral and llama.cpp word them.
@pytest.mark.parametrize(
    ("message", "changed"),
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead.",
            {"tokens_field": "max_completion_tokens"},
        ),
        ("Unsupported value: 'temperature' does not support 0.0 with this model.", {"temperature": False}),
        ("Unsupported parameter: 'top_p' is not supported with this model.", {"top_p": False}),
        ("stream_options: Extra inputs are not permitted", {"stream_options": False}),
        ("body.seed: extra fields not permitted", {"seed": False}),
        ("Unsupported value: 'stream' does not support true with this model.", {"stream": False}),
        ("Only one completion choice is allowed: 'n' must be 1", {"n": False}),
    ],
)
def test_a_refusal_that_names_a_field_changes_that_field_alone(message: str, changed: dict[str, object]) -> None:
    assert Dialect().after_refusal(message) == Dialect(**changed)  # type: ignore[arg-type]


def test_an_endpoint_that_knows_only_max_tokens_is_learnt_too() -> None:
    asked = Dialect(tokens_field="max_completion_tokens")
    learnt = asked.after_refusal("Unrecognized request argument supplied: max_completion_tokens")
    assert learnt == Dialect(tokens_field="max_tokens")


def test_a_refusal_about_nothing_that_can_be_left_out_is_not_tried_again() -> None:
    assert Dialect().after_refusal("The model `x` does not exist") is None
    assert Dialect(temperature=False).after_refusal("temperature is wrong") is None


def test_a_learnt_dialect_overrides_the_family() -> None:
    _, body = OpenAI(dialect=Dialect(seed=False, stream_options=False)).request(CHAT, "o3")
    assert body["max_tokens"] == 9
    assert not {"seed", "stream_options"} & set(body)


def test_the_fields_left_out_are_told() -> None:
    assert dialect_for("o3").left_out() == ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def test_completions_always_take_max_tokens() -> None:
    path, body = OpenAI().request(Call(max_tokens=9, sampling=Sampling(), prompt="x"), "o3")
    assert (path, body["max_tokens"]) == ("/completions", 9)
