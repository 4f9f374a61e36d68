"""One command: servers, requests, grades, points and a report; and what an interruption leaves."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import bench, engines_of, grades_of, kill, rows_of, start, wait_until
from tts_compare.cli import main
from tts_compare.config import load_experiment
from tts_compare.domain import RequestRecord, RowKey
from tts_compare.domain.events import Event, Planned
from tts_compare.measure.execute import execute
from tts_compare.plan.prepare import prepare
from tts_compare.rundir import store

GRID = ("--backend=vllm,sglang", "--spec=none,ngram", "--problems=6", "--budget=4,8,24", "--seed=1")


@pytest.fixture(scope="module")
def grid_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Three settings run, one left out."""
    table = bench(tmp_path_factory.mktemp("grid"))
    return table.home / "run", main(table.argv("run", *GRID, "--spot-check=2"))


def test_every_problem_of_every_setting_has_one_measured_row(grid_run: tuple[Path, int]) -> None:
    run, status = grid_run
    rows = [row for row in rows_of(run) if row.phase == "measured"]
    assert status == 0
    assert {row.setting for row in rows} == {
        "vllm/tiny/tp1-pp1-dp1/none",
        "vllm/tiny/tp1-pp1-dp1/ngram",
        "sglang/tiny/tp1-pp1-dp1/none",
    }
    assert len(rows) == 3 * 6
    assert len({row.key for row in rows}) == len(rows)
    assert all(row.ok and row.sent_ns and row.last_token_ns for row in rows)


def test_one_pass_gives_a_point_at_every_budget(grid_run: tuple[Path, int]) -> None:
    run, _ = grid_run
    points = json.loads((run / "points.json").read_text())
    assert {(point["setting"].split("/")[0], point["budget"], point["provenance"]) for point in points} == {
        (engine, budget, kind)
        for engine in ("vllm", "sglang")
        for budget, kind in ((4, "derived"), (8, "derived"), (24, "measured"))
    }
    by_budget = {point["budget"]: point["accuracy"] for point in points}
    assert by_budget[24] > by_budget[4]


def test_a_spot_check_sends_the_smallest_budget_for_real_and_makes_no_point(grid_run: tuple[Path, int]) -> None:
    run, _ = grid_run
    checks = [row for row in rows_of(run) if row.phase == "spot_check"]
    assert {(row.budget, row.completion_tokens) for row in checks} == {(4, 4)}
    assert len(checks) == 3 * 2


def test_what_cannot_run_here_is_left_out_with_its_reason(grid_run: tuple[Path, int]) -> None:
    run, _ = grid_run
    manifest = json.loads((run / "manifest.json").read_text())
    assert [item["setting"] for item in manifest["left_out"]] == ["sglang/tiny/tp1-pp1-dp1/ngram"]
    assert "NGRAM" in manifest["left_out"][0]["reason"]
    assert manifest["state"] == "done"
    assert all(facts["argv"] and facts["startup_s"] for facts in manifest["settings"].values())


def test_warm_up_requests_are_not_among_the_problems_and_not_in_the_points(grid_run: tuple[Path, int]) -> None:
    run, _ = grid_run
    warm = {row.problem for row in rows_of(run) if row.phase == "warmup"}
    known = {row["id"] for row in json.loads((run / "manifest.json").read_text())["dataset"]["problems"]}
    assert warm
    assert not warm & known
    assert not {grade.problem for grade in grades_of(run)} & warm


def test_the_servers_own_samples_are_kept_around_every_point(grid_run: tuple[Path, int]) -> None:
    run = store.open_run(grid_run[0])
    manifest = store.read_manifest(run)
    for setting, rows in manifest.server_metrics.items():
        kept = store.read_list(run.server_metrics(setting))
        names = ("method", "budget", "load", "repeat", "phase")
        assert [[row[name] for name in names] for row in kept] == [
            [getattr(row, name) for name in names] for row in rows
        ]
        assert all(row["samples"] for row in kept)


@pytest.mark.parametrize("form", ["console", "markdown", "latex", "json", "csv"])
def test_the_report_is_drawn_again_from_the_files_alone(
    form: str, grid_run: tuple[Path, int], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = grid_run
    assert main(["report", str(run), f"--format={form}"]) == 0
    shown = capsys.readouterr().out
    assert "ngram" in shown
    assert "sglang" in shown


@pytest.mark.parametrize("command", [["report", "--format=markdown"], ["diff"], ["grade", "--no-color"]])
def test_a_terminal_without_the_letters_shows_what_it_can(
    command: list[str], grid_run: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = grid_run
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert main([*command, str(run), *([str(run)] if command == ["diff"] else [])]) == 0
    assert b"vllm" in shown.getvalue()


def test_claims_are_written_where_they_are_asked_for_or_not_taken(
    grid_run: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = grid_run
    assert main(["report", str(run), "--claims", f"--output={tmp_path / 'claims.txt'}"]) == 0
    assert capsys.readouterr().out == ""
    written = (tmp_path / "claims.txt").read_text()
    assert written.startswith("System-optimal: ")
    assert "(a) accuracy flattens with time" in written
    assert main(["report", str(run), "--claims", "--format=json"]) == 2


def test_a_place_where_no_figure_can_be_written_is_bad_usage_not_a_bad_run(
    grid_run: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["report", str(grid_run[0]), f"--figures={tmp_path / 'file'}"]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_two_runs_go_on_one_frontier(
    grid_run: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = grid_run
    other = tmp_path / "other"
    shutil.copytree(run, other)
    assert main(["report", str(run), str(other), "--format=json"]) == 0
    shown = capsys.readouterr().out
    assert "run:vllm/tiny" in shown
    assert "other:vllm/tiny" in shown


def test_runs_of_one_name_stay_two_runs_and_one_run_is_not_counted_twice(
    grid_run: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = grid_run
    other = tmp_path / "other" / "run"
    shutil.copytree(run, other)
    assert main(["report", str(run), str(other), "--format=json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert {point["setting"].split(":")[0] for point in points} == {f"{run.parent.name}-run", "other-run"}
    assert all(point["n"] == point["outcomes"] == 6 for point in points)
    assert main(["report", str(run), f"{run}/."]) == 2
    assert "named twice" in capsys.readouterr().err


def test_a_run_is_named_after_its_directory_from_within_it_too(
    grid_run: tuple[Path, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(grid_run[0])
    assert main(["report", "."]) == 0
    assert "\nrun: vllm" in capsys.readouterr().out


def test_a_run_against_itself_differs_in_nothing_and_breaks_no_tolerance(
    grid_run: tuple[Path, int], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = grid_run
    limiters = ["--fail-on", "accuracy < -2pp", "--fail-on", "latency > +5%"]
    assert main(["diff", str(run), str(run), *limiters]) == 0
    said = capsys.readouterr()
    assert "Nothing changed" in said.out
    assert "no tolerance is exceeded" in said.err


def slowed(row: dict[str, Any], times: int) -> dict[str, Any]:
    """The row as if everything after its first byte sent had taken so many times as long."""
    sent = row["sent_ns"]
    instants = ("first_byte_ns", "first_token_ns", "first_answer_ns", "last_token_ns", "end_ns")
    later = {name: sent + times * (row[name] - sent) for name in instants if row[name] is not None}
    return row | later | {"timeline": row["timeline"] | {"us": [times * us for us in row["timeline"]["us"]]}}


def test_a_run_whose_latency_doubled_fails_the_gate(
    grid_run: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = grid_run
    slow = tmp_path / "slow"
    shutil.copytree(run, slow)
    rows = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    (slow / "records.jsonl").write_text("".join(json.dumps(slowed(row, 2)) + "\n" for row in rows))
    assert main(["diff", str(run), str(slow), "--fail-on", "latency > +150%"]) == 0
    assert main(["diff", str(run), str(slow), "--fail-on", "latency > +5%"]) == 1
    assert "latency > +5%" in capsys.readouterr().err


def test_each_point_is_exported_in_the_form_of_vllms_benchmark_and_read_back(
    grid_run: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = grid_run
    assert main(["export", str(run), "--format=vllm", f"--output={tmp_path / 'results'}"]) == 0
    files = sorted((tmp_path / "results").glob("*.json"))
    assert len(files) == 3 * 3
    largest = next(file for file in files if "24" in file.name and "ngram" in file.name)
    assert json.loads(largest.read_text())["completed"] == 6
    assert main(["import", str(largest), f"--out={tmp_path / 'back'}"]) == 0
    assert len(rows_of(tmp_path / "back")) == 6


def test_grading_again_changes_neither_records_nor_grades(grid_run: tuple[Path, int]) -> None:
    run, _ = grid_run
    before = [(run / name).read_bytes() for name in ("records.jsonl", "grades.jsonl")]
    assert main(["grade", str(run)]) == 0
    assert [(run / name).read_bytes() for name in ("records.jsonl", "grades.jsonl")] == before


def test_a_run_that_was_graded_otherwise_says_so_and_is_graded_so_again(
    grid_run: tuple[Path, int], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(grid_run[0], run)
    assert main(["grade", str(run), "--grader=math-verify", "--policy=final"]) == 0
    experiment = json.loads((run / "manifest.json").read_text())["experiment"]
    assert (experiment["grader"], experiment["policy"]) == ("math-verify", "final")
    assert {grade.grader_version.split("-2/")[0] for grade in grades_of(run)} == {"math-verify"}
    before = (run / "grades.jsonl").read_bytes()
    assert main(["grade", str(run)]) == 0
    assert (run / "grades.jsonl").read_bytes() == before


def test_a_grade_is_explained_step_by_step(grid_run: tuple[Path, int], capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = grid_run
    problem = next(row.problem for row in rows_of(run) if row.phase == "measured")
    assert main(["grade", str(run), "--explain", problem]) == 0
    shown = capsys.readouterr().out
    assert "extract" in shown
    assert "correct" in shown
    assert "symbolic" not in shown
    assert main(["grade", str(run), "--explain", problem, "--grader", "math-verify"]) == 0
    assert "symbolic" in capsys.readouterr().out


def test_a_finished_run_taken_up_sends_nothing_and_starts_nothing(grid_run: tuple[Path, int]) -> None:
    run, _ = grid_run
    before = (run / "records.jsonl").read_bytes()
    table = run.parent
    argv = [
        f"--model={table / 'tiny'}",
        f"--engine-python=vllm={table / 'standin-vllm' / 'python'}",
        f"--engine-python=sglang={table / 'standin-sglang' / 'python'}",
        "--dataset=quickstart",
        *GRID,
        "--spot-check=2",
        f"--resume={run}",
    ]
    assert main(argv) == 0
    assert (run / "records.jsonl").read_bytes() == before
    assert main(["run", f"--resume={run}"]) == 0
    assert (run / "records.jsonl").read_bytes() == before
    starts = json.loads((run / "manifest.json").read_text())["settings"]
    assert all(len(facts["startup_s"]) == 1 for facts in starts.values())


def test_where_no_server_starts_there_is_no_report_and_the_cause_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = bench(tmp_path)
    flags = ("--backend=vllm", "--problems=2", "--budget=8", "--engine-args=vllm=--fail-to-start", "--quiet")
    assert main(table.argv("run", *flags)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "failed: vllm/tiny/tp1-pp1-dp1/none" in said.err
    assert "unrecognized arguments: --fail-to-start" in said.err


def test_answers_are_graded_while_requests_run_only_when_asked(tmp_path: Path) -> None:
    table = bench(tmp_path)
    assert main(table.argv("run", "--backend=vllm", "--problems=2", "--budget=8", "--grade-live")) == 0
    manifest = json.loads((table.home / "run" / "manifest.json").read_text())
    assert "graded_live" in {warning["code"] for warning in manifest["doubts"]}


def test_two_servers_at_once_give_the_rows_of_both_and_a_warning(tmp_path: Path) -> None:
    table = bench(tmp_path)
    flags = ("--backend=vllm,sglang", "--problems=4", "--budget=8", "--parallel-servers=2", "--repeats=2")
    assert main(table.argv("run", *flags)) == 0
    rows = [row for row in rows_of(table.home / "run") if row.phase == "measured"]
    assert len({row.key for row in rows}) == len(rows) == 2 * 2 * 4
    manifest = json.loads((table.home / "run" / "manifest.json").read_text())
    assert "parallel_servers" in {warning["code"] for warning in manifest["doubts"]}
    assert all(len(facts["startup_s"]) == 2 for facts in manifest["settings"].values())


def test_a_run_of_another_prompt_is_not_taken_up(
    grid_run: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = grid_run
    table = bench(tmp_path)
    flags = [flag for flag in table.argv("x", *GRID) if not flag.startswith(("--out", "--model"))]
    flags += [f"--model={run.parent / 'tiny'}", "--temperature=0.5", f"--resume={run}"]
    assert main(flags) == 2
    assert "the sampling" in capsys.readouterr().err


def test_a_server_that_does_not_start_is_told_with_its_cause_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = bench(tmp_path)
    flags = ("--backend=vllm,sglang", "--problems=2", "--budget=8", "--engine-args=vllm=--fail-to-start")
    assert main(table.argv("run", *flags)) == 1
    said = capsys.readouterr()
    assert "unrecognized arguments: --fail-to-start" in said.err
    assert {row.setting.split("/")[0] for row in rows_of(table.home / "run")} == {"sglang"}


def test_an_engine_that_dies_is_started_again_and_fails_only_what_it_held(tmp_path: Path) -> None:
    table = bench(tmp_path, extra=("--token-rate", "40"))
    process = start(table.argv("run", "--backend=vllm", "--problems=4", "--budget=32"))
    run = table.home / "run"
    assert wait_until(lambda: sum(row.phase == "measured" for row in _rows(run)) >= 1, 60)
    kill(engines_of(table.home))
    assert process.wait(120) == 0
    rows = [row for row in rows_of(run) if row.phase == "measured"]
    died = [row for row in rows if row.error and row.error.kind == "server_died"]
    assert len(died) == 1
    assert len({row.problem for row in rows if row.ok}) == 3
    assert len({row.problem for row in rows}) == len(rows) == 4
    deaths = json.loads((run / "manifest.json").read_text())["deaths"]
    assert len(deaths) == 1
    assert "killed" in deaths[0]["cause"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_what_was_done_leaves_no_engine_and_says_how_to_go_on(
    number: signal.Signals, tmp_path: Path
) -> None:
    table = bench(tmp_path, extra=("--token-rate", "40"))
    process = start(table.argv("run", "--backend=vllm", "--problems=6", "--budget=32"))
    run = table.home / "run"
    assert wait_until(lambda: sum(row.phase == "measured" for row in _rows(run)) >= 2, 60)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert f"--resume {run}" in said
    assert "Traceback" not in said
    assert not engines_of(table.home)
    kept = [row for row in rows_of(run) if row.ok and row.phase == "measured"]
    assert len(kept) >= 2
    assert json.loads((run / "manifest.json").read_text())["state"] == "interrupted"


def test_votes_are_counted_and_several_samples_share_their_seeds_in_order(tmp_path: Path) -> None:
    table = bench(tmp_path, correct_rate=0.6)
    flags = ("--backend=vllm", "--method=vote", "--samples=4", "--temperature=0.8", "--problems=5", "--budget=32")
    assert main(table.argv("run", *flags)) == 0
    rows = [row for row in rows_of(table.home / "run") if row.phase == "measured"]
    assert len({row.key for row in rows}) == 5 * 4
    votes = [grade for grade in grades_of(table.home / "run") if grade.sample is None]
    assert {vote.samples for vote in votes} == {1, 2, 4}
    assert all(vote.score is not None and 0 <= vote.score <= 1 for vote in votes)
    points = json.loads((table.home / "run" / "points.json").read_text())
    assert {point["samples"] for point in points} == {1, 2, 4}


def test_an_open_loop_keeps_its_schedule(tmp_path: Path) -> None:
    table = bench(tmp_path)
    assert main(table.argv("run", "--backend=vllm", "--problems=10", "--budget=8", "--request-rate=50")) == 0
    rows = [row for row in rows_of(table.home / "run") if row.phase == "measured"]
    assert {row.load for row in rows} == {"r50"}
    assert all(row.scheduled_ns is not None and row.sent_ns is not None for row in rows)
    assert all((row.scheduled_ns or 0) <= (row.sent_ns or 0) for row in rows)


def test_client_processes_give_the_same_rows(tmp_path: Path) -> None:
    table = bench(tmp_path)
    flags = ("--backend=vllm", "--problems=6", "--budget=8", "--concurrency=3")
    assert main(table.argv("one", *flags)) == 0
    assert main(table.argv("two", *flags, "--workers=2")) == 0

    def told(name: str) -> set[tuple[RowKey, str, int | None]]:
        rows = rows_of(table.home / name)
        return {(row.key, row.text, row.completion_tokens) for row in rows if row.phase == "measured"}

    assert told("one") == told("two")


def _rows(run: Path) -> list[RequestRecord]:
    time.sleep(0.05)
    return rows_of(run) if (run / "records.jsonl").exists() else []


def test_two_repeats_of_one_setting_never_run_at_once(tmp_path: Path) -> None:
    table = bench(tmp_path)
    flags = ("--backend=vllm", "--problems=4", "--budget=8", "--parallel-servers=2", "--repeats=2")
    assert main(table.argv("run", *flags)) == 0
    rows = rows_of(table.home / "run")
    last = max(row.end_ns or 0 for row in rows if row.repeat == 0)
    assert last < min(row.sent_ns or 0 for row in rows if row.repeat == 1)


def test_only_what_a_run_has_left_to_do_is_announced_when_it_is_taken_up(tmp_path: Path) -> None:
    table = bench(tmp_path)
    run = table.home / "run"
    assert main(table.argv("run", "--backend=vllm", "--problems=4", "--budget=8")) == 0
    lines = (run / "records.jsonl").read_text().splitlines(keepends=True)
    (run / "records.jsonl").write_text("".join(lines[:-1]))
    asked = store.read_manifest(store.open_run(run)).asked.flags
    told: list[Event] = []
    execute(prepare(load_experiment(None, asked | {"resume": str(run)})), run, command=[], asked={}, tell=told.append)
    (planned,) = [event for event in told if isinstance(event, Planned)]
    assert planned.settings == (("vllm/tiny/tp1-pp1-dp1/none", 1),)


def test_what_was_measured_stays_in_the_report_when_it_is_not_asked_for_again(tmp_path: Path) -> None:
    table = bench(tmp_path)
    run = table.home / "run"
    config = tmp_path / "votes.toml"
    config.write_text('method = "vote"\nsamples = 3\ntemperature = 0.7\nprefix_caching = true\nmax_model_len = "1k"\n')
    flags = (f"--config={config}", "--backend=vllm", "--problems=3", "--budget=24")
    assert main(table.argv("run", *flags)) == 0

    def votes() -> list[dict[str, Any]]:
        return [point for point in json.loads((run / "points.json").read_text()) if point["method"] == "vote"]

    before = votes()
    assert {point["samples"] for point in before} == {1, 2, 3}
    assert main(["run", f"--resume={run}", "--method=truncate", "--samples=1", "--budget=8"]) == 0
    assert [(p["samples"], p["accuracy"]) for p in votes()] == [(p["samples"], p["accuracy"]) for p in before]


SLOW_GRADING = """
import sys, time
from tts_compare.cli import main
from tts_compare.judge.judge import Judge
Judge.write = lambda self: (print("grading", flush=True), time.sleep(60))
sys.exit(main(sys.argv[1:]))
"""


def test_a_termination_while_the_run_is_graded_says_how_to_go_on_too(tmp_path: Path) -> None:
    table = bench(tmp_path)
    argv = table.argv("run", "--backend=vllm", "--problems=1", "--budget=8", "--quiet")
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_GRADING, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "grading\n"
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"tts-compare run --resume {table.home / 'run'}" in said
