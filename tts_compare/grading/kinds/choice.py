r"""Multiple choice (GPQA): the letter in the last box, else behind the last ``Answer:``."""

from __future__ import annotations

import re

from tts_compare.grading.extract import last_box
from tts_compare.grading.judgement import Judgement, NeedsSymbolic, Verdict, judged
from tts_compare.grading.normalise import normalise
from tts_compare.grading.structure import option_text, several_options

_STATED = re.compile(
    r"(?i:\banswer\b\*{0,2}\s{0,4}(?:is\s?:?|:|=)(?:\s{0,4}(?:option|choice)\b)?)"
    r"(?:\s|\*\*|\$|\\[(\[]|\\boxed\{|\\(?:text|math)[a-z]{0,2}\{|\(){0,8}([A-J])(?![A-Za-z0-9'])",
    re.ASCII,
)
_LETTER = re.compile(
    r"(?:(?:option|choice|answer)\s*:?\s*)?\(?\s*([A-J])\s*(?:[).:,]|\Z|\s(?-i:[^\sa-z=+*/^<>-]))", re.IGNORECASE
)


def extract(text: str, *, open_ended: bool) -> str | None:
    """The last box that holds a letter first, else the letter behind the last ``Answer:``."""
    box = last_box(text)
    if box is not None:
        return box
    stated = [found for found in _STATED.finditer(text) if not open_ended or found.end() < len(text)]
    return stated[-1].group(1) if stated else None


def compare(gold: str, answer: str) -> Judgement | NeedsSymbolic:
    """Compare letters, whatever their case and brackets; an answer without a letter is incorrect."""
    expected, given = letter(gold), letter(answer)
    return judged(answer, Verdict(equal=expected is not None and expected == given, layer="letter"))


def letter(text: str) -> str | None:
    """The option letter that ``C``, ``(C)``, ``C.``, ``\\text{(C)}`` or ``C) because`` begins with, if it is one."""
    plain = option_text(normalise(text))
    found = _LETTER.match(plain)
    return found.group(1).upper() if found and not several_options(plain) else None
