"""The same client in several processes, for loads past one core.

Each worker (worker.py) is a fresh interpreter that runs ``send`` on its own loop; jobs go to it over a pipe (the key
too: never in argv) and rows come back over another as they end. Instants are comparable, because the monotonic clock
is the machine's. A worker ends when its pipe closes, so none outlives its parent; the requests of a worker that dies
become rows with an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from tts_compare import children
from tts_compare.client.audit import LoopFigures
from tts_compare.client.limits import Stamps, TimeLimits
from tts_compare.client.messages import AskFigures, Cancel, Figures, Hello, Job, Rows, framed, receive, to_parent
from tts_compare.client.outcome import rows as rows_of
from tts_compare.client.send import attempt_of
from tts_compare.domain import Endpoint, Phase, RequestError, RowKey
from tts_compare.errors import RunError

_CANCEL_GRACE_S = 2.0
_START_S = 60.0


class Workers:
    """``n`` client processes bound to one endpoint; an async context manager.

    Raises on entry: RunError when a worker does not start.
    """

    def __init__(
        self,
        n: int,
        endpoint: Endpoint,
        limits: TimeLimits | None = None,
        *,
        transport: Literal["own", "httpx"] = "own",
        insecure: bool = False,
    ) -> None:
        self._hello = Hello(endpoint=endpoint, limits=limits or TimeLimits(), transport=transport, insecure=insecure)
        self._workers = [_Worker() for _ in range(n)]
        self._ids = 0

    async def __aenter__(self) -> Self:
        """Start the workers."""
        try:
            await asyncio.gather(*(worker.start(self._hello) for worker in self._workers))
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them."""
        await self._close()

    async def send(
        self,
        *,
        path: str,
        body: Mapping[str, Any],
        key: RowKey,
        phase: Phase,
        scheduled_ns: int | None = None,
        limits: TimeLimits | None = None,
        on_cancel: Callable[[Rows], None] | None = None,
        on_answer: Callable[[], None] | None = None,  # noqa: ARG002 - a worker does not tell that an answer has begun
    ) -> Rows:
        """Do what ``client.send`` does, in the worker with the least to do."""

        def lost(message: str) -> Rows:
            attempt = attempt_of(body, key=key, phase=phase, scheduled_ns=scheduled_ns)
            broken = RequestError(kind="cancelled", message=message)
            return rows_of(attempt, Stamps(), None, headers={}, status=None, broken=broken)

        alive = [worker for worker in self._workers if worker.alive]
        if not alive:
            return lost("every worker process of the client has died")
        worker = min(alive, key=lambda one: len(one.pending))
        self._ids += 1
        job = Job(
            id=self._ids, path=path, body=dict(body), key=key, phase=phase, scheduled_ns=scheduled_ns, limits=limits
        )
        ended = worker.submit(job)
        try:
            rows = await asyncio.shield(ended)
        except asyncio.CancelledError:
            worker.post(Cancel(job.id))
            rows = None
            with contextlib.suppress(TimeoutError):
                rows = await asyncio.wait_for(ended, _CANCEL_GRACE_S)
            if on_cancel is not None:
                on_cancel(rows or lost("cancelled while under way"))
            raise
        return rows or lost(worker.epitaph())

    async def figures(self) -> tuple[LoopFigures, ...]:
        """How the workers' loops fared since the last call, for ``Probe.audit(others=...)``."""
        return tuple(await asyncio.gather(*(worker.figures() for worker in self._workers if worker.alive)))

    async def _close(self) -> None:
        await asyncio.gather(*(worker.close() for worker in self._workers))


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self) -> None:
        self.pending: dict[int, asyncio.Future[Rows | None]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._asked: asyncio.Future[LoopFigures] | None = None

    @property
    def alive(self) -> bool:
        return self._reading is not None and not self._reading.done()

    async def start(self, hello: Hello) -> None:
        pipe = asyncio.subprocess.PIPE
        command, environment = children.command("tts_compare.client.worker"), os.environ | children.import_path()
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=None, env=environment
        )
        self._asked = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(self._process))
        self.post(hello)
        try:
            await asyncio.wait_for(self._asked, _START_S)
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and self.alive:
                raise
            raise RunError("a client worker did not start: run with --workers 1") from error

    def post(self, message: object) -> None:
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(framed(message))

    def submit(self, job: Job) -> asyncio.Future[Rows | None]:
        ended: asyncio.Future[Rows | None] = asyncio.get_running_loop().create_future()
        self.pending[job.id] = ended
        self.post(job)
        return ended

    async def figures(self) -> LoopFigures:
        self._asked = asyncio.get_running_loop().create_future()
        self.post(AskFigures())
        try:
            return await asyncio.wait_for(self._asked, _CANCEL_GRACE_S)
        except (TimeoutError, asyncio.CancelledError):
            return LoopFigures(lags_ms=(), cpu_s=0.0, wall_s=0.0)

    def epitaph(self) -> str:
        """What is known of a worker's end."""
        code = self._process.returncode if self._process else None
        return f"a worker process of the client died (exit status {code}) with the request under way"

    async def close(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _CANCEL_GRACE_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Take what the worker says until it ends; then nobody waits for it any longer."""
        assert process.stdout is not None  # noqa: S101 - opened as a pipe above
        try:
            while True:
                self._heard(await receive(process.stdout))
        except (asyncio.IncompleteReadError, msgspec.DecodeError, ConnectionError):
            process.stdin.close() if process.stdin else None
            await process.wait()
        finally:
            for ended in self.pending.values():
                if not ended.done():
                    ended.set_result(None)
            self.pending.clear()
            if self._asked is not None and not self._asked.done():
                self._asked.cancel()

    def _heard(self, data: bytes) -> None:
        message = to_parent.decode(data)
        if isinstance(message, Figures):
            if self._asked is not None and not self._asked.done():
                self._asked.set_result(message.figures)
        elif (ended := self.pending.pop(message.id, None)) is not None and not ended.done():
            ended.set_result(message.rows)
