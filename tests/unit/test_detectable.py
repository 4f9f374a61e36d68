"""What a plan says a design can find is what simulated runs of that design do find, about four times in five."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts_compare.analysis.statistics.detectable import (
    Assumptions,
    Measured,
    drop_power,
    ratio_power,
    smallest_drop,
    smallest_ratio,
)
from tts_compare.analysis.statistics.distributions import t_quantile
from tts_compare.analysis.statistics.intervals import mcnemar

RUNS = 3000


def found_over_rounds(ratio: float, design: Measured, given: Assumptions, *, seed: int) -> float:
    """The share of simulated runs in which the delete-one-round jackknife of the ratio of means finds a ratio."""
    rng = np.random.default_rng(seed)
    m, r = design.problems // design.rounds, design.rounds
    shape = (RUNS, r, m)
    first = rng.normal(size=shape)
    rho = given.length_correlation
    second = rho * first + math.sqrt(1.0 - rho**2) * rng.normal(size=shape)
    sums = []
    for lengths, slower in ((first, ratio), (second, 1.0)):
        noise = rng.normal(0, given.request_noise / math.sqrt(design.repeats), shape)
        start = rng.normal(0, given.start_noise / math.sqrt(design.repeats), (RUNS, r))
        times = slower * np.exp(given.length_sigma * lengths + noise)
        sums.append(times.sum(axis=2) * np.exp(start))
    a, b = sums
    whole = np.log(a.sum(axis=1) / b.sum(axis=1))
    without = np.log((a.sum(axis=1)[:, None] - a) / (b.sum(axis=1)[:, None] - b))
    error = np.sqrt((r - 1) / r * ((without - without.mean(axis=1)[:, None]) ** 2).sum(axis=1))
    critical = t_quantile(1 - given.level / design.comparisons / 2, r - 1)
    return float((whole > critical * error).mean())


@pytest.mark.parametrize(
    "design",
    [
        Measured(problems=500, rounds=10),
        Measured(problems=500, rounds=5),
        Measured(problems=501, rounds=3),
        Measured(problems=200, rounds=4, repeats=2, comparisons=6),
    ],
    ids=lambda d: f"{d.rounds}x{d.problems // d.rounds}",
)
def test_the_smallest_ratio_of_equal_texts_is_found_four_times_in_five(design: Measured) -> None:
    given = Assumptions()
    ratio = smallest_ratio(design, given)
    assert ratio is not None
    assert ratio_power(ratio, design, given) == pytest.approx(0.8, abs=1e-6)
    assert found_over_rounds(ratio, design, given, seed=1) == pytest.approx(0.8, abs=0.04)


def test_the_smallest_ratio_of_correlated_lengths_is_found_about_as_often() -> None:
    design, given = Measured(problems=1000, rounds=10), Assumptions(length_correlation=0.9)
    ratio = smallest_ratio(design, given)
    assert ratio is not None
    assert found_over_rounds(ratio, design, given, seed=2) == pytest.approx(0.8, abs=0.07)


@pytest.mark.parametrize(("problems", "rounds", "power"), [(500, 10, 0.85), (500, 5, 0.48), (501, 3, 0.20)])
def test_a_true_ratio_of_five_percent_is_found_as_often_as_simulation_says(
    problems: int, rounds: int, power: float
) -> None:
    design = Measured(problems=problems, rounds=rounds)
    assert ratio_power(1.05, design, Assumptions()) == pytest.approx(power, abs=0.04)
    assert found_over_rounds(1.05, design, Assumptions(), seed=3) == pytest.approx(power, abs=0.05)


@pytest.mark.parametrize("design", [Measured(problems=500), Measured(problems=500, rounds=2, repeats=3)])
def test_one_start_and_two_rounds_find_no_ratio(design: Measured) -> None:
    assert smallest_ratio(design, Assumptions()) is None
    assert ratio_power(10.0, design, Assumptions()) == 0.0


@pytest.mark.parametrize(("problems", "discordant"), [(500, 0.03), (500, 0.13), (100, 0.03), (2000, 0.13)])
def test_the_smallest_drop_is_found_four_times_in_five_by_the_test_that_reports_use(
    problems: int, discordant: float
) -> None:
    design, given = Measured(problems=problems), Assumptions(discordant=discordant)
    drop = smallest_drop(design, given)
    assert drop is not None
    assert drop_power(drop, design, given) == pytest.approx(0.8, abs=1e-6)
    psi = max(discordant, drop)
    drawn = np.random.default_rng(4).multinomial(problems, [(psi + drop) / 2, (psi - drop) / 2, 1 - psi], RUNS)
    found = np.mean([a > b and mcnemar(int(a), int(b)) < given.level for a, b, _ in drawn])
    assert found == pytest.approx(0.8, abs=0.03)


def test_too_few_problems_find_no_drop_at_all() -> None:
    assert smallest_drop(Measured(problems=5), Assumptions()) is None
    assert smallest_drop(Measured(problems=6), Assumptions()) is not None


@settings(max_examples=20, deadline=None)
@given(
    problems=st.integers(75, 250),
    rounds=st.integers(3, 10),
    comparisons=st.integers(1, 30),
    discordant=st.floats(0.01, 0.3),
)
def test_more_problems_find_no_less_and_more_comparisons_no_more(
    problems: int, rounds: int, comparisons: int, discordant: float
) -> None:
    given = Assumptions(discordant=discordant, length_correlation=0.9)
    one = Measured(problems=problems, rounds=rounds, comparisons=comparisons)
    more = Measured(problems=4 * problems, rounds=rounds, comparisons=comparisons)
    asked = Measured(problems=problems, rounds=rounds, comparisons=comparisons + 1)
    for smallest in (smallest_ratio, smallest_drop):
        here, better, worse = (smallest(design, given) for design in (one, more, asked))
        assert here is not None
        assert better is not None
        assert worse is None or better <= here <= worse + 1e-9
