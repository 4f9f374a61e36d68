"""What the sampler costs, and whether the client's stamps feel it: ratios within one run.

    python -m benchmarks.telemetry [--seconds 20] [--rounds 5]

A sampler runs beside a paced server, as it does beside an engine: it reads a scrape of an engine's length (``--lines``)
and the host, and with ``--nvml`` GPUs through a library that stands in for NVIDIA's. Its cost is the processor time of
its process over the time it ran. The stamp error is the lag between the instant that the server wrote into a chunk and
the client's stamp of it. It is taken with and without the sampler in turns, both on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.client import Server, Shape, drive, paced_server
from tts_compare.machine.telemetry import Asked, Sampler, start_sampler

NAMES = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv_cache_share": "vllm:kv_cache_usage_perc",
    "preemptions": "vllm:num_preemptions_total",
}
SHAPE = Shape(name="8 x 50 chunks/s", streams=8, rate=50)
_START_UP_S = 3.0


@contextmanager
def scraped(lines: int) -> Iterator[str]:
    """A server whose ``/metrics`` has as many lines as an engine's; its URL."""
    histogram = [f'vllm:time_to_first_token_seconds_bucket{{engine="0",le="{at}"}} {at}.0' for at in range(lines)]
    gauges = [f'{name}{{engine="0",model_name="m"}} 0.5' for name in NAMES.values()]
    text = "\n".join([*histogram, *gauges, ""]).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *words: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()


def sampler(directory: Path, url: str, pid: int, *, gpus: bool) -> Sampler:
    """A sampler of a process, once a second, that has taken its first sample."""
    path = directory / "telemetry.jsonl"
    path.unlink(missing_ok=True)
    asked = Asked(path=str(path), setting="s", pid=pid, gpus=gpus, metrics_url=url, names=NAMES)
    started = start_sampler(asked)
    until = time.monotonic() + _START_UP_S * 4
    while not path.exists() or not path.stat().st_size:
        if time.monotonic() > until:
            raise SystemExit("the sampler took no sample")
        time.sleep(0.05)
    return started


def cost(directory: Path, url: str, server: Server, seconds: float, *, gpus: bool) -> tuple[float, float]:
    """The sampler's share of a core once it runs, and the CPU seconds of its start."""
    running = sampler(directory, url, server.pid, gpus=gpus)
    process = psutil.Process(running.process.pid)
    before, begun = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    used, wall = sum(process.cpu_times()[:2]) - before, time.monotonic() - begun
    asyncio.run(running.stop())
    return used / wall, before


def stamp_errors(directory: Path, url: str, server: Server, rounds: int, seconds: float) -> dict[str, list[float]]:
    """The client's p99 lag, ms, without and with a sampler, in turns."""
    shape = Shape(name=SHAPE.name, streams=SHAPE.streams, rate=SHAPE.rate, seconds=seconds)
    found: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(rounds):
        for which in ("without", "with") if number % 2 == 0 else ("with", "without"):
            running = sampler(directory, url, server.pid, gpus=False) if which == "with" else None
            found[which].append(drive(server, "ours", shape)["lag_p99_ms"])
            if running is not None:
                asyncio.run(running.stop())
    return found


def main() -> None:
    """Print both figures."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--seconds", type=float, default=20.0)
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--lines", type=int, default=600)
    flags.add_argument(
        "--nvml", action="store_true", help="look at GPUs too; LD_LIBRARY_PATH says where the library is"
    )
    told = flags.parse_args()
    with tempfile.TemporaryDirectory() as name, scraped(told.lines) as url, paced_server() as server:
        directory = Path(name)
        share, start_s = cost(directory, url, server, told.seconds, gpus=told.nvml)
        lags = stamp_errors(directory, url, server, told.rounds, told.seconds / 4)
    without, beside = (median(lags[which]) for which in ("without", "with"))
    print(f"sampler: {share:.2%} of a core, {start_s:.2f} s of CPU to start")
    print(f"p99 stamp error: {without:.2f} ms without, {beside:.2f} ms with it, ratio {beside / without:.2f}")
    print(json.dumps(lags))


if __name__ == "__main__":
    main()
