"""The clients compared, each in a process of its own: ``python benchmarks/client_peers.py NAME --url ... --streams N``.

Every client sends the same requests, and for every request writes one row of JSON with its text and its timeline; it is
charged its process CPU from the first send to the last row written. Prints one JSON line of figures.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic_ns
from typing import IO, Any, cast
from urllib.parse import urlsplit

import aiohttp
import httptools
import httpx
import msgspec
import uvloop

from tts_compare.client import open_client, send
from tts_compare.client.limits import Stamps
from tts_compare.client.outcome import Attempt, rows
from tts_compare.client.reducer import Reducer
from tts_compare.domain import Endpoint, RequestRecord, RowKey

KEY = RowKey(setting="bench", method="m", budget=0, load="c1", problem="p")
Row = tuple[int, list[int], list[str]]
"""One stream as a peer sees it: when it was sent, the instants of its chunks (ns), and their texts."""


PLAIN = False
"""True: texts of four characters, for memory; the instants are where no client keeps them, and no lags are known."""


def body(tokens: int, rate: float) -> dict[str, Any]:
    """The request every client sends."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    asked = {
        "model": "bench",
        "messages": [{"role": "user", "content": "go"}],
        "max_tokens": tokens + 1,
        "stream": True,
    }
    return {**asked, "max_tokens": tokens, "stream_options": options, "temperature": 0, "rate": rate, "plain": PLAIN}


class Tally:
    """What a client's rows say: chunks, lags behind the server, rows written."""

    def __init__(self, out: IO[bytes]) -> None:
        self.chunks = 0
        self.errors = 0
        self.row_bytes = 0
        self.begun = False
        """True once the first row is written: not all streams run any longer."""
        self._out = out
        self._seen: list[Any] = []

    def ours(self, record: RequestRecord) -> None:
        """Write a row of our own client."""
        self.begun = True
        line = msgspec.json.encode(record) + b"\n"
        self._out.write(line)
        self.row_bytes = max(self.row_bytes, len(line))
        self.chunks += len(record.timeline.us)
        self.errors += not record.ok
        self._seen.append((record.sent_ns, record.timeline.us, record.text))

    def peers(self, row: Row) -> None:
        """Write a row as a client of another make would."""
        self.begun = True
        sent, at, texts = row
        us = [(b - a) // 1000 for a, b in zip([sent, *at], at, strict=False)]
        line = json.dumps({"sent_ns": sent, "us": us, "tokens": [1] * len(us), "text": "".join(texts)}).encode() + b"\n"
        self._out.write(line)
        self.row_bytes = max(self.row_bytes, len(line))
        self.chunks += len(us)
        self._seen.append((sent, us, "".join(texts)))

    def lags_ms(self) -> list[float]:
        """Arrival minus the instant in the chunk's text, of every chunk, sorted."""
        lags: list[float] = []
        if PLAIN:
            return lags
        for sent, us, text in self._seen:
            at = sent
            for i, delta in enumerate(us):
                at += delta * 1000
                lags.append((at - int(text[20 * i : 20 * i + 20])) / 1e6)
        return sorted(lags)


Drive = Callable[[str, int, int, float, Tally], Awaitable[None]]


async def drive_ours(url: str, streams: int, tokens: int, rate: float, tally: Tally) -> None:
    """Our client, rows and all."""
    async with open_client(Endpoint(base_url=url, model="bench")) as client:

        async def one() -> None:
            made = await send(client, path="/chat/completions", body=body(tokens, rate), key=KEY, phase="measured")
            tally.ours(made[0])

        await asyncio.gather(*(one() for _ in range(streams)))


async def drive_ours_stamping(url: str, streams: int, tokens: int, rate: float, tally: Tally) -> None:
    """Our transport alone: stamped and framed, nothing parsed, nothing written."""
    async with open_client(Endpoint(base_url=url, model="bench")) as client:

        async def one() -> None:
            request = client.build_request("POST", "/chat/completions", json=body(tokens, rate))
            response = await client.send(request, stream=True)
            async for batch in response.extensions["exchange"].batches(256 * 1024):
                tally.chunks += len(batch)
            await response.aclose()

        await asyncio.gather(*(one() for _ in range(streams)))


async def drive_httpx(url: str, streams: int, tokens: int, rate: float, tally: Tally) -> None:
    """httpx as it comes: ``aiter_lines`` and json."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client:  # noqa: S113 - paced server

        async def one() -> None:
            at, texts = [], []
            sent = monotonic_ns()
            async with client.stream("POST", "/chat/completions", json=body(tokens, rate)) as response:
                async for line in response.aiter_lines():
                    now = monotonic_ns()
                    if line.startswith("data: ") and line != "data: [DONE]":
                        chunk = json.loads(line[6:])
                        if chunk["choices"]:
                            at.append(now)
                            texts.append(chunk["choices"][0]["delta"]["content"])
            tally.peers((sent, at, texts))

        await asyncio.gather(*(one() for _ in range(streams)))


async def drive_aiohttp(url: str, streams: int, tokens: int, rate: float, tally: Tally) -> None:
    """aiohttp, its content read line by line, and json."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def one() -> None:
            at, texts = [], []
            sent = monotonic_ns()
            async with session.post(f"{url}/chat/completions", json=body(tokens, rate)) as response:
                async for line in response.content:
                    now = monotonic_ns()
                    if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                        chunk = json.loads(line[6:])
                        if chunk["choices"]:
                            at.append(now)
                            texts.append(chunk["choices"][0]["delta"]["content"])
            tally.peers((sent, at, texts))

        await asyncio.gather(*(one() for _ in range(streams)))


class Bare(asyncio.Protocol):
    """The limit: a protocol that stamps and keeps, and knows the end of this one server's answers."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.reads: list[tuple[int, bytes]] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.sent_ns = monotonic_ns()
        self._transport.write(self._data)

    def data_received(self, data: bytes) -> None:
        self.reads.append((monotonic_ns(), data))
        if data.endswith(b"0\r\n\r\n"):
            self.done.set_result(None)
            self._transport.close()


class _Pieces:
    def __init__(self) -> None:
        self.now = 0
        self.body: list[tuple[int, bytes]] = []

    def on_body(self, data: bytes) -> None:
        self.body.append((self.now, data))


def bare_rows(bare: Bare, tokens: int) -> tuple[RequestRecord, ...]:
    """Put a bare protocol's reads through the same parser as ours."""
    pieces = _Pieces()
    parser = httptools.HttpResponseParser(pieces)
    for pieces.now, data in bare.reads:
        parser.feed_data(data)
    reducer = Reducer(status=200, max_tokens=tokens)
    reducer.put(pieces.body)
    reducer.drain()
    attempt = Attempt(
        key=KEY, phase="measured", request_id="", scheduled_ns=None, choices=1, stream=True, max_tokens=tokens
    )
    stamps = Stamps(sent_ns=bare.sent_ns, first_byte_ns=bare.reads[0][0], end_ns=bare.reads[-1][0], on_arrival=True)
    return rows(attempt, stamps, reducer, headers={}, status=200, broken=None)


async def drive_bare(url: str, streams: int, tokens: int, rate: float, tally: Tally, *, parse: bool = True) -> None:
    """The bare protocol, with our parser behind it or with nothing."""
    where = urlsplit(url)
    data = json.dumps(body(tokens, rate)).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data)

    async def one() -> None:
        loop = asyncio.get_running_loop()
        _, bare = await loop.create_connection(lambda: Bare(head + data), str(where.hostname), int(where.port or 80))
        await bare.done
        if parse:
            tally.ours(bare_rows(bare, tokens)[0])
        else:
            tally.chunks += len(bare.reads)

    await asyncio.gather(*(one() for _ in range(streams)))


async def drive_bare_stamping(url: str, streams: int, tokens: int, rate: float, tally: Tally) -> None:
    """The bare protocol and nothing behind it."""
    await drive_bare(url, streams, tokens, rate, tally, parse=False)


CLIENTS: dict[str, tuple[Drive, Callable[..., Any]]] = {
    "limit": (drive_bare, uvloop.run),
    "limit-stamping": (drive_bare_stamping, uvloop.run),
    "ours": (drive_ours, uvloop.run),
    "ours-stamping": (drive_ours_stamping, uvloop.run),
    "aiohttp": (drive_aiohttp, uvloop.run),
    "httpx": (drive_httpx, asyncio.run),
}
"""Each client with the loop it is usually run on; aiohttp is given the faster one, httpx is taken as it comes."""


def main() -> None:
    """Drive one client and print its figures."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("client", choices=tuple(CLIENTS))
    flags.add_argument("--url", required=True)
    flags.add_argument("--streams", type=int, required=True)
    flags.add_argument("--tokens", type=int, required=True)
    flags.add_argument("--rate", type=float, default=0.0)
    flags.add_argument("--plain", action="store_true", help="texts of four characters")
    args = flags.parse_args()
    global PLAIN  # noqa: PLW0603 - a program's one flag
    PLAIN = args.plain
    drive, run = CLIENTS[args.client]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "rows.jsonl").open("wb") as out:
        tally = Tally(out)
        run(drive(args.url, 2, 50, 0.0, Tally(out)))  # imports, first connections
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
        before_kb = running_kb = _rss_kb()
        sampler = threading.Thread(target=_sample_until, args=(tally, samples := [running_kb]), daemon=True)
        if args.plain:
            sampler.start()
        cpu_s, begun_s = time.process_time(), time.monotonic()
        run(drive(args.url, args.streams, args.tokens, args.rate, tally))
        cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - begun_s
    tally.begun = True
    peak_kb, running_kb = _peak_kb(), max(samples)
    lags = tally.lags_ms()
    print(
        json.dumps(
            {
                "client": args.client,
                "chunks": args.streams * args.tokens,
                "seen": tally.chunks,
                "errors": tally.errors,
                "cpu_us": cpu_s * 1e6 / (args.streams * args.tokens),
                "cpu_share": cpu_s / wall_s,
                "per_s": args.streams * args.tokens / wall_s,
                "lag_p50_ms": lags[len(lags) // 2] if lags else None,
                "lag_p99_ms": lags[len(lags) * 99 // 100] if lags else None,
                "row_kb": tally.row_bytes / 1000,
                "running_mb": (running_kb - before_kb) / 1000 / args.streams,
                "peak_mb": (peak_kb - before_kb) / 1000 / args.streams,
            }
        )
    )


def _sample_until(tally: Tally, samples: list[int]) -> None:
    """Sample the memory while every stream still runs."""
    while not tally.begun:
        samples.append(_rss_kb())
        time.sleep(0.05)


def _peak_kb() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _rss_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024


if __name__ == "__main__":
    main()
