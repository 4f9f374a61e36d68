"""Retries: bounded, only where a second attempt may help, and never shorter than the server asked."""

from __future__ import annotations

import random
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from tts_compare.domain import ErrorKind, RequestError
from tts_compare.limits.retry import RETRYABLE, RetryPolicy, retry_delay_s

POLICY = RetryPolicy()


@given(kind=st.sampled_from(get_args(ErrorKind)), retries=st.integers(0, 6), seed=st.integers())
def test_only_curable_kinds_are_retried_and_only_so_often(kind: ErrorKind, retries: int, seed: int) -> None:
    delay = retry_delay_s(
        RequestError(kind=kind), retries=retries, waited_s=0.0, policy=POLICY, rng=random.Random(seed)
    )
    assert (delay is not None) == (kind in RETRYABLE and retries < POLICY.attempts)


def test_a_time_out_is_a_result_and_is_not_hidden_by_a_retry() -> None:
    assert not {"timeout_first_byte", "timeout_idle", "timeout_total", "truncated_stream", "http_4xx"} & RETRYABLE


@given(asked=st.floats(0.1, 100.0), waited=st.floats(0, 100), seed=st.integers())
def test_a_retry_after_is_waited_out_in_full_even_past_the_bound(asked: float, waited: float, seed: int) -> None:
    error = RequestError(kind="http_429", status=429, retry_after_s=asked)
    delay = retry_delay_s(error, retries=0, waited_s=waited, policy=POLICY, rng=random.Random(seed))
    assert delay is not None
    assert asked <= delay <= asked * 1.1 + 0.06


def test_a_retry_after_of_an_hour_ends_the_attempts() -> None:
    error = RequestError(kind="http_429", status=429, retry_after_s=3600.0)
    assert retry_delay_s(error, retries=0, waited_s=0, policy=POLICY, rng=random.Random(0)) is None


@given(seed=st.integers())
def test_all_waits_together_stay_within_the_bound(seed: int) -> None:
    rng, waited, retries = random.Random(seed), 0.0, 0
    while (
        delay := retry_delay_s(
            RequestError(kind="http_5xx", status=503), retries=retries, waited_s=waited, policy=POLICY, rng=rng
        )
    ) is not None:
        waited, retries = waited + delay, retries + 1
    assert waited <= POLICY.total_s
    assert retries <= POLICY.attempts
