"""What a hosted endpoint's stated limits, and the user's spending, let through: rates, concurrency, dollars."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tts_compare.domain import Call, ErrorKind, Price, RequestRecord
from tts_compare.errors import RunError

_WINDOW_NS = 60 * 10**9
#: Ends that we chose: an endpoint may go on and charge the request in full.
_GIVEN_UP: frozenset[ErrorKind] = frozenset({"timeout_first_byte", "timeout_idle", "timeout_total", "cancelled"})


class BudgetReachedError(RunError):
    """The next request could have passed ``--budget-usd``; everything done so far is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Limits of an endpoint, None where it states none; tokens are input plus output, as providers count them."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrency: int | None = None


def wait_ns(
    now_ns: int, sent: Sequence[tuple[int, int]], tokens: int, rates: Rates, *, window_ns: int = _WINDOW_NS
) -> int:
    """Nanoseconds until one more request of ``tokens`` keeps every window of a minute under both rates.

    sent: (instant, tokens) of the requests before, oldest first. A request larger than the whole token rate
    goes once the window is empty: waiting longer would not make it smaller.
    """
    recent = [(at, size) for at, size in sent if at > now_ns - window_ns]
    free_at = now_ns
    if rates.requests_per_minute is not None and len(recent) >= rates.requests_per_minute:
        free_at = max(free_at, recent[-rates.requests_per_minute][0] + window_ns)
    if rates.tokens_per_minute is not None:
        held = sum(size for _, size in recent)
        for at, size in recent:
            if held + tokens <= rates.tokens_per_minute:
                break
            held -= size
            free_at = max(free_at, at + window_ns)
    return free_at - now_ns


def worst_case_tokens(call: Call) -> tuple[int, int]:
    """Upper estimates of a call's input and output tokens.

    A byte-level tokenizer never makes more tokens than bytes; text in natural language has about four
    characters a token, and three is taken here, with 16 tokens a message for the chat template.
    """
    if call.prompt_token_ids is not None:
        given = len(call.prompt_token_ids)
    elif call.prompt is not None:
        given = len(call.prompt) // 3 + 1
    else:
        given = sum(len(content) // 3 + 16 for _, content in call.messages or ())
    return given, call.max_tokens * call.n


def usd(price: Price, *, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
    """Dollars of one request: uncached input, cached input and output, each per million tokens."""
    cached_price = price.input if price.cached is None else price.cached
    dear = (prompt_tokens - cached_tokens) * price.input + cached_tokens * cached_price
    return (dear + completion_tokens * price.output) / 1e6


def request_usd(price: Price, rows: Sequence[RequestRecord], *, prompt_most: int = 0) -> float:
    """Dollars of one request from its rows: its prompt once, and the tokens of all its choices.

    Where nobody counted an answer that began, or one that was given up, the most is charged: the budget for a choice's
    tokens, ``prompt_most`` for the prompt's, with the budget for what later calls of a method put into it.
    """
    first = rows[0]
    made = sum(_charged_tokens(row) for row in rows)
    given = first.prompt_tokens
    if given is None:
        given = prompt_most + (first.budget if first.call else 0) if made else 0
    return usd(price, prompt_tokens=given, cached_tokens=first.cached_tokens or 0, completion_tokens=made)


def _charged_tokens(row: RequestRecord) -> int:
    made = row.completion_tokens or 0
    if made:
        return max(made, row.budget) if row.tokens_source == "estimated" else made
    given_up = row.sent_ns is not None and row.error is not None and row.error.kind in _GIVEN_UP
    return row.budget if given_up else 0


class SpendingLimit:
    """Counts what was spent and what requests in flight may still cost, against a bound in US dollars."""

    def __init__(self, bound_usd: float | None, *, spent_usd: float = 0.0) -> None:
        self.bound_usd = bound_usd
        self.spent_usd = spent_usd
        self._reserved_usd = 0.0
        self._in_flight = 0
        self._settled = asyncio.Event()
        self._refusal: str | None = None

    def reserve(self, amount_usd: float) -> None:
        """Set aside the most a request may cost.

        Raises BudgetReachedError where that could pass the bound, and from then on for every request.
        """
        if self.bound_usd is not None and self.spent_usd + self._reserved_usd + amount_usd > self.bound_usd:
            self._refusal = self._refusal or (
                f"stopped before --budget-usd {self.bound_usd:g}: with {self.spent_usd:.6f} USD spent, the requests in "
                f"flight and the next could have cost {self._reserved_usd + amount_usd:.6f}"
            )
        if self._refusal is not None:
            raise BudgetReachedError(self._refusal)
        self._reserved_usd += amount_usd
        self._in_flight += 1
        self._settled.clear()

    def release(self, amount_usd: float) -> None:
        """Give back what was reserved for a request that has ended."""
        self._reserved_usd -= amount_usd
        self._in_flight -= 1
        if not self._in_flight:
            self._settled.set()

    async def settled(self) -> None:
        """Wait until no request is in flight."""
        if self._in_flight:
            await self._settled.wait()

    def pay(self, amount_usd: float) -> None:
        """Count what a request did cost."""
        self.spent_usd += amount_usd


async def _reserved(spending: SpendingLimit, amount_usd: float) -> None:
    """Reserve, or raise when what is in flight has ended: an error would cut off requests that are being paid for."""
    try:
        spending.reserve(amount_usd)
    except BudgetReachedError:
        await spending.settled()
        raise


class RateLimiter:
    """Lets requests of one setting through: its rates, its concurrency, and what a spending still holds.

    prompt_most: as in ``request_usd``.
    """

    def __init__(
        self,
        rates: Rates,
        *,
        price: Price | None = None,
        spending: SpendingLimit | None = None,
        prompt_most: int = 0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._rates, self._price, self._clock = rates, price, clock
        self._spending = spending if price else None
        self._prompt_most = prompt_most
        self._sent: deque[tuple[int, int]] = deque()
        self._turn = asyncio.Lock()
        self._room = asyncio.Semaphore(rates.max_concurrency) if rates.max_concurrency else None

    @asynccontextmanager
    async def __call__(self, call: Call) -> AsyncIterator[int]:
        """Wait for a place, hold it while the request runs; yields the ns waited, 0 where no limit was in the way.

        Raises BudgetReachedError.
        """
        asked_ns = self._clock()
        bound = self._room is not None and self._room.locked()
        given, made = worst_case_tokens(call)
        most_usd = usd(self._price, prompt_tokens=given, completion_tokens=made) if self._price else 0.0
        if self._room:
            await self._room.acquire()
        try:
            bound = await self._wait_turn(given + made) or bound
            if self._spending:
                await _reserved(self._spending, most_usd)
            try:
                yield self._clock() - asked_ns if bound else 0
            finally:
                if self._spending:
                    self._spending.release(most_usd)
        finally:
            if self._room:
                self._room.release()

    async def _wait_turn(self, tokens: int) -> bool:
        """Wait for the rates; whether they were in the way."""
        queued = self._turn.locked()
        async with self._turn:
            now = self._clock()
            while self._sent and self._sent[0][0] <= now - _WINDOW_NS:
                self._sent.popleft()
            delay_ns = wait_ns(now, self._sent, tokens, self._rates)
            if delay_ns > 0:
                await asyncio.sleep(delay_ns / 1e9)
            if self._rates.requests_per_minute or self._rates.tokens_per_minute:
                self._sent.append((self._clock(), tokens))
            return queued or delay_ns > 0

    def account(self, rows: Sequence[RequestRecord]) -> None:
        """Charge the rows of one request."""
        if self._spending and self._price and rows:
            self._spending.pay(request_usd(self._price, rows, prompt_most=self._prompt_most))
