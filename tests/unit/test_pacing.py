"""Load shapes: their names, and when requests may go."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.errors import UsageError
from tts_compare.limits.pacing import Concurrent, Poisson, next_free, offsets_ns, parse_load


@pytest.mark.parametrize("text", ["c1", "c8", "c256", "r2.5", "r10", "r0.125"])
def test_a_load_is_named_as_it_is_written(text: str) -> None:
    assert parse_load(text).id == text


def test_a_bare_number_is_a_concurrency() -> None:
    assert parse_load("8") == Concurrent(8)


@pytest.mark.parametrize("text", ["", "c", "c0", "c-1", "c2.5", "r0", "r-1", "rinf", "rnan", "x8", "c8r2"])
def test_what_is_no_load_is_bad_usage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_load(text)


@given(st.floats(0.01, 1e5), st.integers(0, 2**32))
def test_a_schedule_begins_at_once_never_goes_back_and_is_the_seeds(rate: float, seed: int) -> None:
    offsets = list(islice(offsets_ns(Poisson(rate, seed)), 50))
    assert offsets[0] == 0
    assert all(b >= a for a, b in pairwise(offsets))
    assert offsets == list(islice(offsets_ns(Poisson(rate, seed)), 50))


def test_another_seed_is_another_schedule() -> None:
    assert list(islice(offsets_ns(Poisson(5, 1)), 5)) != list(islice(offsets_ns(Poisson(5, 2)), 5))


def test_gaps_are_exponential_with_the_rates_mean() -> None:
    gaps = [b - a for a, b in pairwise(islice(offsets_ns(Poisson(100.0, 3)), 20_001))]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert mean == pytest.approx(1e7, rel=0.03)
    assert variance**0.5 == pytest.approx(mean, rel=0.05)  # an exponential's deviation is its mean


@given(st.integers(1, 1000), st.integers(0, 2000))
def test_a_closed_loop_fills_up_to_its_number_and_no_further(n: int, under_way: int) -> None:
    free = next_free(Concurrent(n), under_way=under_way)
    assert free >= 0
    assert under_way + free == max(n, under_way)
