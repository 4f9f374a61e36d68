"""Families of comparisons: Holm at the largest budget, then down the budgets of what was decided there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.analysis.statistics.families import LEVEL, Question, step_down
from tts_compare.analysis.statistics.intervals import holm


def ask(*asked: tuple[str, float, float | None]) -> list[float | None]:
    return step_down([Question(chain=chain, size=size, p=p) for chain, size, p in asked])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_at_one_budget_it_is_holm(values: list[float]) -> None:
    assert ask(*((str(i), 1024, p) for i, p in enumerate(values))) == pytest.approx(holm(values))


def test_smaller_budgets_are_no_part_of_the_correction() -> None:
    alone = ask(("a", 4096, 0.01), ("b", 4096, 0.02))
    beside = ask(("a", 4096, 0.01), ("b", 4096, 0.02), ("a", 256, 0.5), ("b", 256, 0.9), ("b", 64, 0.001))
    assert beside[:2] == alone == [0.02, 0.02]


def test_a_chain_stops_at_the_first_budget_that_is_not_decided() -> None:
    found = ask(("a", 4096, 0.001), ("a", 1024, 0.2), ("a", 256, 0.0001), ("b", 4096, 0.5), ("b", 256, 0.0))
    assert found == [0.002, 0.4, 0.4, 0.5, 0.5]


def test_a_chain_goes_down_at_the_level_it_was_decided_at() -> None:
    found = ask(("a", 4096, 0.001), ("a", 256, 0.03), ("b", 4096, 0.04), ("b", 256, 0.03))
    assert found == [0.002, 0.06, 0.04, 0.04]


def test_what_cannot_be_tested_is_skipped_and_not_counted() -> None:
    assert ask(("a", 4096, None), ("a", 1024, 0.03), ("b", 4096, float("nan"))) == [None, 0.03, None]


def test_false_decisions_stay_at_the_level_however_many_budgets_there_are() -> None:
    rng = np.random.default_rng(0)
    runs, false = 4_000, 0
    for _ in range(runs):
        p = rng.random((3, 4))
        found = ask(*((str(c), 2.0**b, float(p[c, b])) for c in range(3) for b in range(4)))
        false += any(value is not None and value < LEVEL for value in found)
    assert false / runs < LEVEL + 3 * (LEVEL * (1 - LEVEL) / runs) ** 0.5
