"""New runs: measured here, or in a thread beside the caller's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from tts_compare.api.experiment import Experiment
from tts_compare.api.runs import Run
from tts_compare.domain.events import Emit, Event, SettingsAdded
from tts_compare.errors import RunError, UsageError

if TYPE_CHECKING:
    from tts_compare.measure.execute import Outcome
    from tts_compare.measure.stop import Stop

StrPath = str | PathLike[str]


def default_path(experiment: Experiment) -> Path:
    """Where a run goes that names no directory: ``runs/<UTC time>-<name>``, or the one it resumes."""
    checked = experiment.checked
    named = checked.resume or checked.out
    return Path(named or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{checked.name}")


def run(
    experiment: Experiment,
    out: StrPath | None = None,
    *,
    tell: Emit | None = None,
    command: Sequence[str] | None = None,
    stop: Stop | None = None,
) -> Run:
    """Start the servers, replay the problems, grade, analyse: what ``tts-compare run`` does, without a word.

    out: the run directory; by default the experiment's, or ``runs/<UTC time>-<name>``. tell: is called with what
    happens (``tts_compare.domain.events``). command: what the manifest says made the run. stop: ends it from another
    thread. Raises UsageError where the experiment or the directory cannot be used, RunError where nothing was sent or
    the run cannot go on, KeyboardInterrupt after an interruption has been written down.

    A notebook has an event loop of its own: use ``await arun(experiment)`` there.
    """
    from tts_compare.measure.execute import execute
    from tts_compare.plan.hardware import that_fit
    from tts_compare.plan.inputs import design_of
    from tts_compare.plan.manifest import additions, is_resumable
    from tts_compare.plan.prepare import prepare

    _check_no_loop()
    emit = tell or _nothing
    prepared = prepare(experiment.checked)
    prepared = that_fit(prepared, design_of(prepared, None))
    prepared.require_settings()
    path = Path(out) if out is not None else default_path(experiment)
    if experiment.checked.resume and is_resumable(path) and (added := additions(path, prepared)):
        emit(SettingsAdded(path=str(path), settings=tuple(added), at_s=monotonic()))
    outcome = execute(
        prepared,
        path,
        command=command or (repr(experiment),),
        asked=experiment.to_keep(),
        tell=emit,
        stop=stop,
    )
    if outcome.judged is None:
        raise NothingMeasuredError(outcome)
    return Run(outcome.judged.rows, judged=outcome.judged, outcome=outcome)


class NothingMeasuredError(RunError):
    """A run ended without a measured request; ``outcome`` says why."""

    def __init__(self, outcome: Outcome) -> None:
        causes = [f"{setting}: {cause}" for setting, cause in (outcome.failed | outcome.barren).items()]
        super().__init__(f"nothing was measured: {'; '.join(causes) or outcome.stopped or 'no request was sent'}")
        self.outcome = outcome


async def arun(experiment: Experiment, out: StrPath | None = None, *, tell: Emit | None = None) -> Run:
    """Do what ``run`` does in a thread with an event loop of its own, so that the caller's delays no stamp.

    tell: is called from that thread. Cancelling it interrupts the run, which then is written down, and can be resumed.
    """
    from tts_compare.measure.stop import Stop

    stop = Stop()

    def measure() -> Run | None:
        try:
            return run(experiment, out, tell=tell, stop=stop)
        except KeyboardInterrupt:  # a future that held it would end the caller's loop
            return None

    ended = asyncio.ensure_future(asyncio.to_thread(measure))
    try:
        found = await asyncio.shield(ended)
    except asyncio.CancelledError:
        stop.request()
        await asyncio.wait([ended])
        raise
    if found is None:
        raise asyncio.CancelledError
    return found


def _check_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError("an event loop runs in this thread, as in a notebook: use `await tts_compare.arun(experiment)`")


def _nothing(_event: Event) -> None:
    """Tell nobody."""
