"""GSM8K answers: the number behind the last ``####`` or the last box, whichever stands later; compared by value."""

from __future__ import annotations

import re

from tts_compare.grading.extract import last_box
from tts_compare.grading.judgement import Judgement, NeedsSymbolic
from tts_compare.grading.kinds import integer

_MARKED = re.compile(r"####\s{0,4}\*{0,2}\s{0,4}(?:\\?\$)?\s?([-\u2212]?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?|-?\.\d+)")
_TAIL = re.compile(r"[\d,./]*\Z")


def extract(text: str, *, open_ended: bool) -> str | None:
    """The number behind the last ``####``. In a text that may break off, a number at its very end does not count.

    A box further down counts before it: ``#### 1. First`` is a heading in Markdown.
    """
    for found in reversed(list(_MARKED.finditer(text))):
        if not open_ended or not _TAIL.match(text, found.end()):
            return last_box(text[found.end() :]) or found.group(1).replace("$", "").rstrip(",")
    return last_box(text)


def compare(gold: str, answer: str) -> Judgement | NeedsSymbolic:
    """Compare by value; a gold may be a whole solution that ends in ``#### 72``."""
    expected = gold.rpartition("####")[2].strip() if "####" in gold else gold
    return integer.compare(expected.replace(",", ""), answer)
