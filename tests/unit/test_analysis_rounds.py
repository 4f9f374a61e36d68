"""Errors over rounds, and variances that comparisons share, agree with closed forms and printed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.analysis.distributions import chi_square_tail, digamma, t_quantile, trigamma
from tts_compare.analysis.moderated import inverse_trigamma, moderate
from tts_compare.analysis.resampling import Term, draw_weights, log_contrast
from tts_compare.analysis.rounds import log_ratio_over_rounds, mean_over_rounds, rounds_differ


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
