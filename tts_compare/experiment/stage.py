"""A running server of one setting, and what sends requests to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tts_compare import client as timed
from tts_compare.admission import Gate
from tts_compare.backends import Backend
from tts_compare.backends.controls import bounded
from tts_compare.backends.extra import with_extra
from tts_compare.domain import Call, Phase, RequestRecord, RowKey, Setting
from tts_compare.experiment.journal import Journal
from tts_compare.launchers import Server
from tts_compare.replay import ServerGoneError

if TYPE_CHECKING:
    import httpx

DEATH_GRACE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running server of one setting, and a client bound to it.

    post: sends one attempt, here or in a worker process. client: for what is not timed. round: whose share of the
    problems it is asked.
    """

    setting: Setting
    server: Server
    client: httpx.AsyncClient
    post: Callable[..., Awaitable[tuple[RequestRecord, ...]]]
    backend: Backend
    gate: Gate
    workers: timed.Workers | None = None
    round: int = 0

    async def died(self) -> str | None:
        """Why the server is gone: an engine that failed a request takes a moment to end."""
        waited_s = 0.0
        while (cause := self.server.died()) is None and waited_s < DEATH_GRACE_S and self.server.pid is not None:
            await asyncio.sleep(0.1)
            waited_s += 0.1
        return cause

    def require_alive(self) -> None:
        """Raises ServerGoneError where the server ended before anything that is measured was sent to it."""
        cause = self.server.died()
        if cause is not None:
            raise ServerGoneError(cause)

    def sender(self, phase: Phase, journal: Journal) -> Callable[..., Awaitable[tuple[RequestRecord, ...]]]:
        """Sends a call of this phase; what is cut off by an interruption is journalled too."""

        def of_here(rows: tuple[RequestRecord, ...]) -> tuple[RequestRecord, ...]:
            return tuple(replace(row, round=self.round, session=journal.session) for row in rows)

        async def send(call: Call, key: RowKey, *, scheduled_ns: int | None) -> tuple[RequestRecord, ...]:
            path, body = self.request(call)
            thinking = call.thinking and bounded(call.thinking, self.setting, self.backend.controls)
            rows = await self.post(
                path=path,
                body=body,
                key=key,
                phase=phase,
                scheduled_ns=scheduled_ns,
                thinking=thinking,
                on_cancel=lambda rows: journal.append(of_here(rows)),
            )
            return of_here(rows)

        return send

    def request(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Path and body of a call: what the engine is told, what controls thinking, and what the user added."""
        path, body = self.backend.request(call, self.server.endpoint.model)
        if call.thinking is not None and self.backend.controls is not None:
            body = {**body, **self.backend.controls.fields(call.thinking, self.setting)}
        return path, with_extra(body, self.setting.extra_body, call.extra_body)

    def root(self, path: str) -> str:
        """A URL of the server above ``/v1``."""
        return self.server.endpoint.base_url.removesuffix("/v1") + path
