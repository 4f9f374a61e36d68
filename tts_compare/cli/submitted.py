"""``tts-compare status`` and ``tts-compare cancel``: what became of the jobs of a run, and their end."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tts_compare.cli.terminal import talk
from tts_compare.errors import RunError, UsageError

if TYPE_CHECKING:
    from tts_compare.submit.state import TaskState


def status_command(arguments: Namespace) -> int:
    """Print a line a task; exit status 1 where a task needs ``submit --resume``."""
    from tts_compare.rundir.parts import read_parts
    from tts_compare.submit.queue import queued
    from tts_compare.submit.state import jobs_of, states_of

    run = Path(arguments.run)
    read_parts(run)
    try:
        queue = queued(jobs_of(run))
    except (UsageError, RunError) as error:
        talk(f"{error}: this is what the jobs themselves wrote")
        queue = None
    states = states_of(run, queue)
    for line in lines_of(states):
        print(line)
    stuck = [one for one in states if one.state != "done" and not one.is_open]
    if stuck:
        talk(f"{len(stuck)} tasks have no job and are not done: tts-compare submit --resume {run}")
    return 1 if stuck else 0


def lines_of(states: Sequence[TaskState]) -> Iterator[str]:
    """A table of the tasks, and their sum."""
    width = max(len(one.task.name) for one in states)
    for one in states:
        counted = f"{one.measured}/{one.task.requests}" if one.task.requests else str(one.measured)
        where = f"{one.job} {one.host}".strip()
        tries = f"attempt {one.attempts}" if one.attempts > 1 else ""
        yield f"{one.task.name:{width}}  {one.state:13}  {counted:>12}  {where}  {tries}  {one.detail}".rstrip()
    counts = {state: sum(one.state == state for one in states) for state in dict.fromkeys(one.state for one in states)}
    hours = sum(one.held_s for one in states) / 3600
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    yield f"{len(states)} tasks: {told}; ended jobs held {hours:.2f} device-hours"


def cancel_command(arguments: Namespace) -> int:
    """Cancel every job of a run; exit status 1 where one is left, or a process still writes a part."""
    from tts_compare.rundir.parts import read_parts
    from tts_compare.submit.queue import cancel
    from tts_compare.submit.state import jobs_of

    run = Path(arguments.run)
    parts = read_parts(run)
    left = cancel(jobs_of(run))
    for job, (state, reason) in left.items():
        talk(f"left: job {job} is {state} ({reason})")
    writing = list(writers(run, [task.name for task in parts.tasks]))
    for line in writing:
        talk(f"left: {line}")
    if not left and not writing:
        talk("no job and no writer is left; what was measured is kept")
    return 1 if left or writing else 0


def writers(run: Path, tasks: Sequence[str]) -> Iterator[str]:
    """Parts that a process still writes, by their locks."""
    from tts_compare.rundir import store
    from tts_compare.rundir.parts import part_of

    for task in tasks:
        part = part_of(run, task)
        if not part.path.is_dir():
            continue
        try:
            with store.Lock(part):
                pass
        except UsageError as error:
            yield str(error).partition(":")[0]
