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


@contextmanager
def relay(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[tuple[Relay, str]]:
    """A relay for as long as the block runs, and its address, ``http://127.0.0.1:PORT`` or ``https://...``."""
    between = Relay(upstream, tls)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="relay", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(between.serve(), loop).result()
    try:
        yield between, f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
