"""Columns of points over runs in which the truth is known, and null where it cannot be known."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.rows import S, grade, only, row, run_of
from tests.synthetic import Run
from tts_compare.analysis.analyse import analyse
from tts_compare.analysis.findings.slo import parse_slo
from tts_compare.analysis.statistics.distributions import t_quantile
from tts_compare.reports import REPORTS, Look, RunView

LOST: dict[str, Any] = {
    "finish_reason": None,
    "error_kind": "http_5xx",
    "completion_tokens": None,
    "first_token_ns": None,
    "last_token_ns": None,
}
WORK = {"method": "truncate", "budget": 1024, "load": "c1", "repeat": 0}


def lost(problem: str, sent_s: float, end_s: float, **more: Any) -> dict[str, Any]:
    """A request that failed at ``end_s``."""
    return row(problem, sent_s, 0.0, 0.0, 0, **LOST | {"end_ns": int(end_s * S), "request_id": f"lost-{sent_s}"} | more)


def right(*problems: str, **more: Any) -> list[dict[str, Any]]:
    return [grade(problem, "correct", **more) for problem in problems]


def with_objectives(run: Run, *texts: str) -> dict[str, Any]:
    """The one point of a run that is analysed under these objectives."""
    objectives = [parse_slo(text) for text in texts]
    return analyse(run.records, run.grades, run.manifest, resamples=50, slo=objectives).points.row(0, named=True)


def jackknifed(figures: Sequence[float], rounds: Sequence[int]) -> tuple[float, float]:
    """95 % limits of the mean, delete-one-round on its logarithm, Student's t."""
    values, numbers = np.array(figures), np.array(rounds)
    without = np.array([math.log(values[numbers != r].mean()) for r in np.unique(numbers)])
    count = without.size
    error = math.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    distance = t_quantile(0.975, count - 1) * error
    return values.mean() * math.exp(-distance), values.mean() * math.exp(distance)


TTFT = (0.2, 0.4, 0.3, 0.5, 0.25, 0.6)


def of_rounds(**more: Any) -> Run:
    """Six answers in three rounds: ttft as in TTFT, then ten tokens at 0.1 s each, or 0.2 s in the last round."""
    rows = [
        row(f"p{i}", 10 * i, ttft, ttft + (2.0 if i > 3 else 1.0), 11, round=i // 2, **more)
        for i, ttft in enumerate(TTFT)
    ]
    return run_of(rows, right(*(f"p{i}" for i in range(6))))


def test_mean_times_to_tokens_have_the_jackknifes_interval_over_rounds() -> None:
    found = only(of_rounds())
    numbers = (0, 0, 1, 1, 2, 2)
    assert (found["ttft_lo_s"], found["ttft_hi_s"]) == pytest.approx(jackknifed(TTFT, numbers))
    tpot = (0.1, 0.1, 0.1, 0.1, 0.2, 0.2)
    assert found["tpot_mean_s"] == pytest.approx(np.mean(tpot))
    assert (found["tpot_lo_s"], found["tpot_hi_s"]) == pytest.approx(jackknifed(tpot, numbers))
    assert found["timed"] == found["answered"] == 6


def test_answers_in_one_piece_and_failed_ones_are_no_part_of_the_times_to_tokens() -> None:
    run = of_rounds()
    rows = run.records.to_dicts()
    rows += [row("q", 70, 3.0, 3.0, 11, round=0, doubts=["stream_buffered"]), lost("r", 80, 81.0, round=1)]
    found = only(run_of(rows, [*run.grades.to_dicts(), *right("q")]))
    assert (found["outcomes"], found["answered"], found["timed"]) == (8, 7, 6)
    assert found["ttft_mean_s"] == pytest.approx(np.mean(TTFT))
    assert (found["ttft_lo_s"], found["ttft_hi_s"]) == pytest.approx(jackknifed(TTFT, (0, 0, 1, 1, 2, 2)))


def test_where_all_answers_came_in_one_piece_no_time_to_a_token_is_known() -> None:
    found = only(of_rounds(doubts=["stream_buffered"]))
    assert (found["timed"], found["buffered_share"]) == (0, 1.0)
    times = [name for name in found if name.startswith(("ttft_", "ttfot_", "tpot_"))]
    assert len(times) == 22
    assert {found[name] for name in (*times, "output_tokens_per_user_s")} == {None}


def test_quantiles_of_times_to_tokens_lie_between_order_statistics() -> None:
    rows = [row(f"p{i}", 10 * i, 0.1 * (i + 1), 5.0, 11) for i in range(20)]
    found = only(run_of(rows, right(*(f"p{i}" for i in range(20)))))
    assert found["ttft_p50_s"] == pytest.approx(1.05)
    # Of 20, the 6th and the 15th: P(6 <= Binomial(20, 1/2) <= 14) = 0.9586.
    assert (found["ttft_p50_lo_s"], found["ttft_p50_hi_s"]) == pytest.approx((0.6, 1.5))
    assert found["ttft_p90_lo_s"] is not None


def test_an_answer_cut_in_its_reasoning_never_reached_an_answer_token() -> None:
    seen = [row(p, i, 0.1, 1.0, 11, first_answer_ns=i * S + int(0.4 * S)) for i, p in enumerate("abc")]
    cut = [row(p, i + 5, 0.1, 1.0, 11, finish_reason="length") for i, p in enumerate("de")]
    found = only(run_of([*seen, *cut], right(*"abc")))
    assert found["ttfot_p50_s"] == pytest.approx(0.4)
    assert found["ttfot_p90_s"] is None, "two of five never said anything"
    # Hidden tokens say nothing of when the answer began.
    hidden = [row(p, i + 5, 0.1, 1.0, 11, first_token_ns=None) for i, p in enumerate("de")]
    assert only(run_of([*seen, *hidden], right(*"abcde")))["ttfot_p90_s"] == pytest.approx(0.4)


def test_one_answers_tokens_a_second_are_those_after_its_first() -> None:
    found = only(run_of([row("a", 0, 0.5, 1.5, 11), row("b", 2, 0.5, 3.5, 31)], right("a", "b")))
    assert found["output_tokens_per_user_s"] == pytest.approx((10 + 30) / (1.0 + 3.0))
    alone = only(run_of([row("a", 0, 0.5, 0.5, 1)], right("a")))
    assert alone["output_tokens_per_user_s"] is None


def test_requests_in_flight_are_counted_attempt_by_attempt_and_without_the_wait_between_them() -> None:
    rows = [
        row("a", 0, 0.5, 2.0, 16),
        row("b", 1, 0.5, 3.0, 16),
        lost("c", 4, 5.0),
        row("c", 8, 0.5, 2.0, 16, attempt=1),
    ]
    found = only(run_of(rows, [*right("a", "b"), *right("c", attempt=1)]))
    assert found["wall_s"] == pytest.approx(10.0)
    assert found["concurrency_mean"] == pytest.approx((2.0 + 3.0 + 1.0 + 2.0) / 10.0)


def test_choices_of_one_request_are_one_request_in_flight() -> None:
    rows = [row("a", 0, 0.5, end, 16, sample=i, request_id="one") for i, end in enumerate((2.0, 4.0))]
    votes = [grade("a", "correct", sample=i) for i in range(2)]
    votes += [grade("a", "correct", sample=None, samples=m, score=1.0) for m in (1, 2)]
    run = run_of(rows, votes)
    found = {p["samples"]: p for p in analyse(run.records, run.grades, run.manifest, resamples=50).points.to_dicts()}
    assert found[2]["concurrency_mean"] == pytest.approx(1.0)
    assert found[1]["concurrency_mean"] is None, "a vote of fewer samples has no wall time of its own"


def test_errors_of_attempts_that_a_retry_made_good_are_counted() -> None:
    rows = [lost("a", 0, 1.0), lost("a", 2, 3.0, attempt=1, error_kind="connect")]
    rows += [row("a", 4, 0.5, 2.0, 16, attempt=2), lost("b", 7, 8.0)]
    found = only(run_of(rows, right("a", attempt=2)))
    assert found["errors_by_kind"] == ["http_5xx 2", "connect 1"]
    assert found["failed_by_kind"] == ["http_5xx 1"]


def test_an_attempt_that_says_nothing_of_the_setting_is_no_error_of_it() -> None:
    rows = [lost("a", 0, 1.0, error_kind="cancelled"), row("a", 4, 0.5, 2.0, 16, attempt=1)]
    assert only(run_of(rows, right("a", attempt=1)))["errors_by_kind"] is None


def counted(*stretches: dict[str, Any], rows: int = 2) -> dict[str, Any]:
    """The point of two answers, the first right, whose server counted this in each stretch."""
    found = [WORK | stretch for stretch in stretches]
    sent = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 2.0, 4)][:rows]
    return only(run_of(sent, [grade("a", "correct"), grade("b", "incorrect")][:rows], server_metrics={"s": found}))


def test_the_mean_wait_in_the_queue_weighs_each_stretch_by_its_requests() -> None:
    first, second = ({"server": {"queue_mean_s": wait, "requests": n}} for wait, n in ((0.1, 30), (0.5, 10)))
    assert counted(first, second)["queue_mean_s"] == pytest.approx((0.1 * 30 + 0.5 * 10) / 40)
    assert counted(first, {"server": {}})["queue_mean_s"] is None, "one stretch was not counted"
    assert counted(first | {"attempts": 1})["queue_mean_s"] is None, "a request was sent that no stretch covers"
    assert counted(first, second | {"phase": "spot_check"})["queue_mean_s"] == pytest.approx(0.1)


def test_acceptance_by_position_weighs_each_stretch_by_its_draft_steps() -> None:
    first = {"server": {"drafts": 10, "accepted_per_position": {"0": 0.9, "1": 0.5, "10": 0.1}}}
    second = {"server": {"drafts": 30, "accepted_per_position": {"0": 0.5, "1": 0.1}}}
    found = counted(first, second)
    assert found["acceptance_by_position"] == pytest.approx([0.6, 0.2, 0.025])
    assert counted({"server": {"drafts": 0}})["acceptance_by_position"] is None
    assert counted(first, {"server": {"drafts": 5}})["acceptance_by_position"] is None


def test_energy_is_told_a_problem_and_as_power() -> None:
    found = counted({"energy_j": 60.0})
    assert found["joules_per_problem"] == pytest.approx(30.0)
    assert found["power_mean_w"] == pytest.approx(60.0 / 4.0)
    unknown = counted({"energy_j": 60.0, "attempts": 1})
    assert (unknown["joules_per_problem"], unknown["power_mean_w"]) == (None, None)


def test_energy_of_failed_answers_is_part_of_that_of_a_problem() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16), lost("b", 2, 4.0)]
    found = only(run_of(rows, right("a"), server_metrics={"s": [WORK | {"energy_j": 60.0}]}))
    assert (found["joules_per_problem"], found["joules_per_correct"]) == (pytest.approx(30.0), pytest.approx(60.0))


def test_seconds_to_start_are_the_mean_over_the_starts_and_unknown_of_servers_that_are_not_ours() -> None:
    rows, grades = [row("a", 0, 0.5, 2.0, 16)], right("a")
    settings = {"s": {"backend": "vllm", "model": "m", "devices": 1, "startup_s": [30.0, 50.0]}}
    assert only(run_of(rows, grades, settings=settings))["startup_mean_s"] == pytest.approx(40.0)
    assert only(run_of(rows, grades))["startup_mean_s"] is None


def of_four(**last: Any) -> Run:
    """Latencies of 1, 2 and 4 s, ttft of 0.5 s, and a fourth answer that failed or is as told; wall time 20 s."""
    rows = [row(p, sent, 0.5, e2e, 11) for p, sent, e2e in (("a", 0, 1.0), ("b", 4, 2.0), ("c", 8, 4.0))]
    rows.append(row("d", 15, 0.5, 5.0, 11, **last) if last else lost("d", 15, 20.0))
    return run_of(rows, right("a", "b", "c"))


def test_goodput_counts_answers_that_keep_every_objective_and_none_that_failed() -> None:
    found = with_objectives(of_four(), "p90_latency=3", "ttft<=1")
    assert found["goodput_share"] == pytest.approx(2 / 4)
    assert found["goodput_per_s"] == pytest.approx(2 / 20)
    assert with_objectives(of_four(), "latency<=10")["goodput_share"] == pytest.approx(3 / 4)
    assert with_objectives(of_four(), "latency>=2", "accuracy>=0.1")["goodput_share"] == pytest.approx(2 / 4)


def test_an_answer_of_one_token_has_no_time_between_tokens_to_be_too_long() -> None:
    run = run_of([row("a", 0, 0.5, 0.5, 1), row("b", 2, 0.5, 2.5, 11)], right("a", "b"))
    assert with_objectives(run, "tpot<=0.1")["goodput_share"] == pytest.approx(1 / 2)


def test_an_answer_cut_before_its_first_answer_token_keeps_no_objective_on_that() -> None:
    rows = [row("a", 0, 0.1, 1.0, 11, first_answer_ns=S // 2), row("b", 2, 0.1, 1.0, 11, finish_reason="length")]
    assert with_objectives(run_of(rows, right("a")), "ttfot<=0.6")["goodput_share"] == pytest.approx(1 / 2)


@pytest.mark.parametrize(("status", "reason"), [("incorrect", "stop"), ("correct", "length")])
def test_where_nothing_was_right_or_everything_was_cut_no_point_is_chosen_under_an_objective(
    status: str, reason: str
) -> None:
    run = run_of([row(p, i, 0.1, 0.5, 11, finish_reason=reason) for i, p in enumerate("ab")], [grade("a", status)])
    (choice,) = analyse(run.records, run.grades, run.manifest, resamples=50, slo=[parse_slo("latency<=10")]).slo
    assert (choice.point, choice.accuracy) == (None, None)


def test_goodput_is_null_without_an_objective_on_single_answers() -> None:
    for texts in ((), ("accuracy>=0.1",), ("cost<=100",)):
        found = with_objectives(of_four(), *texts)
        assert (found["goodput_share"], found["goodput_per_s"]) == (None, None)


def test_goodput_is_null_where_an_answer_in_one_piece_decides_and_else_not() -> None:
    buffered = of_four(doubts=["stream_buffered"])
    assert with_objectives(buffered, "ttft<=1")["goodput_share"] is None
    assert with_objectives(buffered, "ttft<=1", "latency<=3")["goodput_share"] == pytest.approx(2 / 4), (
        "5 s is too long"
    )


def test_the_files_of_reports_hold_figures_that_are_lists() -> None:
    stretch = WORK | {"server": {"drafts": 10, "accepted_per_position": {"0": 0.5, "1": 0.25}}}
    run = run_of([row("a", 0, 0.5, 2.0, 16)], right("a"), server_metrics={"s": [stretch]})
    analysis = analyse(run.records, run.grades, run.manifest, resamples=50)
    written = {name: REPORTS[name].render(analysis, RunView(), look=Look()) for name in ("json", "csv", "parquet")}
    assert json.loads(written["json"])["points"][0]["acceptance_by_position"] == [0.5, 0.25]
    assert pl.read_csv(str(written["csv"]).encode())["acceptance_by_position"].to_list() == ["0.5;0.25"]
    assert isinstance(written["parquet"], bytes)
