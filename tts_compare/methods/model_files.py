"""The small files of a model that are needed beside the engine: its chat template and its tokenizer."""

from __future__ import annotations

import logging
from pathlib import Path

from tts_compare.errors import UsageError
from tts_compare.methods.chat_template import ChatTemplate
from tts_compare.methods.method import Tokens

_FILES = ("tokenizer_config.json", "chat_template.jinja", "tokenizer.json", "config.json")


def model_dir(model: str, *, revision: str | None = None, fetch: bool = True) -> Path | None:
    """The model's directory: itself, or where the hub's client keeps its small files; None if they are not to be had.

    Only configuration and tokenizer are fetched, never weights, and nothing where ``fetch`` is false.
    """
    if Path(model).is_dir():
        return Path(model)
    if model.count("/") != 1:
        return None
    from huggingface_hub import snapshot_download

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    patterns = list(_FILES)
    try:
        if not fetch:
            return Path(snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=True))
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except (OSError, ValueError):  # not there, not reachable, not allowed: all are kinds of these
        return None


def chat_template(model: str, *, revision: str | None = None) -> ChatTemplate:
    """The model's chat template. Raises UsageError, saying what else to do."""
    directory = model_dir(model, revision=revision)
    if directory is None:
        raise UsageError(
            f"the chat template of {model} could not be fetched; give --model a local directory, "
            "or a completion prompt (--prompt fewshot)"
        )
    return ChatTemplate.from_model_dir(directory)


def tokens_of(directory: Path) -> Tokens | None:
    """The tokenizer of a model's directory; None where it has no ``tokenizer.json``."""
    path = directory / "tokenizer.json"
    if not path.exists():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))

    def encode(text: str) -> tuple[int, ...]:
        return tuple(tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(ids: tuple[int, ...]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=False))

    def encode_prompt(text: str) -> tuple[int, ...]:
        return tuple(tokenizer.encode(text, add_special_tokens=True).ids)

    return Tokens(encode=encode, decode=decode, encode_prompt=encode_prompt)
