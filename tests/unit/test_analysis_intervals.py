"""Intervals and tests agree with published values, closed forms, and the truth they are meant to cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.analysis.statistics.distributions import binomial_cdf, t_cdf, t_quantile, t_two_sided_p
from tts_compare.analysis.statistics.intervals import (
    clustered_quantile_interval,
    clustered_wilson,
    holm,
    mcnemar,
    paired_difference,
    quantile_interval,
    required_problems,
    wilson,
)


@pytest.mark.parametrize(
    ("p", "dof", "expected"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.30265), (0.975, 4, 2.77645), (0.95, 10, 1.81246), (0.995, 30, 2.75)],
)
def test_t_quantiles_are_those_of_the_printed_tables(p: float, dof: float, expected: float) -> None:
    assert t_quantile(p, dof) == pytest.approx(expected, rel=1e-4)


@given(st.floats(0.001, 0.999), st.floats(0.5, 1e6))
def test_the_t_quantile_inverts_the_distribution(p: float, dof: float) -> None:
    assert t_cdf(t_quantile(p, dof), dof) == pytest.approx(p, abs=1e-7)


def test_the_t_distribution_of_infinite_dof_is_normal() -> None:
    assert t_two_sided_p(1.959964, math.inf) == pytest.approx(0.05, abs=1e-6)


@given(st.integers(1, 40), st.integers(0, 40), st.floats(0.01, 0.99))
def test_the_binomial_tail_is_the_sum_of_its_terms(n: int, k: int, p: float) -> None:
    terms = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(min(k, n) + 1))
    assert binomial_cdf(k, n, p) == pytest.approx(terms, abs=1e-9)


def test_wilson_is_newcombes_printed_example() -> None:
    low, high = wilson(81 / 263, 263)  # Newcombe 1998, method 3
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_wilson_of_nothing_right_starts_at_nought_and_has_a_width() -> None:
    low, high = wilson(0.0, 29)
    assert low == 0.0
    assert high == pytest.approx(0.1170, abs=5e-4)


def test_clusters_that_agree_within_themselves_count_as_one_trial_each() -> None:
    means = np.array([1.0] * 60 + [0.0] * 40)
    clustered, plain = clustered_wilson(means), wilson(0.6, 100)
    assert clustered == pytest.approx(plain, abs=0.003)


def test_clusters_without_variance_still_have_a_width() -> None:
    low, high = clustered_wilson(np.full(50, 1.0))
    assert low < 0.95
    assert high == 1.0


def test_mcnemar_is_the_two_sided_sign_test() -> None:
    assert mcnemar(1, 9) == pytest.approx(2 * 11 / 1024)
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 0) == 1.0


def test_newcombes_paired_interval_is_the_printed_one() -> None:
    # Newcombe 1998 (paired), method 10: a, b, c, d = 36, 12, 2, 0, difference .2 (.0569 to .3404)
    first = np.array([1.0] * 48 + [0.0] * 2)
    second = np.array([1.0] * 36 + [0.0] * 12 + [1.0] * 2)
    difference, low, high = paired_difference(second, first, single=True)
    assert difference == pytest.approx(0.2)
    assert (low, high) == pytest.approx((0.0569, 0.3404), abs=2e-3)


def test_two_settings_that_agree_on_every_problem_leave_room_for_a_rare_difference() -> None:
    same = np.array([1.0] * 400 + [0.0] * 100)
    _, low, high = paired_difference(same, same, single=True)
    assert low < 0.0 < high
    assert high - low < 0.03


def test_required_problems_is_what_the_formula_gives() -> None:
    a, b = np.zeros(100), np.array([1.0] * 10 + [-0.0] * 90)
    variance = b.var(ddof=1)
    needed = (1.959964 + 0.841621) ** 2 * variance / 0.01
    assert required_problems(a, b, single=False) == math.ceil(needed)
    assert required_problems(a, b, single=True) == math.ceil(needed + 20)
    assert required_problems(a, a, single=True) is None


@pytest.mark.parametrize(("gained", "lost"), [(0.05, 0.02), (0.1, 0.05), (0.12, 0.0), (0.3, 0.05), (0.9, 0.0)])
def test_so_many_problems_as_are_said_to_be_needed_tell_four_differences_of_five(gained: float, lost: float) -> None:
    problems = 10_000
    b = np.zeros(problems)
    a = b.copy()
    b[: round(gained * problems)], a[-round(lost * problems) or problems :] = 1.0, 1.0
    needed = required_problems(a, b, single=True)
    assert needed is not None
    drawn = np.random.default_rng(0).multinomial(needed, [gained, lost, 1 - gained - lost], size=2_000)
    told = [mcnemar(int(worse), int(better)) < 0.05 for better, worse, _ in drawn]
    assert 0.77 < np.mean(told) < 0.92


def test_no_fewer_problems_are_said_to_be_needed_than_could_tell_anything() -> None:
    all_right = np.ones(5)
    assert required_problems(np.zeros(5), all_right, single=True) == 6
    assert mcnemar(0, 5) > 0.05 > mcnemar(0, 6)


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, None]) == [pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06), None]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(values: list[float]) -> None:
    adjusted = holm(values)
    known = [p for p in adjusted if p is not None]
    assert all(low <= high for low, high in zip(values, known, strict=True))
    assert [sorted(known)[i] for i in np.argsort(np.argsort(values, kind="stable"))] == pytest.approx(known)


def test_quantile_limits_are_the_ranks_of_the_binomial() -> None:
    values = np.arange(1.0, 101.0)
    assert quantile_interval(values, 0.5) == (40.0, 61.0)  # the textbook ranks for n = 100


def test_a_quantile_that_the_sample_cannot_bound_is_open() -> None:
    _, high = quantile_interval(np.arange(20.0), 0.99)
    assert math.isinf(high)


def test_quantile_intervals_cover_the_true_quantile() -> None:
    rng = np.random.default_rng(11)
    truth = math.exp(1.2815515655 * 0.9)
    hits = 0
    for _ in range(400):
        low, high = quantile_interval(rng.lognormal(0, 0.9, 200), 0.9)
        hits += low <= truth <= high
    assert hits / 400 > 0.93


def test_quantiles_of_clustered_values_get_wider_limits_than_of_single_ones() -> None:
    rng = np.random.default_rng(3)
    problems = np.repeat(np.arange(60), 8)
    values = np.repeat(rng.lognormal(0, 0.9, 60), 8)
    low, high = clustered_quantile_interval(values, problems, 0.5)
    plain_low, plain_high = quantile_interval(values, 0.5)
    assert high - low > 1.5 * (plain_high - plain_low)
