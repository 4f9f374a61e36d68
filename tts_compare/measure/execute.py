"""A prepared experiment into a run directory: opened or resumed, run, graded, and its end written down."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from msgspec import structs

from tts_compare.codes import warn
from tts_compare.domain import RequestRecord, RunWarning, Work
from tts_compare.domain.events import Emit, SettingSkipped, Warned
from tts_compare.errors import TTSCompareError
from tts_compare.judge.join import Judged, judge_run, write_points
from tts_compare.judge.judge import Judge
from tts_compare.judge.score import is_asked_with_key, score_run
from tts_compare.limits.admission import SpendingLimit
from tts_compare.measure.again import resume_warnings, retried_warnings
from tts_compare.measure.binding import client_bound
from tts_compare.measure.loop import Run
from tts_compare.measure.preflight import preflight
from tts_compare.measure.servers import Fleet, find_pythons
from tts_compare.measure.stop import Stop
from tts_compare.measure.telemetry import warnings_of
from tts_compare.measure.writer import RunWriter, light
from tts_compare.plan.hardware import keep_hardware
from tts_compare.plan.inputs import design_of
from tts_compare.plan.manifest import check_same, is_resumable, new_manifest
from tts_compare.plan.prepare import Prepared
from tts_compare.rundir import store
from tts_compare.rundir.facts import MachineRow
from tts_compare.rundir.lock import STALE_S
from tts_compare.rundir.manifest import Manifest, Session

if TYPE_CHECKING:
    from tts_compare.grading.judgement import Grader

#: HTTP statuses from here on say why a request failed.
_REFUSED = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. failed: settings whose server did not start or kept dying, with the cause.

    barren: settings without one successful request, with the error that most of their requests met. stopped: why it
    ended before its work was done. judged: what was read and what the analysis says; None where nothing was measured.
    """

    run: store.RunDir
    failed: dict[str, str]
    barren: dict[str, str]
    stopped: str | None
    judged: Judged | None

    @property
    def done(self) -> bool:
        """Whether everything that was to be done was done, and each setting has something to show."""
        return not (self.failed or self.barren or self.stopped)


def execute(
    prepared: Prepared,
    path: Path,
    *,
    command: Sequence[str],
    asked: Mapping[str, Any],
    tell: Emit,
    stop: Stop | None = None,
) -> Outcome:
    """Do what is missing of a run, grade it and analyse it.

    stop: what interrupts it where it does not run in the main thread, which alone hears signals.
    Raises UsageError where the directory cannot be used or belongs to another experiment, KeyboardInterrupt after
    an interruption has been written down.
    """
    pythons = find_pythons(prepared)
    preflight(prepared.settings, insecure=prepared.experiment.insecure)
    private = any(os.environ.get(s.api_key_env or "") or s.headers for s in prepared.settings)
    private = is_asked_with_key(prepared.work) or private
    resumed = prepared.experiment.resume is not None and is_resumable(path)
    run = store.open_run(path) if resumed else store.create(path, private=private)
    if resumed and private:
        store.close_to_others(run)
    private = run.private
    # A job that was requeued may meet the lock of its own last attempt, which another node left behind.
    wait_s = 2 * STALE_S if os.environ.get("SLURM_JOB_ID") else 0.0
    with store.Lock(run, wait_s=wait_s), store.RowLog(run.records, private=private) as rows:
        manifest = new_manifest(prepared, name=path.resolve().name, command=command, asked=asked)
        before = store.read_manifest(run) if resumed else None
        if before:
            manifest = take_up(manifest, before)
        manifest = keep_hardware(manifest, design_of(prepared, None))
        asides: list[store.Aside] = []
        session = len(manifest.sessions) - 1
        kept = _light_rows(run, asides)
        writer = RunWriter(run, manifest, rows, tell, private=private, session=session, records=kept)
        if asides:  # told, and not kept: whoever reads the rows finds the same lines
            unread = warn("rows_set_aside", store.told(asides))
            tell(Warned(warning=unread, at_s=monotonic()))
        writer.save()
        fleet = Fleet(prepared=prepared, pythons=pythons)
        spending = SpendingLimit(prepared.experiment.budget_usd) if prepared.experiment.budget_usd else None
        state = Run(prepared=prepared, writer=writer, fleet=fleet, spending=spending)
        if spending:
            spending.pay(state.spent_usd())
        planned = state.planned()
        tell(planned)
        if before and any(left for _, left in planned.settings):
            writer.warn(resume_warnings(before, prepared.settings))
            writer.warn(machine_warnings(before.machine, manifest.machine))
        for item in prepared.left_out:
            tell(SettingSkipped(setting=item.setting.id, reason=item.reason, at_s=monotonic()))
        with client_bound(prepared.machine, writer):
            judged = _loop(state, tell, stop or Stop())
        successes = {row.setting for row in writer.records if row.phase == "measured" and row.ok}
        return Outcome(
            run=run,
            failed=state.failed,
            barren={
                s.id: _commonest_error(row for row in writer.records if row.setting == s.id and row.phase == "measured")
                for s in prepared.settings
                if s.id not in successes | set(state.failed)
            },
            stopped=state.stopped,
            judged=judged,
        )


def _commonest_error(rows: Iterable[RequestRecord]) -> str:
    """The error of most rows, as it is told; empty where nothing was sent."""
    errors = Counter(
        f"{row.error.kind}{f' {row.error.status}' if (row.error.status or 0) >= _REFUSED else ''}: {row.error.message}"
        for row in rows
        if row.error
    )
    return errors.most_common(1)[0][0] if errors else ""


def take_up(new: Manifest, old: Manifest) -> Manifest:
    """The new manifest with what the old one learnt. Raises UsageError where the two are not one run."""
    check_same(old, new)
    learnt = {
        setting: structs.replace(
            facts,
            engine_version=before.engine_version,
            argv=before.argv,
            env=before.env,
            startup_s=before.startup_s,
            accelerator=before.accelerator,
        )
        for setting, facts in new.settings.items()
        if (before := old.settings.get(setting)) is not None
    }
    works, asked = old.experiment.work, new.experiment.work
    again = {_rows_of(item) for item in asked}
    work = (*asked, *(item for item in works if _rows_of(item) not in again))
    return structs.replace(
        new,
        created=old.created,
        clock=old.clock,
        command=old.command,
        server_metrics=old.server_metrics,
        deaths=old.deaths,
        settings={**old.settings, **new.settings, **learnt},
        models={**old.models, **new.models},
        chat_templates={**old.chat_templates, **new.chat_templates},
        experiment=structs.replace(new.experiment, work=work),
        sessions=(*(old.sessions or (Session(clock=old.clock, command=old.command),)), *new.sessions),
        doubts=(*new.doubts, *(warning for warning in old.doubts if warning not in new.doubts)),
    )


def _rows_of(item: Work) -> tuple[object, ...]:
    """Which rows are of this work: they are judged and reported also when it is not asked for again."""
    return (item.method, item.budget, item.load, item.spot_check)


def machine_warnings(old: MachineRow, new: MachineRow) -> tuple[RunWarning, ...]:
    """A warning where a run goes on elsewhere: its rows are then of two machines."""
    changed = [name for name in new.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    if not changed:
        return ()
    return (
        warn(
            "machine_changed",
            f"the run was resumed on a machine that differs in {', '.join(changed)}",
        ),
    )


def _light_rows(run: store.RunDir, asides: list[store.Aside]) -> list[RequestRecord]:
    return [light(row) for row in store.read_rows(run.records, RequestRecord, aside=asides.append)]


def _loop(state: Run, tell: Emit, stop: Stop) -> Judged | None:
    """Run the event loop to the end of the work; an interruption is written down before it goes on its way.

    Returns the analysis of a run that was not interrupted: it is made once, for ``points.json`` and for the report.
    """
    writer, experiment = state.writer, state.prepared.experiment
    grader: Grader = "layered" if experiment.grader == "both" else experiment.grader
    hears_signals = threading.current_thread() is threading.main_thread()
    on_term = signal.getsignal(signal.SIGTERM)
    with Judge(writer.run, writer.manifest, policy=experiment.policy, grader=grader) as judge:
        writer.set_state("interrupted")
        writer.save()
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_measure(state, judge, tell, stop, hears_signals=hears_signals))
            writer.set_state("stopped" if state.stopped else "done")
        except BaseExceptionGroup as group:
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from group
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            stop.bind(None)
            if hears_signals:
                # The closed loop hears no signal and swallows it: grading may be long, and is interrupted as all else.
                signal.signal(signal.SIGTERM, signal.default_int_handler)
            _grade(state, judge)
            if writer.manifest.state == "interrupted":
                write_points(writer.run, writer.manifest)
        judged = judge_run(writer.run, writer.manifest)
        writer.save()
    if hears_signals:
        signal.signal(signal.SIGTERM, on_term)
    return judged


async def _measure(state: Run, judge: Judge, tell: Emit, stop: Stop, *, hears_signals: bool) -> None:
    """Every block, with its answers graded behind it; then the scores of a reward model."""
    writer, one_at_a_time = state.writer, asyncio.Lock()
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None:
        stop.bind(lambda: loop.call_soon_threadsafe(task.cancel))
        if hears_signals:
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
            if sys.platform != "win32":  # batch systems warn all processes of a job by these, which end a program
                signal.signal(signal.SIGUSR1, signal.SIG_IGN)
                signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    async def grade(setting: str) -> None:
        async with one_at_a_time:
            await asyncio.to_thread(judge.grade_new, setting, tell)

    await state.all_blocks(grade)
    # The reward model is asked when nothing is timed any more, and may be the one thing that fails.
    insecure = state.prepared.experiment.insecure
    try:
        await score_run(writer.run, writer.manifest, private=writer.private, insecure=insecure, tell=tell)
    except TTSCompareError as error:
        state.stopped = state.stopped or str(error)


def _grade(state: Run, judge: Judge) -> None:
    """Write every grade, and what is to be known of them."""
    writer = state.writer
    judge.write()
    writer.warn(judge.warnings())
    writer.warn(warnings_of(writer))
    if state.prepared.experiment.retry_failed:
        hosted = {setting.id for setting in state.prepared.settings if setting.base_url is not None}
        writer.warn(retried_warnings(writer.records, session=writer.session, hosted=hosted))


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
