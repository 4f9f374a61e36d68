"""A proxy that stands between the program and a server: it counts what is sent, and makes things go wrong.

It keeps a book of its own, by request id, so that "every request sent is a row written" does not rest on the program's
word. It runs in a thread with a loop of its own, because the program under test may run in the test's own process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit


class RateLimit:
    """At most ``requests`` completions in any ``seconds``, as a provider's gateway counts them."""

    def __init__(self, requests: int, seconds: float) -> None:
        self._passed: deque[float] = deque(maxlen=requests)
        self._seconds = seconds
        self.refused = 0

    def wait_s(self) -> float:
        """Let one more pass and return 0, or return how long it has to wait."""
        now = time.monotonic()
        if len(self._passed) == self._passed.maxlen and now < self._passed[0] + self._seconds:
            self.refused += 1
            return self._passed[0] + self._seconds - now
        self._passed.append(now)
        return 0.0


class FaultProxy:
    """Forwards to one server. ``faults``: what befalls the first attempts of the prompts, in turn; then nothing."""

    def __init__(self, upstream: str, faults: Sequence[str] = (), limit: RateLimit | None = None) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._faults = list(faults)
        self._limit = limit
        self._seen: set[bytes] = set()
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.sent: dict[str, str] = {}
        """Request id -> the fault it was given ("" for none)."""
        self._on_request: Callable[[int], None] = lambda _count: None
        self._outage: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The base URL to give to the program."""
        return f"http://127.0.0.1:{self.port}/v1"

    # -- what a test calls, from its own thread -----------------------------------------------------------------

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the proxy's loop and wait for it."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def listen(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse new connections and reset the ones there are."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            reset(writer)

    def outage(self, *, after_requests: int, seconds: float) -> None:
        """Refuse and reset for a while, once so many requests have been sent."""

        async def out() -> None:
            await self.refuse()
            await asyncio.sleep(seconds)
            await self.listen()

        def look(count: int) -> None:
            if count == after_requests:
                self._outage = self._loop.create_task(out())

        self._on_request = look

    def go_on(self) -> None:
        """The loop's thread."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def stop(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    # -- inside -------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            above_reader, above = await asyncio.open_connection(*self._upstream)
        except OSError:
            reset(writer)
            return
        answers = asyncio.create_task(self._pipe(above_reader, writer))
        try:
            while True:
                head, body = await _request(reader)
                wait_s = self._limit.wait_s() if self._limit and _is_completion(head) else 0.0
                if wait_s:
                    writer.write(_TOO_MANY % math.ceil(wait_s))
                    continue
                above.write(self._booked(head, body) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            answers.cancel()
            above.close()
            writer.close()
            self._writers.discard(writer)

    def _booked(self, head: bytes, body: bytes) -> bytes:
        """The head as it goes on: a completion's first attempt carries the fault whose turn it is."""
        if not _is_completion(head):
            return head
        digest = hashlib.sha256(body).digest()
        fault = self._faults.pop(0) if self._faults and digest not in self._seen else ""
        self._seen.add(digest)
        request_id = next(
            line.split(b":")[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"x-request-id")
        )
        self.sent[request_id.decode()] = fault
        self._on_request(len(self.sent))
        return head[:-2] + (b"x-fault: %s\r\n\r\n" % fault.encode() if fault else b"\r\n")

    @staticmethod
    async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        except ConnectionError:
            reset(writer)


_REFUSAL = b'{"error": {"message": "rate limit reached", "type": "rate_limit_error", "code": 429}}'
_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: %%d\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_REFUSAL), _REFUSAL)
)


def _is_completion(head: bytes) -> bool:
    return head.startswith(b"POST") and b"/completions" in head.split(b"\r\n", 1)[0]


async def _request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    return head, await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: a linger time of zero (socket(7))."""
    opened: socket.socket | None = writer.get_extra_info("socket")
    if opened is not None:
        with contextlib.suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def fault_proxy(upstream: str, faults: Sequence[str] = (), limit: RateLimit | None = None) -> Iterator[FaultProxy]:
    """A proxy for as long as the block runs."""
    proxy = FaultProxy(upstream, faults, limit)
    thread = threading.Thread(target=proxy.go_on, name="fault-proxy", daemon=True)
    thread.start()
    try:
        proxy.run(proxy.listen())
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
