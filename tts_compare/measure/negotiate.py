"""Which standard fields a hosted endpoint takes: by its model's family, then by its refusals while warming up."""

from __future__ import annotations

import random
from dataclasses import asdict, replace

from tts_compare.backends import Dialect, OpenAI, dialect_for
from tts_compare.codes import warn
from tts_compare.domain import Call, RequestError, RequestRecord, RowKey, RunWarning, Setting
from tts_compare.limits.retry import with_retries
from tts_compare.measure.refusal import check_access, check_control
from tts_compare.measure.session import ServerSession
from tts_compare.measure.writer import RunWriter

_MOST_REFUSALS = 6
_ONE_TOKEN_CHARS = 16


async def negotiated(session: ServerSession, call: Call, key: RowKey, writer: RunWriter) -> ServerSession:
    """The session with the dialect its endpoint takes, found by sending one warm-up request; others as they are.

    A refusal that names no field we can do without is left for the requests themselves to show. An endpoint that
    streams an uncounted answer in one piece is asked for a whole one: where that has usage, nothing is lost and the
    counts are won. Raises BudgetReachedError, and RefusedError where the key, the model or a control of thinking is
    refused.
    """
    backend = session.backend
    if not isinstance(backend, OpenAI):
        return session
    dialect = backend.dialect or dialect_for(session.server.endpoint.model)
    for _ in range(_MOST_REFUSALS):
        row = await _tried(_speaking(session, backend, dialect), call, key, writer)
        key = replace(key, attempt=row.attempt + 1)
        error = row.error
        if call.thinking is not None:
            check_control(error, backend.controls.fields(call.thinking, session.setting))
        other = dialect.after_refusal(error.message) if error is not None and error.kind == "http_4xx" else None
        if other is None:
            check_access(error, session.setting)
            break
        dialect = other
    if dialect.stream and _in_one_piece(row):
        whole = replace(dialect, stream=False)
        again = await _tried(_speaking(session, backend, whole), call, key, writer)
        dialect = whole if again.ok and again.tokens_source == "usage" else dialect
    session = _speaking(session, backend, dialect)
    writer.set_setting(session.setting.id, dialect=asdict(dialect))
    writer.warn(_unstated(dialect, session.setting))
    return session


def _speaking(session: ServerSession, backend: OpenAI, dialect: Dialect) -> ServerSession:
    return replace(session, backend=replace(backend, dialect=dialect))


async def _tried(session: ServerSession, call: Call, key: RowKey, writer: RunWriter) -> RequestRecord:
    """The last row of one request, tried again where an endpoint that is busy or cold says nothing of its fields."""
    rng = random.Random(str(key))  # noqa: S311 - jitter, not a secret

    async def asked(retries: int) -> tuple[RequestRecord, RequestError | None]:
        async with session.limiter(call):
            again = replace(key, attempt=key.attempt + retries)
            rows = await session.sender("warmup", writer)(call, again, scheduled_ns=None)
        writer.append(rows)
        session.limiter.account(rows)
        return rows[0], rows[0].error

    return await with_retries(asked, rng=rng)


def _in_one_piece(row: RequestRecord) -> bool:
    """Whether an uncounted answer of surely several tokens came in one chunk."""
    chars = row.timeline.chars
    return row.ok and row.tokens_source == "estimated" and len(chars) == 1 and chars[0] > _ONE_TOKEN_CHARS


def _unstated(dialect: Dialect, setting: Setting) -> tuple[RunWarning, ...]:
    added = dict(setting.extra_body)
    left_out = [name for name in dialect.left_out() if name not in added]
    doubts = [
        warn(
            "sampling_not_stated",
            f"requests do not state {', '.join(left_out)}: the endpoint's own values hold",
            setting=setting.id,
        )
    ]
    if not dialect.stream_options:
        doubts.append(
            warn(
                "usage_not_asked",
                setting=setting.id,
            )
        )
    return tuple(doubts)
