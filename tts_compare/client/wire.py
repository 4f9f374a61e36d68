"""HTTP/1.1 on an asyncio protocol that stamps bytes as they arrive and looks at them later.

``Connection`` is the hot path: one stamp and one append per read. ``Exchange`` is one request and its answer; it
feeds the reads kept so far to llhttp ("framing") only when that can matter: before the head is complete, when
enough has gathered, or when a read may be the last. The last read of a chunked body ends in an empty line, or is
shorter than one; nothing else has to be looked at before its time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from time import monotonic_ns
from typing import cast

import httptools
import httpx

from tts_compare.client.limits import Stamps, TimeLimits

Read = tuple[int, bytes]
"""An instant (monotonic, ns) and what arrived at it."""
Failure = tuple[type[httpx.TransportError], str]
"""What broke an exchange off, to be raised: an exception that was raised holds the frames it went through, and with
them the exchange, so that an exchange that held it would be a cycle for the collector."""

FRAME_BYTES = 32 * 1024
"""So much may lie unframed: framing it takes about 0.1 ms, a pause no stamp notices."""
MAX_HEAD_BYTES = 256 * 1024
_TICK_S = 1.0


class FirstByteTimeout(httpx.ReadTimeout):
    """No byte of the answer within ``Limits.first_byte_s``."""


class IdleTimeout(httpx.ReadTimeout):
    """Nothing more of the answer for ``Limits.idle_s``."""


class TotalTimeout(httpx.ReadTimeout):
    """The answer did not end within ``Limits.total_s``."""


class Exchange:
    """One request and its answer on one connection; created with the request, over when ``ended``.

    ``released`` is called once, with True where the connection can serve another request.
    """

    def __init__(self, *, limits: TimeLimits, stamps: Stamps, released: Callable[[bool], None], bodiless: bool) -> None:
        self.reads: list[Read] = []
        self.unframed_bytes = 0
        self.patience_bytes = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_done = False
        self.ended = False
        self.surplus = False
        self.failure: Failure | None = None
        self._limits = limits
        self._stamps = stamps
        self._released = released
        self._bodiless = bodiless
        self._body: list[Read] = []
        self._body_bytes = 0
        self._wanted_bytes = 0
        self._now = self._last_read_ns = self._begun_ns = monotonic_ns()
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(self._next_tick_s(), self._tick)

    # -- what llhttp tells ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Notice an answer nobody asked for behind the one that has ended."""
        self.surplus = self.surplus or self.ended

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header field."""
        if not self.head_done:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the status; an informational answer (1xx) is not yet the head."""
        if self.head_done or self._parser is None:
            return
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self.head_done = True
            if self._bodiless:
                self._end(reusable=self._parser.should_keep_alive())

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body with the instant of the read it came in."""
        if self.ended:
            self.surplus = True
        else:
            self._body.append((self._now, data))
            self._body_bytes += len(data)
            if self._stamps.on_answer is not None:
                self._stamps.begun()

    def on_message_complete(self) -> None:
        """End the exchange, or go on waiting after an informational answer."""
        if self.ended or self._parser is None:
            return
        if not self.head_done:
            self.headers.clear()
            return
        self._end(reusable=self._parser.should_keep_alive())

    # -- what the connection tells ----------------------------------------------------------------------------

    def frame(self) -> None:
        """Feed the reads kept so far to llhttp, and wake who waits for what came of it."""
        reads, self.reads, self.unframed_bytes = self.reads, [], 0
        if not reads:
            return
        if self._stamps.first_byte_ns is None:
            self._stamps.first_byte_ns = reads[0][0]
        self._last_read_ns = reads[-1][0]
        for self._now, data in reads:
            if self.ended or self._parser is None:
                self.surplus = True
                break
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                if self.ended:  # what follows a complete answer is not part of it
                    self.surplus = True
                else:
                    self.fail(httpx.RemoteProtocolError, f"not an HTTP/1.1 answer: {error}")
                break
        if not self.head_done and sum(len(n) + len(v) for n, v in self.headers) > MAX_HEAD_BYTES:
            self.fail(httpx.RemoteProtocolError, "the head of the answer is too long")
        if self.ended and self._parser is not None:
            self._release()
        if self.ended or self._body_bytes >= self._wanted_bytes:
            self._wake()

    def lost(self, error: Exception | None) -> None:
        """Take note that the connection is gone: the end of a close-delimited body, a fault otherwise."""
        self.frame()
        if self.ended:
            return
        self._now = monotonic_ns()
        if error is None and self.head_done and self.status >= 200 and self._ends_at_close():
            self._end(reusable=False)
            self._release()
            self._wake()
            return
        cause = str(error) if error else "closed by the server"
        where = "in the middle of the answer" if self.head_done else "before the answer"
        self.fail(httpx.ReadError, f"connection lost {where}: {cause}")

    def fail(self, kind: type[httpx.TransportError], message: str) -> None:
        """End the exchange with an error, the connection with it."""
        if self.ended:
            return
        self.failure = kind, message
        self._end(reusable=False)
        self._release()
        self._wake()

    # -- what the reader asks ---------------------------------------------------------------------------------

    async def head(self) -> None:
        """Wait for status and headers; raises what went wrong before them."""
        while not self.head_done and not self.ended:
            await self._wait()
        if self.failure is not None and not self.head_done:
            kind, message = self.failure
            raise kind(message)

    async def batches(self, at_least_bytes: int) -> AsyncIterator[list[Read]]:
        """Yield the body as it comes, in batches of at least so many bytes (the last one: the rest).

        Raises at the end what broke the answer off, after all of the body that had arrived was yielded.
        """
        self._wanted_bytes = at_least_bytes
        chunked = any(n.lower() == b"transfer-encoding" and v.lower() == b"chunked" for n, v in self.headers)
        self.patience_bytes = min(at_least_bytes, FRAME_BYTES) if chunked and at_least_bytes > 1 else 0
        while True:
            if self._body and (self.ended or self._body_bytes >= at_least_bytes):
                yield self.take()
            if self.ended:
                break
            await self._wait()
        if self._body:
            yield self.take()
        if self.failure is not None:
            kind, message = self.failure
            raise kind(message)

    def take(self) -> list[Read]:
        """Hand over what has arrived of the body and was not handed over yet."""
        if not self.ended:
            self.frame()
        body, self._body, self._body_bytes = self._body, [], 0
        return body

    def close(self) -> None:
        """Give the exchange up; before its end that costs the connection."""
        self.frame()
        self.fail(httpx.ReadError, "closed by the client")

    # -- inside -----------------------------------------------------------------------------------------------

    def _ends_at_close(self) -> bool:
        framed = {name.lower() for name, _ in self.headers} & {b"content-length", b"transfer-encoding"}
        return not framed

    def _end(self, *, reusable: bool) -> None:
        self.ended = True
        self._reusable = reusable
        self._stamps.end_ns = self._now if self.failure is None else monotonic_ns()
        self._timer.cancel()

    def _release(self) -> None:
        if self._parser is not None:
            self._parser = None  # it holds our bound methods: leave no cycle to the collector
            self._released(self._reusable and not self.surplus)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _deadlines(self) -> list[tuple[int, Failure]]:
        limits, begun = self._limits, self._begun_ns
        total = (begun + int(limits.total_s * 1e9), (TotalTimeout, f"no end of the answer within {limits.total_s:g} s"))
        if self._stamps.first_byte_ns is None:
            first = begun + int(limits.first_byte_s * 1e9)
            return [total, (first, (FirstByteTimeout, f"no byte of an answer within {limits.first_byte_s:g} s"))]
        idle = self._last_read_ns + int(limits.idle_s * 1e9)
        return [total, (idle, (IdleTimeout, f"nothing more of the answer for {limits.idle_s:g} s"))]

    def _next_tick_s(self) -> float:
        due = min(instant for instant, _ in self._deadlines())
        return min(_TICK_S, max(0.0, (due - monotonic_ns()) / 1e9))

    def _tick(self) -> None:
        """Frame what waited for company, and enforce the limits: one timer, so that a read re-arms nothing."""
        self.frame()
        if self.ended:
            return
        now = monotonic_ns()
        passed = [(instant, failure) for instant, failure in self._deadlines() if instant <= now]
        if passed:
            self.fail(*min(passed, key=lambda pair: pair[0])[1])
            return
        self._timer = asyncio.get_running_loop().call_later(self._next_tick_s(), self._tick)


class Connection(asyncio.Protocol):
    """A connection to one origin; between exchanges it lies in the pool, and anything it says there ends it."""

    def __init__(self, pool: list[Connection]) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self.dead = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, or close it where it comes too late."""
        self._transport = cast("asyncio.Transport", transport)
        if self.dead:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Stamp and keep; everything else can wait."""
        now = monotonic_ns()
        exchange = self._exchange
        if exchange is None:
            self.abort()
            return
        exchange.reads.append((now, data))
        exchange.unframed_bytes += len(data)
        if exchange.unframed_bytes >= exchange.patience_bytes or len(data) < 4 or data.endswith(b"\r\n\r\n"):
            exchange.frame()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange, or leave the pool."""
        self.dead = True
        if self in self._pool:
            self._pool.remove(self)
        if self._exchange is not None:
            self._exchange.lost(exc)

    def request(self, data: bytes, *, limits: TimeLimits, stamps: Stamps, bodiless: bool) -> Exchange:
        """Write a request and return its exchange; ``stamps.sent_ns`` is taken just before the first byte."""
        if self._transport is None or self.dead:
            raise httpx.WriteError("the connection is closed")
        self._exchange = Exchange(limits=limits, stamps=stamps, released=self._release, bodiless=bodiless)
        stamps.sent_ns = monotonic_ns()
        stamps.first_byte_ns = stamps.end_ns = None
        self._transport.write(data)
        return self._exchange

    def abort(self) -> None:
        """Close at once."""
        self.dead = True
        transport, self._transport = self._transport, None  # uvloop's, given up while connecting, goes on holding us
        if transport is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be gone already
                transport.abort()

    def _release(self, reusable: bool) -> None:  # noqa: FBT001 - a callback with one fact
        self._exchange = None
        if reusable and not self.dead and self._transport is not None and not self._transport.is_closing():
            self._pool.append(self)
        else:
            self.abort()
