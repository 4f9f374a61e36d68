"""Any JSONL of gold and response can be graded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tts_compare.errors import UsageError
from tts_compare.grading import GraderPool, Judgement, disagreements, grade_answer, grade_file


def written(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_every_row_is_judged_in_order(tmp_path: Path) -> None:
    rows = [
        {"gold": "14", "response": r"\boxed{14}"},
        {"gold": 14, "response": r"\boxed{15}"},
        "",
        {"gold": "14", "response": "none"},
        {"gold": "C", "response": "Answer: C", "kind": "choice"},
        {"gold": "14", "response": "", "reasoning": r"\boxed{14}"},
    ]
    with GraderPool() as pool:
        found = list(grade_file(written(tmp_path / "r.jsonl", *rows), pool=pool))
    assert [(each.status, each.answer, each.layer) for each in found] == [
        ("correct", "14", "identical"),
        ("incorrect", "15", "value"),
        ("no_answer", None, "extract"),
        ("correct", "C", "letter"),
        ("correct", "14", "identical"),
    ]


def test_what_is_judged_can_be_written_out_again(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", r'{"gold": "14", "response": "\\boxed{\ud800 14}"}')
    with GraderPool() as pool:
        (judgement,) = grade_file(path, pool=pool)
    assert (judgement.answer or "").encode() == "\ufffd 14".encode()


@pytest.mark.parametrize(
    "row",
    ["{", "[1]", '{"gold": "1"}', '{"gold": true, "response": "x"}', '{"gold": "1", "response": "x", "kind": "z"}'],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, row: str) -> None:
    path = written(tmp_path / "r.jsonl", {"gold": "1", "response": ""}, row)
    with GraderPool() as pool, pytest.raises(UsageError, match=r"r\.jsonl:2"):
        list(grade_file(path, pool=pool))


def test_a_file_that_cannot_be_read_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b'{"gold": "\xff"}\n')
    for path in (tmp_path / "none", tmp_path / "b"):
        with GraderPool() as pool, pytest.raises(UsageError, match=path.name):
            list(grade_file(path, pool=pool))


def test_two_graders_side_by_side_show_where_they_differ() -> None:
    right = Judgement(status="correct", answer="1", layer="value")
    wrong = Judgement(status="incorrect", answer="1", layer="symbolic")
    assert list(disagreements([right, right, wrong], [right, wrong, wrong])) == [(right, wrong)]


def test_one_answer_is_graded_without_a_pool_where_no_symbolic_step_is_needed() -> None:
    assert grade_answer("14", r"\boxed{14.0}") == Judgement(status="correct", answer="14.0", layer="value")
