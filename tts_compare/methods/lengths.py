"""How long a sequence may get: the prompt, the budget, and what a method adds to both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tts_compare.domain import Problem
from tts_compare.methods.prompts import PromptTemplate

#: Tokens that a chat template puts around messages: the R1 and Qwen ones take 4 to 30, with a system text.
TEMPLATE_TOKENS = 64
_PIECES = re.compile(r"[A-Za-z]+|[^\sA-Za-z]|\n+|[^\S\n]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTokens:
    """Tokens of the longest prompt: counted (``least == most``), or without a tokenizer bounds on them."""

    least: int
    most: int


def most_tokens(text: str) -> int:
    """A cautious guess from above, without a tokenizer.

    Byte-pair tokenizers join letters of words and runs of blanks; a digit, a sign, or a byte of another script may
    stand alone. So: a token for every two letters of a word, one for every other character's byte, one for a run
    of line ends, none for a single blank, which joins the word after it. Over MATH-500 that is 1.5 times what
    SmolLM2's tokenizer counts; of the longest problem's prompt 1,364 for 995.
    """
    total = 0
    for piece in _PIECES.findall(text):
        if piece.isascii() and piece.isalpha():
            total += -(-len(piece) // 2)
        elif piece != " ":
            total += 1 if piece.isspace() else len(piece.encode())
    return total


def longest_prompt(
    problems: Iterable[Problem], prompt: PromptTemplate, *, count: Callable[[str], int] | None = None
) -> PromptTokens:
    """Tokens of the longest prompt; ``count`` is the model's tokenizer, where there is one.

    A chat's template is not rendered for it: ``TEMPLATE_TOKENS`` are reserved.
    """
    chat = prompt.kind == "chat"
    texts = [
        "\n".join(content for _, content in prompt.messages_for(problem)) if chat else prompt.text_for(problem)
        for problem in problems
    ]
    around = TEMPLATE_TOKENS if chat else 1
    if count is not None:
        exact = max(map(count, texts)) + around
        return PromptTokens(least=exact, most=exact)
    least = max(len(text.encode()) for text in texts) // 8
    return PromptTokens(least=least, most=max(map(most_tokens, texts)) + around)
