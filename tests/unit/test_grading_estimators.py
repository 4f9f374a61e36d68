"""Estimates over all subsets, against the sums they stand for."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.grading import pass_at_k
from tts_compare.grading.estimators import (
    best_scores,
    majority,
    majority_scores,
    sizes,
    weighted_choice,
    weighted_score,
)

GROUPS = st.lists(st.sampled_from([None, 0, 1, 2, 3]), min_size=1, max_size=9)


def share(k: int, m: int, wins: object) -> float:
    subsets = list(combinations(range(k), m))
    return sum(bool(wins(subset)) for subset in subsets) / len(subsets)  # type: ignore[operator]


@given(st.lists(st.booleans(), min_size=1, max_size=9))
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(correct: list[bool]) -> None:
    for k in range(1, len(correct) + 1):
        expected = share(len(correct), k, lambda subset: any(correct[at] for at in subset))
        assert pass_at_k(len(correct), sum(correct), k) == pytest.approx(expected)


def test_pass_at_k_has_its_closed_forms() -> None:
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(10, 0, 10) == 0.0
    assert pass_at_k(10, 1, 10) == 1.0
    assert pass_at_k(4, 2, 2) == pytest.approx(5 / 6)
    with pytest.raises(ValueError, match="does not exist"):
        pass_at_k(3, 1, 4)


@given(GROUPS)
def test_the_majority_closed_form_is_the_sum_over_subsets(groups: list[int | None]) -> None:
    scores = majority_scores(groups, 0)
    for m in range(1, len(groups) + 1):
        expected = share(len(groups), m, lambda subset: majority([groups[at] for at in subset]) == 0)
        assert scores[m - 1] == pytest.approx(expected)


def test_a_vote_over_200_samples_with_100_different_wrong_answers_is_counted_exactly() -> None:
    groups = [0 if at % 2 else at + 1 for at in range(200)]
    after = [(199 - at) // 2 for at in range(1, 200, 2)]
    scores = majority_scores(groups, 0)
    for m in (2, 16, 128, 200):
        # Two right votes win; a single one does only where it comes before all the wrong ones.
        losing = math.comb(100, m) + 100 * math.comb(100, m - 1) - sum(math.comb(n, m - 1) for n in after)
        assert scores[m - 1] == pytest.approx(1 - losing / math.comb(200, m))


def test_a_majority_goes_to_the_first_seen_of_a_tie_and_counts_no_silence() -> None:
    assert majority([1, 0, 0, 1]) == 1
    assert majority([None, None, 2]) == 2
    assert majority([None]) is None
    assert majority_scores([1, 0], 0) == [0.5, 0.0]


def test_the_majority_of_64_samples_is_exact() -> None:
    groups = [0 if at % 3 else at % 5 for at in range(64)]
    scores = majority_scores(groups, 0)
    assert scores[0] == pytest.approx(groups.count(0) / 64)
    assert scores[-1] == 1.0
    assert all(0.0 <= score <= 1.0 for score in scores)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), min_size=1, max_size=8))
def test_the_best_of_n_closed_form_is_the_sum_over_subsets(samples: list[tuple[float, bool]]) -> None:
    scores, correct = [score for score, _ in samples], [right for _, right in samples]
    found = best_scores(scores, correct)
    for m in range(1, len(samples) + 1):
        expected = share(len(samples), m, lambda subset: correct[max(subset, key=lambda at: (scores[at], -at))])
        assert found[m - 1] == pytest.approx(expected)


def test_weighted_best_of_n_adds_the_scores_of_equal_answers() -> None:
    assert weighted_choice([0, 1, 1], [0.9, 0.5, 0.5]) == 1
    assert weighted_choice([0, None], [0.1, 5.0]) == 0
    assert weighted_choice([None], [1.0]) is None
    assert weighted_score([0, 1, 1], [0.9, 0.5, 0.5], 1, 2) == pytest.approx(1 / 3)
    assert weighted_score([0, 1], [0.9, 0.5], None, 1) == 0.0


def test_many_subsets_are_drawn_the_same_every_time() -> None:
    groups = [at % 3 for at in range(32)]
    scores = [1.0 + at / 100 for at in range(32)]
    assert math.comb(32, 16) > 5_000
    assert weighted_score(groups, scores, 0, 16) == weighted_score(groups, scores, 0, 16)


def test_sizes_are_powers_of_two_and_all_where_all_are_there() -> None:
    assert sizes(16) == [1, 2, 4, 8, 16]
    assert sizes(17) == [1, 2, 4, 8, 16, 17]
    assert sizes(15, asked=16) == [1, 2, 4, 8]
    assert sizes(12, asked=12) == [1, 2, 4, 8, 12]
    assert sizes(0) == []
