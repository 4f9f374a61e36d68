"""The embedded server is a faithful OpenAI-compatible one, and deterministic."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.errors import UsageError
from tts_compare.selftest import tokens
from tts_compare.selftest.faults import FAULTS, parse_fault, parse_shares
from tts_compare.selftest.replies import Planted, reply_to
from tts_compare.selftest.server import main

KEY = "a-key-of-the-run"
ASK: list[Any] = [{"role": "user", "content": "What is 2 + 2?"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "key").write_text(KEY + "\n", encoding="utf-8")
    planted = {"match": "vote", "text": "so \\boxed{4}", "correct_rate": 0.5, "wrong": "so \\boxed{5}"}
    (folder / "replies.jsonl").write_text(json.dumps(planted) + "\n", encoding="utf-8")
    flags = ["--model", "m", "--api-key-file", str(folder / "key"), "--replies", str(folder / "replies.jsonl")]
    command = [sys.executable, "-m", "tts_compare.selftest.server", "--prefix-caching", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.fixture
def official(server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server, api_key=KEY, max_retries=0) as client:
        yield client


def test_the_official_client_lists_the_model(official: openai.OpenAI) -> None:
    assert [model.id for model in official.models.list()] == ["m"]
    assert official.models.retrieve("m").id == "m"


def test_the_official_client_gets_the_same_answer_streamed_and_whole(official: openai.OpenAI) -> None:
    whole = official.chat.completions.create(model="m", messages=ASK, temperature=0, max_tokens=50)
    stream = official.chat.completions.create(
        model="m", messages=ASK, temperature=0, max_tokens=50, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content != ""
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 50
    assert chunks[0].choices[0].delta.role == "assistant"
    assert whole.choices[0].finish_reason == "length"


def test_the_official_client_gets_completions_of_texts_and_of_token_ids(official: openai.OpenAI) -> None:
    by_text = official.completions.create(model="m", prompt="one two", temperature=0, max_tokens=20)
    by_ids = official.completions.create(model="m", prompt=tokens.encode("one two"), temperature=0, max_tokens=20)
    streamed = official.completions.create(model="m", prompt="one two", temperature=0, max_tokens=20, stream=True)
    assert by_text.choices[0].text == by_ids.choices[0].text == "".join(c.choices[0].text for c in streamed)


def test_the_official_client_gets_several_choices_that_differ_and_repeat_with_their_seed(
    official: openai.OpenAI,
) -> None:
    def texts(seed: int) -> list[str | None]:
        made = official.chat.completions.create(model="m", messages=ASK, n=3, temperature=1, seed=seed, max_tokens=20)
        return [choice.message.content for choice in made.choices]

    assert len(set(texts(1))) == 3
    assert texts(1) == texts(1) != texts(2)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "other"}, openai.NotFoundError),
        ({"max_tokens": 10**9}, openai.BadRequestError),
        ({"messages": []}, openai.BadRequestError),
        ({"extra_body": {"x_fault": "429"}}, openai.RateLimitError),
        ({"extra_body": {"x_fault": "500"}}, openai.InternalServerError),
        ({"extra_body": {"x_fault": "close"}}, openai.APIConnectionError),
    ],
)
def test_the_official_client_raises_its_own_errors(
    official: openai.OpenAI, change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        official.chat.completions.create(**{"model": "m", "messages": ASK, "max_tokens": 9, **change})


def test_the_official_client_sees_an_error_inside_the_stream(official: openai.OpenAI) -> None:
    stream = official.chat.completions.create(
        model="m", messages=ASK, stream=True, extra_body={"x_fault": "in_band"}, max_tokens=20
    )
    with pytest.raises(openai.APIError, match="failed in mid-stream"):
        list(stream)


def test_a_wrong_key_and_none_are_refused_and_health_needs_none(server: str) -> None:
    root = server.removesuffix("/v1")
    assert httpx.get(f"{root}/health").status_code == 200
    assert httpx.get(f"{server}/models").status_code == 401
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=server, api_key="wrong", max_retries=0).models.list()


def test_a_smaller_cap_gives_a_prefix(official: openai.OpenAI) -> None:
    def text(cap: int) -> str:
        made = official.completions.create(model="m", prompt="a prompt", temperature=0.7, seed=3, max_tokens=cap)
        return made.choices[0].text

    assert text(40).startswith(text(12))
    assert text(12)


def test_planted_replies_are_sampled_by_seed_and_right_at_temperature_zero(official: openai.OpenAI) -> None:
    def said(**sampling: Any) -> str:
        made = official.completions.create(model="m", prompt="please vote", max_tokens=20, **sampling)
        return str(made.choices[0].text)

    drawn = [said(temperature=1, seed=seed) for seed in range(40)]
    assert said(temperature=0) == "so \\boxed{4}"
    assert set(drawn) == {"so \\boxed{4}", "so \\boxed{5}"}
    assert drawn == [said(temperature=1, seed=seed) for seed in range(40)]


def test_a_reply_that_was_begun_in_the_prompt_is_continued() -> None:
    plant = (Planted(match="q", text="first we add, then \\boxed{4}"),)
    assert reply_to("q: first we add, ", plant, temperature=0, seed=0).text == "then \\boxed{4}"


def test_the_prefix_cache_is_counted_and_can_be_emptied(server: str, official: openai.OpenAI) -> None:
    root, headers = server.removesuffix("/v1"), {"Authorization": f"Bearer {KEY}"}
    prompt = "many words that fill more than one block of tokens in the cache of prompts, again and again"

    def cached() -> int | None:
        usage = official.completions.create(model="m", prompt=prompt, max_tokens=2).usage
        assert usage is not None
        assert usage.prompt_tokens_details is not None
        return usage.prompt_tokens_details.cached_tokens

    assert httpx.post(f"{root}/reset_prefix_cache", headers=headers).status_code == 200
    assert cached() == 0
    assert cached() == 16
    assert httpx.post(f"{root}/reset_prefix_cache", headers=headers).status_code == 200
    assert cached() == 0


def test_its_metrics_are_prometheus_text_that_counts_what_was_generated(server: str, official: openai.OpenAI) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    def generated() -> float:
        text = httpx.get(server.removesuffix("/v1") + "/metrics").text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return next(sample.value for sample in samples if sample.name == "vllm:generation_tokens_total")

    before = generated()
    official.completions.create(model="m", prompt="x", max_tokens=7)
    assert generated() - before == 7


@given(st.text(max_size=60))
def test_token_ids_spell_the_text_they_are_of(text: str) -> None:
    text = text.encode("utf-8", errors="replace").decode()
    assert tokens.decode(tokens.encode(text)) == text
    assert "".join(tokens.pieces(text)) == text
    assert all(256 <= i < 2**53 for i in tokens.encode(text))


@pytest.mark.parametrize("text", ["unknown:0.1", "rst", "rst:x", "rst:0.9,cut:0.2", "stall=x:0.1"])
def test_faults_that_make_no_sense_are_bad_usage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_shares(text)


def test_every_fault_can_be_named_and_takes_a_value() -> None:
    assert all(parse_fault(f"{name}=2").value == 2.0 for name in FAULTS)


def test_a_file_that_is_no_planted_replies_ends_it_with_status_2(tmp_path: Path) -> None:
    bad = tmp_path / "replies.jsonl"
    bad.write_text('{"match": "x"}\n', encoding="utf-8")
    assert main(["--replies", str(bad)]) == 2
