"""The sampler beside a server, and what its samples warn of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tts_compare.analysis.findings.telemetry_warnings import telemetry_warnings
from tts_compare.backends import BACKENDS
from tts_compare.codes import warn
from tts_compare.domain import RunWarning, Setting
from tts_compare.launchers import Server
from tts_compare.machine.gpus import VISIBLE
from tts_compare.machine.telemetry import Asked, Sampler, start_sampler
from tts_compare.measure.writer import RunWriter
from tts_compare.rundir import store
from tts_compare.rundir.telemetry import TelemetryRow

#: Fields of ``EngineSample``, which are fields of ``MetricNames`` too.
_GAUGES = ("running", "waiting", "kv_cache_share", "preemptions")


@asynccontextmanager
async def sampled(
    setting: Setting, server: Server, writer: RunWriter, *, interval_s: float, number: int
) -> AsyncIterator[Sampler | None]:
    """A sampler while the block runs; None where there is nothing to sample or it is not wanted.

    One that ended by itself is a warning: telemetry never fails a run.
    """
    asked = _asked(setting, server, writer, interval_s=interval_s, number=number)
    if asked is None or interval_s <= 0:
        yield None
        return
    try:
        sampler = start_sampler(asked)
    except OSError as error:
        writer.warn([_lost(setting, f"it could not be started: {error.strerror}")])
        yield None
        return
    try:
        yield sampler
    finally:
        if (why := await sampler.stop()) is not None:
            writer.warn([_lost(setting, why)])


def _lost(setting: Setting, why: str) -> RunWarning:
    return warn("telemetry_lost", f"samples of the machine are missing: of the sampler, {why}", setting=setting.id)


def _asked(setting: Setting, server: Server, writer: RunWriter, *, interval_s: float, number: int) -> Asked | None:
    """What the sampler of a server is told; None for a server that is not ours and has no gauges."""
    backend = BACKENDS[setting.backend]
    names = {field: name for field in _GAUGES if (name := getattr(backend.metrics, field)) is not None}
    root = server.endpoint.base_url.removesuffix("/v1")
    url = root + backend.metrics_path if backend.metrics_path and names else None
    if server.pid is None and url is None:
        return None
    key = server.endpoint.api_key
    return Asked(
        path=str(writer.run.telemetry.absolute()),
        setting=setting.id,
        session=writer.session,
        round=number,
        interval_s=interval_s,
        pid=server.pid,
        gpus=setting.device == "cuda" and server.pid is not None,
        visible=server.env.get(VISIBLE),
        metrics_url=url,
        names=names,
        headers={"Authorization": f"Bearer {key}"} if key else {},
        private=writer.private,
    )


def warnings_of(writer: RunWriter) -> Iterable[RunWarning]:
    """The warnings of this session's samples."""
    rows = [r for r in store.read_rows(writer.run.telemetry, TelemetryRow) if r.session == writer.session]
    models = {setting: facts.model for setting, facts in writer.manifest.settings.items()}
    return telemetry_warnings(rows, models)
