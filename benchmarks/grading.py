r"""How good and how fast the grader is: labelled cases, and a whole run of 500 problems x 16 samples x 5 budgets.

    python benchmarks/grading.py ../shared/data [--problems 500] [--samples 16]

Needs ``grader_cases.jsonl``, ``real_outputs.jsonl`` and ``math500.jsonl`` in the directory. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.domain import Problem, RequestRecord, Timeline
from tts_compare.grading import Grader, GraderPool, Item, Judgement, Response, grade_records, grouped, vote_grades

BUDGETS = (512, 1_024, 2_048, 3_072)
TOKENS, CHARS_PER_TOKEN = 4_096, 4
_SENTENCES = (
    "Wait, let me check this step again before I go on. ",
    "So we have that the sum of the first terms is $x_1 + x_2$, which gives \\(\\frac{a+b}{2}\\). ",
    "Alternatively, maybe substitute $y = 3x - 1$ and see whether the equation simplifies. ",
    "Hmm, that does not look right, since the discriminant would be negative. ",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A labelled answer."""

    gold: str
    text: str
    correct: bool


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--samples", type=int, default=16)
    arguments = parser.parse_args()
    quality(arguments.data)
    throughput(arguments.data, arguments.problems, arguments.samples)


def quality(data: Path) -> None:
    """Both graders over the labelled sets, on one worker. The mean is of wall time with the worker started."""
    cases = [Case(gold=r["gold"], text=r["pred"], correct=r["expected"]) for r in rows(data / "grader_cases.jsonl")]
    real = [Case(gold=r["gold"], text=r["output"], correct=r["label"]) for r in rows(data / "real_outputs.jsonl")]
    print("| grader | equal accepted | wrong accepted | ungraded | mean ms | symbolic | real outputs: differ |")
    print("|---|---|---|---|---|---|---|")
    graders: tuple[Grader, ...] = ("layered", "math-verify")
    for grader in graders:
        with GraderPool(workers=1) as pool:
            list(graded(pool, [Case(gold="5", text=r"\boxed{\int_0^1 10 x dx}", correct=True)], grader))
            began = time.perf_counter()
            found = list(graded(pool, cases, grader))
            mean_ms = (time.perf_counter() - began) / len(cases) * 1e3
            differ = sum(
                (j.status == "correct") != c.correct for j, c in zip(graded(pool, real, grader), real, strict=True)
            )
        right = [j.status == "correct" for j in found]
        equal = sum(ok for ok, case in zip(right, cases, strict=True) if case.correct)
        wrong = sum(ok for ok, case in zip(right, cases, strict=True) if not case.correct)
        ungraded = sum(j.status == "ungraded" for j in found)
        symbolic = sum(j.layer == "symbolic" for j in found)
        total = sum(case.correct for case in cases)
        print(
            f"| {grader} | {equal} of {total} | {wrong} of {len(cases) - total} | {ungraded} | {mean_ms:.2f} "
            f"| {symbolic} of {len(cases)} | {differ} of {len(real)} |"
        )


def throughput(data: Path, problem_count: int, samples: int) -> None:
    """A run's worth of records, every one graded whole and at four cuts, then voted on."""
    golds = [row["answer"] for row in rows(data / "math500.jsonl")][:problem_count]
    problems = {str(at): Problem(id=str(at), problem="", answer=gold) for at, gold in enumerate(golds)}
    records = list(run_of(golds, samples))
    began = time.perf_counter()
    with GraderPool() as pool:
        grades = list(grade_records(records, problems, pool=pool, budgets={"vote": BUDGETS}))
        graded_s = time.perf_counter() - began
        votes = vote_grades(grouped(grades, problems, pool=pool))
    voted_s = time.perf_counter() - began - graded_s
    print(f"\n| records | grades | grading s | grades / s | votes | classes and votes s |\n{'|---' * 6}|")
    print(
        f"| {len(records)} of {TOKENS} tokens | {len(grades)} | {graded_s:.1f} | {len(grades) / graded_s:.0f} "
        f"| {len(votes)} | {voted_s:.1f} |"
    )


def run_of(golds: list[str], samples: int) -> Iterator[RequestRecord]:
    """R1-like responses: long thinking with a few boxes, the answer behind ``</think>``; one in four is wrong."""
    draw = random.Random(7)  # noqa: S311 - made-up texts, not secrets
    timeline = Timeline(us=(20_000,) * TOKENS, tokens=(1,) * TOKENS, chars=(CHARS_PER_TOKEN,) * TOKENS)
    for problem, gold in enumerate(golds):
        for sample in range(samples):
            answer = gold if draw.random() < 0.75 else draw.choice([draw.choice(golds), f"{draw.randrange(100)}"])
            yield RequestRecord(
                setting="s",
                method="vote",
                budget=TOKENS,
                load="c16",
                problem=str(problem),
                sample=sample,
                call=0,
                repeat=0,
                attempt=0,
                phase="measured",
                request_id=f"{problem}-{sample}",
                finish_reason="stop",
                text=response(answer, draw),
                timeline=timeline,
            )


def response(answer: str, draw: random.Random) -> str:
    """A text of exactly TOKENS x CHARS_PER_TOKEN characters."""
    end = f"</think>\n\n**Final Answer**\n\\boxed{{{answer}}}"
    length = TOKENS * CHARS_PER_TOKEN - len(end)
    boxes_at = {draw.randrange(40, 200) for _ in range(3)}
    thinking = "".join(
        f"so maybe \\boxed{{{answer}}}? " if at in boxes_at else draw.choice(_SENTENCES) for at in range(length // 40)
    )
    return thinking[:length].ljust(length) + end


def graded(pool: GraderPool, cases: Iterable[Case], grader: Grader) -> Iterator[Judgement]:
    """Judgements of cases, in order."""
    return pool.grade_many((Item(gold=c.gold, response=Response(text=c.text)) for c in cases), grader=grader)


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
