"""How problems are put to a model."""

from __future__ import annotations

from dataclasses import dataclass

from tts_compare.methods.method import Render, Tokens
from tts_compare.methods.prompts import PromptTemplate
from tts_compare.methods.tokenization import Tokenization


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """How problems are put to a model.

    render, tokens: for methods that write into its turn. template: the chat template's text, where we render it.
    tokenization: how prompts become tokens, where what the prefix cache holds is to be known.
    """

    prompt: PromptTemplate
    render: Render | None = None
    tokens: Tokens | None = None
    template: str | None = None
    tokenization: Tokenization | None = None
