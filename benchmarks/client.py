"""What the client costs, beside its peers and the limit, in one run on one machine.

    python -m benchmarks.client [--seconds 10] [--markdown docs/benchmarks.md] [--peers]

A paced server in its own process sends chunks that carry the instant at which each was written. Every client runs in
its own process, one after the other, each shape in turns, and is charged its process CPU from the first send to the
last row written. ``limit`` is a bare asyncio.Protocol on uvloop with our parser behind it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.client_tools import reports

HERE = Path(__file__).parent
CLIENTS = ("limit", "ours", "aiohttp", "httpx")
STAMPING = ("limit-stamping", "ours-stamping")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A load: so many streams of so many tokens, each paced at ``rate`` chunks a second (0: as fast as it goes)."""

    name: str
    streams: int
    rate: float
    seconds: float = 10.0
    tokens: int | None = None
    plain: bool = False

    @property
    def length(self) -> int:
        """Tokens a stream."""
        return self.tokens or int(self.rate * self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The paced server: where it listens, and which process it is."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds it has used."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/cpu") as answer:  # noqa: S310 - our own server
            return float(json.load(answer)["cpu_s"])


@contextmanager
def paced_server() -> Iterator[Server]:
    """Start the server on a core of its own where there are two."""
    command = [*_pinned(0), sys.executable, str(HERE / "client_server.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        try:
            yield Server(url=f"http://127.0.0.1:{port}/v1", pid=process.pid)
        finally:
            process.kill()


def drive(server: Server, client: str, shape: Shape) -> dict[str, Any]:
    """Run one client against the server; adds the server's own CPU share of the time."""
    before = server.cpu_s()
    command = [*_pinned(1), sys.executable, str(HERE / "client_peers.py"), client, "--url", server.url]
    command += ["--streams", str(shape.streams), "--tokens", str(shape.length), "--rate", str(shape.rate)]
    command += ["--plain"] if shape.plain else []
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "no_proxy": "*"})
    if done.returncode:
        sys.exit(f"{client} failed: {done.stderr.strip().splitlines()[-1:]}")
    seen: dict[str, Any] = json.loads(done.stdout)
    if seen["errors"]:
        sys.exit(f"{client}: {seen['errors']} of {shape.streams} streams failed: no figure stands")
    wall_s = seen["chunks"] / seen["per_s"]
    return {**seen, "server_share": (server.cpu_s() - before) / wall_s}


def measure(server: Server, shape: Shape, clients: tuple[str, ...], rounds: int) -> dict[str, dict[str, Any]]:
    """Drive each client in turns and keep each one's median round by CPU: a busy moment hits all alike."""
    runs: dict[str, list[dict[str, Any]]] = {client: [] for client in clients}
    for _ in range(rounds):
        for client in clients:
            runs[client].append(drive(server, client, shape))
    return {client: sorted(found, key=lambda run: run["cpu_us"])[len(found) // 2] for client, found in runs.items()}


def table(shape: Shape, seen: dict[str, dict[str, Any]]) -> list[str]:
    """One shape as a Markdown table, every cost as a ratio to the limit too."""
    limit = seen["limit"]
    lines = [
        f"**{shape.name}** ({shape.streams} streams of {shape.length} tokens)",
        "",
        "| client | CPU us/chunk | x limit | stamping alone | chunks/s | lag p50 ms | p99 | CPU share | server's |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for client in CLIENTS:
        run, alone = seen[client], seen.get(f"{client}-stamping")
        stamping = f"{alone['cpu_us']:.1f}" if alone else "-"
        lags = f"{run['lag_p50_ms']:.2f} | {run['lag_p99_ms']:.2f}"
        cells = (
            f"{run['cpu_us']:.1f} | {run['cpu_us'] / limit['cpu_us']:.2f} | {stamping} | {run['per_s']:,.0f} | {lags}"
        )
        lines.append(f"| {client} | {cells} | {run['cpu_share']:.0%} | {run['server_share']:.0%} |")
    ours = seen["ours"]["cpu_us"]
    ratios = (f"{seen[peer]['cpu_us'] / ours:.1f} x less than {peer}" for peer in ("httpx", "aiohttp"))
    return [*lines, "", f"Ours: {ours / limit['cpu_us']:.2f} x the limit, {', '.join(ratios)}.", ""]


def memory(server: Server, streams: int) -> list[str]:
    """Memory of 16,000-token streams while they run, and the size of their rows."""
    shape = Shape(name="16K streams", streams=streams, rate=1000.0, tokens=16_000, plain=True)
    lines = [
        f"**Memory**, {streams} streams at once of 16,000 chunks of 300 bytes and 4 characters, 1,000 chunks/s each",
        "",
        "| client | MB a stream while all run | MB per 1,000 streams | x limit | as rows are made | largest row KB |",
        "|---|---|---|---|---|---|",
    ]
    seen = {client: drive(server, client, shape) for client in CLIENTS}
    for client, run in seen.items():
        ratio = run["running_mb"] / seen["limit"]["running_mb"]
        each = f"{run['running_mb']:.2f} | {run['running_mb'] * 1000:,.0f} | {ratio:.2f} | {run['peak_mb']:.2f}"
        lines.append(f"| {client} | {each} | {run['row_kb']:.0f} |")
    return [*lines, ""]


def thousand(server: Server) -> list[str]:
    """1,000 streams at once on one core."""
    shape = Shape(name="1,000 streams", streams=1000, rate=25.0, tokens=1000)
    run = drive(server, "ours", shape)
    said = f"{run['errors']} errors, {run['seen']:,} of {run['chunks']:,} chunks, {run['cpu_share']:.0%} of a core"
    return [f"**1,000 streams of 1,000 tokens at once, one core**: {said}, lag p50 {run['lag_p50_ms']:.2f} ms.", ""]


def machine() -> str:
    """The machine in a line."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
         if line.startswith("model name")),
        platform.processor(),
    )  # fmt: skip
    versions = " ".join(f"{name} {version(name)}" for name in ("uvloop", "httpx", "aiohttp", "httptools", "msgspec"))
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}, load {load:.1f} at the start"
    )


def _pinned(core: int) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core])] if len(cores) > 1 else []


def main() -> None:
    """Measure, print, and write the tables where asked."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--seconds", type=float, default=10.0, help="how long a paced stream goes")
    flags.add_argument("--rounds", type=int, default=3, help="the median round counts")
    flags.add_argument("--only", default="", metavar="TEXT", help="only the shapes whose name holds this")
    flags.add_argument("--memory-streams", type=int, default=8)
    flags.add_argument("--markdown", type=Path, help='put the tables into this file, under "## Client"')
    flags.add_argument(
        "--peers", action="store_true", help="only this: what other benchmarks that are installed report"
    )
    flags.add_argument("--peer", action="append", default=[], metavar="NAME=PROGRAM", help="vllm: a Python that has it")
    flags.add_argument("--tokenizer", type=Path, help="a Hugging Face directory, which the peers want")
    args = flags.parse_args()
    if args.peers:
        lines = reports(dict(peer.split("=", 1) for peer in args.peer), args.tokenizer)
        print("\n".join(lines))
        _write(args.markdown, lines, fresh=False)
        return
    where = machine()
    shapes = tuple(shape for shape in _shapes(args.seconds) if args.only in shape.name)
    lines = [f"Taken on {where}.", ""]
    with paced_server() as server:
        for shape in shapes:
            lines += table(shape, measure(server, shape, (*CLIENTS, *STAMPING), args.rounds))
            print("\n".join(lines), flush=True)
            lines_done, lines = lines, []
            _write(args.markdown, lines_done, fresh=shape is shapes[0])
        if args.only:
            return
        lines = [*memory(server, args.memory_streams), *thousand(server)]
    print("\n".join(lines))
    _write(args.markdown, lines, fresh=False)


def _shapes(seconds: float) -> tuple[Shape, ...]:
    """The loads. In the first every client keeps up: one that falls behind reads several chunks at once, which costs it
    less a chunk and its user the instants."""
    return (
        Shape(name="16 x 100 chunks/s", streams=16, rate=100.0, seconds=seconds),
        Shape(name="64 x 100 chunks/s", streams=64, rate=100.0, seconds=seconds),
        Shape(name="256 x 50 chunks/s", streams=256, rate=50.0, seconds=seconds),
        Shape(name="as fast as it goes", streams=64, rate=0.0, tokens=2000),
    )


def _write(path: Path | None, lines: list[str], *, fresh: bool) -> None:
    if path is None:
        return
    old = path.read_text(encoding="utf-8") if path.exists() else "# Benchmarks\n"
    before, _, section = old.partition("## Client\n")
    own, mark, after = section.partition("\n## ")
    own = "\n" if fresh else own
    path.write_text(f"{before.rstrip()}\n\n## Client\n{own}{chr(10).join(lines)}\n{mark}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
