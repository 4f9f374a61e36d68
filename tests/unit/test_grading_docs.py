"""The rules written down in docs/grading.md are the rules of the grader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tts_compare.grading import GraderPool, Item, Response

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "grading.md"
_SPANS = re.compile(r"`([^`]+)`")


def rules() -> list[tuple[str, str, bool]]:
    """(gold, answer, accepted) of every row of the table under "Rules"."""
    table = _PAGE.read_text(encoding="utf-8").partition("## Rules")[2].partition("## ")[0]
    found = []
    for line in table.splitlines():
        cells = line.split("|")
        if len(cells) == 6 and _SPANS.search(cells[1]):
            (gold,) = _SPANS.findall(cells[1])
            found += [(gold, answer, True) for answer in _SPANS.findall(cells[2])]
            found += [(gold, answer, False) for answer in _SPANS.findall(cells[3])]
    return found


def test_the_table_of_rules_is_read() -> None:
    assert len(rules()) > 70


@pytest.mark.parametrize(("gold", "answer", "accepted"), rules())
def test_the_rule_holds(gold: str, answer: str, accepted: bool) -> None:
    with GraderPool(workers=1) as pool:
        (judgement,) = pool.grade_many([Item(gold=gold, response=Response(text=rf"\boxed{{{answer}}}"))])
    assert judgement.status == ("correct" if accepted else "incorrect")
