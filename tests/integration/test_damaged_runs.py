"""A run directory with damaged rows is reported without them, graded anew where grades are damaged, and resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import Bench, bench, grades_of, rows_of
from tts_compare.cli import main

HUGE = 10**30


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A run of one setting."""
    made = bench(tmp_path_factory.mktemp("damaged"))
    assert main(made.argv("run", "--backend=vllm", "--problems=12", "--budget=24", "--quiet")) == 0
    return made


@pytest.fixture
def run(table: Bench, tmp_path: Path) -> Path:
    return Path(shutil.copytree(table.home / "run", tmp_path / "run"))


def reported(run: Path) -> dict[str, Any]:
    """The JSON report of a run."""
    out = run.parent / "report.json"
    assert main(["report", str(run), "--format=json", f"--output={out}"]) == 0
    told: dict[str, Any] = json.loads(out.read_text())
    return told


def warnings(report: dict[str, Any]) -> dict[str, str]:
    return {warning["code"]: warning["message"] for warning in report["doubts"]}


def rewrite(path: Path, change: dict[int, str]) -> None:
    """Replace lines, counted from 1."""
    lines = path.read_text().splitlines()
    for number, line in change.items():
        lines[number - 1] = line
    path.write_text("".join(line + "\n" for line in lines))


def measured_lines(run: Path) -> list[int]:
    rows = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    return [number for number, row in enumerate(rows, 1) if row["phase"] == "measured"]


@pytest.mark.parametrize("damage", ["not JSON", "{}", json.dumps({"n": HUGE}), "[" * 5000])
def test_a_damaged_record_is_named_by_file_and_line_and_the_rest_is_reported(run: Path, damage: str) -> None:
    line = measured_lines(run)[3]
    rewrite(run / "records.jsonl", {line: damage})
    report = reported(run)
    (point,) = report["points"]
    assert point["n"] == 11
    assert f"{run / 'records.jsonl'}, line {line} (" in warnings(report)["rows_set_aside"]


def test_a_number_too_large_in_any_field_sets_its_row_aside_and_nothing_else(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    lines = measured_lines(run)
    fields = [name for name, value in rows[lines[0] - 1].items() if isinstance(value, int)]
    assert len(fields) > 12
    damaged: dict[int, dict[str, Any]] = {}
    for i, name in enumerate(fields):
        line = lines[i % 11]
        damaged.setdefault(line, dict(rows[line - 1]))[name] = HUGE if i % 2 else -HUGE
    last = lines[10]
    damaged.setdefault(last, dict(rows[last - 1]))["timeline"] = {"us": [HUGE], "tokens": [1], "chars": [1]}
    rewrite(run / "records.jsonl", {line: json.dumps(row) for line, row in damaged.items()})
    report = reported(run)
    (point,) = report["points"]
    assert point["n"] == 12 - len(damaged)
    assert warnings(report)["rows_set_aside"].startswith(f"{len(damaged)} rows cannot be read")


def test_a_resumed_run_says_which_line_is_damaged_and_sends_its_request_again(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = measured_lines(run)[0]
    problem = json.loads((run / "records.jsonl").read_text().splitlines()[line - 1])["problem"]
    rewrite(run / "records.jsonl", {line: '{"completion_tokens": 1'})
    before = rows_of(run)
    assert problem not in {row.problem for row in before if row.phase == "measured"}
    assert main(["run", f"--resume={run}"]) == 0
    assert f"{run / 'records.jsonl'}, line {line} (" in " ".join(capsys.readouterr().err.split()).replace("- ", "-")
    after = [row for row in rows_of(run) if row.phase == "measured"]
    assert len(after) == 12
    assert after[-1].problem == problem
    manifest = json.loads((run / "manifest.json").read_text())
    assert "rows_set_aside" not in {warning["code"] for warning in manifest["doubts"]}
    assert reported(run)["points"][0]["n"] == 12


@pytest.mark.parametrize("damage", ["x", "{}", json.dumps({"problem": HUGE})])
def test_damaged_grades_are_made_anew_from_the_records(run: Path, damage: str) -> None:
    before, grades = reported(run), grades_of(run)
    rewrite(run / "grades.jsonl", {2: damage})
    report = reported(run)
    assert f"{run / 'grades.jsonl'}, line 2 (" in warnings(report)["grades_unreadable"]
    assert report["points"][0]["accuracy"] == before["points"][0]["accuracy"]
    assert report["points"][0]["ungraded"] == 0
    assert grades_of(run) == grades
    assert "grades_unreadable" not in warnings(reported(run))


def test_a_damaged_run_can_be_compared(run: Path, table: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(run / "records.jsonl", {measured_lines(run)[1]: "x"})
    rewrite(run / "grades.jsonl", {1: "x"})
    assert main(["diff", str(table.home / "run"), str(run)]) in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err
