"""A run that several jobs measure: ``parts.json`` says which tasks it has, each has a run directory of its own.

``parts/<task>/`` is an ordinary run directory that one process writes. ``jobs/<task>.jsonl`` is what the jobs say of
themselves, a line at their start and one at their end, and ``jobs.jsonl`` what was submitted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Struct

from tts_compare.domain.about import about
from tts_compare.errors import RunError, UsageError
from tts_compare.rundir.facts import SkippedFacts
from tts_compare.rundir.manifest import Asked
from tts_compare.rundir.rows import read_rows
from tts_compare.rundir.store import RunDir, write_json

PARTS_FORMAT = 1


class Task(Struct, frozen=True, kw_only=True):
    """What one job measures: a block of settings in one round."""

    name: Annotated[str, about("its directory under `parts`")]
    block: Annotated[str, about("the block: the name of its model, or the id of its only setting")]
    round: Annotated[int, about("the round, from 0")]
    settings: Annotated[tuple[str, ...], about("ids of its settings")]
    devices: Annotated[int, about("devices that its job holds")] = 1
    requests: Annotated[int, about("requests that it sends where none fails")] = 0

    @property
    def only(self) -> str:
        """The value of ``--only`` that measures it."""
        return f"{self.block}@{self.round}"


class Parts(Struct, frozen=True, kw_only=True):
    """``parts.json``."""

    format: Annotated[int, about("1")] = PARTS_FORMAT
    name: Annotated[str, about("the run's name")] = ""
    created: Annotated[str, about("when it was submitted, ISO 8601")] = ""
    asked: Annotated[Asked, about("the configuration and the flags")] = Asked()
    tasks: Annotated[tuple[Task, ...], about("every task, in the order in which one process would do them")] = ()
    left_out: Annotated[tuple[SkippedFacts, ...], about("settings that cannot run on that machine")] = ()


class Submission(Struct, frozen=True, kw_only=True):
    """A line of ``jobs.jsonl``."""

    job: Annotated[str, about("Slurm's id of the array")]
    file: Annotated[str, about("the batch file, relative to the run")]
    tasks: Annotated[dict[str, int], about("names of the tasks, with their index in the array")]
    at: Annotated[float, about("seconds since 1970")] = 0.0


class Word(Struct, frozen=True, kw_only=True):
    """A line of ``jobs/<task>.jsonl``: what a job says of itself."""

    event: Annotated[Literal["start", "end", "successor"], about("what happened")]
    at: Annotated[float, about("seconds since 1970")]
    job: Annotated[str, about("the job's id, `<array>_<index>`")] = ""
    attempt: Annotated[int, about("which attempt of this submission, from 0")] = 0
    host: Annotated[str, about("the node of the batch script")] = ""
    devices: Annotated[int, about("devices that the job holds")] = 0
    held_s: Annotated[float, about("seconds since its start")] = 0.0
    status: Annotated[int | None, about("exit status of the run; null where it did not end")] = None
    why: Annotated[str, about("`done`, `failed`, `interrupted`, `requeued` or `given up`")] = ""


def parts_file(path: Path) -> Path:
    """Where a run says that it is made of parts."""
    return path / "parts.json"


def is_parted(path: Path) -> bool:
    """Whether a directory holds a run that several jobs measure."""
    return parts_file(path).is_file()


def part_of(path: Path, task: str) -> RunDir:
    """The run directory of a task."""
    return RunDir(path / "parts" / task)


def words_file(path: Path, task: str) -> Path:
    """What the jobs of a task say of themselves."""
    return path / "jobs" / f"{task}.jsonl"


def read_parts(path: Path) -> Parts:
    """The tasks of a run. Raises UsageError where it has none, RunError where they cannot be read or overlap."""
    file = parts_file(path)
    if not file.is_file():
        raise UsageError(f"{path} was not submitted: it has no parts.json")
    try:
        found = msgspec.convert(json.loads(file.read_bytes()), Parts)
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file} cannot be read: {error}") from error
    if found.format != PARTS_FORMAT:
        raise RunError(f"{file} is of format {found.format}, and this version reads {PARTS_FORMAT}")
    owned = [(setting, task.round) for task in found.tasks for setting in task.settings]
    names = [task.name for task in found.tasks]
    if len(set(owned)) < len(owned) or len(set(names)) < len(names):
        raise RunError(f"{file} gives one setting's round to two tasks")
    if any(Path(name).name != name or name in (".", "..") for name in names):
        raise RunError(f"{file} names a task that is no name of a directory")
    return found


def write_parts(path: Path, parts: Parts, *, private: bool = False) -> None:
    """Replace ``parts.json``."""
    write_json(parts_file(path), msgspec.to_builtins(parts), private=private)


def submissions(path: Path) -> tuple[Submission, ...]:
    """What was submitted, in order."""
    return tuple(read_rows(path / "jobs.jsonl", Submission))


def add_submission(path: Path, submission: Submission) -> None:
    """Keep that an array was submitted."""
    with (path / "jobs.jsonl").open("ab") as out:
        out.write(msgspec.json.encode(submission) + b"\n")


def words_of(path: Path, task: str) -> tuple[Word, ...]:
    """What the jobs of a task said, in order."""
    return tuple(read_rows(words_file(path, task), Word))


def unknown_parts(path: Path, parts: Parts) -> tuple[str, ...]:
    """Directories under ``parts`` that are no task's."""
    known = {task.name for task in parts.tasks}
    under = path / "parts"
    return tuple(sorted(one.name for one in under.iterdir() if one.name not in known)) if under.is_dir() else ()


def record_files(run: RunDir) -> Iterator[Path]:
    """The files of records of a run: its own, or those of its parts."""
    if not is_parted(run.path):
        yield run.records
        return
    for task in read_parts(run.path).tasks:
        yield part_of(run.path, task.name).records


def log_of(run: RunDir, setting: str) -> Path:
    """The log of a setting's server; of a run of several jobs, the one that was written last."""
    if not is_parted(run.path):
        return run.server_log(setting)
    logs = [part_of(run.path, task.name).server_log(setting) for task in read_parts(run.path).tasks]
    written = [log for log in logs if log.is_file()]
    return max(written, key=lambda log: log.stat().st_mtime_ns) if written else run.server_log(setting)
