"""Rounds: shares of the problems that are equal, alike, and the same again for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.config import load_experiment
from tts_compare.domain import Problem
from tts_compare.errors import UsageError
from tts_compare.plan.prepare import prepare
from tts_compare.plan.round_shares import check_shares, shares_of

STRATA = st.lists(
    st.tuples(st.sampled_from([None, 1, 2, 5]), st.sampled_from([None, "Algebra", "Geometry"])), max_size=80
)


def problems(strata: list[tuple[int | None, str | None]]) -> list[Problem]:
    return [
        Problem(id=str(at), problem="?", answer="1", level=level, subject=subject)
        for at, (level, subject) in enumerate(strata)
    ]


@given(strata=STRATA, rounds=st.integers(1, 12), seed=st.integers(0, 3))
def test_shares_and_what_they_hold_of_every_stratum_differ_by_one_at_most(
    strata: list[tuple[int | None, str | None]], rounds: int, seed: int
) -> None:
    given = problems(strata)
    shares = shares_of(given, rounds, seed=seed)
    assert set(shares) == {problem.id for problem in given}
    for group in (lambda _: "all", lambda p: p.level, lambda p: (p.level, p.subject)):
        by_group: dict[object, Counter[int]] = {}
        for problem in given:
            by_group.setdefault(group(problem), Counter())[shares[problem.id]] += 1
        for counts in by_group.values():
            sizes = [counts[number] for number in range(rounds)]
            assert max(sizes) - min(sizes) <= 1


def test_the_split_is_the_same_for_a_seed_and_another_for_another() -> None:
    given = problems([(level, None) for level in (1, 2, 3, 4, 5) for _ in range(20)])
    assert shares_of(given, 4, seed=1) == shares_of(given, 4, seed=1) != shares_of(given, 4, seed=2)


def test_problems_of_which_nothing_is_known_are_dealt_in_their_order() -> None:
    given = problems([(None, None)] * 7)
    assert list(shares_of(given, 3, seed=5).values()) == [0, 1, 2, 0, 1, 2, 0]


def test_a_share_of_too_few_problems_is_refused_with_what_would_do() -> None:
    assert check_shares(75, 3, whole=500) is check_shares(10, 1, whole=500) is None
    with pytest.raises(UsageError, match=r"3 rounds of 74 problems .* needs 25: give --problems 75 or --rounds 2"):
        check_shares(74, 3, whole=500)


def test_a_data_set_that_is_too_small_is_a_warning_until_a_round_would_be_empty() -> None:
    assert "the whole data set has 49" in (check_shares(16, 3, whole=49) or "")
    with pytest.raises(UsageError, match="give --rounds 1"):
        check_shares(2, 3, whole=49)


def test_a_plan_says_that_its_rounds_are_small() -> None:
    asked = {"backend": "openai", "base_url": "http://h/v1", "model": "m", "dataset": "quickstart", "rounds": "3"}
    prepared = prepare(load_experiment(None, asked, environ={}), fetch=False)
    assert "small_rounds" in {warning.code for warning in prepared.doubts}
    assert Counter(prepared.shares.values()) == {0: 17, 1: 16, 2: 16}


def test_a_plan_of_a_published_set_that_is_not_at_hand_refuses_small_rounds_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise UsageError("not here")

    monkeypatch.setattr("tts_compare.plan.prepare.load_problems", nothing)
    asked = {"backend": "openai", "base_url": "http://h/v1", "model": "m", "rounds": "3"}
    with pytest.raises(UsageError, match="give --problems 75 or --rounds 1"):
        prepare(load_experiment(None, {**asked, "problems": "32"}, environ={}), fetch=False)
    assert prepare(load_experiment(None, asked, environ={}), fetch=False).problem_count == 500


def test_failures_are_sent_again_of_a_run_that_is_named() -> None:
    asked = {"backend": "openai", "base_url": "http://h/v1", "model": "m", "dataset": "quickstart"}
    with pytest.raises(UsageError, match="name the run with --resume"):
        prepare(load_experiment(None, {**asked, "retry_failed": True}, environ={}), fetch=False)
