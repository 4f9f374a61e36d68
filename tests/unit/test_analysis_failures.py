"""Failures are results: what requests that fail, are retried or are not measured do to each figure."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.builders import with_manifest
from tests.rows import S, grade, only, row, run_of, table
from tests.synthetic import Engine, Run, World, make_run
from tts_compare.analysis.analyse import analyse, prepare
from tts_compare.analysis.findings.slo import parse_slo
from tts_compare.analysis.metrics import AXES

LIMITS = {"policy": "any", "limits": {"total_s": 100.0}}
SETTINGS = {
    name: {"backend": "vllm", "model": "m", "devices": devices, "tensor_parallel": devices}
    for name, devices in (("s", 2), ("t", 1))
}


def lost(kind: str = "timeout_total", **more: Any) -> dict[str, Any]:
    """What a failed row has in place of a success."""
    return {"finish_reason": None, "error_kind": kind, "last_token_ns": None, "first_token_ns": None} | more


def two_settings(*failing: dict[str, Any]) -> Run:
    """Problems a, b, c of 2, 4 and 10 s in setting s; in t the first two of half that, and c as given."""
    rows = [row(p, at, 0.5, long, 100, setting="s") for p, at, long in (("a", 0, 2.0), ("b", 2, 4.0), ("c", 6, 10.0))]
    rows += [row(p, at, 0.5, long, 100, setting="t") for p, at, long in (("a", 0, 1.0), ("b", 1, 2.0))]
    rows += [{**row("c", 3, 0.5, 5.0, 100, setting="t"), **each} for each in failing or ({},)]
    grades = [grade(p, "correct", setting=name) for p in "abc" for name in ("s", "t")]
    return run_of(rows, grades, settings=SETTINGS, experiment=LIMITS)


def by_setting(run: Run) -> dict[str, dict[str, Any]]:
    return {found["setting"]: found for found in table(run).iter_rows(named=True)}


def test_the_time_of_a_failed_answer_is_in_the_mean_latency_as_a_lower_bound() -> None:
    found = by_setting(two_settings(lost(end_ns=int(3.25 * S))))["t"]
    assert found["latency_mean_s"] == pytest.approx((1.0 + 2.0 + 0.25) / 3)
    assert found["latency_is_lower_bound"]
    assert not by_setting(two_settings())["t"]["latency_is_lower_bound"]


def test_whoever_fails_fast_is_charged_what_the_problem_took_elsewhere() -> None:
    honest, refusing = by_setting(two_settings()), by_setting(two_settings(lost("http_4xx", end_ns=int(3.01 * S))))
    assert honest["t"]["compared_latency_s"] == pytest.approx((1.0 + 2.0 + 5.0) / 3)
    assert refusing["t"]["compared_latency_s"] == pytest.approx((1.0 + 2.0 + 10.0) / 3)
    assert refusing["t"]["compared_tokens"] == pytest.approx(100.0)
    assert refusing["t"]["compared_accuracy"] == pytest.approx(2 / 3)
    for figure in ("compared_gpu_s_per_problem", "compared_latency_s", "gpu_s_per_correct"):
        assert refusing["t"][figure] > honest["t"][figure], figure
    assert refusing["t"]["n_compared"] == refusing["s"]["n_compared"] == 3


def test_a_failure_that_took_longer_than_any_answer_is_charged_its_own_time() -> None:
    found = by_setting(two_settings(lost(end_ns=int(103.0 * S))))["t"]
    assert found["compared_latency_s"] == pytest.approx((1.0 + 2.0 + 100.0) / 3)


def test_what_nobody_answered_is_charged_the_time_limit_and_the_budget() -> None:
    run = two_settings(lost("http_5xx", end_ns=int(3.01 * S)))
    records = run.records.filter((run.records["problem"] != "c") | (run.records["setting"] == "t"))
    alone = run_of(
        records.to_dicts(), [grade(p, "correct", setting="t") for p in "ab"], settings=SETTINGS, experiment=LIMITS
    )
    for cube in prepare(alone.records, alone.grades, alone.manifest).cubes:
        at = next(i for i, key in enumerate(cube.keys) if key["setting"] == "t")
        everything = cube.own_mask(at)
        assert cube.values(at, "latency_s", everything)[0].tolist() == pytest.approx([1.0, 2.0, 100.0])
        assert cube.values(at, "bill_gpu_s", everything)[0, 2] == pytest.approx(100.0)
        assert cube.values(at, "tokens", everything)[0, 2] == 1024
        assert cube.own_values(at, "latency_s", everything)[0, 2] == pytest.approx(0.01)


@pytest.mark.parametrize("fast", [0.001, 0.5])
def test_refusing_the_hardest_quarter_at_once_never_looks_faster(fast: float) -> None:
    """Two equal settings, one of which refuses the longest answers: every compared figure stays at least as high."""
    run = make_run(World(engines=(Engine(), Engine(backend="sglang")), budgets=(4096,), problems=80, sigma=1.2))
    mine = run.records["setting"].str.starts_with("sglang")
    hardest = run.records["completion_tokens"] >= run.records["completion_tokens"].quantile(0.75)
    rows = [
        each | (lost("http_5xx", end_ns=each["sent_ns"] + int(fast * S)) if refused else {})
        for each, refused in zip(run.records.iter_rows(named=True), (mine & hardest).to_list(), strict=True)
    ]
    graded = run.grades
    refusing = with_manifest(run_of(rows, graded.to_dicts()), **msgspec.to_builtins(run.manifest))
    found = {r["setting"].split("/")[0]: r for r in table(refusing).iter_rows(named=True)}
    assert found["sglang"]["failed_share"] == pytest.approx(0.25, abs=0.05)
    assert found["sglang"]["latency_mean_s"] < found["vllm"]["latency_mean_s"], "its own time is short: a lower bound"
    assert found["sglang"]["compared_latency_s"] >= 0.97 * found["vllm"]["compared_latency_s"]
    assert found["sglang"]["compared_tokens"] >= found["vllm"]["compared_tokens"]
    assert not found["sglang"]["on_latency_frontier"] or found["vllm"]["on_latency_frontier"]


def test_a_failed_answer_is_never_reached_in_quantiles() -> None:
    rows = [row(f"p{i}", 10 * i, 0.5, 1.0 + i, 16) for i in range(10)]
    for at in (0, 1):
        rows[at] |= lost(end_ns=rows[at]["sent_ns"] + 1)
    found = only(run_of(rows, []))
    assert found["latency_p50_s"] == pytest.approx(7.5), "of 3..10 s and two that were never reached"
    assert found["latency_p90_s"] is None
    assert found["failed_share"] == pytest.approx(0.2)


def test_an_objective_on_latency_is_not_kept_where_an_answer_failed() -> None:
    run = two_settings(lost(end_ns=int(3.01 * S)))
    for objective in ("latency<=1000", "p90_latency<=1000"):
        (choice,) = analyse(run.records, run.grades, run.manifest, resamples=50, slo=[parse_slo(objective)]).slo
        assert choice.point is not None
        assert choice.point["setting"] == "s", objective


def test_the_back_off_after_a_failed_attempt_is_waited_for() -> None:
    rows = [
        row("a", 0, 0.5, 1.0, 5, **lost("http_5xx", end_ns=1 * S), request_id="one"),
        row("a", 3, 0.5, 2.0, 16, attempt=1, request_id="two"),
    ]
    found = only(run_of(rows, [grade("a", "correct", attempt=1)]))
    assert found["latency_mean_s"] == pytest.approx(5.0)
    assert found["request_latency_mean_s"] == pytest.approx(2.0)
    assert found["attempts_mean"] == 2.0
    assert found["decode_s"] == pytest.approx(found["request_latency_mean_s"] - found["ttft_mean_s"])


def test_the_wait_of_an_answer_that_failed_after_all_its_attempts_is_its_own_time() -> None:
    rows = [
        row("a", 0, 0.5, 1.0, 5, **lost("http_5xx", end_ns=1 * S), request_id="one"),
        row("a", 3, 0.5, 2.0, 16, **lost("http_5xx", end_ns=5 * S), attempt=1, request_id="two"),
        row("b", 6, 0.5, 1.0, 5),
    ]
    found = only(run_of(rows, [grade("b", "correct")]))
    assert (found["failed"], found["latency_mean_s"]) == (1, pytest.approx((5.0 + 1.0) / 2))


def test_waits_for_our_own_limits_are_left_out_of_a_closed_loop_and_shown_apart() -> None:
    rows = [
        row("a", 0, 0.5, 1.0, 5, **lost("http_5xx", end_ns=1 * S), request_id="one", limit_wait_ns=4 * S),
        row("a", 31, 0.5, 2.0, 16, attempt=1, request_id="two", limit_wait_ns=28 * S),
    ]
    found = only(run_of(rows, [grade("a", "correct", attempt=1)]))
    assert found["latency_mean_s"] == pytest.approx(33.0 - 28.0)
    assert found["limit_wait_mean_s"] == pytest.approx(32.0)


def test_an_open_loop_counts_from_the_instant_intended_and_with_our_limits() -> None:
    rows = [
        row("a", 5, 0.5, 1.0, 5, **lost("http_5xx", end_ns=6 * S), load="r2", scheduled_ns=1 * S, request_id="one"),
        row("a", 31, 0.5, 2.0, 16, attempt=1, load="r2", request_id="two", limit_wait_ns=20 * S),
        row("b", 8, 0.5, 2.0, 16, load="r2", scheduled_ns=7 * S),
    ]
    found = only(run_of(rows, [grade(p, "correct", load="r2") for p in "ab"]))
    assert found["latency_mean_s"] == pytest.approx((32.0 + 3.0) / 2)


def test_no_latency_spans_two_sessions_of_a_resumed_run_whatever_their_clocks_say() -> None:
    first = row("a", 1000, 0.5, 1.0, 5, **lost("http_5xx", end_ns=1001 * S), request_id="one", session=0)
    for sent in (9000, 3):  # the machine slept for hours, or was started again and counts from 0
        again = row("a", sent, 0.5, 2.0, 16, attempt=1, request_id="two", session=1)
        found = only(run_of([first, again], [grade("a", "correct", attempt=1)]))
        assert found["latency_mean_s"] == pytest.approx(1.0 + 2.0)
        assert found["wall_s"] == pytest.approx(1.0 + 2.0)
        assert "interrupted" in found["doubts"]


def test_an_attempt_that_we_interrupted_is_in_no_latency_and_no_wall_time() -> None:
    rows = [
        row("b", 0, 0.5, 2.0, 16, session=0),
        row("a", 2, 0.5, 1.0, 5, **lost("cancelled", end_ns=9 * S), request_id="one", session=0),
        row("a", 20, 0.5, 2.0, 16, attempt=1, request_id="two", session=1),
    ]
    found = only(run_of(rows, [grade("a", "correct", attempt=1), grade("b", "correct")]))
    assert (found["failed"], found["not_measured"], found["outcomes"]) == (0, 0, 2)
    assert found["latency_mean_s"] == pytest.approx(2.0)
    assert found["attempts_mean"] == 1.0
    assert found["wall_s"] == pytest.approx(4.0)


NOT_MEASURED = [
    ("cancelled", None, "", "vllm"),
    ("http_4xx", 401, "no key", "vllm"),
    ("http_4xx", 404, "no such model", "openai"),
    ("http_429", 429, "You exceeded your requests per minute quota", "openai"),
]
FAILED = [
    ("http_429", 429, "You exceeded your requests per minute quota", "vllm"),
    ("http_429", 429, "overloaded, try again later", "openai"),
    ("http_4xx", 400, "too long", "openai"),
    ("server_died", None, "never sent: exit status 1", "vllm"),
]


@pytest.mark.parametrize(("kind", "status", "message", "backend"), NOT_MEASURED)
def test_what_was_not_measured_is_left_out_of_every_figure_and_counted(
    kind: str, status: int | None, message: str, backend: str
) -> None:
    error = lost(kind, error_status=status, error_message=message)
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 7.0, 0, **error)]
    settings = {"s": {"backend": backend, "model": "m", "devices": 2}}
    found = only(run_of(rows, [grade("a", "correct")], settings=settings))
    assert (found["n"], found["outcomes"], found["not_measured"], found["failed"]) == (1, 1, 1, 0)
    assert (found["accuracy"], found["latency_mean_s"]) == (1.0, pytest.approx(2.0))
    assert found["gpu_s_per_problem"] == pytest.approx(2 * 2.0)


@pytest.mark.parametrize(("kind", "status", "message", "backend"), FAILED)
def test_a_failure_of_the_setting_is_a_wrong_answer(kind: str, status: int | None, message: str, backend: str) -> None:
    error = lost(kind, error_status=status, error_message=message)
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 7.0, 0, **error)]
    settings = {"s": {"backend": backend, "model": "m", "devices": 2}}
    found = only(run_of(rows, [grade("a", "correct")], settings=settings))
    assert (found["n"], found["outcomes"], found["not_measured"], found["failed"]) == (2, 2, 0, 1)
    assert (found["accuracy"], found["latency_mean_s"]) == (0.5, pytest.approx((2.0 + 7.0) / 2))


def test_a_point_of_which_nothing_was_measured_has_a_row_that_says_so() -> None:
    rows = [row(p, 2, 0.5, 7.0, 0, **lost("http_4xx", error_status=401)) for p in "ab"]
    found = only(run_of(rows, []))
    assert (found["n"], found["outcomes"], found["not_measured"]) == (0, 0, 2)
    assert (found["accuracy"], found["latency_mean_s"], found["on_latency_frontier"]) == (None, None, None)


def test_a_request_never_sent_because_the_server_died_is_a_failure_without_a_time_of_its_own() -> None:
    never = {"sent_ns": None, "end_ns": None, "prompt_tokens": None, "completion_tokens": None}
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 7.0, 0, **lost("server_died", **never))]
    found = only(run_of(rows, [grade("a", "correct")], experiment=LIMITS))
    assert (found["failed"], found["accuracy"]) == (1, 0.5)
    assert found["latency_mean_s"] == pytest.approx(1.0)
    assert found["compared_latency_s"] == pytest.approx((2.0 + 100.0) / 2)
    assert found["gpu_s_per_problem"] * found["outcomes"] == pytest.approx(found["devices"] * found["wall_s"])


def test_reasoning_without_an_answer_is_an_answer_that_was_cut() -> None:
    thought = {"error_kind": "empty", "finish_reason": "stop", "first_answer_ns": None}
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 6.0, 900, **thought)]
    found = only(run_of(rows, [grade("a", "correct"), grade("b", "no_answer")]))
    assert (found["failed"], found["ungraded"], found["truncated_share"]) == (0, 0, 0.5)
    assert found["latency_mean_s"] == pytest.approx(4.0)


def test_device_seconds_of_all_answers_are_the_wall_time_whatever_failed_or_was_retried() -> None:
    rows = [
        row("a", 0, 0.5, 2.0, 16),
        row("b", 2, 0.5, 3.0, 5, **lost("http_5xx", end_ns=3 * S), request_id="one"),
        row("b", 4, 0.5, 2.0, 16, attempt=1, request_id="two"),
        row("c", 6, 0.5, 9.0, 0, **lost("timeout_total")),
    ]
    found = only(run_of(rows, [grade("a", "correct"), grade("b", "incorrect", attempt=1)]))
    assert found["wall_s"] == pytest.approx(15.0)
    assert found["gpu_s_per_problem"] * found["outcomes"] == pytest.approx(found["devices"] * found["wall_s"])


def test_tokens_and_dollars_count_every_attempt_that_is_billed() -> None:
    price = {"input": 1.0, "output": 10.0}
    counted = lost("truncated_stream", completion_tokens=30, end_ns=1 * S)
    uncounted = lost("timeout_idle", completion_tokens=None, prompt_tokens=None, end_ns=1 * S)
    refused = lost("connect", completion_tokens=None, prompt_tokens=None, sent_ns=None)
    rows = [
        row("a", 0, 0.5, 1.0, 30, **counted, request_id="one"),
        row("a", 2, 0.5, 2.0, 16, attempt=1, request_id="two"),
        row("b", 5, 0.5, 2.0, 20),
        row("b", 5, 0.5, 2.0, 20, **uncounted, sample=1, request_id="three"),
        row("c", 8, 0.5, 2.0, 20, **refused),
    ]
    hosted = run_of(rows, [], settings={"s": {"backend": "openai", "devices": None, "price": price}})
    found = only(hosted)
    output = (30 + 16) + 20 + 1024
    assert found["usd_per_problem"] * found["outcomes"] == pytest.approx((4 * 100 * 1.0 + output * 10.0) / 1e6)
    ours = only(run_of(rows[:3], []))
    assert ours["gpu_s_per_token"] == pytest.approx(2 * ours["wall_s"] / (30 + 16 + 20))


def test_a_run_without_a_grade_is_on_no_frontier_and_keeps_its_latencies() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 2.0, 16, **lost())]
    found = only(run_of(rows, [grade("a", "ungraded")]))
    assert (found["accuracy"], found["ungraded"]) == (None, 1)
    assert not any(value for name, value in found.items() if name.startswith("on_"))
    assert found["compared_accuracy"] is None


def test_the_frontier_counts_an_ungraded_answer_as_wrong_as_the_accuracy_does() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 2.0, 16)]
    found = only(run_of(rows, [grade("a", "correct"), grade("b", "ungraded")]))
    assert found["accuracy"] == found["compared_accuracy"] == 0.5
    assert found["on_latency_frontier"]


def test_the_cube_says_what_the_bounds_of_an_accuracy_are_made_of() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16), row("a", 2, 0.5, 2.0, 16, sample=1), row("b", 4, 0.5, 2.0, 16, **lost())]
    run = run_of(rows, [grade("a", "correct"), grade("a", "ungraded", sample=1)], experiment=LIMITS)
    (cube,) = prepare(run.records, run.grades, run.manifest).cubes
    assert cube.values(0, "correct")[0].tolist() == [1.0, 0.0]
    assert cube.answered["correct"][0, 0, 0] == 1.0
    assert cube.ungraded[0, 0].tolist() == [0.5, 0.0]
    assert cube.failed[0, 0].tolist() == [0.0, 1.0]
    assert cube.keys[0]["hosted"] is False
    assert "total_s" in cube.keys[0]["limits"]


def test_a_retry_after_of_70_s_in_a_live_closed_loop_is_no_interruption() -> None:
    rows = [
        row("a", 0, 0.5, 1.0, 5, **lost("http_429", error_status=429, end_ns=1 * S), request_id="one", session=0),
        row("a", 71, 0.5, 2.0, 16, attempt=1, request_id="two", session=0),
    ]
    found = only(run_of(rows, [grade("a", "correct", attempt=1)]))
    assert (found["wall_s"], found["latency_mean_s"]) == (pytest.approx(73.0), pytest.approx(73.0))
    assert "interrupted" not in found["doubts"]


def test_the_wall_time_of_a_resumed_open_loop_is_that_of_its_sessions() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16, load="r1", session=0), row("b", 7200, 0.5, 2.0, 16, load="r1", session=1)]
    found = only(run_of(rows, [grade(p, "correct", load="r1") for p in "ab"]))
    assert found["wall_s"] == pytest.approx(4.0)


def test_answers_that_came_in_one_piece_have_no_time_to_a_token() -> None:
    buffered = {"doubts": ["stream_buffered"]}
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 3.9, 4.0, 16, **buffered)]
    found = only(run_of(rows, [grade(p, "correct") for p in "ab"]))
    assert (found["ttft_mean_s"], found["tpot_mean_s"]) == (pytest.approx(0.5), pytest.approx(1.5 / 15))
    assert (found["latency_mean_s"], found["buffered_share"]) == (pytest.approx(3.0), 0.5)


@pytest.mark.parametrize(("answers", "known"), [(50, False), (100, True)])
def test_a_derived_latency_is_not_known_where_over_one_in_a_hundred_answers_came_in_one_piece(
    answers: int, known: bool
) -> None:
    line = {"timeline_us": [1_000_000] * 3, "timeline_tokens": [2, 2, 2], "timeline_chars": [8, 8, 8]}
    whole = {"timeline_us": [9_000_000], "timeline_tokens": [6], "timeline_chars": [24], "doubts": ["stream_buffered"]}
    rows = [row(f"p{i}", 10 * i, 1.0, 3.0, 6, **line) for i in range(answers - 1)]
    rows += [row("last", 5000, 9.0, 9.0, 6, **whole)]
    grades = [grade(each["problem"], "correct", cut_tokens=cut) for each in rows for cut in (None, 4)]
    small = next(r for r in table(run_of(rows, grades)).iter_rows(named=True) if r["budget"] == 4)
    expected = pytest.approx((2.0 * 99 + 9.0) / 100) if known else None
    assert small["latency_mean_s"] == expected


@pytest.mark.parametrize("case", ["nothing right", "everything cut"])
def test_a_run_in_which_nothing_was_right_or_everything_was_cut_marks_no_frontier(case: str) -> None:
    reason = "length" if case == "everything cut" else "stop"
    rows = [row(p, at, 0.5, 2.0, 16, finish_reason=reason) for at, p in enumerate("abc")]
    status = "correct" if case == "everything cut" else "incorrect"
    run = run_of(rows, [grade(p, status) for p in "abc"])
    found = analyse(run.records, run.grades, run.manifest, resamples=50)
    assert found.frontiers.height == found.bands.height == 0
    marks = [name for name in found.points.columns if "on_" in name and name.endswith("frontier")]
    assert len(marks) == 2 * len(AXES)
    assert all(found.points[name].null_count() == 1 for name in marks)


def test_rates_are_of_the_wall_time_and_failures_are_told_by_kind() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 4.0, 24)]
    whole = only(run_of(rows, [grade(p, "correct") for p in "ab"]))
    assert whole["requests_per_s"] == pytest.approx(2 / 6)
    assert whole["output_tokens_per_s"] == pytest.approx(40 / 6)
    assert whole["total_tokens_per_s"] == pytest.approx(240 / 6)
    assert whole["output_tokens_per_device_s"] == pytest.approx(20 / 6)
    assert whole["output_tokens_per_s"] * whole["gpu_s_per_token"] == pytest.approx(whole["devices"])
    assert (whole["latency_max_s"], whole["latency_sd_s"]) == (pytest.approx(4.0), pytest.approx(2**0.5))
    assert whole["failed_by_kind"] is None
    rows += [
        row(p, 6, 0.5, 9.0, 0, **lost(kind)) for p, kind in zip("cde", ("connect", "empty", "connect"), strict=True)
    ]
    found = only(run_of(rows, [grade(p, "correct") for p in "ab"]))
    assert found["failed_by_kind"] == ["connect 2", "empty 1"]
    assert found["latency_max_s"] is None


def test_floating_point_operations_are_not_told_of_a_model_whose_active_parameters_are_not_known() -> None:
    shape = {"num_layers": 2, "num_heads": 4, "head_dim": 8, "parameters": 1000}
    rows, grades = [row("a", 0, 0.5, 2.0, 16)], [grade("a", "correct")]
    known = [
        only(run_of(rows, grades, models={"m": shape | own}))["flops_mean"] for own in ({}, {"active_parameters": 1000})
    ]
    assert known[0] == known[1] > 0
    assert only(run_of(rows, grades, models={"m": shape | {"active_parameters": None}}))["flops_mean"] is None


def test_drafts_that_were_rejected_ran_through_the_model_too() -> None:
    model = {"m": {"parameters": 1000, "num_layers": 2, "num_heads": 4, "head_dim": 0}}
    seen = {"method": "truncate", "budget": 1024, "load": "c1", "repeat": 0, "accepted_tokens": 6, "draft_steps": 4}
    rows, grades = [row("a", 0, 0.5, 2.0, 10)], [grade("a", "correct")]
    counters = {"s": [seen | {"server": {"draft_tokens": 20, "preemptions": 3}}]}
    plain, drafting = (only(run_of(rows, grades, models=model, **more)) for more in ({}, {"server_metrics": counters}))
    assert plain["flops_mean"] == pytest.approx(2 * 1000 * 110)
    assert drafting["flops_mean"] == pytest.approx(2 * 1000 * (110 + 14))
    assert (drafting["acceptance_rate"], drafting["preemptions"]) == (pytest.approx(0.3), 3.0)
