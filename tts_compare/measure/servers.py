"""A server of one setting for as long as its work takes, and a client bound to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from tts_compare import client as timed
from tts_compare.backends import BACKENDS
from tts_compare.codes import warn
from tts_compare.domain import RunWarning, Setting
from tts_compare.installer.registry import EnginePython, find_python
from tts_compare.launchers import Place, launcher_for
from tts_compare.limits.admission import RateLimiter
from tts_compare.measure.session import ServerSession
from tts_compare.measure.telemetry import sampled
from tts_compare.measure.writer import RunWriter
from tts_compare.plan.prepare import Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """How the settings of a run are started: which Python each engine has."""

    prepared: Prepared
    pythons: dict[str, EnginePython]

    def place(self, setting: Setting, writer: RunWriter, *, lane: int = 0) -> Place:
        """What the launcher is told of a setting's server."""
        python = self.pythons.get(setting.id)
        return Place(
            python=str(python.path) if python else "",
            own_packages=python is not None and python.source == "installed",
            version=python.version if python else None,
            log_path=writer.run.server_log(setting.id),
            machine=self.prepared.machine,
            model=self.prepared.facts[setting.model],
            beside=self._beside(setting),
            lane=lane,
            deadline_s=self.prepared.experiment.limits.start_s,
            insecure=self.prepared.experiment.insecure,
        )

    def _beside(self, setting: Setting) -> tuple[Setting, ...]:
        """The settings whose servers may run while this one's does."""
        lots = (tuple(dict.fromkeys(block.setting for block in lot)) for lot in self.prepared.lots)
        return next((beside for beside in lots if setting in beside), (setting,))


def find_pythons(prepared: Prepared) -> dict[str, EnginePython]:
    """The Python of every engine that is to be started. Raises UsageError naming the command that installs it."""
    return {
        setting.id: find_python(
            setting.backend,
            setting.version,
            overrides=prepared.experiment.engine_python,
            device=setting.device,
        )
        for setting in prepared.settings
        if setting.base_url is None and BACKENDS[setting.backend].launched
    }


@asynccontextmanager
async def serving(
    fleet: Fleet, setting: Setting, writer: RunWriter, *, limiter: RateLimiter, lane: int = 0, number: int = 0
) -> AsyncIterator[ServerSession]:
    """A ready server, stopped when the block ends however it ends; number: its round. Raises StartError.

    The client is closed first: an engine may never end on SIGTERM with a stream in flight.
    """
    experiment = fleet.prepared.experiment
    server = await launcher_for(setting, experiment.launcher).start(setting, fleet.place(setting, writer, lane=lane))
    try:
        facts = writer.manifest.settings[setting.id]
        before, version = facts.engine_version, server.engine_version or _installed_version(fleet, setting)
        started = () if server.startup_s is None else (round(server.startup_s, 3),)
        writer.set_setting(
            setting.id,
            engine_version=version,
            argv=tuple(server.argv),
            env=dict(server.env),
            hosts=tuple(server.hosts),
            cores=tuple(getattr(server, "cores", ())) or None,
            startup_s=(*facts.startup_s, *started),
        )
        writer.warn(server.doubts)
        writer.warn(_version_warnings(setting, server.engine_version))
        writer.warn(change_warnings(setting, before, version))
        writer.save()
        limits = timed.TimeLimits(
            connect_s=experiment.limits.connect_s,
            first_byte_s=experiment.limits.first_byte_s,
            idle_s=experiment.limits.idle_s,
            total_s=experiment.limits.total_s,
        )
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                timed.open_client(server.endpoint, limits=limits, insecure=experiment.insecure)
            )
            workers = None
            if experiment.workers > 1:
                workers = await stack.enter_async_context(
                    timed.Workers(experiment.workers, server.endpoint, limits, insecure=experiment.insecure)
                )
            sampler = await stack.enter_async_context(
                sampled(setting, server, writer, interval_s=experiment.telemetry_s, number=number)
            )
            yield ServerSession(
                setting=setting,
                server=server,
                client=client,
                post=workers.send if workers else partial(timed.send, client, limits=limits),
                backend=BACKENDS[setting.backend],
                limiter=limiter,
                workers=workers,
                sampler=sampler,
                round=number,
            )
    finally:
        await server.stop()


def _installed_version(fleet: Fleet, setting: Setting) -> str | None:
    python = fleet.pythons.get(setting.id)
    return python.version if python else None


def _version_warnings(setting: Setting, told: str | None) -> tuple[RunWarning, ...]:
    if setting.version is None or told is None or told.split("+")[0] == setting.version:
        return ()
    return (
        warn(
            "version_differs",
            f"the setting asks for {setting.backend} {setting.version}, the server says {told}",
            setting=setting.id,
        ),
    )


def change_warnings(setting: Setting, before: str | None, now: str | None) -> tuple[RunWarning, ...]:
    """A warning where a run that was resumed, or a repeat, meets another version of its engine."""
    if before is None or now is None or before == now:
        return ()
    return (
        warn(
            "version_changed",
            f"some requests were answered by {setting.backend} {before} and later ones by {now}",
            setting=setting.id,
        ),
    )
