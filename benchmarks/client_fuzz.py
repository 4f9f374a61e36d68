"""Coverage-guided fuzzing of the client's parsers: ``python benchmarks/client_fuzz.py -max_total_time=60``.

Needs atheris (the ``fuzz`` dependency group). The input is an answer as it comes over the wire, its first bytes say how
it is cut into reads. Whatever it is, no exception escapes, and it ends in one row a choice.
"""

from __future__ import annotations

import asyncio
import sys

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

with atheris.instrument_imports(include=["tts_compare.client"]):
    from tts_compare.client.limits import Stamps, TimeLimits
    from tts_compare.client.outcome import Attempt, rows
    from tts_compare.client.reducer import Reducer
    from tts_compare.client.wire import Exchange
    from tts_compare.domain import RequestError, RowKey

KEY = RowKey(setting="s", method="m", budget=0, load="c1", problem="p")
runner = asyncio.Runner()


async def play(data: bytes, size: int, choices: int, stream: bool) -> None:  # noqa: FBT001 - fuzzed
    """One answer through framing, parsing and judging."""
    stamps = Stamps(sent_ns=0, on_arrival=True)
    exchange = Exchange(limits=TimeLimits(), stamps=stamps, released=lambda _: None, bodiless=False)
    for i in range(0, len(data), size):
        exchange.reads.append((i, data[i : i + size]))
        exchange.frame()
    exchange.lost(None)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in exchange.headers}
    reducer = Reducer(status=exchange.status, encoding=headers.get("content-encoding", ""), max_tokens=100)
    reducer.put(exchange.take())
    reducer.drain()
    attempt = Attempt(
        key=KEY,
        phase="measured",
        request_id="r",
        scheduled_ns=None,
        choices=choices,
        stream=stream,
        max_tokens=100,
        secrets=("a-secret",),
    )
    broken = RequestError(kind="truncated_stream", message=exchange.failure[1]) if exchange.failure else None
    made = rows(attempt, stamps, reducer, headers=headers, status=exchange.status or None, broken=broken)
    if len(made) != choices or any(row.ok != (row.error is None) for row in made):
        raise AssertionError(made)
    if any(sum(row.timeline.chars) != len(row.full_text) for row in made):
        raise AssertionError(made)


def one_input(data: bytes) -> None:
    """The fuzzer's entry."""
    if len(data) > 2:
        head = b"HTTP/1.1 200 OK\r\n\r\n" if data[1] & 1 else b""
        runner.run(play(head + data[2:], 1 + data[0], 1 + (data[1] >> 1 & 1), bool(data[1] & 4)))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
