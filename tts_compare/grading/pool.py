"""Grading in order and in bounds: cheap layers here, symbolic questions in processes that can be killed.

Why our own few lines: a worker is a plain child that speaks JSON over pipes, so nothing a stranger's text leads to is
ever unpickled here, the caller's ``__main__`` is never imported again, and no thread is forked. Not thread safe; call
it from a thread of its own where an event loop runs.
"""

from __future__ import annotations

import os
import selectors
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

from tts_compare.errors import RunError
from tts_compare.grading.answer import Item, find_answer, judge
from tts_compare.grading.judgement import Grader, Judgement, NeedsSymbolic, Verdict, judged, no_answer
from tts_compare.grading.process import WorkerProcess

DEFAULT_LIMIT_S = 5.0
DEFAULT_MEMORY_BYTES = 384 * 2**20
_WINDOW = 10_000
_CACHE_LIMIT = 50_000
_START_LIMIT_S = 120.0

Question = tuple[str, str]


@dataclass(slots=True)
class _Asked:
    """A question to the workers; its verdict comes later."""

    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    asked: _Asked
    answer: str


class GraderPool:
    """Grades answers; starts its workers when the first symbolic question comes.

    workers: at most so many processes, default one a core. limit_s: wall time of one symbolic question.
    memory_bytes: address space of one worker. questions_per_worker: a worker is replaced after so many.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        limit_s: float = DEFAULT_LIMIT_S,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        questions_per_worker: int = 500,
    ) -> None:
        self._most = workers or len(os.sched_getaffinity(0))
        self._limit_s = limit_s
        self._memory_bytes = memory_bytes
        self._questions_per_worker = questions_per_worker
        self._selector = selectors.DefaultSelector()
        self._workers: list[WorkerProcess] = []
        self._queue: deque[Question] = deque()
        self._asked: dict[Question, _Asked] = {}
        self._judged: dict[tuple[str, Grader, str, str], Judgement | NeedsSymbolic] = {}
        self._failed_starts = 0

    def __enter__(self) -> GraderPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop every worker."""
        for worker in list(self._workers):
            self._drop(worker)
        self._selector.close()

    def grade_many(self, items: Iterable[Item], *, grader: Grader = "layered") -> Iterator[Judgement]:
        """One judgement an item, in order. Raises UsageError (unknown kind), RunError (no worker can be started)."""

        def judgements() -> Iterator[Judgement | NeedsSymbolic]:
            for item in items:
                answer = find_answer(item)
                yield no_answer() if answer is None else self.judge(item.gold, answer, kind=item.kind, grader=grader)

        return self.settle(judgements())

    def judge(self, gold: str, answer: str, *, kind: str, grader: Grader = "layered") -> Judgement | NeedsSymbolic:
        """``answer.judge`` with a memory: the same answer to the same gold is compared once."""
        key = (kind, grader, gold, answer)
        known = self._judged.get(key)
        if known is None:
            if len(self._judged) >= _CACHE_LIMIT:
                self._judged.clear()
            known = self._judged[key] = judge(gold, answer, kind=kind, grader=grader)
        return known

    def settle(self, judgements: Iterable[Judgement | NeedsSymbolic]) -> Iterator[Judgement]:
        """Answer the open questions of a stream of judgements, in order; each distinct question is asked once."""
        pending: deque[Judgement | _Waiting] = deque()
        for judgement in judgements:
            pending.append(self._ask(judgement) if isinstance(judgement, NeedsSymbolic) else judgement)
            if self._queue or any(worker.question for worker in self._workers):
                self._turn(0.0 if len(pending) < _WINDOW else None)
            yield from self._ready(pending)
        while pending:
            yield from self._ready(pending)
            if pending:
                self._turn(None)

    # -- questions ------------------------------------------------------------------------------------------
    def _ask(self, needed: NeedsSymbolic) -> _Waiting:
        question = (needed.gold, needed.candidate)
        asked = self._asked.get(question)
        if asked is None:
            if len(self._asked) >= _CACHE_LIMIT:
                self._asked = {known: open_ for known, open_ in self._asked.items() if open_.verdict is None}
            asked = self._asked[question] = _Asked()
            self._queue.append(question)
        return _Waiting(asked=asked, answer=needed.answer)

    def _ready(self, pending: deque[Judgement | _Waiting]) -> Iterator[Judgement]:
        while pending:
            head = pending[0]
            if isinstance(head, _Waiting):
                if head.asked.verdict is None:
                    return
                yield judged(head.answer, head.asked.verdict)
            else:
                yield head
            pending.popleft()

    # -- workers --------------------------------------------------------------------------------------------
    def _turn(self, wait_s: float | None) -> None:
        """Hand out questions, take replies, kill what is late. wait_s: the longest wait, None: until anything comes."""
        self._hand_out()
        now = time.monotonic()
        latest = min((worker.deadline for worker in self._workers), default=now)
        timeout = min(max(0.0, latest - now), _START_LIMIT_S) if wait_s is None else wait_s
        for key, _ in self._selector.select(timeout):
            self._receive(key.data)
        now = time.monotonic()
        for worker in [worker for worker in self._workers if worker.deadline <= now]:
            if not worker.ready:
                raise RunError("a grading worker did not start; is math-verify installed in this environment?")
            self._fail(worker, "timeout")
        self._hand_out()

    def _hand_out(self) -> None:
        for worker in self._workers:
            if self._queue and worker.ready and worker.question is None:
                worker.ask(self._queue.popleft(), self._limit_s)
        starting = sum(not worker.ready for worker in self._workers)
        if len(self._queue) > 4 * starting and len(self._workers) < self._most:
            worker = WorkerProcess(memory_bytes=self._memory_bytes, deadline=time.monotonic() + _START_LIMIT_S)
            self._workers.append(worker)
            self._selector.register(worker.replies, selectors.EVENT_READ, worker)

    def _receive(self, worker: WorkerProcess) -> None:
        for reply in worker.read():
            if "ready" in reply:
                worker.ready, worker.deadline = True, float("inf")
                self._failed_starts = 0
            elif "failed" in reply:
                self._fail(worker, str(reply["failed"]))
                return
            elif worker.question is not None:
                self._asked[worker.question].verdict = Verdict(equal=reply.get("equal") is True, layer="symbolic")
                worker.rest()
        if worker.ended:
            self._fail(worker, "crash")
        elif worker.answered >= self._questions_per_worker and worker.question is None:
            self._drop(worker)

    def _fail(self, worker: WorkerProcess, why: str) -> None:
        """End a worker; the question it was at stays ungraded."""
        if worker.question is not None:
            self._asked[worker.question].verdict = Verdict(equal=None, layer=why)
        elif not worker.ready:
            self._failed_starts += 1
            if self._failed_starts > 3:
                raise RunError("grading workers end before they are ready; is math-verify installed here?")
        self._drop(worker)

    def _drop(self, worker: WorkerProcess) -> None:
        self._selector.unregister(worker.replies)
        self._workers.remove(worker)
        worker.kill()
