"""What became of each task of a run, from the files that its jobs write; Slurm explains only what they do not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tts_compare.domain import RequestRecord
from tts_compare.errors import RunError, UsageError
from tts_compare.rundir import store
from tts_compare.rundir.parts import Task, Word, part_of, read_parts, submissions, words_of

State = Literal["done", "failed", "given up", "interrupted", "running", "waiting", "lost", "not submitted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """One task. measured: requests that have an outcome; held_s: device seconds that its ended jobs held."""

    task: Task
    state: State
    measured: int
    attempts: int
    held_s: float
    job: str = ""
    host: str = ""
    detail: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a job of Slurm's is at it, or will be."""
        return self.state in ("running", "waiting")


def states_of(path: Path, queue: Mapping[str, tuple[str, str]] | None) -> list[TaskState]:
    """Every task of a run. queue: what Slurm says of its jobs; None where it cannot be asked."""
    sent = submissions(path)
    found = []
    for task in read_parts(path).tasks:
        words = words_of(path, task.name)
        jobs = [f"{one.job}_{one.tasks[task.name]}" for one in sent if task.name in one.tasks]
        jobs += [f"{word.why}_{word.job.rpartition('_')[2]}" for word in words if word.event == "successor"]
        found.append(_state_of(path, task, words, jobs, queue))
    return found


def jobs_of(path: Path) -> list[str]:
    """Ids of every job that was ever submitted for a run, successors too."""
    jobs = [one.job for one in submissions(path)]
    for task in read_parts(path).tasks:
        jobs += [word.why for word in words_of(path, task.name) if word.event == "successor" and word.why]
    return list(dict.fromkeys(jobs))


def _state_of(
    path: Path,
    task: Task,
    words: tuple[Word, ...],
    jobs: list[str],
    queue: Mapping[str, tuple[str, str]] | None,
) -> TaskState:
    spoken = [word for word in words if word.event != "successor"]
    last = spoken[-1] if spoken else None
    in_queue = {job: (queue or {})[job] for job in jobs if job in (queue or {})}
    name, detail = _named(path, task, last, in_queue, known=queue is not None, submitted=bool(jobs))
    return TaskState(
        task=task,
        state=name,
        measured=_measured(path, task),
        attempts=sum(word.event == "start" for word in words),
        held_s=sum(word.devices * word.held_s for word in words if word.event == "end"),
        job=last.job if last else (jobs[-1] if jobs else ""),
        host=last.host if last else "",
        detail=detail,
    )


def _named(
    path: Path, task: Task, last: Word | None, queue: Mapping[str, tuple[str, str]], *, known: bool, submitted: bool
) -> tuple[State, str]:
    """The task's state and what explains it. known: whether ``queue`` is what Slurm says."""
    state, reason = next(iter(queue.values()), ("", ""))
    found: tuple[State, str]
    if _is_done(path, task):
        found = "done", _failures(path, task)
    elif state:
        found = ("running", "") if state in ("RUNNING", "COMPLETING") else ("waiting", reason)
    elif last is None:
        found = _unheard(known=known, submitted=submitted)
    elif last.event == "start":
        found = ("lost", f"its job on {last.host} ended without a word") if known else ("running", "")
    elif last.why in ("failed", "given up"):
        name: State = "failed" if last.why == "failed" else "given up"
        found = name, f"exit status {last.status}: see jobs/{last.job}.log"
    else:
        found = "interrupted", ""
    return found


def _unheard(*, known: bool, submitted: bool) -> tuple[State, str]:
    """The state of a task of which no job has said anything."""
    if not submitted:
        return "not submitted", ""
    return ("lost", "its job never began") if known else ("waiting", "")


def _is_done(path: Path, task: Task) -> bool:
    try:
        return store.read_manifest(part_of(path, task.name)).state == "done"
    except (RunError, UsageError):
        return False


def _failures(path: Path, task: Task) -> str:
    """What a finished task could not measure."""
    failed = store.read_manifest(part_of(path, task.name)).failed
    return f"{len(failed)} servers failed: {failed[-1].cause}" if failed else ""


def _measured(path: Path, task: Task) -> int:
    rows = store.read_rows(part_of(path, task.name).records, RequestRecord)
    return len(
        {
            (row.setting, row.method, row.budget, row.load, row.problem, row.sample, row.call, row.repeat)
            for row in rows
            if row.phase != "warmup"
        }
    )
