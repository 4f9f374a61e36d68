"""A prepared experiment -> the tasks, their batch files and their time limits. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tts_compare.domain import Setting
from tts_compare.errors import UsageError
from tts_compare.plan.design import Design
from tts_compare.plan.estimate import plan
from tts_compare.plan.prepare import Prepared
from tts_compare.plan.tasks import Shape, Split, shape_of, tasks_of
from tts_compare.rundir.parts import Task

#: A time limit is the estimate's high end, with room for a slow start and a node that is slower than the catalogue's.
_SAFETY = 1.5
_START_S = 1800
_STEP_S = 900
#: Cores for the client and the graders, beside those of the engines.
CLIENT_CORES = 2
#: Cores for the process of each rank: its scheduler and its tokenizer.
CORES_A_GPU = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Tasks that need equal nodes: one batch file. time_s: the longest of their limits, None where one is unknown."""

    shape: Shape
    tasks: tuple[Task, ...]
    time_s: int | None


def groups_of(prepared: Prepared, design: Design, *, split: Split, per_node: int) -> list[Group]:
    """The tasks by what their jobs ask for, round by round, so that what is there early is of every block.

    per_node: devices of a node.
    """
    by_id = {setting.id: setting for setting in prepared.settings}
    planned = {one.id: one.requests for one in plan(design).settings}
    found: dict[Shape, list[Task]] = {}
    for task in tasks_of(prepared, split=split, requests=planned):
        shape = shape_of(
            _members(task, by_id), per_node=per_node, client_cores=CLIENT_CORES, cores_a_device=CORES_A_GPU
        )
        found.setdefault(shape, []).append(task)
    rounds = prepared.experiment.rounds
    return [
        Group(
            shape=shape,
            tasks=tuple(sorted(tasks, key=lambda task: task.round)),
            time_s=_longest(limit_s(_members(task, by_id), design, rounds=rounds) for task in tasks if task.round == 0),
        )
        for shape, tasks in found.items()
    ]


def _members(task: Task, by_id: Mapping[str, Setting]) -> tuple[Setting, ...]:
    return tuple(by_id[setting] for setting in task.settings)


def _longest(limits: Iterator[int | None] | Sequence[int | None]) -> int | None:
    every = list(limits)
    known = [limit for limit in every if limit is not None]
    return max(known) if len(known) == len(every) and known else None


def limit_s(members: tuple[Setting, ...], design: Design, *, rounds: int) -> int | None:
    """The time limit of a task of these settings, one after another; None where no time can be said of one."""
    total = plan(replace(design, settings=members, skipped=(), parallel_servers=1)).total
    if total.unknown or not total.hours_high:
        return None
    seconds = total.hours_high * 3600 / rounds * _SAFETY + _START_S
    return math.ceil(seconds / _STEP_S) * _STEP_S


def seconds_in(text: str) -> int:
    """A time limit as Slurm's users write it: ``D-H:M:S``, ``H:M:S`` or minutes. Raises UsageError."""
    days, dash, rest = text.rpartition("-")
    try:
        numbers = [int(part) for part in rest.split(":")]
        if not 1 <= len(numbers) <= 3 or min(numbers) < 0 or (dash and int(days) < 0):
            raise ValueError(text)
        if len(numbers) == 1 and not dash:
            return _positive(numbers[0] * 60, text)
        if len(numbers) == 2 and not dash:
            return _positive(numbers[0] * 60 + numbers[1], text)
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        return _positive(int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds, text)
    except ValueError:
        raise UsageError(f"--time {text!r}: write 4:00:00 or 1-12:00:00") from None


def _positive(seconds: int, text: str) -> int:
    if seconds <= 0:
        raise ValueError(text)
    return seconds
