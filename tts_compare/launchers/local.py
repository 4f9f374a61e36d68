"""Runs an engine's server on this machine, under a supervisor that lets none of its processes outlive us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tts_compare.backends import BACKENDS, Machine
from tts_compare.client.untimed import open_client
from tts_compare.domain import Endpoint, RunWarning, Setting
from tts_compare.errors import StartError
from tts_compare.launchers import ports, probe, supervisor
from tts_compare.launchers.devices import lane_count
from tts_compare.launchers.energy import Reading, read_energy
from tts_compare.launchers.logs import describe_status, read_tail, signal_of
from tts_compare.launchers.machine import probe_machine
from tts_compare.launchers.plan import path_with, plan_server
from tts_compare.launchers.protocol import Place, ServerPlan
from tts_compare.machine.gpus import VISIBLE

if TYPE_CHECKING:
    import httpx

POLL_S = 0.2
KILL_WAIT_S = supervisor.KILL_S + 5.0


@dataclass(slots=True)
class _Supervised:
    """The supervisor's process and the pipe that only we hold: closing it kills everything below."""

    process: subprocess.Popen[bytes]
    control: int
    pid: int

    def terminate(self) -> None:
        """SIGTERM to the server; nothing where it has ended."""
        self._say(b"T")

    def kill(self) -> None:
        """SIGKILL to everything below. It is said, not only shown by the pipe's end, which a fork of ours may hold."""
        self._say(b"K")
        if self.control >= 0:
            os.close(self.control)
            self.control = -1

    def _say(self, byte: bytes) -> None:
        if self.control >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self.control, byte)

    async def ended(self, within_s: float) -> bool:
        """Whether the supervisor, and with it all below, ends in time."""
        deadline = time.monotonic() + within_s
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True


@dataclass(slots=True, kw_only=True)
class LocalServer:
    """A server that we started. Fields as in ``Server``."""

    plan: ServerPlan
    endpoint: Endpoint
    pid: int | None
    log_path: Path | None
    startup_s: float | None = None
    engine_version: str | None = None
    doubts: tuple[RunWarning, ...] = ()
    hosts: tuple[str, ...] = ()
    _supervised: _Supervised = field(repr=False)
    _stopped: bool = False

    @property
    def logs(self) -> tuple[Path, ...]:
        """The one log."""
        return (self.plan.log_path,)

    @property
    def argv(self) -> tuple[str, ...]:
        """The plan's."""
        return self.plan.argv

    @property
    def env(self) -> Mapping[str, str]:
        """The plan's."""
        return self.plan.env

    def processes(self) -> tuple[int, ...]:
        """All below its supervisor."""
        return tuple(_ours(self._supervised))

    def energy(self) -> Reading:
        """Of the GPUs that it sees, or of the processor's packages."""
        return read_energy(self.plan.setting.device, visible=self.plan.env.get(VISIBLE))

    def died(self, *, by_ns: int | None = None) -> str | None:
        """The exit status, and the log's cause unless it was killed, when it ended by itself.

        Nothing for an instant: of one that had ended no request can have been answered whole.
        """
        if self._stopped or by_ns is not None:
            return None
        status = self._supervised.process.poll()
        if status is None:
            return None
        ended = f"server ended with {describe_status(status)}"
        if signal_of(status) == signal.SIGKILL:
            return f"{ended}: its log cannot say why; the kernel does so when memory runs out"
        cause = BACKENDS[self.plan.setting.backend].startup_cause(read_tail(self.plan.log_path))
        return f"{ended}: {cause.line}"

    def lost(self) -> str | None:
        """None: nobody takes a machine's own processes away."""
        return None

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL of all it started once its grace is over."""
        if self._stopped:
            return
        self._stopped = True
        try:
            self._supervised.terminate()
            await self._supervised.ended(self.plan.stop_grace_s)
        finally:
            await _end(self._supervised)


@dataclass(frozen=True, slots=True)
class LocalLauncher:
    """Starts an engine's server in a session of its own on this machine's loopback; its log is created 0600."""

    name: str = "local"

    def machine(self, device: Literal["auto", "cpu", "cuda"] = "auto") -> Machine:
        """This machine."""
        return probe_machine(device)

    def lanes(self, settings: Sequence[Setting], machine: Machine, *, asked: int) -> int:
        """As many as asked for, on GPUs no more than have devices of their own."""
        return lane_count(settings, machine, asked=asked)

    async def start(self, setting: Setting, place: Place) -> LocalServer:
        """A server of the setting as ``plan_server`` plans it."""
        return await self.run(plan_server(setting, place))

    async def run(self, plan: ServerPlan) -> LocalServer:
        """Ready is: health answers 200, a process of ours listens on the port, the model is the one asked for."""
        backend = BACKENDS[plan.setting.backend]
        if not ports.can_bind(plan.port, plan.host):
            raise StartError(
                f"port {plan.port} is taken by another program", log=str(plan.log_path), advice="start again"
            )
        began = time.monotonic()
        supervised = _spawn(plan)
        try:
            await _wait_ready(plan, supervised, began + plan.deadline_s)
            async with open_client(_root(plan), api_key=plan.api_key, timeout=probe.TIMEOUT_S) as client:
                info = await probe.json_of(client, _root(plan) + backend.version_path) if backend.version_path else {}
        except BaseException:
            supervised.kill()  # now, not when a task gets its turn: the loop may be closing
            await asyncio.shield(_end(supervised))
            raise
        version = info.get("version")
        return LocalServer(
            plan=plan,
            endpoint=Endpoint(base_url=_root(plan) + "/v1", model=plan.served_name, api_key=plan.api_key),
            pid=supervised.pid,
            log_path=plan.log_path,
            startup_s=time.monotonic() - began,
            engine_version=version if isinstance(version, str) else None,
            _supervised=supervised,
        )


def _root(plan: ServerPlan) -> str:
    return f"http://{plan.host}:{plan.port}"


def _inherited(python: str) -> dict[str, str]:
    """Our environment without API keys: a server needs none of the user's, and shows its environment to ``ps``."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return kept | {"PATH": path_with(python, kept.get("PATH", os.defpath))}


def _spawn(plan: ServerPlan) -> _Supervised:
    """Start the supervisor with the server below it. The write end of its pipe is ours alone: it is not inheritable."""
    plan.log_path.parent.mkdir(parents=True, exist_ok=True)
    control_read, control_write = os.pipe()
    status_read, status_write = os.pipe()
    log = os.open(plan.log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    prefixes = ",".join(BACKENDS[plan.setting.backend].shm_prefixes)
    told = (str(control_read), str(status_write), str(os.getpid()), prefixes)
    try:
        process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(Path(supervisor.__file__)), *told, "--", *plan.argv],
            env=_inherited(plan.argv[0]) | plan.env | plan.key_env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(control_read, status_write),
            start_new_session=True,
        )
    except BaseException:
        os.close(control_write)
        os.close(status_read)
        raise
    finally:
        for fd in (control_read, status_write, log):
            os.close(fd)
    with os.fdopen(status_read) as status:
        pid = status.readline().strip()
    return _Supervised(process=process, control=control_write, pid=int(pid) if pid else process.pid)


async def _wait_ready(plan: ServerPlan, supervised: _Supervised, deadline: float) -> None:
    """Return when ready; raise StartError at early death, at a stranger on the port, or at the deadline."""
    async with open_client(_root(plan), api_key=plan.api_key, timeout=probe.TIMEOUT_S) as client:
        while True:
            status = supervised.process.poll()
            if status is not None:
                raise _ended_early(plan, status)
            answers = await probe.status_of(client, _root(plan) + (plan.health_path or "/v1/models")) == 200
            if ports.listening_inodes(plan.port) and not ports.listens(_ours(supervised), plan.port):
                raise StartError(
                    f"port {plan.port} was taken by another program while the server was loading",
                    log=str(plan.log_path),
                    advice="start again, another port is then chosen",
                )
            if answers:
                if BACKENDS[plan.setting.backend].wire.lists_models:
                    await _check_model(plan, client)
                return
            if time.monotonic() > deadline:
                cause = BACKENDS[plan.setting.backend].startup_cause(read_tail(plan.log_path))
                raise StartError(
                    f"not ready after {plan.deadline_s:.0f} s; its log says: {cause.line}",
                    log=str(plan.log_path),
                    advice="see its log; where it is still loading or downloading, raise start_s under [limits]",
                )
            await asyncio.sleep(POLL_S)


async def _check_model(plan: ServerPlan, client: httpx.AsyncClient) -> None:
    models = await probe.models_of(client, _root(plan) + "/v1")
    if models is None or plan.served_name not in models.names:
        served = ", ".join(models.names) if models and models.names else "nothing"
        raise StartError(f"it serves {served}, not {plan.served_name}", log=str(plan.log_path))


def _ours(supervised: _Supervised) -> list[int]:
    return supervisor.below(supervised.process.pid)


async def _end(supervised: _Supervised) -> None:
    """Kill what is left and wait for it; the supervisor itself is killed only where it does not end."""
    supervised.kill()
    if not await supervised.ended(KILL_WAIT_S):
        for pid in (*_ours(supervised), supervised.process.pid):
            _kill_if_there(pid)
        await supervised.ended(KILL_WAIT_S)


def _kill_if_there(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _ended_early(plan: ServerPlan, status: int) -> StartError:
    cause = BACKENDS[plan.setting.backend].startup_cause(read_tail(plan.log_path))
    line = f"{cause.line} (ended with {describe_status(status)})"
    return StartError(line, log=str(plan.log_path), advice=cause.advice)
