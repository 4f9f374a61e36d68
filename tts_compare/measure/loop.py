"""The loop: setting -> launch -> ready -> warm up -> replay -> store, then grade; every setting, every repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from tts_compare.domain import RequestRecord, Setting, events
from tts_compare.errors import LostError, StartError
from tts_compare.launchers import launcher_named
from tts_compare.limits.admission import BudgetReachedError, RateLimiter, Rates, SpendingLimit, request_usd
from tts_compare.measure.point import run_point, warm_up, warm_up_calls
from tts_compare.measure.refusal import RefusedError
from tts_compare.measure.remaining import Remaining, never_sent, remaining
from tts_compare.measure.replay import ServerGoneError
from tts_compare.measure.servers import Fleet, serving
from tts_compare.measure.tasks import Point
from tts_compare.measure.writer import RunWriter
from tts_compare.plan.grid import Block
from tts_compare.plan.prepare import Prepared
from tts_compare.rundir.facts import Death, FailedSetting

LIVE_GRADING_S = 5.0


@dataclass(slots=True, kw_only=True)
class Run:
    """One run under way. spending: what ``--budget-usd`` leaves; stopped: why it ended before its work did.

    failed: settings of which a start failed, with the last cause. ready: settings that had a server in this session.
    ended: settings that are not started again.
    """

    prepared: Prepared
    writer: RunWriter
    fleet: Fleet
    spending: SpendingLimit | None = None
    stopped: str | None = None
    failed: dict[str, str] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    limiters: dict[str, RateLimiter] = field(default_factory=dict)

    async def all_blocks(self, grade: Callable[[str], Awaitable[None]]) -> None:
        """Every server start in turn, or several at once with ``--parallel-servers``; grades between them.

        A setting whose server never starts, or refuses us, is told and left; the others go on. One whose server dies
        more often than allowed, or does not start again, fails what it was not sent of that round, and starts in the
        next.
        """
        settings = self.prepared.settings
        blocks = iter(self.prepared.blocks)
        # Two repeats at once would share a log, and where the server is not ours the server itself.
        turns = {setting.id: asyncio.Lock() for setting in settings}

        async def lane(number: int) -> None:
            for block in blocks:
                async with turns[block.setting.id]:
                    if self.stopped or block.setting.id in self.ended:
                        continue
                    async with self._graded_live(block.setting.id, grade):
                        await self._block(block, number)
                await grade(block.setting.id)

        async with asyncio.TaskGroup() as group:
            for number in range(self.lanes):
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

    def _left(self, block: Block) -> list[Remaining]:
        """What of its points still needs a request; nothing of those that are done."""
        points = [
            Point(setting=block.setting.id, work=item, repeat=block.repeat, round=block.round)
            for item in self.prepared.work
        ]
        return [left for point in points if (left := self._remaining(point, block.setting)).tasks]

    def _remaining(self, point: Point, setting: Setting) -> Remaining:
        return remaining(
            point,
            self.prepared,
            self.writer.records,
            session=self.writer.session,
            hosted=setting.base_url is not None,
            model=setting.model,
        )

    async def _block(self, block: Block, lane: int) -> None:
        setting, tell, cause = block.setting, self.writer.tell, ""
        for _ in range(self.prepared.experiment.max_restarts + 1):
            points = [left.point for left in self._left(block)]
            if not points:
                return
            tell(events.SettingStarted(setting=setting.id, at_s=monotonic()))
            try:
                await self._serve(block, points, lane)
            except RefusedError as error:
                self._fail(block, str(error), str(self.writer.run.records), error.advice)
                self.ended.add(setting.id)
                return
            except StartError as error:
                self._fail(block, error.cause, error.log, error.advice)
                self._give_up(block, f"its server did not start: {error.cause}")
                return
            except (BudgetReachedError, LostError) as error:
                self.stopped = str(error)
                return
            except ServerGoneError as error:
                cause = error.cause
                self.writer.add_death(Death(setting=setting.id, repeat=block.repeat, round=block.round, cause=cause))
                self.writer.save()
                tell(events.Restarted(setting=setting.id, cause=cause, at_s=monotonic()))
                continue
            tell(events.SettingDone(setting=setting.id, at_s=monotonic()))
            return
        if self._left(block):
            times = self.prepared.experiment.max_restarts + 1
            dead = f"its server died {times} times: {cause}" if times > 1 else f"its server died: {cause}"
            log = str(self.writer.run.server_log(setting.id))
            self._fail(
                block, dead, log, "see its log, or --max-restarts; --resume --retry-failed sends what failed again"
            )
            self._give_up(block, dead)
            return
        tell(events.SettingDone(setting=setting.id, at_s=monotonic()))

    async def _serve(self, block: Block, points: Sequence[Point], lane: int) -> None:
        setting = block.setting
        prompting = self.prepared.prompting[setting.model]
        tell = self.writer.tell
        limiter = self._limiter(setting)
        async with serving(self.fleet, setting, self.writer, limiter=limiter, lane=lane, number=block.round) as session:
            self.ready.add(setting.id)
            tell(events.ServerReady(setting=setting.id, at_s=monotonic()))
            warm = warm_up_calls(points, prompting)
            session = await warm_up(session, warm, self.writer)  # noqa: PLW2901 - as negotiated
            prompts = [call for call, _ in warm]
            for point in points:
                session.require_alive()
                left = self._remaining(point, setting)
                await run_point(session, left, prompting, self.writer, emit=self._tell_rows, warm=prompts)
                self.writer.save()

    def _tell_rows(self, rows: tuple[RequestRecord, ...]) -> None:
        for row in rows:
            self.writer.tell(request_done(row))

    def _give_up(self, block: Block, cause: str) -> None:
        """Fail what a start was not sent.

        A setting that had no server at all in this session ends without a row, and so does one whose server is not
        ours: that it cannot be reached is not known to be its end, and nothing was measured.
        """
        if block.setting.id not in self.ready or block.setting.base_url is not None:
            self.ended.add(block.setting.id)
            return
        for left in self._left(block):
            for rows in never_sent(left, cause=cause, session=self.writer.session):
                self.writer.append(rows)
                self._tell_rows(rows)

    def _limiter(self, setting: Setting) -> RateLimiter:
        """One a setting for the whole run: what was sent before a restart or a repeat is in the same minute."""
        rates = Rates(
            requests_per_minute=setting.requests_per_minute,
            tokens_per_minute=setting.tokens_per_minute,
            max_concurrency=setting.max_concurrency,
        )
        new = RateLimiter(rates, price=setting.price, spending=self.spending, prompt_most=self.prepared.prompt_most)
        return self.limiters.setdefault(setting.id, new)

    def _fail(self, block: Block, cause: str, log: str, advice: str) -> None:
        setting = block.setting.id
        self.failed[setting] = cause
        self.writer.add_failed(
            FailedSetting(setting=setting, cause=cause, log=log, advice=advice, round=block.round, repeat=block.repeat)
        )
        self.writer.save()
        self.writer.tell(events.SettingFailed(setting=setting, cause=cause, log=log, at_s=monotonic()))

    def spent_usd(self) -> float:
        """What the rows of a run before this one have cost."""
        prices = {setting.id: setting.price for setting in self.prepared.settings if setting.price}
        requests: dict[str, list[RequestRecord]] = {}
        for row in self.writer.records:
            if row.setting in prices:
                requests.setdefault(row.request_id, []).append(row)
        most = self.prepared.prompt_most
        return sum(request_usd(prices[rows[0].setting], rows, prompt_most=most) for rows in requests.values())

    def planned(self) -> events.Planned:
        """The work still to do, for the live view: requests and starts of each setting."""
        left: dict[str, int] = {}
        starts: dict[str, int] = {}
        for block in self.prepared.blocks:
            requests = sum(len(item.tasks) * item.point.work.samples for item in self._left(block))
            left[block.setting.id] = left.get(block.setting.id, 0) + requests
            starts[block.setting.id] = starts.get(block.setting.id, 0) + (requests > 0)
        return events.Planned(
            settings=tuple(left.items()), starts=tuple(starts.values()), lanes=self.lanes, at_s=monotonic()
        )

    @property
    def lanes(self) -> int:
        """Servers that run at once."""
        launcher = launcher_named(self.prepared.experiment.launcher)
        asked = self.prepared.experiment.parallel_servers
        return launcher.lanes(self.prepared.settings, self.prepared.machine, asked=asked)


def request_done(row: RequestRecord) -> events.RequestDone:
    """What the live view is told of a row."""
    timed = row.sent_ns is not None and row.last_token_ns is not None
    return events.RequestDone(
        setting=row.setting,
        ok=row.ok,
        at_s=monotonic(),
        latency_s=(row.last_token_ns - row.sent_ns) / 1e9 if timed else None,  # type: ignore[operator]
        completion_tokens=row.completion_tokens or 0,
    )
