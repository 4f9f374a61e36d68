r"""Symbolic work happens in processes that can be killed: nothing a model writes runs, hangs or ends the grading."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tts_compare.grading import GraderPool, Item, Judgement, Response, grade_answer
from tts_compare.grading.symbolic import symbolically_equal

SYMBOLIC_GOLD = r"\sum_{k=1}^{n} k"
HANGING = r"\sum_{n=1}^{10^{9}} \frac{1}{n}"


def item(gold: str, answer: str) -> Item:
    return Item(gold=gold, response=Response(text=rf"\boxed{{{answer}}}"))


def judged(pool: GraderPool, gold: str, *answers: str) -> list[Judgement]:
    return list(pool.grade_many(item(gold, answer) for answer in answers))


def test_what_the_cheap_layers_leave_is_decided_by_math_verify() -> None:
    with GraderPool() as pool:
        found = judged(pool, r"\int_0^1 x dx", r"\frac{1}{2}", r"\frac{1}{3}", r"\int_0^1 x dx")
    assert [(each.status, each.layer) for each in found] == [
        ("correct", "symbolic"),
        ("incorrect", "symbolic"),
        ("correct", "identical"),
    ]


def test_judgements_come_in_the_order_of_their_items() -> None:
    answers = [r"\frac{1}{2}" if at % 3 == 0 else str(at) for at in range(60)]
    with GraderPool() as pool:
        found = judged(pool, r"\int_0^1 x dx", *answers)
    assert [each.answer for each in found] == answers
    assert [each.status == "correct" for each in found] == [at % 3 == 0 for at in range(60)]


def test_an_answer_that_takes_too_long_is_ungraded_and_the_others_are_not() -> None:
    with GraderPool(limit_s=1.0) as pool:
        found = judged(pool, "5", HANGING, "5", r"\sum_{k=1}^{2} \frac{5}{2}", "6")
    assert [(each.status, each.layer) for each in found] == [
        ("ungraded", "timeout"),
        ("correct", "identical"),
        ("correct", "symbolic"),
        ("incorrect", "value"),
    ]


def test_a_worker_that_runs_out_of_memory_leaves_its_answer_ungraded() -> None:
    with GraderPool(memory_bytes=120 * 2**20, limit_s=60.0) as pool:
        found = judged(pool, "5", r"\sum_{n=1}^{2} 2^{10^{10}+n}", r"\int_0^1 10 x dx")
    assert [(each.status, each.layer) for each in found] == [("ungraded", "memory"), ("correct", "symbolic")]


def test_a_worker_that_is_killed_leaves_its_answer_ungraded_and_is_replaced() -> None:
    with GraderPool(workers=1, limit_s=60.0) as pool:
        judged(pool, "5", r"\int_0^1 10 x dx")
        answers = iter([HANGING, "5"])

        def items() -> object:
            yield item("5", next(answers))
            for child in psutil.Process().children():
                if "tts_compare.grading.worker" in child.cmdline():
                    os.kill(child.pid, signal.SIGKILL)
            yield item("5", next(answers))

        found = list(pool.grade_many(items()))  # type: ignore[arg-type]
        assert [(each.status, each.layer) for each in found] == [("ungraded", "crash"), ("correct", "identical")]
        assert judged(pool, "5", r"\int_0^1 15 x^2 dx")[0].status == "correct"


def test_workers_are_replaced_after_their_share_of_questions() -> None:
    with GraderPool(workers=1, questions_per_worker=2) as pool:
        found = judged(pool, "5", *(rf"\int_0^1 {2 * at} x dx" for at in range(1, 8)))
    assert [each.status for each in found] == ["incorrect"] * 4 + ["correct"] + ["incorrect"] * 2


def test_the_same_question_is_asked_once() -> None:
    with GraderPool(workers=1, limit_s=1.0) as pool:
        found = judged(pool, "5", *[HANGING] * 200)
    assert Counter(each.layer for each in found) == {"timeout": 200}


def test_a_closed_pool_leaves_no_process() -> None:
    with GraderPool() as pool:
        judged(pool, "5", r"\int_0^1 10 x dx")
        assert psutil.Process().children()
    assert not [child for child in psutil.Process().children() if "tts_compare.grading.worker" in child.cmdline()]


def test_a_single_answer_brings_its_own_worker() -> None:
    assert grade_answer("5", r"\boxed{\int_0^1 10 x dx}").status == "correct"


def test_workers_get_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-secret")
    with GraderPool(workers=1) as pool:
        judged(pool, "5", r"\int_0^1 10 x dx")
        (worker,) = (child for child in psutil.Process().children() if "tts_compare.grading.worker" in child.cmdline())
        assert "SOME_API_KEY" not in worker.environ()


def test_the_two_graders_differ_where_math_verify_alone_is_lenient() -> None:
    with GraderPool() as pool:
        lenient = list(pool.grade_many([item("204_5", "204_7")], grader="math-verify"))
        layered = judged(pool, "204_5", "204_7")
    assert (lenient[0].status, layered[0].status) == ("correct", "incorrect")


def payloads(target: Path) -> list[str]:
    """Boxes that would leave a file behind if any step evaluated them as Python."""
    call = f"__import__('os').system('touch {target}')"
    return [
        call,
        rf"\text{{{call}}}",
        f"({call}, 5)[1]",
        f'sympify("{call}")',
        f"[{call} for x in (1,)]",
        f"x = {call}",
        f"(lambda: {call})()",
        f'exec("{call}")',
        f'eval("{call}")',
        f"5 if {call} else 6",
        rf"\sqrt{{{call}}}",
        rf"\frac{{{call}}}{{2}}",
        f"f({call})",
        f"{{{call}}}",
        f"1; {call}",
        f"'''{call}'''",
        f"open('{target}','w')",
        f"breakpoint() or {call}",
    ]


def test_nothing_of_an_answer_is_evaluated_as_python(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    with GraderPool() as pool:
        for gold in ("5", SYMBOLIC_GOLD, r"\text{even}", "x = 5"):
            found = judged(pool, gold, *payloads(target))
            assert all(each.status != "correct" for each in found)
        both = list(pool.grade_many((item("5", each) for each in payloads(target)), grader="math-verify"))
    assert all(each.status != "correct" for each in both)
    assert not target.exists()


def test_the_symbolic_step_itself_evaluates_no_python(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    assert not any(symbolically_equal(gold, each) for gold in ("5", SYMBOLIC_GOLD) for each in payloads(target))
    assert not target.exists()


def hostile(number: int) -> str:
    """The n-th of many different hostile responses."""
    deep = 41 + number % 40
    forms = [
        rf"\boxed{{9^{{9^{{9^{9 + number}}}}}}}",
        rf"\boxed{{{100_000 + number}!!}}",
        r"\boxed{" + rf"\frac{{{number}}}{{" * 40 + "2" + "}" * 40 + "}",
        r"\boxed{" + "(" * deep + str(number) + ")" * deep + "}",
        r"\boxed{" + "9" * 1_900 + f"{number}" + "}",
        rf"\boxed{{{number}" + "{" * (number % 50 + 1),
        rf"\boxed{{{number}" + "}" * (number % 50 + 1),
        f"\\boxed{{\x00{number}\x00}}",
        f"\\boxed{{\u202e{number}\u202c}}",
        rf"\boxed{{\left( {number} \right]}}",
        r"\boxed{" * (1_000 + number),
        rf"\boxed{{__import__('os').abort() + {number}}}",
        r"\boxed{" + r"\sqrt" * 300 + f" {number}" + "}",
        r"\boxed{" + "-" * 1_500 + f"{number}" + "}",
        r"\boxed{" + f"x^{number}" * 300 + "}",
        rf"\boxed{{\begin{{pmatrix}} {'1 & ' * 400}{number} \end{{pmatrix}}}}",
        rf"\boxed{{\{number}\ud800\u0000\ufffe}}",
        rf"\boxed{{(x+y+z)^{{{10_000 + number}}}}}",
        rf"\boxed{{\binom{{10^{{9}}}}{{{number}}}}}",
        rf"\boxed{{{'1,' * 900}{number}}}",
    ]
    return forms[number % len(forms)]


@pytest.mark.timeout(400)  # many workers are killed and started anew
def test_a_thousand_hostile_answers_leave_the_grading_working_and_small() -> None:
    golds = ["5", r"\frac{3}{4}", "x^2+1", r"\text{even}", "(1,2)", "1,2", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"]
    items = [Item(gold=golds[at % 7], response=Response(text=hostile(at))) for at in range(1_000)]
    with GraderPool(limit_s=0.2) as pool:
        found = list(pool.grade_many(items))
        tree = [psutil.Process(), *psutil.Process().children()]
        resident = sum(process.memory_info().rss for process in tree)
        assert len(found) == 1_000
        assert resident < 2**30
        assert judged(pool, "14", "14", "14.0", "15")[1].status == "correct"
    with GraderPool() as pool:
        assert judged(pool, "5", r"\int_0^1 10 x dx")[0].status == "correct"


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{" + "9" * 10_000_000 + "}",
        r"\boxed{" * 1_400_000,
        r"\boxed{}" * 1_000_000,
        "{" * 10_000_000,
        "#### " + " " * 10_000_000 + "5",
        r"\fbox{" * 1_000_000 + "}" * 1_000_000,
    ],
    ids=["long box", "opened boxes", "empty boxes", "braces", "spaces", "nested boxes"],
)
@pytest.mark.parametrize("kind", ["math", "integer", "gsm8k", "choice"])
def test_ten_megabytes_are_no_answer_worth_a_second_look(text: str, kind: str) -> None:
    assert grade_answer("5", text, kind=kind).status in ("no_answer", "incorrect")
    assert grade_answer("5", text + r"\boxed{5}", kind=kind).status in ("correct", "incorrect")
