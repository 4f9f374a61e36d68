"""Warnings of runs of known truth: limits that bind, rounds that are missing, cuts inside chunks."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from tests.synthetic import Run, World, engines_grid, make_run
from tts_compare.analysis.analyse import analyse
from tts_compare.analysis.findings.diff import compare_runs
from tts_compare.analysis.findings.tolerance import parse_tolerance
from tts_compare.analysis.schema import Analysis
from tts_compare.domain import RunWarning

PLAIN = "vllm/tiny/tp1-pp1-dp1/none"
DRAFTS = "vllm/tiny/tp1-pp1-dp1/ngram"
TWO = engines_grid(backends=("vllm",), tensor_parallels=(1,))


def of(run: Run) -> Analysis:
    return analyse(run.records, run.grades, run.manifest, resamples=50)


def told(run: Run, code: str) -> list[RunWarning]:
    return [warning for warning in of(run).doubts if warning.code == code]


def with_records(run: Run, *columns: pl.Expr) -> Run:
    return replace(run, records=run.records.with_columns(*columns))


def held(run: Run, share: float, setting: str = PLAIN) -> Run:
    """So large a share of a setting's requests waited two seconds for a limit."""
    waits = (pl.col("setting") == setting) & (pl.int_range(pl.len()).over("setting") < share * pl.len().over("setting"))
    return with_records(run, pl.when(waits).then(2 * 10**9).otherwise(0).alias("limit_wait_ns"))


def test_a_closed_loop_whose_requests_wait_for_a_limit_says_so_and_keeps_its_verdicts() -> None:
    run = make_run(World(problems=60, rounds=3, load="c4", engines=TWO))
    (warning,) = told(held(run, 0.5), "bound_by_limits")
    assert warning.setting == PLAIN
    assert warning.message == (
        "30 of 60 requests waited 2 s on average for limits of ours at load c4: these waits are in no latency"
    )
    assert told(held(run, 0.5), "load_not_reached") == []
    assert "faster" in of(held(run, 0.5)).pairs["latency_verdict"].item()


def test_an_open_loop_that_a_limit_held_back_gets_no_verdict_on_time_or_cost() -> None:
    run = make_run(World(problems=60, rounds=3, load="r4", engines=TWO))
    free = of(run).pairs.row(0, named=True)
    assert "faster" in free["latency_verdict"]
    bound = held(run, 0.5)
    (warning,) = told(bound, "load_not_reached")
    assert (warning.severity, warning.setting) == ("error", PLAIN)
    assert told(bound, "bound_by_limits") == []
    row = of(bound).pairs.row(0, named=True)
    for figure in ("latency", "cost"):
        assert "no verdict: a limit of ours held requests back" in row[f"{figure}_verdict"]
        assert "faster" not in row[f"{figure}_verdict"]
    assert "load_not_reached" in row["doubts"]


def test_a_limit_in_the_way_of_one_request_in_a_hundred_is_not_one_that_binds() -> None:
    run = make_run(World(problems=100, load="r4"))
    assert told(held(run, 0.01), "load_not_reached") == []
    assert len(told(held(run, 0.02), "load_not_reached")) == 1


def test_a_gate_cannot_judge_the_latency_of_a_load_that_was_not_reached() -> None:
    run = make_run(World(problems=60, rounds=3, load="r4"))
    bound = held(make_run(World(problems=60, rounds=3, load="r4", seed=0)), 0.5)
    found = compare_runs(
        (run.records, run.grades, run.manifest),
        (bound.records, bound.grades, bound.manifest),
        fail_on=[parse_tolerance("latency > +50%"), parse_tolerance("accuracy < -50pp")],
        resamples=50,
    )
    verdicts = {check.tolerance.figure: check for check in found.checks}
    assert verdicts["latency"].verdict == "not_judged"
    assert "the load was not reached" in verdicts["latency"].sentence
    assert verdicts["accuracy"].verdict == "within"


def test_a_round_that_one_setting_did_not_measure_is_named() -> None:
    run = make_run(World(problems=90, rounds=3, engines=TWO))
    assert told(run, "rounds_missing") == []
    lost = replace(run, records=run.records.filter((pl.col("setting") != DRAFTS) | (pl.col("round") != 1)))
    (warning,) = told(lost, "rounds_missing")
    assert warning.setting == DRAFTS
    assert warning.message == "round 2 of 3 not measured: pairs leave the problems of such a round out"


def test_a_round_that_no_setting_measured_is_missing_too_and_a_round_that_failed_is_not() -> None:
    run = make_run(World(problems=90, rounds=3))
    short = replace(run, records=run.records.filter(pl.col("round") == 0))
    (warning,) = told(short, "rounds_missing")
    assert warning.message.startswith("rounds 2, 3 of 3 not measured")
    dead = (pl.col("round") == 2).alias("dead")
    never = {"error_kind": "server_died", "error_message": "never sent: OOM", "finish_reason": None, "sent_ns": None}
    schema = run.records.schema
    lost = [
        pl.when(dead).then(pl.lit(value, schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in never.items()
    ]
    gone = run.records.filter(dead).select("problem")
    failed = replace(with_records(run, *lost), grades=run.grades.join(gone, on="problem", how="anti"))
    assert told(failed, "rounds_missing") == []
    assert len(told(failed, "never_sent")) == 1


def chunked(width: int) -> Run:
    return make_run(World(problems=20, budgets=(16, 1024), timelines=True, chunk_tokens=width, single_pass=True))


def test_answers_that_a_budget_cuts_inside_a_chunk_are_told_with_their_texts() -> None:
    whole, inside = chunked(4), chunked(5)  # 16 is four chunks of 4, and falls inside the fourth of 5
    for code in ("cut_inside_chunk", "cut_text_approximate"):
        assert told(whole, code) == []
    (cut,) = told(inside, "cut_inside_chunk")
    assert cut.points == (f"{PLAIN} truncate@16 c1",)
    (text,) = told(inside, "cut_text_approximate")
    assert "derived texts end at a chunk" in text.message


def test_token_ids_are_what_a_text_is_cut_by() -> None:
    run = chunked(5)
    known = with_records(run, pl.concat_list(pl.lit(1, pl.Int64)).alias("token_ids"))
    assert told(known, "cut_text_approximate") == []
    assert len(told(known, "cut_inside_chunk")) == 1


@pytest.mark.parametrize(("version", "count"), [("layered-1/math-verify-0.9.0", 1), ("layered-2/math-verify-0.9.0", 0)])
def test_grades_of_the_first_cuts_are_told_where_the_cut_is_another_now(version: str, count: int) -> None:
    run = chunked(5)
    graded = replace(run, grades=run.grades.with_columns(grader_version=pl.lit(version)))
    found = told(graded, "grades_of_format_1")
    assert len(found) == count
    assert all(warning.severity == "note" and warning.setting == PLAIN for warning in found)
    even = chunked(4)
    assert (
        told(replace(even, grades=even.grades.with_columns(grader_version=pl.lit(version))), "grades_of_format_1") == []
    )
