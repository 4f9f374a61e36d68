"""What requests ended as becomes warnings with the cause: by kind, with the commonest message."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.builders import with_manifest
from tests.synthetic import Engine, Run, World, make_run
from tts_compare.analysis.analyse import analyse
from tts_compare.domain import RunWarning

SETTING = "vllm/tiny/tp1-pp1-dp1/none"


def warnings(run: Run) -> list[RunWarning]:
    return list(analyse(run.records, run.grades, run.manifest, resamples=50).doubts)


def of(run: Run, code: str) -> list[RunWarning]:
    return [warning for warning in warnings(run) if warning.code == code]


def ended(run: Run, count: int, **columns: Any) -> Run:
    """The first ``count`` requests end as the columns say, without an answer."""
    first = pl.int_range(pl.len()) < count
    columns = {"finish_reason": None, "error_status": None, "error_message": None} | columns
    schema = run.records.schema
    lost = [
        pl.when(first).then(pl.lit(value, dtype=schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in columns.items()
    ]
    records = run.records.with_columns(lost)
    bad = records.filter(pl.col("error_kind").is_not_null()).select("problem")
    return Run(records=records, grades=run.grades.join(bad, on="problem", how="anti"), manifest=run.manifest)


def test_failures_are_told_by_kind_with_the_commonest_message() -> None:
    run = ended(make_run(World(problems=40)), 6, error_kind="http_5xx", error_status=500, error_message="CUDA\nerror")
    other = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("odd")).otherwise("error_message")
    late = pl.when(pl.int_range(pl.len()) == 10).then(pl.lit("timeout_total")).otherwise("error_kind")
    records = run.records.with_columns(error_message=other, error_kind=late)
    grades = run.grades.filter(pl.col("problem") != "p0010")
    five, late_one = of(Run(records=records, grades=grades, manifest=run.manifest), "failed_requests")
    assert five.message == "6 of 40 requests failed: http_5xx 500 (most often: CUDA error)"
    assert late_one.message == "1 of 40 requests failed: timeout_total"
    assert (five.severity, five.setting) == ("warning", SETTING)
    assert five.points == (f"{SETTING} truncate@1k c1",)


@pytest.mark.parametrize(
    ("backend", "columns", "code"),
    [
        ("vllm", {"error_kind": "cancelled"}, "not_measured"),
        ("vllm", {"error_kind": "http_4xx", "error_status": 401}, "not_measured"),
        ("vllm", {"error_kind": "http_4xx", "error_status": 400}, "failed_requests"),
        ("openai", {"error_kind": "http_429", "error_message": "rate limit: 3 requests per minute"}, "not_measured"),
        ("vllm", {"error_kind": "http_429", "error_message": "rate limit: 3 requests per minute"}, "failed_requests"),
        ("vllm", {"error_kind": "server_died"}, "failed_requests"),
        ("vllm", {"error_kind": "server_died", "sent_ns": None, "error_message": "never sent: OOM"}, "never_sent"),
    ],
)
def test_what_was_not_measured_or_never_sent_is_told_apart(backend: str, columns: dict[str, Any], code: str) -> None:
    run = make_run(World(problems=40, engines=(Engine(backend=backend),)))
    found = {w.code: w for w in warnings(ended(run, 3, **columns))}
    told = {"not_measured", "failed_requests", "never_sent"} & found.keys()
    assert told == {code}
    assert found[code].message.startswith("3 of 40 requests ")
    assert found[code].severity == ("warning" if code == "failed_requests" else "error")


def test_a_request_that_failed_and_then_succeeded_has_not_failed() -> None:
    run = make_run(World(problems=40))
    first = run.records.head(4)
    tried = first.with_columns(
        error_kind=pl.lit("http_5xx"), finish_reason=pl.lit(None, pl.String), request_id=pl.col("request_id") + "-x"
    )
    records = pl.concat([tried, run.records.with_columns(attempt=pl.lit(1, pl.Int64))])
    grades = run.grades.with_columns(attempt=pl.lit(1, pl.Int64))
    found = {w.code: w for w in warnings(Run(records=records, grades=grades, manifest=run.manifest))}
    assert "failed_requests" not in found
    assert found["retried"].message.startswith("1.100 attempts per request")


def test_the_death_of_an_engine_is_an_error_with_its_cause() -> None:
    death = {"setting": SETTING, "repeat": 0, "cause": "killed by signal 9"}
    run = with_manifest(make_run(World(problems=20)), deaths=[death] * 2)
    (told,) = of(run, "engine_died")
    assert told.severity == "error"
    assert told.message == "the engine died 2 times while it was measured: killed by signal 9"
    assert told.setting == SETTING


def test_a_server_that_never_came_up_is_an_error_with_its_cause() -> None:
    failed = {"setting": SETTING, "cause": "no memory", "log": "x.log", "advice": ""}
    run = with_manifest(make_run(World(problems=20)), failed=[failed])
    (told,) = of(run, "server_failed")
    assert (told.severity, told.message) == ("error", "no server: no memory")


@pytest.mark.parametrize(
    ("load", "kind", "told"), [("c8", "http_5xx", True), ("c1", "http_5xx", False), ("c8", "timeout_total", False)]
)
def test_refusals_above_concurrency_one_lighten_the_load(load: str, kind: str, told: bool) -> None:
    found = of(ended(make_run(World(problems=40, load=load)), 5, error_kind=kind), "failures_lighten_load")
    assert [w.message.split(":")[0] for w in found] == (["5 requests failed early at load c8"] if told else [])


def test_a_run_in_which_nothing_was_right_or_everything_was_cut_says_so() -> None:
    run = make_run(World(problems=20, budgets=(8,), median_tokens=3000))
    wrong = run.grades.with_columns(status=pl.lit("incorrect"))
    found = {w.code for w in warnings(Run(records=run.records, grades=wrong, manifest=run.manifest))}
    assert {"nothing_correct", "all_truncated"} <= found
    assert "truncated" not in found


def test_a_mark_of_a_later_version_is_told_by_its_name() -> None:
    run = make_run(World(problems=20))
    records = run.records.with_columns(doubts=pl.lit(["of_tomorrow"], dtype=pl.List(pl.String)))
    (told,) = of(Run(records=records, grades=run.grades, manifest=run.manifest), "of_tomorrow")
    assert told.message == "20 requests are marked of tomorrow"
