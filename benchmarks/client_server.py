"""The server of the client benchmark: streams whose chunks carry the instant at which each was written.

Every chunk is rendered beforehand but for 20 digits of ``time.monotonic_ns()`` in its text; a chunk is about 300
bytes with its framing. Prints its port as a JSON line; ``GET /cpu`` returns its CPU seconds so far, so that a reader
sees how much of the machine the server itself took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from time import monotonic_ns
from typing import cast

import httptools
import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
_BURST = 16


class Chunks:
    """Pre-rendered chunks: what comes before the instant, and what comes after it for each token."""

    def __init__(self, tokens: int, *, plain: bool) -> None:
        self.tokens = tokens
        about = '"object":"chat.completion.chunk","created":1700000000,"model":"bench",'
        choice = '"choices":[{"index":0,"delta":{"content":"'
        if plain:  # a text of four characters, as a token has; the instant is where no client keeps it
            before, between = 'data: {"id":"chatcmpl-', f'",{about}{choice}abcd'
        else:
            before, between = f'data: {{"id":"chatcmpl-0123456789abcdef",{about}{choice}', ""
        afters = []
        for i in range(1, tokens + 1):
            finish = '"stop"' if i == tokens else "null"
            usage = f'{{"prompt_tokens":10,"total_tokens":{i + 10:>6},"completion_tokens":{i:>6}}}'
            end = f'"}},"logprobs":null,"finish_reason":{finish:>6}}}],"usage":{usage}}}\n\n'
            afters.append((between + end).encode())
        size = len(before) + 20 + len(afters[0])
        self.before = b"%x\r\n%s" % (size, before.encode())
        self.afters = [after + b"\r\n" for after in afters]
        usage = f'{{"prompt_tokens":10,"total_tokens":{tokens + 10},"completion_tokens":{tokens}}}'
        last = f'data: {{"id":"chatcmpl-0",{about}"choices":[],"usage":{usage}}}\n\ndata: [DONE]\n\n'.encode()
        self.last = b"%x\r\n%s\r\n0\r\n\r\n" % (len(last), last)


class Stream(asyncio.Protocol):
    """One connection; ``POST /v1/chat/completions`` is answered by a stream, paced on an absolute schedule."""

    rendered: dict[tuple[int, bool], Chunks] = {}  # noqa: RUF012 - shared on purpose: rendered once for all streams

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._body = b""
        self._blocked = False
        self._next = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._next = -1

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        if self._next >= 0 and not self._rate:
            self._loop.call_soon(self._burst)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        if self._url == b"/cpu":
            body = json.dumps({"cpu_s": time.process_time()}).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            return
        asked = json.loads(self._body)
        tokens, self._rate = asked["max_tokens"], asked.get("rate", 0)
        self._chunks = self._rendered(tokens, plain=bool(asked.get("plain")))
        self._transport.write(_HEAD)
        self._next = 0
        # Streams of one load do not tick together: an engine's do, but its writes are spread by its own loop.
        self._begun_s = self._loop.time() + (hash(self._transport.get_extra_info("peername")) % 1000) / 1e5
        (self._tick if self._rate else self._burst)()

    def _rendered(self, tokens: int, *, plain: bool) -> Chunks:
        if (tokens, plain) not in self.rendered:
            self.rendered[tokens, plain] = Chunks(tokens, plain=plain)
        return self.rendered[tokens, plain]

    def _tick(self) -> None:
        chunks = self._chunks
        while 0 <= self._next < chunks.tokens:
            due = self._begun_s + self._next / self._rate
            if due > self._loop.time() + 0.0005:  # the loop's clock has milliseconds: nearer than that it would spin
                self._loop.call_at(due, self._tick)
                return
            self._write(self._next)
            self._next += 1
        self._finish()

    def _burst(self) -> None:
        chunks = self._chunks
        for _ in range(_BURST):
            if self._blocked or self._next < 0:
                return
            if self._next == chunks.tokens:
                self._finish()
                return
            self._write(self._next)
            self._next += 1
        self._loop.call_soon(self._burst)

    def _write(self, i: int) -> None:
        self._transport.write(b"%s%020d%s" % (self._chunks.before, monotonic_ns(), self._chunks.afters[i]))

    def _finish(self) -> None:
        if self._next >= 0:
            self._transport.write(self._chunks.last)
        self._next = -1


async def serve(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Stream, "127.0.0.1", port, backlog=4096)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    uvloop.run(serve(arguments.parse_args().port))
