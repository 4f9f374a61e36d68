"""Errors over rounds, and variances that comparisons share, agree with closed forms and printed values."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import with_manifest
from tests.synthetic import Run, World, make_run
from tts_compare.analysis.analyse import points
from tts_compare.analysis.statistics.distributions import chi_square_tail, digamma, t_quantile, trigamma
from tts_compare.analysis.statistics.moderated import inverse_trigamma, moderate
from tts_compare.analysis.statistics.resampling import Term, draw_weights, log_contrast
from tts_compare.analysis.statistics.rounds import log_ratio_over_rounds, mean_over_rounds, rounds_differ

PLAIN = "vllm/tiny/tp1-pp1-dp1/none"


@pytest.mark.parametrize(("x", "dof", "p"), [(3.841459, 1, 0.05), (16.918978, 9, 0.05), (2.0, 2, math.exp(-1))])
def test_chi_square_tails_are_those_of_the_printed_tables(x: float, dof: float, p: float) -> None:
    assert chi_square_tail(x, dof) == pytest.approx(p, rel=1e-6)


def test_derivatives_of_log_gamma_have_their_known_values() -> None:
    assert digamma(1.0) == pytest.approx(-0.5772156649)
    assert trigamma(1.0) == pytest.approx(math.pi**2 / 6)


@given(st.floats(0.05, 1e4))
def test_the_inverse_of_trigamma_inverts_it(x: float) -> None:
    assert inverse_trigamma(trigamma(x)) == pytest.approx(x, rel=1e-6)


def test_the_error_of_a_mean_over_equal_rounds_is_that_of_the_rounds_means() -> None:
    rng = np.random.default_rng(0)
    values, rounds = rng.normal(size=60), np.repeat(np.arange(6), 10)
    found = mean_over_rounds(values, rounds)
    means = values.reshape(6, 10).mean(axis=1)
    assert found.error == pytest.approx(means.std(ddof=1) / math.sqrt(6))
    assert found.limits()[1] - found.value == pytest.approx(t_quantile(0.975, 5) * found.error)


def test_a_ratio_of_means_weighs_seconds_and_not_problems() -> None:
    a, b = np.array([10.0, 1.0, 10.0, 1.0, 10.0, 1.0]), np.array([5.0, 1.0, 5.0, 1.0, 5.0, 1.0])
    found = log_ratio_over_rounds(np.stack((a, b)), np.array([1.0, -1.0]), np.repeat(np.arange(3), 2))
    assert math.exp(found.value) == pytest.approx(33 / 18)
    assert found.error == pytest.approx(0.0, abs=1e-12)
    assert found.p == 0.0


def test_from_three_rounds_on_a_contrast_is_judged_over_rounds() -> None:
    rng = np.random.default_rng(1)
    rounds = np.arange(90) % 3
    a = rng.lognormal(0, 0.5, (1, 90)) * np.exp(np.array([0.0, 0.2, -0.2]))[rounds]
    weights = draw_weights(90, 300, 0)
    over = log_contrast([Term(values=a, sign=1, setting="a", rounds=rounds)], weights)
    direct = log_ratio_over_rounds(a, np.array([1.0]), rounds)
    assert (over.lo, over.hi) == pytest.approx(tuple(math.exp(x) for x in direct.limits()))
    assert (over.starts, over.rounds, over.confirmed) == (3, 3, True)


def test_two_rounds_confirm_nothing_and_two_repeats_do() -> None:
    values = np.random.default_rng(1).lognormal(0, 0.5, (2, 40))
    weights = draw_weights(40, 300, 0)
    two = log_contrast([Term(values=values[:1], sign=1, rounds=np.arange(40) % 2)], weights)
    assert (two.starts, two.rounds, two.confirmed) == (2, 2, False)
    assert log_contrast([Term(values=values, sign=1)], weights).confirmed


def test_a_limit_that_is_not_known_is_nan_and_not_a_factor_of_a_million() -> None:
    values = np.array([[1.0, 1e-6, 1e6]])
    found = log_contrast([Term(values=values, sign=1)], draw_weights(3, 300, 0))
    assert math.isfinite(found.value)
    assert math.isnan(found.hi)


def test_rounds_in_which_problems_share_a_fate_differ_and_others_do_not() -> None:
    rng = np.random.default_rng(2)
    rounds = np.repeat(np.arange(10), 50)
    alone = (rng.random(500) < 0.05).astype(float)
    died = np.where((rounds == 4) & (np.arange(500) % 50 > 20), 1.0, 0.0)
    assert rounds_differ(alone, rounds) > 0.01
    assert rounds_differ(died, rounds) < 1e-6
    assert rounds_differ(np.zeros(500), rounds) == 1.0


def test_moderation_recovers_the_prior_the_variances_were_drawn_from() -> None:
    rng = np.random.default_rng(3)
    prior_dof, prior, dof, count = 10.0, 4.0, 6.0, 20_000
    true = prior * prior_dof / rng.chisquare(prior_dof, count)
    seen = true * rng.chisquare(dof, count) / dof
    found = moderate(seen, dof, independent=count)
    assert found.dof == pytest.approx(prior_dof + dof, rel=0.05)
    assert found.variances == pytest.approx((prior_dof * prior + dof * seen) / (prior_dof + dof), rel=0.05)


def test_moderated_degrees_of_freedom_never_exceed_what_the_comparisons_hold() -> None:
    same = np.full(6, 2.0)
    found = moderate(same, 4.0, independent=3)
    assert found.dof == 12.0
    assert np.ptp(found.variances) == pytest.approx(0.0)
    assert moderate(same, 4.0, independent=1).dof == 4.0


def bounds(run: Run) -> tuple[float, float]:
    row = points(run.records, run.grades, run.manifest, resamples=50).row(0, named=True)
    return row["accuracy_lo"], row["accuracy_hi"]


def test_the_interval_of_an_accuracy_is_over_rounds_where_these_differ_by_more_than_chance() -> None:
    alike = make_run(World(problems=150, rounds=10))
    one_round = replace(alike, records=alike.records.with_columns(round=pl.lit(0, pl.Int64)))
    assert bounds(alike) == bounds(one_round)
    number = pl.col("problem").str.slice(1).cast(pl.Int64) % 10
    apart = replace(
        alike,
        grades=alike.grades.with_columns(
            status=pl.when(number < 4).then(pl.lit("incorrect")).otherwise(pl.lit("correct"))
        ),
    )
    means = np.array([0.0] * 4 + [1.0] * 6)
    width = t_quantile(0.975, 9) * means.std(ddof=1) / math.sqrt(10)
    assert bounds(apart) == pytest.approx((0.6 - width, 0.6 + width), abs=1e-9)
    low, high = bounds(replace(apart, records=one_round.records))
    assert 0.5 < low < 0.6 < high < 0.7


def test_a_server_that_died_makes_the_rounds_count_where_they_are_wider() -> None:
    run = make_run(World(problems=150, rounds=3, accuracy=0.5))
    died = with_manifest(run, deaths=[{"setting": PLAIN, "cause": "killed"}])
    correct = run.grades.sort("problem")["status"].eq("correct").to_numpy().astype(float)
    over = mean_over_rounds(correct, np.arange(150) % 3).limits()
    low, high = bounds(run)
    expected = over if over[1] - over[0] > high - low else (low, high)
    assert bounds(died) == pytest.approx((max(0.0, expected[0]), min(1.0, expected[1])))
    assert bounds(died) != bounds(run)
