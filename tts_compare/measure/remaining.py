"""What of a point is known, what still needs a request, and what became of it where no server is left to ask."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tts_compare.domain import RequestError, RequestRecord, RowKey
from tts_compare.measure.replay import Known, Task, choice_keys, known_rows
from tts_compare.measure.tasks import Point, tasks_of, unfinished
from tts_compare.plan.prepare import Prepared

NEVER_SENT = "never sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """A point, the results that it has, and the tasks that still need a request."""

    point: Point
    known: Known
    tasks: tuple[Task, ...]


def remaining(
    point: Point, prepared: Prepared, records: Iterable[RequestRecord], *, session: int, hosted: bool, model: str
) -> Remaining:
    """What is left of a point in this session. hosted: whether its server is not ours; model: the setting's."""
    known = known_rows(
        [row for row in records if point.owns(row)],
        phase=point.phase,
        hosted=hosted,
        retry_before=session if prepared.experiment.retry_failed else 0,
        seed=point.work.sampling.seed,
    )
    tasks = tasks_of(point, prepared.dataset.problems, prepared.prompting[model], prepared.shares)
    return Remaining(point=point, known=known, tasks=unfinished(tasks, known))


def never_sent(left: Remaining, *, cause: str, session: int) -> Iterator[tuple[RequestRecord, ...]]:
    """The rows, failed and without an instant, of the calls that would have followed; those of one request together.

    A method is told of the failure as of any other, so that calls which depend on it are not made up.
    """
    error = RequestError(kind="server_died", message=f"{NEVER_SENT}: {cause}")
    for task in left.tasks:
        batches = task.start()
        try:
            batch = next(batches)
            while True:
                rows: list[RequestRecord] = []
                for call in batch:
                    keys = choice_keys(task.key, call)
                    done = [left.known.done[key] for key in keys if key in left.known.done]
                    if len(done) < len(keys):
                        request_id = uuid.uuid4().hex
                        done = [_row(left, key, error, request_id=request_id, session=session) for key in keys]
                        yield tuple(done)
                    rows += done
                batch = batches.send(tuple(rows))
        except StopIteration:
            continue
        finally:
            batches.close()


def _row(left: Remaining, key: RowKey, error: RequestError, *, request_id: str, session: int) -> RequestRecord:
    return RequestRecord(
        setting=key.setting,
        method=key.method,
        budget=key.budget,
        load=key.load,
        problem=key.problem,
        sample=key.sample,
        call=key.call,
        repeat=key.repeat,
        attempt=left.known.attempts.get(key, 0),
        phase=left.point.phase,
        request_id=request_id,
        round=left.point.round,
        session=session,
        error=error,
    )
