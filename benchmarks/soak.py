"""A soak: many streams for a long time, every fault at a fixed share; nothing may be lost and nothing may grow.

    python benchmarks/soak.py --minutes 30 --markdown

The replay, the retries, the client and the record log are the program's own. The server is the embedded one, in a
process of its own, which writes down the id of every request it reads: that book, not ours, says what was sent.
Resident memory is that of the client's process, read every second as it is; only twice, after the first reading that
counts and after the last, cycles are collected and free pages given back, to tell what is held from what lies free.
Prints one JSON object, or tables; exit status 1 where a promise of docs/reliability.md is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil
import uvloop

from tts_compare.backends import BACKENDS
from tts_compare.client import TimeLimits, open_client, send
from tts_compare.domain import Call, Endpoint, RequestRecord, RowKey, Sampling
from tts_compare.limits.pacing import Concurrent
from tts_compare.measure.replay import Batches, Replay, Task, replay
from tts_compare.rundir import store
from tts_compare.selftest.faults import parse_shares
from tts_compare.selftest.http import HttpRequest, ServerConnection
from tts_compare.selftest.play import Pace, Step
from tts_compare.selftest.service import Options, Service

#: Every fault that leaves the server alive. Values: the shortest that still meets its limit below.
FAULTS = (
    *(
        "429=0.2",
        "503=0.2",
        "500",
        "no_answer",
        "close",
        "html",
        "garbage",
        "json_body",
        "stall=30",
        "dribble=1",
        "rst",
    ),
    *("cut", "cut_hard", "in_band", "empty", "no_finish", "no_done", "two_responses", "duplicate", "endless"),
    *("bad_json", "bad_utf8", "huge_line=200000", "early_hints", "gzip"),
)
LIMITS = TimeLimits(connect_s=10.0, first_byte_s=4.0, idle_s=4.0, total_s=12.0)
MODEL = "selftest"
MAX_GROWTH = 0.05
TOKENS = 32


@dataclass(slots=True, kw_only=True)
class Memory:
    """Readings of one process. rss_mib: at every second; held_mib: after what was free was given back."""

    first_s: float
    last_s: float
    rss_mib: list[tuple[float, float]] = field(default_factory=list)
    held_mib: list[float] = field(default_factory=list)

    async def watch(self) -> None:
        """Read until cancelled."""
        begun_s = time.monotonic()
        for due_s in (self.first_s, self.last_s, float("inf")):
            while (at_s := time.monotonic() - begun_s) < due_s:
                self.rss_mib.append((at_s, rss_mib()))
                await asyncio.sleep(1.0)
            give_back()
            self.held_mib.append(rss_mib())

    def between(self, begin_s: float, end_s: float) -> list[float]:
        """The readings of a stretch of time."""
        return [mib for at_s, mib in self.rss_mib if begin_s <= at_s < end_s]


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What a soak found.

    rss_*_mib: resident memory as it is: medians of the stretch after the warm-up and of the last one, the highest after
    the warm-up, and the median of each minute. held_*_mib: at the end of the same two, after cycles were collected and
    free pages given back. collected: objects that waited for the collector of cycles, a request.
    """

    seconds: float
    streams: int
    share: float
    faults: int
    requests: int
    rows: int
    lost: int
    torn: int
    kinds: dict[str, int]
    warm_s: float
    rss_first_mib: float
    rss_last_mib: float
    rss_max_mib: float
    rss_by_minute_mib: tuple[float, ...]
    growth: float
    held_first_mib: float
    held_last_mib: float
    held_growth: float
    collected: float
    tasks_left: int
    fds_left: int
    processes_left: int

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept."""
        kept = {
            "rows sent = rows written": self.lost == 0 and self.requests == self.rows > 0,
            "every row whole": self.torn == 0,
            "memory flat": max(self.growth, self.held_growth) < MAX_GROWTH,
            "nothing waits for the collector": self.collected < 1,
            "no task left": self.tasks_left == 0,
            "no file descriptor left": self.fds_left <= 0,
            "no process left": self.processes_left == 0,
        }
        return [promise for promise, is_kept in kept.items() if not is_kept]


def lane(until_s: float, number: int) -> Batches:
    """Calls one after another until the time is over; every prompt is another."""
    calls = 0
    while time.monotonic() < until_s:
        prompt = f"Tell me about the number {number * 1_000_000 + calls}."
        call = Call(max_tokens=TOKENS, sampling=Sampling(), messages=(("user", prompt),), call=calls)
        yield (call,)
        calls += 1


def give_back() -> None:
    """Collect cycles and let glibc return free pages: what stays resident is what is held, and a leak stands out."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def rss_mib() -> float:
    """Resident memory of this process."""
    return psutil.Process().memory_info().rss / 2**20


def collected() -> int:
    """Objects that the collector of cycles has freed since the process began."""
    return sum(generation["collected"] for generation in gc.get_stats())


async def soak(url: str, log: store.RowLog, *, streams: int, seconds: float, memory: Memory) -> int:
    """Keep so many streams open for so long; returns how many tasks are left besides our own."""
    until_s = time.monotonic() + seconds
    backend = BACKENDS["vllm"]

    async with open_client(Endpoint(base_url=url, model=MODEL), limits=LIMITS) as client:

        async def post(call: Call, key: RowKey, *, scheduled_ns: int | None) -> tuple[RequestRecord, ...]:
            path, body = backend.request(call, MODEL)
            return await send(
                client, path=path, body=body, key=key, phase="measured", scheduled_ns=scheduled_ns, limits=LIMITS
            )

        def task(number: int) -> Task:
            key = RowKey(setting="soak", method="truncate", budget=TOKENS, load=f"c{streams}", problem=str(number))
            return Task(key=key, start=lambda: lane(until_s, number))

        watching = asyncio.create_task(memory.watch())
        how = Replay(send=post, emit=log.append)
        await replay([task(number) for number in range(streams)], load=Concurrent(streams), how=how)
        watching.cancel()
    await asyncio.sleep(0.1)
    return len(asyncio.all_tasks() - {asyncio.current_task()})


def run(home: Path, *, streams: int, seconds: float, warm_s: float, share: float) -> Soaked:
    """Start the server, soak, and count."""
    own = psutil.Process()
    book, records = home / "sent.txt", home / "records.jsonl"
    stretch_s = min(10.0, (seconds - warm_s) / 5)
    memory = Memory(first_s=warm_s + stretch_s, last_s=seconds)
    command = [sys.executable, __file__, "--serve", str(book), "--share", str(share)]
    # libuv opens one pipe for signals with a process's first loop and keeps it for its life: it is counted as there.
    uvloop.run(asyncio.sleep(0))
    fds = own.num_fds()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            with store.RowLog(records) as log, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                begun_s, freed = time.monotonic(), collected()
                tasks = runner.run(soak(url, log, streams=streams, seconds=seconds, memory=memory))
                lasted_s = time.monotonic() - begun_s
        finally:
            server.terminate()
    gc.collect()
    freed = collected() - freed
    first = statistics.median(memory.between(warm_s, warm_s + stretch_s))
    last = statistics.median(memory.between(seconds - stretch_s, seconds))
    minutes = [memory.between(60.0 * minute, 60.0 * minute + 60.0) for minute in range(int(-(-seconds // 60)))]
    held_first, held_last, *_ = memory.held_mib
    ids, kinds = set(), Counter[str]()
    for row in store.read_rows(records, RequestRecord):
        ids.add(row.request_id)
        kinds[row.error.kind if row.error else "ok"] += 1
    sent = set(book.read_text(encoding="utf-8").split())
    return Soaked(
        seconds=round(lasted_s, 1),
        streams=streams,
        share=share,
        faults=len(FAULTS),
        requests=len(sent),
        rows=len(ids),
        lost=len(sent ^ ids),
        torn=records.read_bytes().count(b"\n") - kinds.total(),
        kinds=dict(kinds.most_common()),
        warm_s=warm_s,
        rss_first_mib=round(first, 1),
        rss_last_mib=round(last, 1),
        rss_max_mib=round(max(memory.between(warm_s, seconds)), 1),
        rss_by_minute_mib=tuple(round(statistics.median(minute), 1) for minute in minutes if minute),
        growth=round(last / first - 1, 4),
        held_first_mib=round(held_first, 1),
        held_last_mib=round(held_last, 1),
        held_growth=round(held_last / held_first - 1, 4),
        collected=round(freed / max(1, len(sent)), 2),
        tasks_left=tasks,
        fds_left=own.num_fds() - fds,
        processes_left=len(own.children(recursive=True)),
    )


def serve(book: Path, *, share: float) -> None:
    """The embedded server, writing down the id of every completion that is asked of it."""
    faults = parse_shares(",".join(f"{fault}:{share}" for fault in FAULTS))
    service = Service(Options(model=MODEL, pace=Pace(token_rate=10.0), faults=faults))

    async def listen() -> None:
        with book.open("w", encoding="utf-8") as out:

            def answer(request: HttpRequest) -> Iterator[Step]:
                out.write(request.headers.get("x-request-id", "none") + "\n")
                return service.answer(request)

            loop, over = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(signal.SIGTERM, over.set)
            server = await loop.create_server(lambda: ServerConnection(answer), "127.0.0.1", 0, backlog=2048)
            print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
            await over.wait()

    uvloop.run(listen())


def markdown(found: Soaked) -> str:
    """The tables for docs/reliability.md."""
    versions = f"Python {platform.python_version()}, uvloop {version('uvloop')}, {' '.join(platform.libc_ver())}"
    faults = f"{found.faults} faults of {found.share:.0%} each"
    left = f"{found.tasks_left}, {max(0, found.fds_left)}, {found.processes_left}"
    held = f"{found.held_first_mib} | {found.held_last_mib} | {found.held_growth:+.1%}"
    lines = (
        f"{found.seconds / 60:.1f} minutes, {found.streams} streams, {faults}; {versions}.",
        "",
        "| requests sent | rows | lost | torn | tasks, descriptors, processes left | collected objects a request |",
        "|---|---|---|---|---|---|",
        f"| {found.requests:,} | {found.rows:,} | {found.lost} | {found.torn} | {left} | {found.collected:.2f} |",
        "",
        f"| resident memory, MiB | after {found.warm_s:.0f} s | at the end | growth | highest |",
        "|---|---|---|---|---|",
        f"| as it is | {found.rss_first_mib} | {found.rss_last_mib} | {found.growth:+.1%} | {found.rss_max_mib} |",
        f"| cycles collected, free pages given back | {held} | |",
        "",
        "By minute, MiB: " + ", ".join(f"{mib:.0f}" for mib in found.rss_by_minute_mib) + ".",
        "",
        "Rows by how they ended: " + ", ".join(f"{kind} {count:,}" for kind, count in found.kinds.items()) + ".",
    )
    return "\n".join(lines)


def main() -> int:
    """Run the soak."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--minutes", type=float, default=30.0)
    flags.add_argument("--streams", type=int, default=200)
    flags.add_argument("--share", type=float, default=0.02, help="of each fault")
    flags.add_argument("--warm-s", type=float, help="memory counts from here on (60, or a third of a short soak)")
    flags.add_argument("--markdown", action="store_true", help="print tables, not JSON")
    flags.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    told = flags.parse_args()
    if told.serve:
        serve(told.serve, share=told.share)
        return 0
    seconds = told.minutes * 60
    warm_s = min(60.0, seconds / 3) if told.warm_s is None else told.warm_s
    with tempfile.TemporaryDirectory() as home:
        found = run(Path(home), streams=told.streams, seconds=seconds, warm_s=warm_s, share=told.share)
    print(markdown(found) if told.markdown else json.dumps(asdict(found) | {"broken": found.broken}))
    for promise in found.broken:
        print(f"broken: {promise}", file=sys.stderr)
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
