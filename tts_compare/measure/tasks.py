"""The work of one point as tasks, and which of it a run before this one left undone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tts_compare.domain import Phase, Problem, RequestRecord, RowKey, Work
from tts_compare.measure.replay import Batches, Known, Task, choice_keys
from tts_compare.methods import METHODS
from tts_compare.methods.prompting import Prompting

WARM_UP = (
    "Count the letters of the word warm.",
    "Name a colour of the rainbow and say why you chose it.",
    "What is one half of one hundred?",
    "Write the days of the week in order.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Work on one server start, that of a round and a repeat: what one stretch of requests measures."""

    setting: str
    work: Work
    repeat: int = 0
    round: int = 0

    @property
    def phase(self) -> Phase:
        """A spot check's rows are no point of their own."""
        return "spot_check" if self.work.spot_check else "measured"

    def key(self, problem: str) -> RowKey:
        """The key of a problem's first call."""
        work = self.work
        return RowKey(
            setting=self.setting,
            method=work.method,
            budget=work.budget,
            load=work.load,
            problem=problem,
            repeat=self.repeat,
        )

    def owns(self, row: RequestRecord) -> bool:
        """Whether the row was made by this point."""
        return (  # by its fields, the most telling first: a resumed run asks of every row and every point
            row.setting == self.setting
            and row.phase == self.phase
            and row.budget == self.work.budget
            and row.repeat == self.repeat
            and row.round == self.round
            and row.method == self.work.method
            and row.load == self.work.load
        )


def tasks_of(
    point: Point, problems: Sequence[Problem], prompting: Prompting, shares: Mapping[str, int] | None = None
) -> tuple[Task, ...]:
    """One task a problem of the point's round, in the data set's order; a spot check takes the first few problems.

    shares: each problem's round by its id; without it every problem is taken.
    """
    return tuple(
        _task(point, problem, prompting)
        for problem in problems[: point.work.problem_limit]
        if shares is None or shares[problem.id] == point.round
    )


def _task(point: Point, problem: Problem, prompting: Prompting) -> Task:
    work = point.work

    def start() -> Batches:
        return METHODS[work.method].plan(
            problem,
            budget=work.budget,
            samples=work.samples,
            sampling=work.sampling,
            prompt=prompting.prompt,
            options=dict(work.options),
            render=prompting.render,
            tokens=prompting.tokens,
        )

    return Task(key=point.key(problem.id), start=start)


def unfinished(tasks: Sequence[Task], known: Known) -> tuple[Task, ...]:
    """The tasks that still need a request: those whose calls are not all in ``known``."""
    return tuple(task for task in tasks if not _is_done(task, known))


def _is_done(task: Task, known: Known) -> bool:
    batches = task.start()
    try:
        batch = next(batches)
        while True:
            rows: list[RequestRecord] = []
            for call in batch:
                found = [known.done.get(key) for key in choice_keys(task.key, call)]
                if None in found:
                    return False
                rows += [row for row in found if row is not None]
            batch = batches.send(tuple(rows))
    except StopIteration:
        return True
    finally:
        batches.close()


def warm_up_problems(count: int) -> tuple[Problem, ...]:
    """Problems of no data set, each text different, so that none finds another's prefix in a cache."""
    return tuple(
        Problem(id=f"warmup-{index}", problem=f"({index}) {WARM_UP[index % len(WARM_UP)]}", answer="")
        for index in range(count)
    )
