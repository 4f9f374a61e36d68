"""The tokens of prompts that were sent, as the model's own tokenizer and chat template tokenize them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tts_compare.domain import Call
from tts_compare.errors import UsageError
from tts_compare.methods.method import Encode, Render, Tokens

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenization:
    """What is at hand of a model: its tokenizer, and its chat template as messages to text; None for what is not."""

    tokens: Tokens | None = None
    render: Render | None = None


def tokenize(tokenization: Tokenization, calls: Sequence[Call], counts: Sequence[int | None]) -> tuple[Ids, ...] | str:
    """The token ids of each call's prompt, or in words why they cannot be known.

    counts: the tokens of each prompt as the server counted them, None where it gave no answer. Text becomes tokens
    without the tokenizer's special tokens or with them, whichever agrees with every count; if neither does, the
    server reads prompts in a way that is not ours to guess.
    """
    try:
        texts = {_text_key(call): _text(tokenization, call) for call in calls if call.prompt_token_ids is None}
    except UsageError as error:
        return str(error)
    tokens = tokenization.tokens
    if texts and tokens is None:
        return "the model's tokenizer.json is not at hand"
    reason = ""
    for encode in (tokens.encode, tokens.encode_prompt) if tokens else (_nothing,):
        tokenized = _spelt(calls, texts, encode)
        reason = _difference(tokenized, counts)
        if not reason:
            return tokenized
    return reason


def _text_key(call: Call) -> object:
    return call.prompt if call.messages is None else call.messages


def _text(tokenization: Tokenization, call: Call) -> str:
    """A prompt as the text that the engine's tokenizer gets. Raises UsageError where there is no template for it."""
    if call.messages is None:
        return call.prompt or ""
    if tokenization.render is None:
        raise UsageError("the model's chat template is not at hand")
    return tokenization.render(call.messages)


def _nothing(_text: str) -> Ids:
    return ()


def _spelt(calls: Sequence[Call], texts: dict[object, str], encode: Encode) -> tuple[Ids, ...]:
    """Ids as they were sent; each text, of which samples share one, is encoded once."""
    ids = {key: encode(text) for key, text in texts.items()}
    return tuple(call.prompt_token_ids if call.prompt_token_ids is not None else ids[_text_key(call)] for call in calls)


def _difference(tokenized: Sequence[Ids], counts: Sequence[int | None]) -> str:
    """Where our count of a prompt is not the server's, in words; empty where all agree."""
    for ids, count in zip(tokenized, counts, strict=True):
        if count is not None and count != len(ids):
            return f"the server counts {count} tokens in a prompt in which the model's tokenizer finds {len(ids)}"
    return ""
