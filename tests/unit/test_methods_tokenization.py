"""Prompts become tokens as the server counted them, or the reason why they cannot is said."""

from __future__ import annotations

import pytest

from tts_compare.domain import Call, Sampling
from tts_compare.errors import UsageError
from tts_compare.methods import Tokens
from tts_compare.methods.prompts import Messages
from tts_compare.methods.tokenization import Tokenization, tokenize

BOS = 0
encoded: list[str] = []


def encode(text: str) -> tuple[int, ...]:
    encoded.append(text)
    return tuple(ord(letter) for letter in text)


TOKENS = Tokens(
    encode=encode,
    decode=lambda ids: "".join(chr(i) for i in ids),
    encode_prompt=lambda text: (BOS, *(ord(letter) for letter in text)),
)


def render(messages: Messages) -> str:
    if messages[0][0] == "tool":
        raise UsageError("no tools here")
    return "|".join(content for _, content in messages)


ALL = Tokenization(tokens=TOKENS, render=render)


def text(prompt: str) -> Call:
    return Call(max_tokens=1, sampling=Sampling(), prompt=prompt)


def chat(content: str, role: str = "user") -> Call:
    return Call(max_tokens=1, sampling=Sampling(), messages=((role, content),))


def exact(*ids: int) -> Call:
    return Call(max_tokens=1, sampling=Sampling(), prompt_token_ids=ids)


def test_texts_and_chats_are_encoded_and_ids_are_taken_as_they_were_sent() -> None:
    assert tokenize(ALL, [text("ab"), chat("c"), exact(5, 6)], [2, 1, 2]) == ((97, 98), (99,), (5, 6))


def test_special_tokens_are_there_where_the_server_counts_them() -> None:
    assert tokenize(ALL, [text("ab"), text("c")], [3, 2]) == ((BOS, 97, 98), (BOS, 99))
    assert tokenize(ALL, [text("ab"), text("c")], [3, None]) == ((BOS, 97, 98), (BOS, 99))


def test_one_reading_must_fit_every_prompt() -> None:
    assert "the server counts 2 tokens" in str(tokenize(ALL, [text("ab"), text("cd")], [2, 3]))[:60]


def test_ids_that_the_server_counts_otherwise_are_not_those_it_read() -> None:
    assert "counts 3 tokens" in str(tokenize(ALL, [exact(5, 6)], [3]))


def test_a_prompt_that_samples_share_is_encoded_once() -> None:
    encoded.clear()
    assert tokenize(ALL, [text("same")] * 50 + [chat("same")] * 50, [4] * 100) == ((115, 97, 109, 101),) * 100
    assert len(encoded) == 2


@pytest.mark.parametrize(
    ("tokenization", "call", "reason"),
    [
        (Tokenization(tokens=TOKENS), chat("a"), "chat template is not at hand"),
        (ALL, chat("a", "tool"), "no tools here"),
        (Tokenization(render=render), text("a"), "tokenizer.json is not at hand"),
    ],
)
def test_what_is_not_at_hand_is_the_reason(tokenization: Tokenization, call: Call, reason: str) -> None:
    assert reason in str(tokenize(tokenization, [call], [None]))


def test_ids_need_no_tokenizer() -> None:
    assert tokenize(Tokenization(), [exact(5, 6)], [2]) == ((5, 6),)
