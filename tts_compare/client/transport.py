"""The httpx transport of our own: a pool of stamping connections under httpx's unchanged API."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from time import monotonic_ns

import httpx

from tts_compare.client.limits import Stamps, TimeLimits
from tts_compare.client.unreachable import why_unreachable
from tts_compare.client.wire import Connection, Exchange

STALE_S = 1.0
"""A pooled connection that the server had closed shows so within a round trip of sending; one that is lost later was
lost with the request, which may have been worked on."""

_Origin = tuple[str, str, int]


class _Body(httpx.AsyncByteStream):
    """The body of an answer for whoever reads it through httpx."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for batch in self._exchange.batches(1):
            for _, data in batch:
                yield data

    async def aclose(self) -> None:
        self._exchange.close()


class StampingTransport(httpx.AsyncBaseTransport):
    """Speaks HTTP/1.1 over http and https; every read is stamped before anything else happens to it.

    A request may carry ``extensions["stamps"]`` (filled in, also when it fails) and ``extensions["limits"]``; the
    answer carries ``extensions["exchange"]``, whose ``batches`` give the stamped body. Connections are pooled
    without a cap, and a request on a pooled one that turns out dead at once, before any byte of the answer, is sent
    again on another. Raises httpx's exceptions.
    """

    def __init__(self, *, limits: TimeLimits | None = None, ssl_context: ssl.SSLContext | None = None) -> None:
        self._limits = limits or TimeLimits()
        self._ssl_context = ssl_context
        self._idle: dict[_Origin, list[Connection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its answer once the head is there."""
        stamps: Stamps = request.extensions.get("stamps") or Stamps()
        limits: TimeLimits = request.extensions.get("limits") or self._limits_of(request)
        stamps.on_arrival = True
        data = render(request, await request.aread())
        while True:
            connection, reused = await self._connection(request, limits, stamps)
            exchange = None
            try:
                exchange = connection.request(data, limits=limits, stamps=stamps, bodiless=request.method == "HEAD")
                await exchange.head()
            except (httpx.ReadError, httpx.WriteError):
                if reused and stamps.first_byte_ns is None and _is_young(stamps):
                    continue
                raise
            except BaseException:
                (exchange.close if exchange else connection.abort)()
                raise
            return httpx.Response(
                exchange.status,
                headers=exchange.headers,
                stream=_Body(exchange),
                extensions={"http_version": b"HTTP/1.1", "exchange": exchange},
            )

    async def aclose(self) -> None:
        """Close every idle connection."""
        for idle in self._idle.values():
            for connection in tuple(idle):
                connection.abort()
        self._idle.clear()

    async def _connection(self, request: httpx.Request, limits: TimeLimits, stamps: Stamps) -> tuple[Connection, bool]:
        scheme, host = request.url.scheme, request.url.host
        if scheme not in ("http", "https") or not host:
            raise httpx.UnsupportedProtocol(f"cannot request {request.url}: only http and https are spoken")
        port = request.url.port or (443 if scheme == "https" else 80)
        idle = self._idle.setdefault((scheme, host, port), [])
        while idle:
            connection = idle.pop()
            if not connection.dead:
                stamps.connect_ns = None
                return connection, True
        stamps.connect_ns = monotonic_ns()
        loop = asyncio.get_running_loop()
        context = self._tls() if scheme == "https" else None
        connection, connected = Connection(idle), False
        try:
            async with asyncio.timeout(limits.connect_s):
                await loop.create_connection(lambda: connection, host, port, ssl=context)
            connected = True
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection to {host}:{port} within {limits.connect_s:g} s") from error
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(str(why_unreachable(error, f"{scheme}://{host}:{port}"))) from error
        finally:
            if not connected:
                connection.abort()  # it may have come about just as the time ran out
        return connection, False

    def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = httpx.create_ssl_context()
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context

    def _limits_of(self, request: httpx.Request) -> TimeLimits:
        """Take httpx's own timeouts where the caller knows nothing of ours."""
        stated: dict[str, float | None] = request.extensions.get("timeout") or {}
        ours = self._limits
        read_s = stated.get("read")
        return TimeLimits(
            connect_s=stated.get("connect") or ours.connect_s,
            first_byte_s=read_s or ours.first_byte_s,
            idle_s=read_s or ours.idle_s,
            total_s=ours.total_s,
        )


def _is_young(stamps: Stamps) -> bool:
    return stamps.sent_ns is None or monotonic_ns() - stamps.sent_ns < STALE_S * 1e9


def render(request: httpx.Request, body: bytes) -> bytes:
    """Render a request as HTTP/1.1 with Content-Length.

    Raises: httpx.LocalProtocolError for a line break in a header field, which would be another header.
    """
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    for name, value in request.headers.raw:
        if b"\r" in name + value or b"\n" in name + value:
            raise httpx.LocalProtocolError(f"a line break in the header field {name!r}")
        if name.lower() not in (b"transfer-encoding", b"content-length"):
            lines.append(b"%s: %s" % (name, value))
    if body or request.method in ("POST", "PUT", "PATCH"):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
