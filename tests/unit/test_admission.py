"""Rates, concurrency and dollars: no window of a minute passes a stated rate, and no bound is passed."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tts_compare.domain import Call, Price, RequestError, Sampling
from tts_compare.limits.admission import (
    BudgetReachedError,
    RateLimiter,
    Rates,
    SpendingLimit,
    request_usd,
    usd,
    wait_ns,
    worst_case_tokens,
)

MINUTE_NS = 60 * 10**9


def call(max_tokens: int = 8, prompt: str = "p" * 30, n: int = 1) -> Call:
    return Call(max_tokens=max_tokens, sampling=Sampling(), prompt=prompt, n=n)


@given(
    sizes=st.lists(st.integers(1, 50), max_size=40),
    gaps=st.lists(st.integers(0, 20 * 10**9), min_size=40, max_size=40),
    rpm=st.integers(1, 10),
    tpm=st.integers(50, 200),
)
def test_no_minute_holds_more_than_the_rates_say(sizes: list[int], gaps: list[int], rpm: int, tpm: int) -> None:
    rates = Rates(requests_per_minute=rpm, tokens_per_minute=tpm)
    now, sent = 0, deque[tuple[int, int]]()
    for size, gap in zip(sizes, gaps, strict=False):
        now += gap
        now += wait_ns(now, sent, size, rates)
        sent.append((now, size))
    for at, _ in sent:
        window = [size for other, size in sent if at <= other < at + MINUTE_NS]
        assert len(window) <= rpm
        assert sum(window) <= tpm


def test_nothing_waits_where_no_rate_is_stated() -> None:
    assert wait_ns(0, [(0, 10**9)] * 100, 10**9, Rates()) == 0


def test_a_request_larger_than_the_whole_rate_goes_when_the_window_is_empty() -> None:
    assert wait_ns(MINUTE_NS - 1, [(0, 10)], 500, Rates(tokens_per_minute=100)) == 1
    assert wait_ns(0, [], 500, Rates(tokens_per_minute=100)) == 0


def test_never_more_in_flight_than_the_endpoint_allows() -> None:
    async def main() -> int:
        limiter, running, peak = RateLimiter(Rates(max_concurrency=3)), 0, 0

        async def one() -> None:
            nonlocal running, peak
            async with limiter(call()):
                running += 1
                peak = max(peak, running)
                await asyncio.sleep(0.001)
                running -= 1

        await asyncio.gather(*(one() for _ in range(12)))
        return peak

    assert asyncio.run(main()) == 3


@given(bound=st.floats(0.001, 1.0), requests=st.integers(1, 60))
def test_what_is_spent_and_in_flight_never_passes_the_bound(bound: float, requests: int) -> None:
    async def main() -> float:
        spending = SpendingLimit(bound)
        limiter = RateLimiter(Rates(), price=Price(input=100.0, output=400.0), spending=spending)
        for _ in range(requests):
            try:
                async with limiter(call(max_tokens=100)):
                    spending.pay(usd(Price(input=100.0, output=400.0), prompt_tokens=10, completion_tokens=100))
            except BudgetReachedError:
                break
        return spending.spent_usd

    assert asyncio.run(main()) <= bound


def test_a_bound_that_the_next_request_may_pass_stops_before_it_is_sent() -> None:
    async def main() -> None:
        limiter = RateLimiter(Rates(), price=Price(input=0.0, output=1.0), spending=SpendingLimit(0.5))
        async with limiter(call(max_tokens=1_000_000)):
            pytest.fail("the request was let through")

    with pytest.raises(BudgetReachedError, match=r"--budget-usd 0\.5"):
        asyncio.run(main())


def test_a_bound_that_is_reached_lets_what_is_in_flight_end_and_nothing_else_begin() -> None:
    async def main() -> tuple[list[str], list[BaseException | None]]:
        limiter = RateLimiter(Rates(), price=Price(input=0.0, output=1.0), spending=SpendingLimit(2.0))
        said: list[str] = []

        async def one(name: str, max_tokens: int) -> None:
            try:
                async with limiter(call(max_tokens=max_tokens)):
                    await asyncio.sleep(0.01)
                    said.append(f"{name} ended")
            except BudgetReachedError:
                said.append(f"{name} refused")
                raise

        asked = (("a", 900_000), ("b", 900_000), ("dear", 900_000), ("cheap", 1))
        return said, await asyncio.gather(*(one(*each) for each in asked), return_exceptions=True)

    said, errors = asyncio.run(main())
    assert said == ["a ended", "b ended", "dear refused", "cheap refused"]
    assert [type(error) for error in errors if error] == [BudgetReachedError, BudgetReachedError]


def test_a_bound_in_dollars_does_not_stop_what_costs_none() -> None:
    async def main() -> None:
        spending = SpendingLimit(1.0, spent_usd=2.0)
        async with RateLimiter(Rates(), spending=spending)(call()):
            pass

    asyncio.run(main())


def test_cached_input_is_charged_at_its_own_price() -> None:
    price = Price(input=2.0, cached=0.5, output=8.0)
    assert usd(price, prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=0) == pytest.approx(1.4)
    assert usd(Price(input=2.0, output=8.0), prompt_tokens=10**6, cached_tokens=10**6, completion_tokens=0) == 2.0


def test_all_choices_of_a_request_count_towards_its_worst_case() -> None:
    assert worst_case_tokens(call(max_tokens=10, n=4))[1] == 40


@pytest.mark.parametrize(
    ("changes", "charged"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3, "tokens_source": "usage"}, 7 + 3),
        ({"completion_tokens": 3, "tokens_source": "usage"}, 100 + 3),
        ({"completion_tokens": 3, "tokens_source": "estimated"}, 100 + 64),
        ({"completion_tokens": 3, "tokens_source": "estimated", "call": 1}, 100 + 64 + 64),
        ({"error": RequestError(kind="http_4xx", status=404), "sent_ns": 1}, 0),
        ({"error": RequestError(kind="connect"), "sent_ns": None}, 0),
        ({"error": RequestError(kind="timeout_first_byte"), "sent_ns": 1}, 100 + 64),
        ({"error": RequestError(kind="cancelled"), "sent_ns": 1}, 100 + 64),
        ({"error": RequestError(kind="cancelled"), "sent_ns": None}, 0),
    ],
)
def test_what_nobody_counted_is_charged_at_its_most(changes: dict[str, object], charged: int) -> None:
    row = builders.record(budget=64, **{"finish_reason": None} | changes)
    price = Price(input=1e6, output=1e6)
    assert request_usd(price, [row], prompt_most=100) == pytest.approx(charged)


def test_the_wait_for_a_limit_is_told_and_is_nothing_where_none_was_in_the_way() -> None:
    async def main() -> list[int]:
        now = [0]

        def clock() -> int:
            now[0] += 5
            return now[0]

        waits: list[int] = []
        free, narrow = RateLimiter(Rates(), clock=clock), RateLimiter(Rates(max_concurrency=1), clock=clock)

        async def one(limiter: RateLimiter) -> None:
            async with limiter(call()) as waited_ns:
                waits.append(waited_ns)
                await asyncio.sleep(0)

        await one(free)
        await asyncio.gather(one(narrow), one(narrow))
        return waits

    free, first, second = asyncio.run(main())
    assert free == first == 0
    assert second > 0
