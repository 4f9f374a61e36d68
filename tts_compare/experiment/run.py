"""The loop: setting -> launch -> ready -> warm up -> replay -> store, then grade; every setting, every repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from tts_compare.admission import BudgetReachedError, Gate, Purse, Rates, request_usd
from tts_compare.domain import RequestRecord, Setting
from tts_compare.errors import StartError
from tts_compare.experiment.journal import Journal
from tts_compare.experiment.point import run_point, warm_up, warm_up_calls
from tts_compare.experiment.prepare import Prepared
from tts_compare.experiment.servers import Fleet, serving
from tts_compare.experiment.tasks import Point, tasks_of, unfinished
from tts_compare.grid import Block
from tts_compare.launchers import launcher_named
from tts_compare.replay import ServerGoneError, Task, known_rows
from tts_compare.reports import progress

LIVE_GRADING_S = 5.0


@dataclass(slots=True, kw_only=True)
class Run:
    """One run under way. purse: what ``--budget-usd`` leaves; stopped: why it ended before its work did."""

    prepared: Prepared
    journal: Journal
    fleet: Fleet
    purse: Purse | None = None
    stopped: str | None = None
    failed: dict[str, str] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)

    async def all_blocks(self, grade: Callable[[str], Awaitable[None]]) -> None:
        """Every server start in turn, or several at once with ``--parallel-servers``; grades between them.

        A setting whose server does not start, or dies more often than allowed, is told and left; the others go on.
        """
        settings, machine = self.prepared.settings, self.prepared.machine
        launcher = launcher_named(self.prepared.experiment.launcher)
        lanes = launcher.lanes(settings, machine, asked=self.prepared.experiment.parallel_servers)
        blocks = iter(self.prepared.blocks)
        # Two repeats at once would share a log, and where the server is not ours the server itself.
        turns = {setting.id: asyncio.Lock() for setting in settings}

        async def lane(number: int) -> None:
            for block in blocks:
                async with turns[block.setting.id]:
                    if self.stopped or block.setting.id in self.failed:
                        continue
                    async with self._graded_live(block.setting.id, grade):
                        await self._block(block, number)
                await grade(block.setting.id)

        async with asyncio.TaskGroup() as group:
            for number in range(lanes):
                group.create_task(lane(number))

    @asynccontextmanager
    async def _graded_live(self, setting: str, grade: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
        """With ``--grade-live``, grade what has come in every few seconds while the block goes on."""

        async def again() -> None:
            while True:
                await asyncio.sleep(LIVE_GRADING_S)
                await grade(setting)

        task = asyncio.create_task(again()) if self.prepared.experiment.grade_live else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    def _points(self, block: Block) -> tuple[Point, ...]:
        """The points of a block that still need a request."""
        return tuple(self._left(block))

    def _left(self, block: Block) -> dict[Point, int]:
        """How many problems of each of its points still need a request; of none that is done."""
        points = (Point(setting=block.setting.id, work=item, repeat=block.repeat) for item in self.prepared.work)
        return {point: left for point in points if (left := len(self._unfinished(point)))}

    def _unfinished(self, point: Point) -> tuple[Task, ...]:
        known = known_rows([row for row in self.journal.records if point.owns(row)], phase=point.phase)
        voice = self.prepared.voices[self._model(point.setting)]
        return unfinished(tasks_of(point, self.prepared.dataset.problems, voice), known)

    def _model(self, setting_id: str) -> str:
        return next(setting.model for setting in self.prepared.settings if setting.id == setting_id)

    async def _block(self, block: Block, lane: int) -> None:
        setting, tell = block.setting, self.journal.tell
        for _ in range(self.prepared.experiment.max_restarts + 1):
            points = self._points(block)
            if not points:
                return
            tell(progress.SettingStarted(setting=setting.id, at_s=monotonic()))
            try:
                await self._serve(block, points, lane)
            except StartError as error:
                self._fail(setting.id, error.cause, error.log, error.advice)
                return
            except BudgetReachedError as error:
                self.stopped = str(error)
                return
            except ServerGoneError as error:
                self.journal.manifest["deaths"].append(
                    {"setting": setting.id, "repeat": block.repeat, "cause": error.cause}
                )
                self.journal.save()
                tell(progress.Restarted(setting=setting.id, cause=error.cause, at_s=monotonic()))
                continue
            tell(progress.SettingDone(setting=setting.id, at_s=monotonic()))
            return
        cause = f"its server died {self.prepared.experiment.max_restarts + 1} times"
        self._fail(setting.id, cause, str(self.journal.run.server_log(setting.id)), "see its log, or --max-restarts")

    async def _serve(self, block: Block, points: tuple[Point, ...], lane: int) -> None:
        problems = self.prepared.dataset.problems
        voice = self.prepared.voices[block.setting.model]
        tell = self.journal.tell

        def emit(rows: tuple[RequestRecord, ...]) -> None:
            for row in rows:
                tell(request_done(row))

        gate = self._gate(block.setting)
        async with serving(self.fleet, block.setting, self.journal, gate=gate, lane=lane) as stage:
            tell(progress.ServerReady(setting=block.setting.id, at_s=monotonic()))
            warm = warm_up_calls(points, voice)
            stage = await warm_up(stage, warm, self.journal)  # noqa: PLW2901 - as negotiated
            prompts = [call for call, _ in warm]
            for point in points:
                await run_point(stage, point, problems, voice, self.journal, emit=emit, warm=prompts)
                self.journal.save()

    def _gate(self, setting: Setting) -> Gate:
        """One a setting for the whole run: what was sent before a restart or a repeat is in the same minute."""
        rates = Rates(
            requests_per_minute=setting.requests_per_minute,
            tokens_per_minute=setting.tokens_per_minute,
            max_concurrency=setting.max_concurrency,
        )
        new = Gate(rates, price=setting.price, purse=self.purse, prompt_most=self.prepared.prompt_most)
        return self.gates.setdefault(setting.id, new)

    def _fail(self, setting: str, cause: str, log: str, advice: str) -> None:
        self.failed[setting] = cause
        self.journal.manifest["failed"].append({"setting": setting, "cause": cause, "log": log, "advice": advice})
        self.journal.save()
        self.journal.tell(progress.SettingFailed(setting=setting, cause=cause, log=log, at_s=monotonic()))

    def spent_usd(self) -> float:
        """What the rows of a run before this one have cost."""
        prices = {setting.id: setting.price for setting in self.prepared.settings if setting.price}
        requests: dict[str, list[RequestRecord]] = {}
        for row in self.journal.records:
            if row.setting in prices:
                requests.setdefault(row.request_id, []).append(row)
        most = self.prepared.prompt_most
        return sum(request_usd(prices[rows[0].setting], rows, prompt_most=most) for rows in requests.values())

    def planned(self) -> progress.Planned:
        """The work still to do, for the live view: requests a setting, over all its starts."""
        left: dict[str, int] = {}
        for block in self.prepared.blocks:
            requests = sum(problems * point.work.samples for point, problems in self._left(block).items())
            left[block.setting.id] = left.get(block.setting.id, 0) + requests
        return progress.Planned(settings=tuple(left.items()), at_s=monotonic())


def request_done(row: RequestRecord) -> progress.RequestDone:
    """What the live view is told of a row."""
    timed = row.sent_ns is not None and row.last_token_ns is not None
    return progress.RequestDone(
        setting=row.setting,
        ok=row.ok,
        at_s=monotonic(),
        latency_s=(row.last_token_ns - row.sent_ns) / 1e9 if timed else None,  # type: ignore[operator]
        completion_tokens=row.completion_tokens or 0,
    )
