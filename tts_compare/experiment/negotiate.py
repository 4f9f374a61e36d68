"""Which standard fields a hosted endpoint takes: by its model's family, then by its refusals while warming up."""

from __future__ import annotations

import asyncio
import random
from dataclasses import asdict, replace

from tts_compare.backends import Dialect, OpenAI, dialect_for
from tts_compare.codes import warn
from tts_compare.domain import Call, Doubt, RequestRecord, RowKey, Setting
from tts_compare.experiment.journal import Journal
from tts_compare.experiment.refusal import check_access, check_control
from tts_compare.experiment.stage import Stage
from tts_compare.retry import RetryPolicy, retry_delay_s

_MOST_REFUSALS = 6
_ONE_TOKEN_CHARS = 16


async def negotiated(stage: Stage, call: Call, key: RowKey, journal: Journal) -> Stage:
    """The stage with the dialect its endpoint takes, found by sending one warm-up request; others as they are.

    A refusal that names no field we can do without is left for the requests themselves to show. An endpoint that
    streams an uncounted answer in one piece is asked for a whole one: where that has usage, nothing is lost and the
    counts are won. Raises BudgetReachedError, and RefusedError where the key, the model or a control of thinking is
    refused.
    """
    backend = stage.backend
    if not isinstance(backend, OpenAI):
        return stage
    dialect = backend.dialect or dialect_for(stage.server.endpoint.model)
    for _ in range(_MOST_REFUSALS):
        row = await _tried(_speaking(stage, backend, dialect), call, key, journal)
        key = replace(key, attempt=row.attempt + 1)
        error = row.error
        if call.thinking is not None:
            check_control(error, backend.controls.fields(call.thinking, stage.setting))
        other = dialect.after_refusal(error.message) if error is not None and error.kind == "http_4xx" else None
        if other is None:
            check_access(error, stage.setting)
            break
        dialect = other
    if dialect.stream and _in_one_piece(row):
        whole = replace(dialect, stream=False)
        again = await _tried(_speaking(stage, backend, whole), call, key, journal)
        dialect = whole if again.ok and again.tokens_source == "usage" else dialect
    stage = _speaking(stage, backend, dialect)
    journal.set_setting(stage.setting.id, dialect=asdict(dialect))
    journal.doubt(_unstated(dialect, stage.setting))
    return stage


def _speaking(stage: Stage, backend: OpenAI, dialect: Dialect) -> Stage:
    return replace(stage, backend=replace(backend, dialect=dialect))


async def _tried(stage: Stage, call: Call, key: RowKey, journal: Journal) -> RequestRecord:
    """The last row of one request, tried again where an endpoint that is busy or cold says nothing of its fields."""
    rng = random.Random(str(key))  # noqa: S311 - jitter, not a secret
    waited_s, retries = 0.0, 0
    while True:
        async with stage.gate(call):
            rows = await stage.sender("warmup", journal)(call, key, scheduled_ns=None)
        journal.append(rows)
        stage.gate.account(rows)
        error = rows[0].error
        if error is None:
            return rows[0]
        delay_s = retry_delay_s(error, retries=retries, waited_s=waited_s, policy=RetryPolicy(), rng=rng)
        if delay_s is None:
            return rows[0]
        await asyncio.sleep(delay_s)
        waited_s, retries, key = waited_s + delay_s, retries + 1, replace(key, attempt=key.attempt + 1)


def _in_one_piece(row: RequestRecord) -> bool:
    """Whether an uncounted answer of surely several tokens came in one chunk."""
    chars = row.timeline.chars
    return row.ok and row.tokens_source == "estimated" and len(chars) == 1 and chars[0] > _ONE_TOKEN_CHARS


def _unstated(dialect: Dialect, setting: Setting) -> tuple[Doubt, ...]:
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
