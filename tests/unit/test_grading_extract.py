r"""Where the answer of a response is looked for, and which box it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.domain import Policy
from tts_compare.grading import Item, Response
from tts_compare.grading.answer import find_answer
from tts_compare.grading.extract import continued_box, last_box


def answer(text: str, policy: Policy = "any", *, stop_at: str | None = None, **parts: object) -> str | None:
    response = Response(text=text, **parts)  # type: ignore[arg-type]
    return find_answer(Item(gold="", response=response, policy=policy, stop_at=stop_at))


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\fbox{3}", "3"),
        (r"\boxed {4}", "4"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{x = \boxed{5}}", "5"),
        (r"$\boxed{1}$, $\boxed{2}$ and $\boxed{3}$", "1, 2, 3"),
        (r"\boxed{1} \text{ or } \boxed{2}", "1, 2"),
        (r"\boxed{6}. So \boxed{6}", "6"),
        ("\\boxed{5}\n\n\\boxed{6}", "6"),
        (r"\boxed{7} put it in \boxed{}", "7"),
        (r"\boxed{8} like \boxed{...}", "8"),
        (r"\boxed{9} and then \boxed{1", "9"),
        (r"the answer is 42", None),
        (r"\boxed{", None),
        ("", None),
    ],
)
def test_the_last_complete_box_is_the_answer(text: str, box: str | None) -> None:
    assert last_box(text) == box


def test_a_box_that_does_not_close_within_its_limit_is_none() -> None:
    assert last_box(r"\boxed{" + "9" * 2_000 + "}") == "9" * 2_000
    assert last_box(r"\boxed{" + "9" * 2_001 + "}") is None
    assert last_box(r"\boxed{5} \boxed{" + "9" * 100_000 + "}") == "5"


@given(st.text(alphabet="{}\\boxedf 1,", max_size=80), st.text(alphabet="abc {}", max_size=20))
def test_no_text_before_a_complete_box_changes_it(before: str, after: str) -> None:
    assert last_box(before + "\n\n" + r"\boxed{7}" + after) == "7"


@given(st.text(max_size=200), st.integers(0, 200))
def test_a_prefix_is_credited_only_where_a_complete_box_precedes_the_cut(text: str, at: int) -> None:
    whole = text.replace("\\", "") + r" \boxed{314}"
    prefix = whole[: len(whole) - 1 - at]
    assert last_box(prefix) is None


THOUGHT = r"<think>maybe \boxed{1}</think> It is \boxed{2}."


@pytest.mark.parametrize(
    ("policy", "text", "expected"),
    [
        ("any", THOUGHT, "2"),
        ("any", r"<think>maybe \boxed{1}</think> It is one.", "1"),
        ("any", r"<think>maybe \boxed{1}", "1"),
        ("final", THOUGHT, "2"),
        ("final", r"<think>maybe \boxed{1}</think> It is one.", None),
        ("final", r"<think>maybe \boxed{1}", None),
        ("final", r"maybe \boxed{1}</think> It is \boxed{2}.", "2"),
        ("final", r"maybe \boxed{1}</think> Hm </think> It is one.", None),
        ("final", r"No thinking: \boxed{3}", "3"),
        ("forced", r" \boxed{4}.", "4"),
        ("forced", r"14}$. Done", "14"),
        ("forced", r"\frac{1}{2}}", r"\frac{1}{2}"),
        ("forced", r"14", None),
    ],
)
def test_the_policy_chooses_where_to_look(policy: Policy, text: str, expected: str | None) -> None:
    assert answer(text, policy) == expected


def test_reasoning_that_came_apart_counts_for_any_and_not_for_final() -> None:
    assert answer("It is one.", "any", reasoning=r"\boxed{1}") == "1"
    assert answer(r"It is \boxed{2}.", "any", reasoning=r"\boxed{1}") == "2"
    assert answer("It is one.", "final", reasoning=r"\boxed{1}") is None
    assert answer(r"It is \boxed{2}.", "final", reasoning=r"\boxed{1}") == "2"


def test_final_gives_nothing_to_a_text_that_may_still_be_thinking() -> None:
    text = r"maybe \boxed{1}"
    assert answer(text, "final", cut=True, thinks=True) is None
    assert answer(text, "final", finished=False) is None
    assert answer(text, "final", cut=True) == "1"


def test_a_stop_marker_cuts_off_the_problems_a_base_model_invents() -> None:
    text = "The answer is \\boxed{14}.\n\nProblem: 1 + 1?\nSolution: \\boxed{2}"
    assert answer(text) == "2"
    assert answer(text, stop_at="\n\nProblem") == "14"
    assert answer(text, "final", stop_at="\n\nProblem") == "14"
    assert answer("\n\nProblem: \\boxed{2}", stop_at="\n\nProblem") is None


def test_several_calls_of_a_sample_are_read_as_one_text() -> None:
    assert answer(" so it goes", "any", before=r"<think>\boxed{1}") == "1"
    assert answer(r" \boxed{2}", "final", before=r"<think>\boxed{1}", finished=False) == "2"
    assert answer(" so it goes", "forced", before=r"<think>\boxed{1}") is None


def test_a_box_split_between_two_calls_is_whole_again() -> None:
    assert continued_box(r"</think> It is \boxed{1", "4}.") == "14"
    assert answer("4}.", "forced", before=r"</think> It is \boxed{1") == "14"
    assert continued_box(r"\boxed{3} The final answer is", "4}.") == "4"
