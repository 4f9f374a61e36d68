"""Responses to a reward model, several at a time; each score is handed over as it comes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from tts_compare.domain import RequestError
from tts_compare.errors import RunError
from tts_compare.limits.retry import RetryPolicy, with_retries
from tts_compare.reward.forms import FORMS, Render, ResponseToScore, prompt_tokens, score_of
from tts_compare.reward.http import Reply, request
from tts_compare.reward.reasons import every_one, hopeless
from tts_compare.rundir.scores import Score, Scorer

if TYPE_CHECKING:
    import httpx

#: So many failures on end, without a score between them, are the server's and not the responses'.
FAILURES_ON_END = 8


@dataclass(slots=True, kw_only=True)
class Scoring:
    """How the asking goes. known: responses that had a score before; on_end: failures since the last score."""

    known: int = 0
    scored: int = 0
    failed: int = 0
    on_end: int = 0

    def count(self, row: Score) -> None:
        """Take a row into account. A 4xx beside responses that were scored is about its own response: too long, say."""
        self.scored += row.score is not None
        self.failed += row.score is None
        if row.score is not None:
            self.on_end = 0
        elif not (row.error and row.error.kind == "http_4xx" and (self.scored or self.known)):
            self.on_end += 1

    def are_all_failing(self, *, at_the_end: bool = False) -> bool:
        """Whether it is the server that fails, not one response or another."""
        return self.on_end >= FAILURES_ON_END or (at_the_end and self.failed > 0 and not (self.scored or self.known))


@dataclass(slots=True, kw_only=True)
class _Asking:
    client: httpx.AsyncClient
    root: str
    scorer: Scorer
    key_env: str
    secrets: tuple[str, ...]
    patience: RetryPolicy
    render: Render | None
    rng: random.Random = field(default_factory=random.Random)
    #: What the wall clock is ahead of the monotonic one: rows of another process stand beside these.
    unix_ns: int = field(default_factory=lambda: time.time_ns() - time.monotonic_ns())

    async def row(self, question: ResponseToScore) -> Score:
        """The row of one response. Raises RunError where no response can be scored."""
        form = FORMS[self.scorer.api]
        body = form.body(question, self.scorer, self.render)

        async def asked(_: int) -> tuple[tuple[Reply, int, int], RequestError | None]:
            sent_ns = time.monotonic_ns()
            reply = await request(self.client, self.root + form.path, body, secrets=self.secrets)
            return (reply, sent_ns, time.monotonic_ns()), reply.error

        reply, sent_ns, end_ns = await with_retries(asked, policy=self.patience, rng=self.rng)
        score, error = (None, reply.error) if reply.error else self._read(reply)
        if error and (reason := hopeless(error, self.root, path=form.path, key_env=self.key_env)):
            raise RunError(reason)
        return Score(
            **asdict(question.key),
            score=score,
            by=self.scorer,
            sent_unix_ns=sent_ns + self.unix_ns,
            end_unix_ns=end_ns + self.unix_ns,
            prompt_tokens=prompt_tokens(reply.value),
            error=error,
        )

    def _read(self, reply: Reply) -> tuple[float | None, RequestError | None]:
        try:
            return score_of(reply.value, FORMS[self.scorer.api], self.scorer.reduce), None
        except ValueError as error:
            return None, RequestError(kind="malformed", status=200, message=str(error)[:500])


async def ask_all(
    questions: Sequence[ResponseToScore],
    client: httpx.AsyncClient,
    *,
    root: str,
    scorer: Scorer,
    keep: Callable[[Score], None],
    concurrency: int,
    known: int = 0,
    key_env: str = "",
    secrets: tuple[str, ...] = (),
    render: Render | None = None,
    patience: RetryPolicy | None = None,
) -> Scoring:
    """Ask about every response, ``concurrency`` at a time, short ones first; ``keep`` gets each row as it comes.

    A response that fails alone gives a row without a score. Raises RunError, in one line with what to try, where the
    server cannot be reached, refuses the key or the form, or fails for 8 responses on end or for all that there are.
    """
    asking = _Asking(
        client=client,
        root=root,
        scorer=scorer,
        key_env=key_env,
        secrets=secrets,
        patience=patience or RetryPolicy(),
        render=render,
    )
    # A form that is refused shows at the short ones; those that are too long for the model do not come first.
    waiting = iter(sorted(questions, key=lambda question: len(question.response)))
    asked, path = Scoring(known=known), FORMS[scorer.api].path
    last: RequestError | None = None

    async def work() -> None:
        nonlocal last
        for question in waiting:
            row = await asking.row(question)
            keep(row)
            asked.count(row)
            last = row.error or last
            if last and asked.are_all_failing():
                raise RunError(every_one(last, root, path=path))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
    except BaseExceptionGroup as several:
        error: BaseException = several
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    if last and asked.are_all_failing(at_the_end=True):
        raise RunError(every_one(last, root, path=path))
    return asked
