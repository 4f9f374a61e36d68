r"""Answer kinds: whole numbers, numbers behind ####, letters."""

from __future__ import annotations

from typing import get_args

import pytest

from tts_compare.domain import AnswerKind
from tts_compare.errors import UsageError
from tts_compare.grading import ANSWER_KINDS, Item, Judgement, Response, cheap_judgement


def status(gold: str, text: str, kind: str, *, cut: bool = False) -> str:
    judgement = cheap_judgement(Item(gold=gold, response=Response(text=text, cut=cut), kind=kind))
    assert isinstance(judgement, Judgement)
    return judgement.status


def test_every_kind_of_the_domain_is_there() -> None:
    assert set(ANSWER_KINDS) == set(get_args(AnswerKind))


def test_an_unknown_kind_is_bad_usage() -> None:
    with pytest.raises(UsageError, match="unknown answer kind"):
        status("5", r"\boxed{5}", "essay")


AIME_GOLDS = ["0", "7", "33", "033", "073", "204", "480", "699", "809", "999"]
GSM8K_GOLDS = ["18", "3", "70000", "540", "1,080", "5.5", "-4", "0", "2,125", "109"]


@pytest.mark.parametrize("gold", AIME_GOLDS)
def test_an_aime_gold_is_equal_to_itself_however_it_is_written(gold: str) -> None:
    for form in (gold, gold.zfill(3), f"{int(gold)}", f"{int(gold)}.", f"n = {int(gold)}", rf"\text{{{gold}}}"):
        assert status(gold, rf"So \boxed{{{form}}}.", "integer") == "correct"
        assert status(gold, rf"So \boxed{{{form}}}.", "math") == "correct"
    for wrong in (
        str(int(gold) + 1),
        f"{int(gold)}1",
        f"-{int(gold) + 1}",
        r"\text{none}",
        r"\int_0^1 x",
        "9^{9^{9^9}}",
    ):
        assert status(gold, rf"So \boxed{{{wrong}}}.", "integer") == "incorrect"
    assert status(gold, f"So {gold}.", "integer") == "no_answer"


@pytest.mark.parametrize("gold", GSM8K_GOLDS)
def test_a_gsm8k_gold_is_equal_to_itself_behind_its_mark_and_in_a_box(gold: str) -> None:
    plain = gold.replace(",", "")
    signed = gold.replace("-", "\u2212")
    for text in (
        f"#### {signed}",
        f"#### {gold}",
        f"work\n#### {plain}\n",
        f"#### ${gold}",
        f"#### {plain} eggs",
        rf"\boxed{{{gold}}}",
    ):
        assert status(gold, text, "gsm8k") == "correct"
        assert status(f"48/2 = 24\n#### {gold}", text, "gsm8k") == "correct"
    assert status(gold, f"#### {gold} no\n#### 123456", "gsm8k") == "incorrect"
    assert status(gold, f"The answer is {gold}.", "gsm8k") == "no_answer"


def test_a_number_that_a_cut_may_have_shortened_is_no_answer() -> None:
    assert status("12", "#### 12", "gsm8k") == "correct"
    assert status("12", "#### 12", "gsm8k", cut=True) == "no_answer"
    assert status("12", "#### 12\nSo", "gsm8k", cut=True) == "correct"
    assert status("C", "Answer: C", "choice", cut=True) == "no_answer"


LETTERS = [
    r"\boxed{C}",
    r"\boxed{(C)}",
    r"\boxed{\text{C}}",
    r"\boxed{\textbf{(C)}}",
    r"\boxed{c}",
    r"\boxed{C. 12 m}",
    "Answer: C",
    "**Answer: C**",
    "answer is (C).",
    "Answer: $C$",
    "**Final Answer**: C",
    "**Answer:** **C**",
    "The final answer is: (C)",
    "The correct answer is option C.",
    r"Answer: \(C\)",
    r"Answer: \textbf{C}",
]


@pytest.mark.parametrize("text", LETTERS)
def test_a_letter_is_found_in_a_box_or_behind_answer(text: str) -> None:
    assert status("C", text, "choice") == "correct"
    assert status("(C)", text, "choice") == "correct"
    assert status("D", text, "choice") == "incorrect"


@pytest.mark.parametrize("box", ["C, D", "C and D", "(C), (D)", "C/D", "a mixture of C", "C = 5", "C^2"])
def test_a_box_with_another_letter_or_none_is_not_the_letter_it_begins_with(box: str) -> None:
    assert status("C", rf"\boxed{{{box}}}", "choice") == "incorrect"
    assert status("A", rf"\boxed{{\text{{{box}}}}}", "choice") == "incorrect"


@pytest.mark.parametrize(
    "box", [r"\text{Option C}", r"\text{C. A mixture}", r"\text{(C) } 12", "C 12 m", "C) x", r"\text{C: B}"]
)
def test_a_box_may_hold_the_option_behind_its_letter(box: str) -> None:
    assert status("C", rf"\boxed{{{box}}}", "choice") == "correct"


def test_a_heading_in_markdown_is_not_taken_for_the_answer_in_a_box_below_it() -> None:
    assert status("72", "#### 1. Add\n48 + 24\n\n#### 2. Answer\n\\boxed{72}", "gsm8k") == "correct"
    assert status("72", "\\boxed{5}\n#### 72", "gsm8k") == "correct"


@pytest.mark.parametrize("text", ["C", "I like C best.", "Answer: Copper", "the answer is clear"])
def test_a_letter_anywhere_else_is_no_answer(text: str) -> None:
    assert status("C", text, "choice") == "no_answer"
