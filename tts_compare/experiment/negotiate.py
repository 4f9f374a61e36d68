"""Which standard fields a hosted endpoint takes: by its model's family, then by its refusals while warming up."""

from __future__ import annotations

from dataclasses import asdict, replace

from tts_compare.backends import Dialect, OpenAI, dialect_for
from tts_compare.domain import Call, Doubt, RowKey
from tts_compare.experiment.journal import Journal
from tts_compare.experiment.stage import Stage

_MOST_REFUSALS = 6


async def negotiated(stage: Stage, call: Call, key: RowKey, journal: Journal) -> Stage:
    """The stage with the dialect its endpoint takes, found by sending one warm-up request; others as they are.

    A refusal that names no field we can do without is left for the requests themselves to show.
    """
    backend = stage.backend
    if not isinstance(backend, OpenAI):
        return stage
    dialect = backend.dialect or dialect_for(stage.server.endpoint.model)
    for attempt in range(_MOST_REFUSALS):
        stage = replace(stage, backend=replace(backend, dialect=dialect))
        rows = await stage.sender("warmup", journal)(call, replace(key, attempt=attempt), scheduled_ns=None)
        journal.append(rows)
        stage.gate.account(rows)
        error = rows[0].error
        other = dialect.after_refusal(error.message) if error is not None and error.kind == "http_4xx" else None
        if other is None:
            break
        dialect = other
    journal.manifest["settings"][stage.setting.id]["dialect"] = asdict(dialect)
    journal.doubt(_unstated(dialect, stage.setting.id))
    return stage


def _unstated(dialect: Dialect, setting: str) -> tuple[Doubt, ...]:
    doubts = [
        Doubt(
            code="sampling_not_stated",
            message=f"requests do not state {', '.join(dialect.left_out())}: the endpoint's own values hold",
            advice="compare accuracy with care; OpenAI's API has no field for them, or the model refuses it",
            setting=setting,
        )
    ]
    if not dialect.stream_options:
        doubts.append(
            Doubt(
                code="usage_not_asked",
                message="the endpoint refuses stream_options: token counts are estimated from chunks",
                advice="take its token counts and costs as rough",
                setting=setting,
            )
        )
    return tuple(doubts)
