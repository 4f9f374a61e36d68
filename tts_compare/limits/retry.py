"""When a failed attempt is tried again, and after how long; and the one loop that does so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tts_compare.domain import ErrorKind, RequestError

T = TypeVar("T")
#: Kinds that a second attempt may cure. A time-out is a result, not a hiccup: it is never hidden by a retry.
RETRYABLE: frozenset[ErrorKind] = frozenset({"connect", "timeout_connect", "http_429", "http_5xx", "empty"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Bounds on retries of one request.

    attempts: retries after the first try; total_s: waiting in all, unless the server's Retry-After asks for
    more; longest_s: the longest single wait that is honoured even from Retry-After.
    """

    attempts: int = 3
    total_s: float = 20.0
    first_s: float = 0.5
    longest_s: float = 120.0


def retry_delay_s(
    error: RequestError, *, retries: int, waited_s: float, policy: RetryPolicy, rng: random.Random
) -> float | None:
    """Seconds to wait before the next attempt, or None when there is none.

    Exponential backoff with full jitter; a Retry-After is waited out in full and jittered upwards, so that
    many waiting requests do not return at one instant.
    """
    if error.kind not in RETRYABLE or retries >= policy.attempts:
        return None
    if error.retry_after_s is not None:
        if error.retry_after_s > policy.longest_s:
            return None
        return error.retry_after_s + rng.uniform(0, 0.1 * error.retry_after_s + 0.05)
    delay = rng.uniform(0, policy.first_s * 2**retries * 2)
    return delay if waited_s + delay <= policy.total_s else None


def is_exhausted(errors: Sequence[RequestError], *, policy: RetryPolicy, rng: random.Random) -> bool:
    """Whether no attempt was to follow these failures of one call, in their order.

    rng: as it was before the first of them; the waits that it draws are then those that were made.
    """
    waited_s = 0.0
    for retries, error in enumerate(errors):
        delay_s = retry_delay_s(error, retries=retries, waited_s=waited_s, policy=policy, rng=rng)
        if delay_s is None:
            return True
        waited_s += delay_s
    return False


async def with_retries(
    attempt: Callable[[int], Awaitable[tuple[T, RequestError | None]]],
    *,
    policy: RetryPolicy = RetryPolicy(),
    rng: random.Random,
) -> T:
    """What the last attempt gave. attempt: makes the n-th, from 0, and says what a retry could cure of it, or None."""
    retries, waited_s = 0, 0.0
    while True:
        result, error = await attempt(retries)
        if error is None:
            return result
        delay_s = retry_delay_s(error, retries=retries, waited_s=waited_s, policy=policy, rng=rng)
        if delay_s is None:
            return result
        await asyncio.sleep(delay_s)
        retries, waited_s = retries + 1, waited_s + delay_s
