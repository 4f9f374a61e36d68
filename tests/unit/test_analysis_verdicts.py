"""Verdicts on pairs of settings in runs in which something went wrong, and the claims in worlds of known truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.coverage import Two, judged
from tests.synthetic import Engine, Run, World, make_run
from tts_compare.analysis.analyse import analyse
from tts_compare.analysis.findings.claims import STATEMENTS
from tts_compare.analysis.findings.failures import count_failures, decide
from tts_compare.analysis.findings.starts import of_two_kinds
from tts_compare.analysis.schema import Analysis, Claim
from tts_compare.analysis.statistics.accuracy import Correct, accuracy_difference
from tts_compare.analysis.statistics.resampling import Estimate

PLAIN = Engine(tpot_s=0.014)
DRAFTING = Engine(speculation="ngram", tpot_s=0.010)
WORLD = World(engines=(PLAIN, DRAFTING), problems=250, rounds=5, start_sd=0.01)
KEY = ["setting", "problem", "repeat"]


def analysed(run: Run) -> Analysis:
    return analyse(run.records, run.grades, run.manifest, resamples=300)


def only_pair(run: Run) -> dict[str, Any]:
    found = analysed(run).pairs
    assert found.height == 1
    return found.row(0, named=True)


def with_errors(run: Run, where: pl.Expr, kind: str, *, seconds: float) -> Run:
    """The run in which these requests ended in an error after so long, without an answer and a grade."""
    ended = pl.col("sent_ns") + int(seconds * 1e9)
    gone = ("first_byte_ns", "first_token_ns", "first_answer_ns", "last_token_ns", "completion_tokens", "finish_reason")
    lost = run.records.filter(where).select(KEY)
    records = run.records.with_columns(_lost=where).with_columns(
        error_kind=pl.when("_lost").then(pl.lit(kind)).otherwise("error_kind"),
        end_ns=pl.when("_lost").then(ended).otherwise("end_ns"),
        **{name: pl.when("_lost").then(None).otherwise(name) for name in gone},
    )
    return Run(records=records.drop("_lost"), grades=run.grades.join(lost, on=KEY, how="anti"), manifest=run.manifest)


def of_b() -> pl.Expr:
    return pl.col("setting").str.ends_with("ngram")


def hardest(share: float) -> pl.Expr:
    """The longest responses of the setting with speculation."""
    return of_b() & (
        pl.col("completion_tokens").rank("ordinal").over("setting") > (1 - share) * pl.len().over("setting")
    )


def test_rounds_confirm_a_faster_setting() -> None:
    row = only_pair(make_run(WORLD))
    assert row["latency_verdict"].startswith("faster by 1.")
    assert (row["starts"], row["rounds"], row["n"]) == (5, 5, 250)
    assert row["latency_ratio"] == row["latency_ratio_answered"]
    assert row["latency_ratio_typical"] == pytest.approx(1.39, abs=0.03)


def test_a_mean_over_rounds_has_the_interval_of_its_rounds() -> None:
    run = make_run(replace(WORLD, engines=(PLAIN,), start_sd=0.2))
    point = analysed(run).points.row(0, named=True)
    seconds = (pl.col("last_token_ns") - pl.col("sent_ns")).mean() * 1e-9
    means = run.records.group_by("round").agg(seconds)["last_token_ns"].to_numpy()
    width = 2.776 * means.std(ddof=1) / 5**0.5 / means.mean()
    assert np.log(point["latency_hi_s"] / point["latency_mean_s"]) == pytest.approx(width, rel=0.1)


def test_a_setting_that_refuses_the_hardest_at_once_is_not_faster() -> None:
    row = only_pair(with_errors(make_run(WORLD), hardest(0.25), "http_5xx", seconds=0.001))
    assert (row["a_failed_share"], row["b_failed_share"]) == (0.0, pytest.approx(0.25, abs=0.005))
    assert (row["only_a_failed"], row["only_b_failed"]) == (0, 63)
    assert row["latency_ratio"] < row["latency_ratio_answered"], "what it refused is charged what the other needed"
    assert row["latency_verdict"].startswith("not told apart: the second failed 63 problems more often")
    assert not row["cost_verdict"].startswith("cheaper")
    assert row["accuracy_diff"] < 0
    assert row["n"] == 250, "nothing is left out because it failed"


def test_a_setting_that_times_out_on_the_hardest_is_slower_with_its_failures_counted() -> None:
    row = only_pair(with_errors(make_run(WORLD), hardest(0.1), "timeout_total", seconds=120.0))
    assert row["latency_ratio_answered"] > 1.3
    assert row["latency_ratio_hi"] < 1.0
    assert row["latency_verdict"].startswith("slower, failures counted: ")


def test_failures_of_the_plainer_setting_count_against_it() -> None:
    run = make_run(replace(WORLD, engines=(PLAIN, replace(PLAIN, speculation="ngram"))))
    number = pl.col("problem").rank("dense")
    row = only_pair(with_errors(run, ~of_b() & (number % 11 == 0), "timeout_total", seconds=120.0))
    assert row["latency_verdict"].startswith("the first is slower, failures counted: ")


def test_few_failures_on_both_sides_leave_a_verdict_and_both_ratios_in_it() -> None:
    number = pl.col("problem").rank("dense")
    run = with_errors(make_run(WORLD), of_b() & (number == 7), "truncated_stream", seconds=0.5)
    row = only_pair(with_errors(run, ~of_b() & (number == 9), "truncated_stream", seconds=0.5))
    assert row["latency_verdict"].startswith("faster by 1.")
    assert row["latency_verdict"].endswith("with failures counted")


def test_failures_above_concurrency_1_carry_a_warning() -> None:
    row = only_pair(make_run(replace(WORLD, load="c8", engines=(PLAIN, replace(DRAFTING, failure_share=0.05)))))
    assert "failures_lighten_load" in row["doubts"]


def test_what_was_not_measured_takes_the_verdict_on_latency_away_above_one_per_cent() -> None:
    number = pl.col("problem").rank("dense")
    row = only_pair(with_errors(make_run(WORLD), of_b() & (number % 25 == 0), "cancelled", seconds=0.5))
    assert row["latency_verdict"].endswith("no verdict: 4.0 % of the answers of one side were not measured")
    assert "not_measured" in row["doubts"]
    assert row["latency_p_holm"] is None
    few = only_pair(with_errors(make_run(WORLD), of_b() & (number == 25), "cancelled", seconds=0.5))
    assert few["latency_verdict"].startswith("faster by")
    assert few["n"] == 249


def test_a_share_that_one_side_did_not_measure_is_left_out() -> None:
    run = make_run(WORLD)
    kept = ~(of_b() & (pl.col("round") == 2))
    row = only_pair(Run(records=run.records.filter(kept), grades=run.grades, manifest=run.manifest))
    assert (row["n"], row["rounds"]) == (200, 4)
    assert row["latency_verdict"].startswith("faster by")


def test_a_share_that_one_side_failed_is_not_left_out() -> None:
    row = only_pair(with_errors(make_run(WORLD), of_b() & (pl.col("round") == 2), "server_died", seconds=0.0))
    assert (row["n"], row["rounds"], row["only_b_failed"]) == (250, 5, 50)
    assert not row["latency_verdict"].startswith("faster")


def test_a_death_of_one_server_is_one_accident_and_not_as_many_as_its_problems() -> None:
    row = only_pair(with_errors(make_run(WORLD), of_b() & (pl.col("round") == 2), "server_died", seconds=0.0))
    assert row["accuracy_diff"] < -0.05
    assert row["accuracy_p"] > 0.05, "four rounds show nothing"
    assert row["accuracy_diff_hi"] > 0


@pytest.mark.parametrize("rounds", [1, 2])
def test_fewer_than_three_rounds_confirm_nothing(rounds: int) -> None:
    row = only_pair(make_run(replace(WORLD, rounds=rounds)))
    assert row["latency_ratio_lo"] > 1.2
    assert row["latency_verdict"].startswith("not confirmed: 1.")
    assert ("one_server_start" in row["doubts"]) == (rounds == 1)


@pytest.mark.parametrize(("rounds", "said"), [(3, "not confirmed: "), (5, "faster by ")])
def test_starts_of_two_kinds_need_five_rounds(rounds: int, said: str) -> None:
    run = make_run(replace(WORLD, rounds=rounds, start_sd=0.0, noise_sd=0.001))
    slow = of_b() & (pl.col("round") == 1)
    longer = pl.col("sent_ns") + ((pl.col("last_token_ns") - pl.col("sent_ns")) * 1.15).cast(pl.Int64)
    records = run.records.with_columns(last_token_ns=pl.when(slow).then(longer).otherwise("last_token_ns"))
    row = only_pair(Run(records=records, grades=run.grades, manifest=run.manifest))
    assert row["latency_verdict"].startswith(said)


def test_two_kinds_of_starts_are_told_from_a_spread() -> None:
    assert of_two_kinds(np.array([1.0, 1.01, 1.12]))
    assert not of_two_kinds(np.array([1.0, 1.05, 1.12]))
    assert not of_two_kinds(np.array([1.0, 1.001, 1.02]))
    assert not of_two_kinds(np.array([1.0, 1.5]))


def test_different_limits_have_no_verdict() -> None:
    rng = np.random.default_rng(0)
    ((row, _),) = judged(lambda: Two(ratio=1.5, short_limit=True).draw(rng, 250, 5), 5, 1)
    assert row["latency_verdict"].endswith("no verdict: the two ran under different limits or retry rules")
    assert row["cost_verdict"].endswith("different limits or retry rules")
    assert row["doubts"] == ["limits_differ"]


def test_a_derived_latency_above_concurrency_1_has_no_verdict() -> None:
    run = make_run(replace(WORLD, load="c4", budgets=(128, 1024), single_pass=True, timelines=True, problems=100))
    pairs = {row["a_budget"]: row for row in analysed(run).pairs.iter_rows(named=True)}
    assert pairs[1024]["latency_verdict"].startswith("faster by")
    assert "a latency is derived at a concurrency above 1" in pairs[128]["latency_verdict"]
    assert pairs[128]["accuracy_verdict"], "accuracy does not depend on the load"


def test_a_vote_too_many_of_whose_samples_failed_is_not_favoured() -> None:
    voting = replace(WORLD, method="vote", samples=4, vote_sizes=(4,), problems=100, mixed=0.5)
    run = make_run(voting)
    assert only_pair(run)["latency_verdict"].startswith("faster by")
    lost = of_b() & (pl.col("sample") == 0) & (pl.col("problem").rank("dense") % 10 == 0)
    records = run.records.with_columns(
        error_kind=pl.when(lost).then(pl.lit("http_5xx")).otherwise("error_kind"),
        finish_reason=pl.when(lost).then(None).otherwise("finish_reason"),
    )
    row = only_pair(Run(records=records, grades=run.grades, manifest=run.manifest))
    assert row["b_failed_share"] == 0.0, "the vote itself has not failed"
    assert not row["latency_verdict"].startswith("faster")
    assert not row["cost_verdict"].startswith("cheaper")


def test_an_accuracy_verdict_has_to_hold_whatever_the_missing_grades_are() -> None:
    run = make_run(WORLD)
    wrong = of_b() & (pl.col("problem").hash(1) % 10 == 0)
    grades = run.grades.with_columns(status=pl.when(wrong).then(pl.lit("incorrect")).otherwise("status"))
    assert only_pair(Run(records=run.records, grades=grades, manifest=run.manifest))["accuracy_verdict"].startswith(
        "less"
    )
    unknown = of_b() & (pl.col("problem").hash(2) % 10 == 0)
    missing = grades.with_columns(status=pl.when(unknown).then(pl.lit("ungraded")).otherwise("status"))
    row = only_pair(Run(records=run.records, grades=missing, manifest=run.manifest))
    assert row["accuracy_diff_hi"] < 0
    assert row["accuracy_verdict"].endswith("but not whatever the missing grades are")
    assert "ungraded" in row["doubts"]


def test_smaller_budgets_follow_where_the_largest_was_decided() -> None:
    engines = (PLAIN, DRAFTING, replace(PLAIN, backend="sglang"))
    pairs = analysed(make_run(replace(WORLD, engines=engines, budgets=(64, 256, 1024)))).pairs
    for axis in ("speculation", "backend"):
        own = pairs.filter(axis=axis).sort("a_budget", descending=True)
        adjusted = own["latency_p_holm"].to_list()
        assert adjusted == sorted(adjusted)
    assert all(p < 0.05 for p in pairs.filter(axis="speculation")["latency_p_holm"])


def test_failures_bar_by_share_or_by_sign() -> None:
    none, one, six = (np.array([1.0] * k + [0.0] * (1000 - k)) for k in (0, 1, 6))
    assert not count_failures(none, one).barred("b")
    assert count_failures(none, six).barred("b"), "six to nothing, though .6 %"
    assert not count_failures(none, six).barred("a")
    assert count_failures(none[:100], np.array([1.0] * 2 + [0.0] * 98)).barred("b"), "2 % of 100"


def test_a_decision_spends_the_level_once() -> None:
    def ratio(value: float, p: float) -> Estimate:
        return Estimate(value=value, lo=value / 1.1, hi=value * 1.1, p=p, starts=10, rounds=10)

    even = count_failures(np.zeros(100), np.zeros(100))
    assert decide(ratio(1.2, 0.045), ratio(1.2, 0.045), even).p == 0.045
    uneven = count_failures(np.eye(1, 100, 3)[0], np.eye(1, 100, 7)[0])
    assert decide(ratio(1.2, 0.04), ratio(1.2, 0.04), uneven).p == pytest.approx(0.05)
    barred = count_failures(np.zeros(100), np.array([1.0] * 10 + [0.0] * 90))
    found = decide(ratio(1.2, 0.001), ratio(0.8, 0.001), barred)
    assert (found.better, found.route) == ("a", "failures")
    assert found.p == pytest.approx(5 * barred.p)
    assert decide(ratio(1.2, 0.001), ratio(1.1, 0.001), barred).p == 1.0


def test_bounds_of_the_grades_are_all_wrong_and_all_right() -> None:
    a = Correct(values=np.array([1.0] * 60 + [0.0] * 40), unknown=np.zeros(100))
    some = np.where(np.arange(100) < 5, 1.0, 0.0)
    b = Correct(values=np.where(some > 0, np.nan, np.array([1.0] * 40 + [0.0] * 60)), unknown=some)
    assert b.bound(0.0).sum() == 35
    assert b.bound(1.0).sum() == 40
    found = accuracy_difference(a, b, single=True)
    assert (found.n, found.bounded) == (95, True)


def claims(run: Run) -> dict[str, Claim]:
    return {claim.letter: claim for claim in analysed(run).claims}


GRID = World(
    engines=(
        Engine(model="small", tpot_s=0.010),
        Engine(model="small", speculation="ngram", tpot_s=0.008),
        Engine(model="small", tensor_parallel=2, tpot_s=0.012),
        Engine(model="large", tpot_s=0.040),
        Engine(model="large", speculation="ngram", tpot_s=0.025),
        Engine(model="large", tensor_parallel=2, tpot_s=0.030),
    ),
    budgets=(256, 1024, 4096),
    problems=150,
    rounds=5,
    start_sd=0.01,
    parameters={"small": 15 * 10**8, "large": 14 * 10**9},
)


def test_every_claim_says_what_the_paper_measured_and_what_is_tested() -> None:
    assert [statement.letter for statement in STATEMENTS] == list("abcdefgh")
    for claim in claims(make_run(replace(GRID, problems=60))).values():
        assert claim.source
        assert claim.measured
        assert claim.tested


def test_claims_hold_over_rounds_where_they_are_true() -> None:
    found = claims(make_run(GRID))
    assert {letter: found[letter].verdict for letter in "bcdefh"} == dict.fromkeys("bcdefh", "holds")
    assert "tokens do not choose among them" in found["f"].sentence
    assert "1.7x" in found["c"].sentence


@pytest.mark.parametrize(("repeats", "rounds", "why"), [(1, 1, "in this one start"), (1, 2, "in 2 rounds")])
def test_one_start_or_two_rounds_confirm_no_claim_but_the_first(repeats: int, rounds: int, why: str) -> None:
    found = claims(make_run(replace(GRID, repeats=repeats, rounds=rounds)))
    for letter in "bcdefh":
        assert (found[letter].verdict, found[letter].word) == ("cannot be told", "not confirmed")
        assert why in found[letter].sentence
        assert found[letter].figure is not None
    assert found["a"].word != "not testable"


def test_speculation_that_refuses_what_is_hard_is_no_support_for_a_claim() -> None:
    long = of_b() & (pl.col("completion_tokens") > 600)
    found = claims(with_errors(make_run(replace(GRID, budgets=(4096,))), long, "http_5xx", seconds=0.001))
    for letter in "bd":
        assert found[letter].verdict != "holds"
    assert "fails more often" in found["b"].sentence


def test_one_cell_in_which_speculation_loses_is_enough_against_it() -> None:
    engines = list(GRID.engines)
    engines[1] = replace(engines[1], tpot_s=0.013)
    found = claims(make_run(replace(GRID, engines=tuple(engines))))
    assert found["b"].verdict == "does not hold"
    assert found["b"].evidence
    assert "small at" in found["b"].sentence


def test_tokens_choose_wrongly_where_the_cheapest_by_tokens_are_all_slow() -> None:
    slow = Engine(tpot_s=0.02)
    run = make_run(World(engines=(slow, replace(slow, backend="sglang")), problems=150, rounds=5, start_sd=0.01))
    longer = pl.col("setting").str.starts_with("sglang")
    records = run.records.with_columns(
        completion_tokens=pl.when(longer).then(pl.col("completion_tokens") * 12 // 10).otherwise("completion_tokens"),
        last_token_ns=pl.when(longer)
        .then(pl.col("sent_ns") + ((pl.col("last_token_ns") - pl.col("sent_ns")) * 0.6).cast(pl.Int64))
        .otherwise("last_token_ns"),
    )
    found = claims(Run(records=records, grades=run.grades, manifest=run.manifest))["f"]
    assert found.verdict == "holds"
    assert "tokens choose wrongly" in found.sentence


def test_cost_that_bends_over_budgets_with_speculation_alone_supports_g() -> None:
    run = make_run(replace(GRID, engines=GRID.engines[3:5], noise_sd=0.01))
    bent = of_b() & (pl.col("budget") == 1024)
    longer = pl.col("sent_ns") + ((pl.col("last_token_ns") - pl.col("sent_ns")) * 1.3).cast(pl.Int64)
    records = run.records.with_columns(last_token_ns=pl.when(bent).then(longer).otherwise("last_token_ns"))
    assert claims(Run(records=records, grades=run.grades, manifest=run.manifest))["g"].verdict == "holds"
    few = claims(make_run(replace(GRID, engines=GRID.engines[3:5], rounds=3)))["g"]
    assert few.sentence == "not testable: it needs 5 rounds or more"


@pytest.mark.parametrize(
    ("world", "status", "why"),
    [(GRID, "incorrect", "no answer was right"), (replace(GRID, budgets=(4, 5)), None, "every answer was cut")],
)
def test_a_run_in_which_nothing_was_right_or_all_was_cut_supports_no_claim(
    world: World, status: str | None, why: str
) -> None:
    run = make_run(replace(world, median_tokens=2000.0))
    right = pl.lit(status or "correct")
    found = claims(Run(records=run.records, grades=run.grades.with_columns(status=right), manifest=run.manifest))
    assert {claim.word for claim in found.values()} == {"not testable"}
    assert all(why in claim.sentence for claim in found.values())
