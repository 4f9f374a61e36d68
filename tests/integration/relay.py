"""A relay between the program and a server: TLS on its near side, or the forward proxy of a company network."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

#: A name that no resolver knows: what asks for it without the proxy gets nowhere.
BEHIND = "model.example"


class Relay:
    """Bytes to and from ``upstream``; an absolute ``http://model.example/...`` of a request line becomes its path."""

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self._to = urlsplit(upstream)
        self._tls = tls

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._pass, "127.0.0.1", 0, ssl=self._tls)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        await asyncio.gather(self._pump(reader, far_writer, ahead=True), self._pump(far_reader, writer))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, ahead: bool = False) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                if ahead:
                    self.heads.append(data.split(b"\r\n")[0])
                sink.write(data.replace(f" http://{BEHIND}/".encode(), b" /", 1) if ahead else data)
                await sink.drain()
        sink.close()


class Buffering(Relay):
    """A proxy that holds chunked answers back: until so many bytes have gathered, or to their end where that is 0."""

    def __init__(self, upstream: str, hold_bytes: int = 0) -> None:
        super().__init__(upstream)
        self._hold_bytes = hold_bytes

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, ahead: bool = False) -> None:
        if ahead:
            await super()._pump(source, sink, ahead=True)
            return
        held = b""
        with suppress(OSError):
            while data := await source.read(1 << 16):
                held += data
                is_end = held.endswith(b"0\r\n\r\n") or b"content-length:" in held[:2000].lower()
                if is_end or 0 < self._hold_bytes <= len(held):
                    sink.write(held)
                    held = b""
                    await sink.drain()
            sink.write(held)
        sink.close()


@contextmanager
def relay(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[tuple[Relay, str]]:
    """A relay for as long as the block runs, and its address, ``http://127.0.0.1:PORT`` or ``https://...``."""
    with _served(Relay(upstream, tls), "https" if tls else "http") as served:
        yield served


@contextmanager
def buffering(upstream: str, hold_bytes: int = 0) -> Iterator[str]:
    """A buffering proxy for as long as the block runs, and its address."""
    with _served(Buffering(upstream, hold_bytes), "http") as (_, url):
        yield url


@contextmanager
def _served(between: Relay, scheme: str) -> Iterator[tuple[Relay, str]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="relay", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(between.serve(), loop).result()
    try:
        yield between, f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
