"""Points, end to end from rows: denominators, costs, derived budgets, votes, attempts and calls."""

from __future__ import annotations

import polars as pl
import pytest

from tests.rows import S, grade, only, row, run_of, table
from tests.synthetic import Engine, Run, World, engines_grid, make_run
from tts_compare.analysis.analyse import analyse, points
from tts_compare.analysis.metrics import FORMULAS, POINT_COLUMNS, point_schema
from tts_compare.analysis.schema import POINT_KEY
from tts_compare.errors import RunError


def test_the_points_frame_has_the_stated_columns_and_types() -> None:
    found = table(make_run(World(problems=5)))
    assert dict(found.schema) == point_schema()


def test_the_file_of_points_has_the_figures_that_reports_show() -> None:
    world = World(engines=engines_grid(backends=("vllm",)), budgets=(256, 1024), problems=30, repeats=2, start_sd=0.05)
    run = make_run(world)
    assert points(run.records, run.grades, run.manifest).equals(analyse(run.records, run.grades, run.manifest).points)


def test_every_figure_of_a_point_has_its_formula() -> None:
    words = {*POINT_KEY, "provenance", "biased", "repeats", "rounds", "doubts"}
    assert set(POINT_COLUMNS) - words - set(FORMULAS) == set()


def test_failed_and_ungraded_are_not_correct_and_give_bounds() -> None:
    rows = [row(p, i, 0.1, 1.0, 11) for i, p in enumerate("abcd")]
    rows += [row("e", 9, 0.1, 1.0, 11, finish_reason=None, error_kind="timeout_total")]
    grades = [grade("a", "correct"), grade("b", "incorrect"), grade("c", "no_answer"), grade("d", "ungraded")]
    found = only(run_of(rows, grades))
    assert (found["n"], found["failed"], found["ungraded"]) == (5, 1, 1)
    assert found["accuracy"] == found["accuracy_bound_lo"] == pytest.approx(0.2)
    assert found["accuracy_bound_hi"] == pytest.approx(0.6)
    assert {"failed_requests", "ungraded"} <= set(found["doubts"])
    assert found["n_compared"] == 5, "nothing is left out because it failed or could not be judged"


def test_costs_are_ratios_of_sums_and_the_bill_is_wall_time() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 3, 0.5, 1.5, 4)]  # wall 0 to 4.5 s
    found = only(run_of(rows, [grade("a", "correct"), grade("b", "incorrect")]))
    assert found["cost_per_token_gpu_s"] == pytest.approx(2 * 3.5 / 20)
    assert found["gpu_s_per_token"] == pytest.approx(2 * 4.5 / 20)
    assert found["gpu_s_per_problem"] == pytest.approx(2 * 4.5 / 2)
    assert found["gpu_s_per_correct"] == pytest.approx(9.0)
    assert found["tpot_mean_s"] == pytest.approx((1.5 / 15 + 1.0 / 3) / 2)
    assert found["tpot_pooled_s"] == pytest.approx(2.5 / 18)
    decomposed = found["ttft_mean_s"] + (found["tokens_mean"] - 1) * found["tpot_pooled_s"]
    assert decomposed == pytest.approx(found["latency_mean_s"])


def test_a_single_problem_has_its_figures_and_no_interval() -> None:
    found = only(run_of([row("a", 0, 0.5, 2.0, 16)], [grade("a", "correct")]))
    assert found["latency_mean_s"] == pytest.approx(2.0)
    assert found["cost_per_token_gpu_s"] == pytest.approx(0.25)
    assert found["latency_lo_s"] is None


def test_dollars_come_of_the_device_hour_or_of_the_hosted_price() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16, cached_tokens=40), row("b", 2, 0.5, 2.0, 4, cached_tokens=0)]
    grades = [grade("a", "correct"), grade("b", "correct")]
    rented = run_of(rows, grades, experiment={"gpu_hour_usd": 3.6})
    assert only(rented)["usd_per_problem"] == pytest.approx(2 * 4.0 / 2 * 0.001)
    price = {"input": 1.0, "output": 10.0, "cached": 0.5}
    hosted = run_of(rows, grades, settings={"s": {"devices": None, "price": price}})
    found = only(hosted)
    assert found["usd_per_problem"] == pytest.approx((160 * 1.0 + 40 * 0.5 + 20 * 10.0) / 2e6)
    assert found["gpu_s_per_problem"] is None
    assert found["cost_per_token_gpu_s"] is None


def test_an_endpoint_without_price_and_devices_is_warned_of() -> None:
    hosted = run_of([row("a", 0, 0.5, 2.0, 16)], [grade("a", "correct")], settings={"s": {"devices": None}})
    assert "price_missing" in only(hosted)["doubts"]


def test_a_price_without_counted_prompts_is_no_cost_and_no_cached_share() -> None:
    uncounted = row("a", 0, 0.5, 2.0, 16, prompt_tokens=None, tokens_source="estimated")
    facts = {"s": {"devices": None, "price": {"input": 1.0, "output": 10.0}}}
    found = only(run_of([uncounted], [grade("a", "correct")], settings=facts))
    assert found["usd_per_problem"] is None
    assert "cost_unknown" in found["doubts"]
    assert not {"price_missing", "prefix_cache_hits"} & set(found["doubts"])


def test_a_point_of_failures_alone_has_no_cost_of_zero() -> None:
    failed = row("a", 0, 0.5, 2.0, 16) | dict.fromkeys(("prompt_tokens", "completion_tokens", "finish_reason"))
    facts = {"s": {"devices": None, "price": {"input": 1.0, "output": 10.0}}}
    found = only(run_of([failed | {"error_kind": "http_4xx"}], [], settings=facts))
    assert (found["failed"], found["usd_per_problem"], found["gpu_s_per_problem"]) == (1, None, None)


def test_flops_count_the_prompt_the_tokens_and_their_context() -> None:
    model = {"m": {"parameters": 1000, "num_layers": 2, "num_heads": 4, "head_dim": 8}}
    found = only(run_of([row("a", 0, 0.5, 2.0, 3), row("b", 2, 0.5, 2.0, 3)], [], models=model))
    pairs = sum(range(1, 101)) + 101 + 102 + 103
    assert found["flops_mean"] == pytest.approx(2 * 1000 * 103 + 4 * 2 * 4 * 8 * pairs)


def test_warm_up_rows_are_no_part_of_a_point() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16), row("w", 5, 0.5, 90.0, 16, phase="warmup")]
    found = only(run_of(rows, [grade("a", "correct")]))
    assert (found["n"], found["wall_s"]) == (1, pytest.approx(2.0))


def test_a_run_without_measured_rows_says_what_to_do() -> None:
    with pytest.raises(RunError, match="--resume"):
        table(run_of([row("a", 0, 0.5, 2.0, 16, phase="warmup")], []))


def test_a_retry_is_in_the_cost_and_in_the_latency() -> None:
    failed = row("a", 0, 0.5, 1.0, 5, finish_reason=None, error_kind="http_5xx", request_id="first")
    again = row("a", 4, 0.5, 2.0, 16, attempt=1, request_id="second")
    found = only(
        run_of([failed, again, row("b", 6, 0.5, 2.0, 4)], [grade("a", "correct", attempt=1), grade("b", "correct")])
    )
    assert found["failed"] == 0
    assert found["latency_mean_s"] == pytest.approx((6.0 + 2.0) / 2), "from the first attempt on"
    assert found["request_latency_mean_s"] == pytest.approx(2.0)
    assert found["attempts_mean"] == pytest.approx(3 / 2)
    assert found["wall_s"] == pytest.approx(8.0)
    assert found["wasted_share"] == pytest.approx(1 - 20 / 25)


def test_calls_in_sequence_make_one_latency_with_the_wait_for_a_retry() -> None:
    rows = [
        row("a", 0, 0.5, 2.0, 16, finish_reason="length"),
        row("a", 3, 0.1, 0.5, 1, call=1, finish_reason=None, error_kind="http_429"),
        row("a", 10, 0.2, 1.0, 4, call=1, attempt=1),
        row("b", 20, 0.5, 4.0, 8),
    ]
    grades = [grade("a", "incorrect"), grade("a", "correct", call=1, attempt=1), grade("b", "incorrect")]
    found = only(run_of(rows, grades))
    assert found["latency_mean_s"] == pytest.approx((11.0 + 4.0) / 2)
    assert found["tokens_mean"] == pytest.approx((20 + 8) / 2)
    assert found["accuracy"] == pytest.approx(0.5)
    assert found["truncated_share"] == 0.0


def vote_run() -> Run:
    """Three samples a problem in one request: latencies 1, 2, 4 s; tokens 10, 20, 40; one of three right."""
    rows = [
        row(p, at, 0.1, seconds, tokens, sample=i, request_id=f"{p}-n3", method="vote")
        for p, at in (("a", 0), ("b", 10))
        for i, (seconds, tokens) in enumerate(((4.0, 40), (1.0, 10), (2.0, 20)))
    ]
    key = {"method": "vote"}
    grades = [grade(p, "correct" if i == 0 else "incorrect", sample=i, **key) for p in ("a", "b") for i in range(3)]
    grades += [
        grade(p, "correct", sample=None, samples=m, score=score, **key)
        for p in ("a", "b")
        for m, score in ((1, 1 / 3), (2, 0.5), (3, 0.25))
    ]
    return run_of(rows, grades)


def test_a_vote_waits_for_the_slowest_and_pays_for_all() -> None:
    found = {r["samples"]: r for r in table(vote_run()).iter_rows(named=True)}
    assert set(found) == {1, 2, 3}
    assert found[3]["latency_mean_s"] == pytest.approx(4.0)
    assert found[2]["latency_mean_s"] == pytest.approx((2.0 + 4.0 + 4.0) / 3)
    assert found[1]["latency_mean_s"] == pytest.approx(7.0 / 3)
    assert [found[m]["tokens_mean"] for m in (1, 2, 3)] == pytest.approx([70 / 3, 140 / 3, 70])
    assert [found[m]["latency_mth_mean_s"] for m in (1, 2, 3)] == pytest.approx([1.0, 2.0, 4.0])
    assert [found[m]["accuracy"] for m in (1, 2, 3)] == pytest.approx([1 / 3, 0.5, 0.25])
    assert [found[m]["pass_at_samples"] for m in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_choices_of_one_request_are_charged_its_prompt_and_its_time_once() -> None:
    found = {r["samples"]: r for r in table(vote_run()).iter_rows(named=True)}[3]
    assert found["prompt_tokens_mean"] == pytest.approx(100.0)
    assert found["cost_per_token_gpu_s"] == pytest.approx(2 * 4.0 / 70)
    assert found["gpu_s_per_problem"] == pytest.approx(2 * 14.0 / 2)


def test_a_failed_sample_abstains_and_a_vote_of_failed_samples_has_failed() -> None:
    run = vote_run()
    broken = pl.when((pl.col("problem") == "b") & (pl.col("sample") == 0)).then(pl.lit("timeout_total"))
    run = Run(records=run.records.with_columns(error_kind=broken), grades=run.grades, manifest=run.manifest)
    found = {r["samples"]: r for r in table(run).iter_rows(named=True)}
    assert [found[m]["failed"] for m in (1, 2, 3)] == [0, 0, 0]
    assert found[3]["failed_samples_share"] == pytest.approx(1 / 6)
    every = pl.when(pl.col("problem") == "b").then(pl.lit("timeout_total"))
    run = Run(records=run.records.with_columns(error_kind=every), grades=run.grades, manifest=run.manifest)
    assert [row["failed"] for row in table(run).iter_rows(named=True)] == [1, 1, 1]


def derived_run(load: str = "c1") -> Run:
    """One pass at 1024 with grades at 4 tokens: chunks of 2 tokens at 1, 2, 3 s; and of 3 tokens."""
    lines = {
        "timeline_us": [1_000_000] * 3,
        "timeline_tokens": [2, 2, 2],
        "timeline_chars": [8, 8, 8],
    }
    rows = [
        row("a", 0, 1.0, 3.0, 6, load=load, **lines),
        row("b", 3, 1.0, 3.0, 9, load=load, **(lines | {"timeline_tokens": [3, 3, 3]})),
    ]
    grades = [grade(p, "correct", load=load) for p in "ab"]
    grades += [grade("a", "correct", cut_tokens=4, load=load), grade("b", "no_answer", cut_tokens=4, load=load)]
    return run_of(rows, grades)


def test_a_smaller_budget_is_derived_from_the_longer_response() -> None:
    found = {r["budget"]: r for r in table(derived_run()).iter_rows(named=True)}
    assert {b: r["provenance"] for b, r in found.items()} == {4: "derived", 1024: "measured"}
    small = found[4]
    assert small["tokens_mean"] == pytest.approx(4)
    assert small["latency_mean_s"] == pytest.approx((2.0 + 2.0) / 2), "b's fourth token came with its second chunk"
    assert small["truncated_share"] == 1.0
    assert small["accuracy"] == 0.5
    assert small["gpu_s_per_problem"] == pytest.approx(2 * 4.0 / 2)
    assert small["gpu_s_per_token"] == pytest.approx(2 * 4.0 / 8)
    assert small["wall_s"] is None
    assert small["prefix_short_share"] == 1 / 8, "b's second chunk passes the budget with its first token"
    assert small["inside_chunk_share"] == 1 / 2
    assert found[1024]["prefix_short_share"] is None


def test_the_interval_of_an_accuracy_holds_it_where_some_samples_of_many_problems_failed() -> None:
    world = World(engines=(Engine(failure_share=0.1),), problems=100, samples=4, accuracy=0.9)
    found = only(make_run(world))
    assert found["failed"] > 20
    assert found["accuracy_lo"] < found["accuracy"] < found["accuracy_hi"]


def test_a_warning_about_one_load_is_not_on_the_points_of_another() -> None:
    fine, lost = (
        make_run(World(problems=20)),
        make_run(World(problems=20, load="c8", engines=(Engine(failure_share=0.4),))),
    )
    both = Run(
        records=pl.concat([fine.records, lost.records]),
        grades=pl.concat([fine.grades, lost.grades]),
        manifest=fine.manifest,
    )
    doubts = dict(table(both).select("load", "doubts").rows())
    assert "failed_requests" in doubts["c8"]
    assert "failed_requests" not in doubts["c1"]


@pytest.mark.parametrize("requests", ["separate", "one"])
def test_a_derived_vote_is_charged_for_its_samples_side_by_side_as_a_measured_one(requests: str) -> None:
    """Cut at its last token, a response took what it took: both budgets then have the same costs."""
    rows, grades = [], []
    for at, problem in enumerate("ab"):
        for sample, seconds in enumerate((4, 2, 1)):
            line = {"timeline_us": [seconds * 250_000] * 4, "timeline_tokens": [4] * 4, "timeline_chars": [8] * 4}
            name = problem if requests == "one" else f"{problem}{sample}"
            more = {"sample": sample, "request_id": name, "method": "vote", **line}
            rows.append(row(problem, 4 * at, seconds / 4, seconds, 16, **more))
        for cut in (None, 16):
            grades += [grade(problem, "correct", sample=i, method="vote", cut_tokens=cut) for i in range(3)]
            for size in (2, 3):
                vote = {"sample": None, "samples": size, "score": 1.0, "method": "vote", "cut_tokens": cut}
                grades.append(grade(problem, "correct", **vote))
    found = table(run_of(rows, grades))
    costs = ("gpu_s_per_problem", "gpu_s_per_token", "cost_per_token_gpu_s", "latency_mean_s", "tokens_mean")
    for size, bill in ((2, 2 * (2.0 + 4.0 + 4.0) / 3), (3, 2 * 4.0)):
        derived, measured = found.filter(samples=size).sort("budget").select("provenance", *costs).rows()
        assert (derived[0], measured[0]) == ("derived", "measured")
        assert derived[1:] == pytest.approx(measured[1:])
        assert derived[1] == pytest.approx(bill)


def test_a_response_failed_at_a_budget_only_if_it_failed_before_it() -> None:
    """The budget of 4 is reached with the second chunk: what a time-out did later is not its affair."""
    lost = {"finish_reason": None, "error_kind": "timeout_total"}
    line = {"timeline_us": [1_000_000] * 3, "timeline_tokens": [2, 2, 2], "timeline_chars": [8, 8, 8]}
    early = {"timeline_us": [1_000_000], "timeline_tokens": [2], "timeline_chars": [8]}
    rows = [row("a", 0, 1.0, 3.0, 6, **line), row("b", 3, 1.0, 9.0, 6, **line, **lost)]
    rows += [row("c", 12, 1.0, 3.0, 2, **early, **lost)]
    grades = [grade("a", "correct"), *(grade(p, "correct", cut_tokens=4) for p in "ab")]
    found = {r["budget"]: r for r in table(run_of(rows, grades)).iter_rows(named=True)}
    assert (found[1024]["failed"], found[1024]["accuracy"]) == (2, pytest.approx(1 / 3))
    small = found[4]
    assert (small["n"], small["failed"], small["ungraded"], small["accuracy"]) == (3, 1, 0, pytest.approx(2 / 3))
    assert small["truncated_share"] == pytest.approx(2 / 3)
    assert small["latency_mean_s"] == pytest.approx((2.0 + 2.0 + 3.0) / 3), "of each its own"
    assert small["latency_is_lower_bound"]
    assert small["gpu_s_per_problem"] == pytest.approx(2 * (2.0 + 2.0 + 3.0) / 3), "what c took until it failed is paid"


def test_the_first_attempt_that_reaches_a_budget_is_the_answer_after_the_wait_for_those_before() -> None:
    line = {"timeline_us": [1_000_000] * 3, "timeline_tokens": [2, 2, 2], "timeline_chars": [8, 8, 8]}
    early = {"timeline_us": [1_000_000], "timeline_tokens": [2], "timeline_chars": [8]}
    lost = {"finish_reason": None, "error_kind": "truncated_stream"}
    rows = [row("a", 0, 1.0, 1.5, 2, **early, **lost, request_id="one", end_ns=int(1.5 * S))]
    rows += [row("a", 2, 1.0, 4.0, 6, **line, **lost, attempt=1, request_id="two")]
    rows += [row("a", 8, 1.0, 3.0, 6, **line, attempt=2, request_id="three")]
    grades = [grade("a", "correct", attempt=2)]
    grades += [grade("a", "correct", attempt=at, cut_tokens=cut) for at, cut in ((0, 2), (1, 4))]
    found = {r["budget"]: r for r in table(run_of(rows, grades)).iter_rows(named=True)}
    assert found[2]["latency_mean_s"] == pytest.approx(1.0), "the first attempt reached 2 tokens before it broke"
    assert found[4]["latency_mean_s"] == pytest.approx(2.0 + 2.0)
    assert found[1024]["latency_mean_s"] == pytest.approx(11.0)
    assert [found[b]["accuracy"] for b in (2, 4, 1024)] == [1.0, 1.0, 1.0]


def test_an_answer_that_ended_for_its_length_below_a_budget_is_cut() -> None:
    line = {"timeline_us": [1_000_000] * 2, "timeline_tokens": [2, 2], "timeline_chars": [8, 8]}
    rows = [row("a", 0, 1.0, 2.0, 4, **line, finish_reason="length"), row("b", 3, 1.0, 2.0, 4, **line)]
    grades = [grade(p, "correct", cut_tokens=cut) for p in "ab" for cut in (None, 4, 100)]
    found = {r["budget"]: r for r in table(run_of(rows, grades)).iter_rows(named=True)}
    assert [found[b]["truncated_share"] for b in (4, 100)] == [0.5, 0.5]


def test_settings_that_give_the_same_text_have_the_same_tokens_at_every_budget() -> None:
    plain = {"timeline_us": [100_000] + [20_000] * 36, "timeline_tokens": [1] * 37, "timeline_chars": [4] * 37}
    drafts = {"timeline_us": [100_000] + [60_000] * 6, "timeline_tokens": [1] + [6] * 6, "timeline_chars": [4] * 7}
    settings = {name: {"backend": "vllm", "model": "m", "devices": 1} for name in "st"}
    rows = [row("a", 0, 0.1, 0.82, 37, setting="s", **plain), row("a", 5, 0.1, 0.46, 37, setting="t", **drafts)]
    grades = [grade("a", "correct", setting=name, cut_tokens=cut) for name in "st" for cut in (None, 16, 32)]
    found = {
        (r["setting"], r["budget"]): r for r in table(run_of(rows, grades, settings=settings)).iter_rows(named=True)
    }
    assert [found["s", b]["tokens_mean"] for b in (16, 32)] == [found["t", b]["tokens_mean"] for b in (16, 32)]
    assert [found["t", b]["latency_mean_s"] for b in (16, 32)] == pytest.approx([0.28, 0.46])
    assert [found["s", b]["latency_mean_s"] for b in (16, 32)] == pytest.approx([0.40, 0.72])
    assert all(found[name, 16]["on_compute_frontier"] for name in "st")


def test_an_answer_of_hidden_tokens_alone_took_until_its_end() -> None:
    """A hosted model that is cut while it thinks out of sight has usage, and not one token in its stream."""
    hidden = {"first_token_ns": None, "last_token_ns": None, "end_ns": 9 * S, "finish_reason": "length"}
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 3, 0.5, 6.0, 1024, **hidden)]
    found = only(run_of(rows, [grade("a", "correct"), grade("b", "no_answer")]))
    assert found["latency_mean_s"] == pytest.approx((2.0 + 6.0) / 2)
    assert found["cost_per_token_gpu_s"] == pytest.approx(2 * 8.0 / 1040)
    assert found["on_latency_frontier"]
    assert found["tpot_mean_s"] == found["tpot_pooled_s"] == pytest.approx(1.5 / 15)


def test_an_answer_without_a_timeline_is_an_answer_at_derived_budgets() -> None:
    line = {"timeline_us": [1_000_000] * 3, "timeline_tokens": [2, 2, 2], "timeline_chars": [8, 8, 8]}
    rows = [row("a", 0, 1.0, 3.0, 6, **line), row("b", 3, 1.0, 3.0, 6, **{key: [] for key in line})]
    grades = [grade(p, "correct" if p == "a" else "no_answer", cut_tokens=cut) for p in "ab" for cut in (None, 4)]
    found = {r["budget"]: r for r in table(run_of(rows, grades)).iter_rows(named=True)}[4]
    assert (found["n"], found["ungraded"], found["accuracy"]) == (2, 0, 0.5)
    assert found["latency_mean_s"] is None


def test_a_budget_is_derived_only_from_the_work_it_was_graded_in() -> None:
    line = {"timeline_us": [1_000_000] * 3, "timeline_tokens": [2, 2, 2], "timeline_chars": [8, 8, 8]}
    rows = [row("a", at, 1.0, 3.0, 6, setting=name, **line) for at, name in ((0, "s"), (5, "t"))]
    grades = [
        grade("a", "correct", setting=name, cut_tokens=cut) for name, own in (("s", 2), ("t", 4)) for cut in (None, own)
    ]
    found = table(run_of(rows, grades))
    assert set(found.select("setting", "budget").rows()) == {("s", 2), ("s", 1024), ("t", 4), ("t", 1024)}
    assert found["ungraded"].sum() == 0


def test_a_budget_derived_from_answers_in_one_piece_is_warned_of() -> None:
    whole = {"timeline_us": [3_000_000], "timeline_tokens": [6], "timeline_chars": [24]}
    rows = [row("a", 0, 3.0, 3.0, 6, **whole), row("b", 3, 3.0, 3.0, 6, **whole)]
    grades = [grade(p, "correct", cut_tokens=cut) for p in "ab" for cut in (None, 4)]
    found = {r["budget"]: r for r in table(run_of(rows, grades)).iter_rows(named=True)}
    assert found[4]["prefix_short_share"] == 1.0
    assert "derived_short" in found[4]["doubts"]
    assert "derived_short" not in found[1024]["doubts"]


def test_a_derived_bill_at_concurrency_is_not_known_and_its_latency_is_warned_of() -> None:
    small = {r["budget"]: r for r in table(derived_run("c8")).iter_rows(named=True)}[4]
    assert small["gpu_s_per_problem"] is None
    assert small["biased"]
    assert "derived_biased" in small["doubts"]


def test_gaps_between_chunks_come_from_the_timelines() -> None:
    found = {r["budget"]: r for r in table(derived_run()).iter_rows(named=True)}[1024]
    assert found["icl_p50_s"] == pytest.approx(1.0)


def test_the_99th_percentile_needs_400_outcomes() -> None:
    small, large = (table(make_run(World(problems=n))).row(0, named=True) for n in (399, 400))
    assert small["latency_p99_s"] is None
    assert large["latency_p99_s"] > large["latency_p90_s"] > large["latency_p50_s"]


def test_a_setting_that_fails_most_requests_is_compared_on_all_of_them() -> None:
    engines = (Engine(), Engine(speculation="ngram"), Engine(backend="sglang", failure_share=0.6))
    found = table(make_run(World(engines=engines, problems=50)))
    compared = dict(found.select("setting", "n_compared").rows())
    assert compared["sglang/tiny/tp1-pp1-dp1/none"] == 50
    assert compared["vllm/tiny/tp1-pp1-dp1/none"] == 50


def test_a_run_that_was_stopped_and_resumed_is_not_billed_for_the_pause() -> None:
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 5000, 0.5, 2.0, 4)]
    found = only(run_of(rows, [grade("a", "correct"), grade("b", "correct")]))
    assert found["wall_s"] == pytest.approx(4.0)
    assert "interrupted" in found["doubts"]


def test_energy_and_acceptance_come_from_the_servers_counters() -> None:
    counters = {"method": "truncate", "budget": 1024, "load": "c1", "repeat": 0, "energy_j": 60.0}
    counters |= {"accepted_tokens": 30, "draft_steps": 20}
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 2.0, 4)]
    grades = [grade("a", "correct"), grade("b", "incorrect")]
    found = only(run_of(rows, grades, server_metrics={"s": [counters, counters | {"phase": "spot_check"}]}))
    assert (found["joules_per_token"], found["joules_per_correct"]) == (pytest.approx(3.0), pytest.approx(60.0))
    assert found["acceptance_length"] == pytest.approx(2.5)


def test_the_energy_of_a_point_is_not_known_where_a_killed_stretch_left_requests_without_it() -> None:
    counters = {"method": "truncate", "budget": 1024, "load": "c1", "repeat": 0, "energy_j": 60.0}
    rows = [row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 2.0, 4)]
    grades = [grade("a", "correct"), grade("b", "incorrect")]
    joules = {}
    for attempts in ((2,), (1,), (1, 1)):
        seen = [counters | {"attempts": count} for count in attempts]
        joules[attempts] = only(run_of(rows, grades, server_metrics={"s": seen}))["joules_per_token"]
    assert joules == {(2,): pytest.approx(3.0), (1,): None, (1, 1): pytest.approx(6.0)}


def test_a_gauge_of_the_acceptance_length_stands_in_for_counters() -> None:
    seen = {"method": "truncate", "budget": 1024, "load": "c1", "repeat": 0, "server": {"acceptance_length": 1.8}}
    run = run_of([row("a", 0, 0.5, 2.0, 16)], [grade("a", "correct")], server_metrics={"s": [seen]})
    assert only(run)["acceptance_length"] == pytest.approx(1.8)


@pytest.mark.parametrize("missing", ["completion_tokens", "prompt_tokens", "last_token_ns", "first_token_ns", "end_ns"])
def test_a_figure_the_rows_do_not_hold_is_null_and_the_others_stand(missing: str) -> None:
    run = make_run(World(engines=engines_grid(backends=("vllm",)), problems=6))
    records = run.records.with_columns(pl.lit(None, dtype=pl.Int64).alias(missing))
    found = analyse(records, run.grades, run.manifest, resamples=50).points
    assert found["accuracy"].null_count() == 0
    depends = {
        "completion_tokens": "cost_per_token_gpu_s",
        "prompt_tokens": "flops_mean",
        "last_token_ns": "latency_mean_s",
        "first_token_ns": "ttft_p50_s",
        "end_ns": "gpu_s_per_problem",
    }
    assert found[depends[missing]].null_count() == found.height


def test_two_problems_give_no_narrow_interval() -> None:
    found = only(run_of([row("a", 0, 0.5, 2.0, 16), row("b", 2, 0.5, 2.2, 16)], []))
    assert found["latency_hi_s"] / found["latency_lo_s"] > 1.1**2


def test_the_grid_has_a_point_for_each_setting_and_budget() -> None:
    run = make_run(World(engines=engines_grid(), budgets=(128, 256, 512), problems=10))
    found = table(run)
    assert found.height == found.select(POINT_KEY).unique().height == 8 * 3
