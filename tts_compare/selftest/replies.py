"""What the embedded server answers: planted replies, and made-up ones that depend on the prompt alone.

The same prompt with the same sampling gives the same tokens, and the reply never depends on max_tokens: a smaller
cap gives a prefix.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tts_compare.errors import UsageError

_WORDS = (  # noqa: SIM905 - read more easily than forty quoted words
    "let the number be even so we add both sides and take a square root of each term then divide by two which gives "
    "an equal sum for every prime factor of this product hence only one value can hold"
).split()
_BOXED = re.compile(r"\\boxed\{[^{}]*\}")
_MIN_CONTINUED_CHARS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CannedReply:
    """What is said: reasoning, if any, before the text."""

    text: str
    reasoning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A reply for every prompt that holds ``match``.

    At temperature 0 it is ``text``. Above, the seed decides: with probability ``correct_rate`` it is ``text``, else
    ``wrong`` (by default ``text`` with another number in its box).
    """

    match: str
    text: str
    reasoning: str = ""
    correct_rate: float = 1.0
    wrong: str | None = None


def read_planted(path: Path) -> tuple[Planted, ...]:
    """Read planted replies, one JSON object a line with the fields of ``Planted``. Raises: UsageError."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append(Planted(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise UsageError(f"{path}:{number}: not a planted reply: {error}") from error
    return tuple(found)


def reply_to(prompt: str, planted: Sequence[Planted], *, temperature: float, seed: int) -> CannedReply:
    """Return the reply; the first planted one whose ``match`` the prompt holds wins.

    A prompt that ends in the beginning of its own reply is continued from there.
    """
    sampled = temperature > 0
    draw = random.Random(_digest(prompt, seed if sampled else None))  # noqa: S311 - replies, not secrets
    plant = next((p for p in planted if p.match in prompt), None)
    if plant is None:
        return CannedReply(text=_continued(prompt, _made_up(draw)))
    right = not sampled or draw.random() < plant.correct_rate
    text = plant.text if right else (plant.wrong if plant.wrong is not None else _spoilt(plant.text, draw))
    return CannedReply(text=_continued(prompt, text), reasoning=plant.reasoning)


def _digest(prompt: str, seed: int | None) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{prompt}".encode("utf-8", errors="replace")).digest()[:8], "big")


def _made_up(draw: random.Random) -> str:
    sentences = []
    for _ in range(draw.randint(3, 12)):
        words = draw.choices(_WORDS, k=draw.randint(5, 12))
        sentences.append(f"{words[0].capitalize()} {' '.join(words[1:])}.")
    return f"{' '.join(sentences)}\n\nThe final answer is $\\boxed{{{draw.randint(0, 999)}}}$."


def _spoilt(text: str, draw: random.Random) -> str:
    wrong = f"\\boxed{{{draw.randint(1000, 1010)}}}"
    return _BOXED.sub(lambda _: wrong, text) if _BOXED.search(text) else f"{text} No: $\\boxed{{{draw.random():.6f}}}$"


def _continued(prompt: str, text: str) -> str:
    begin = prompt.rfind(text[:_MIN_CONTINUED_CHARS])
    said = prompt[begin:]
    enough = begin >= 0 and len(said) >= _MIN_CONTINUED_CHARS
    return text[len(said) :] if enough and text.startswith(said) else text
