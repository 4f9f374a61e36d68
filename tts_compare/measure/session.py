"""A running server of one setting, and what sends requests to it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from tts_compare import client as timed
from tts_compare.backends import Backend
from tts_compare.domain import Call, Phase, RequestRecord, RowKey, Setting
from tts_compare.domain.events import AnswerBegun, RequestEnded, RequestSent
from tts_compare.errors import LostError
from tts_compare.launchers import Server
from tts_compare.limits.admission import RateLimiter
from tts_compare.machine.telemetry import Sampler
from tts_compare.measure.replay import ServerGoneError
from tts_compare.measure.writer import RunWriter

if TYPE_CHECKING:
    import httpx

DEATH_GRACE_S = 3.0
_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSession:
    """A running server of one setting, and a client bound to it.

    post: sends one attempt, here or in a worker process. sampler: takes samples of the server's machine, None where
    there is none. client: for what is not timed. round: whose share of the problems it is asked.
    """

    setting: Setting
    server: Server
    client: httpx.AsyncClient
    post: Callable[..., Awaitable[tuple[RequestRecord, ...]]]
    backend: Backend
    limiter: RateLimiter
    workers: timed.Workers | None = None
    sampler: Sampler | None = None
    round: int = 0

    async def died(self) -> str | None:
        """Why the server is gone: an engine that failed a request takes a moment to end.

        Raises LostError where a cluster took it away.
        """
        waited_s = 0.0
        while (cause := self._gone()) is None and waited_s < DEATH_GRACE_S and self.server.pid is not None:
            await asyncio.sleep(0.1)
            waited_s += 0.1
        return cause

    def gone_by(self, by_ns: int) -> str | None:
        """Why the server was gone by an instant, though it answered."""
        return self.server.died(by_ns=by_ns)

    def _gone(self) -> str | None:
        lost = self.server.lost()
        if lost is not None:
            raise LostError(lost)
        return self.server.died()

    def require_alive(self) -> None:
        """Raises ServerGoneError where the server ended before anything that is measured was sent to it.

        LostError where a cluster took it away.
        """
        cause = self._gone()
        if cause is not None:
            raise ServerGoneError(cause)

    def sender(self, phase: Phase, writer: RunWriter) -> Callable[..., Awaitable[tuple[RequestRecord, ...]]]:
        """Sends a call of this phase; what is cut off by an interruption is written too."""

        def of_here(rows: tuple[RequestRecord, ...]) -> tuple[RequestRecord, ...]:
            return tuple(replace(row, round=self.round, session=writer.session) for row in rows)

        async def send(call: Call, key: RowKey, *, scheduled_ns: int | None) -> tuple[RequestRecord, ...]:
            path, body = self.backend.request(call, self.server.endpoint.model)
            told: dict[str, Any] = {"setting": self.setting.id, "request": next(_NUMBERS)}
            writer.tell(RequestSent(**told, at_s=monotonic(), followed=self.workers is None))
            try:
                rows = await self.post(
                    path=path,
                    body=body,
                    key=key,
                    phase=phase,
                    scheduled_ns=scheduled_ns,
                    on_cancel=lambda rows: writer.append(of_here(rows)),
                    on_answer=lambda: writer.tell(AnswerBegun(**told, at_s=monotonic())),
                )
            finally:
                writer.tell(RequestEnded(**told, at_s=monotonic()))
            return of_here(rows)

        return send

    def root(self, path: str) -> str:
        """A URL of the server above ``/v1``."""
        return self.server.endpoint.base_url.removesuffix("/v1") + path
