"""Plays the cases against embedded servers and says what came of each."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tts_compare.client import open_client, send
from tts_compare.domain import Endpoint, RequestRecord, RowKey
from tts_compare.selftest.cases import CASES, PLANTED, SERVERS, Case, Seen
from tts_compare.selftest.embedded import embedded_server

if TYPE_CHECKING:
    import httpx

MODEL = "selftest"
_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case: what was true, what was measured, and whether they agree."""

    case: str
    truth: str
    measured: str
    passed: bool


async def run_cases(
    cases: Sequence[Case] = CASES, *, transport: Literal["own", "httpx"] = "own"
) -> tuple[CaseResult, ...]:
    """Play every case, a few at once; takes a few seconds and needs nothing but this machine. Raises: RunError."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        planted = Path(folder) / "replies.jsonl"
        planted.write_text("".join(json.dumps(plant) + "\n" for plant in PLANTED), encoding="utf-8")
        names = sorted({case.server for case in cases})
        flags = [("--model", MODEL, "--replies", str(planted), *SERVERS[name]) for name in names]
        urls = await asyncio.gather(*(stack.enter_async_context(embedded_server(f)) for f in flags))
        clients: dict[str, httpx.AsyncClient] = {}
        for name, url in zip(names, urls, strict=True):
            endpoint = Endpoint(base_url=url, model=MODEL)
            clients[name] = await stack.enter_async_context(open_client(endpoint, transport=transport))
        room = asyncio.Semaphore(_AT_ONCE)

        async def play(number: int, case: Case) -> CaseResult:
            async with room:
                return await _play(number, case, clients[case.server])

        return tuple(await asyncio.gather(*(play(i, case) for i, case in enumerate(cases))))


async def _play(number: int, case: Case, client: httpx.AsyncClient) -> CaseResult:
    """Play one case: its attempts, then what the server noted, then the verdict."""
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"{case.prompt} {number}"}],
        "max_tokens": 400,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        **case.body,
    }
    rows: list[RequestRecord] = []
    for attempt in range(case.attempts):
        key = RowKey(setting="selftest", method="m", budget=0, load="c1", problem=case.name, attempt=attempt)
        path = "/chat/completions"
        rows += await send(client, path=path, body=body, key=key, phase="measured", limits=case.limits)
    noted = (await client.get(f"/../selftest/truth/{rows[-1].request_id}")).json()
    seen = Seen(
        rows=tuple(rows),
        sent_ns=tuple(noted.get("sent_ns", ())),
        tokens=tuple(noted.get("tokens", ())),
        first_answer_ns=noted.get("first_answer_ns"),
    )
    truth, measured, passed = case.check(seen)
    return CaseResult(case=case.name, truth=truth, measured=measured, passed=passed)
