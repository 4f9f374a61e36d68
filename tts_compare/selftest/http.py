"""HTTP/1.1 for the embedded server: requests in, steps played out on time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import httptools

from tts_compare.selftest.play import Pause, Step, Until

_BURST_STEPS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request: path without its query, header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[HttpRequest], Iterator[Step]]
"""Answers a request with steps; closed early when the client is gone."""


class ServerConnection(asyncio.Protocol):
    """One client's connection: one request at a time, the next when the answer has ended."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._steps: Iterator[Step] | None = None
        self._begun_s = 0.0
        self._timer: asyncio.Handle | None = None
        self._blocked = False
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._waiting: list[HttpRequest] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse; what is not HTTP costs the connection."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._transport is not None:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Stop playing."""
        self._transport = None
        self._stop()

    def pause_writing(self) -> None:
        """Wait until the client reads."""
        self._blocked = True

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked = False
        if self._steps is not None and self._timer is None:
            self._play()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url, self._headers, self._body = b"", {}, []

    def on_url(self, url: bytes) -> None:
        """Keep the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Answer, or keep the request until the answer before it has ended."""
        method = self._parser.get_method().decode("ascii")
        path = self._url.decode("latin-1").partition("?")[0]
        request = HttpRequest(method=method, path=path, headers=self._headers, body=b"".join(self._body))
        self._waiting.append(request)
        if self._steps is None:
            self._next()

    def _next(self) -> None:
        if self._waiting:
            self._begun_s = self._loop.time()
            self._steps = self._handler(self._waiting.pop(0))
            self._play()

    def _play(self) -> None:
        """Play the steps that are due, a burst at most, so that many streams share the loop."""
        self._timer = None
        for _ in range(_BURST_STEPS):
            if self._steps is None or self._blocked or self._transport is None:
                return
            step = next(self._steps, "close")
            if isinstance(step, bytes):
                if step:
                    self._transport.write(step)
            elif isinstance(step, str):
                self._end(step)
                return
            else:
                due = self._begun_s + step.s if isinstance(step, Until) else self._loop.time() + step.s
                # uvloop's clock has milliseconds: a timer set nearer than that fires at once, and would spin.
                if isinstance(step, Pause) or due > self._loop.time() + 0.0005:
                    self._timer = self._loop.call_at(due, self._play)
                    return
        self._timer = self._loop.call_soon(self._play)

    def _end(self, how: str) -> None:
        transport, self._steps = self._transport, None
        if transport is None:
            return
        if how == "reset":
            with contextlib.suppress(OSError):
                sock = transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        elif how == "close" or self._headers.get("connection", "").lower() == "close":
            transport.close()
        else:
            self._next()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._steps is not None and hasattr(self._steps, "close"):
            self._steps.close()
        self._steps = None
