"""What the client's tests share: a request, an embedded server, and servers that say exactly what they are told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tts_compare.client import TimeLimits, open_client, send
from tts_compare.domain import Endpoint, RequestRecord, RowKey

KEY = RowKey(setting="s", method="m", budget=0, load="c1", problem="p")
LIMITS = TimeLimits(connect_s=5.0, first_byte_s=5.0, idle_s=5.0, total_s=10.0)
BODY: dict[str, Any] = {
    "model": "selftest",
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 30,
    "temperature": 0,
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
ANSWER = OK + b"Content-Length: %d\r\n\r\n" % len(CHUNK) + CHUNK

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def one(url: str, *, body: dict[str, Any] | None = None, **more: Any) -> RequestRecord:
    """One attempt on a client of its own."""
    transport = more.pop("transport", "own")
    async with open_client(Endpoint(base_url=url, model="selftest"), transport=transport) as client:
        return (await attempt(client, body=body, **more))[0]


async def attempt(client: Any, *, body: dict[str, Any] | None = None, **more: Any) -> tuple[RequestRecord, ...]:
    """One attempt."""
    more = {"limits": LIMITS, "key": KEY, "phase": "measured", **more}
    return await send(client, path="/chat/completions", body=body or BODY, **more)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one request: its head and its body. Raises: asyncio.IncompleteReadError at the end."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    return head, await reader.readexactly(length)


@asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve connections with a handler; yields the base URL."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
    finally:
        server.close()


def saying(*parts: bytes, pause_s: float = 0.002, close: bool = True) -> Handler:
    """A handler that answers every request with these parts, each a write of its own."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
            if close:
                return

    return handler


def chunked(parts: Sequence[bytes]) -> bytes:
    """A chunked answer of these parts."""
    return (
        OK
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts)
        + b"0\r\n\r\n"
    )
