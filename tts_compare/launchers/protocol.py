"""What a launcher does: a setting becomes a running server, which can be stopped and asked how it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from tts_compare.backends import Machine, ModelFacts
from tts_compare.domain import Endpoint, RunWarning, Setting
from tts_compare.launchers.energy import Reading

DEFAULT_DEADLINE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a launcher is told of one server beside its setting; host, port and devices are its own decision.

    log_path: where its output goes. python: the engine environment's interpreter, empty where none is started.
    own_packages: that interpreter takes no packages from PYTHONPATH. version: the engine's installed version, which
    lets newer flags be given. machine: as the launcher's ``machine`` said, None where its cores do not matter.
    model: the model's shape, None where it is unknown. beside: all settings of the run, this one among them; a lane
    has devices for the largest. lane: which of the servers side by side this is, from 0. deadline_s: seconds from
    start to readiness. with_key: ask for a random key of this server where the engine takes one by environment.
    insecure: of a server that is not ours, accept any certificate.
    """

    log_path: Path
    python: str = ""
    own_packages: bool = False
    version: str | None = None
    machine: Machine | None = None
    model: ModelFacts | None = None
    beside: tuple[Setting, ...] = ()
    lane: int = 0
    deadline_s: float = DEFAULT_DEADLINE_S
    with_key: bool = True
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """One server that this machine is to start; ``plan_server`` makes it from a setting and a place.

    argv and env: as the backend gives them; env is added to ours. port: where argv tells it to listen.
    deadline_s: from start to readiness. api_key: what the server asks for, None for none; it is in ``key_env`` too
    where we hand it over, and never in argv. health_path: None where readiness is told by ``/v1/models``.
    """

    setting: Setting
    log_path: Path
    argv: tuple[str, ...]
    host: str
    port: int
    served_name: str
    env: dict[str, str] = field(default_factory=dict)
    key_env: dict[str, str] = field(default_factory=dict, repr=False)
    health_path: str | None = "/health"
    deadline_s: float = DEFAULT_DEADLINE_S
    stop_grace_s: float = 10.0
    api_key: str | None = field(default=None, repr=False)


class Server(Protocol):
    """A running server."""

    @property
    def endpoint(self) -> Endpoint:
        """Where requests go."""

    @property
    def pid(self) -> int | None:
        """The engine's leading process; None for a server that is not ours."""

    @property
    def startup_s(self) -> float | None:
        """Seconds from start to readiness; None for a server that is not ours."""

    @property
    def logs(self) -> tuple[Path, ...]:
        """Its logs, one a node; none for a server that is not ours."""

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line that it was started with; empty for a server that is not ours."""

    @property
    def env(self) -> Mapping[str, str]:
        """What its environment adds to ours, keys not among it; empty for a server that is not ours."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The cluster's names of its nodes, the head first; empty outside of a cluster."""

    def processes(self) -> tuple[int, ...]:
        """Ids of its processes on this machine, as far as they can be seen."""

    def energy(self) -> Reading:
        """The energy counters of its devices now; empty where there are none, or they are not ours to read."""

    @property
    def engine_version(self) -> str | None:
        """As the running server tells it."""

    @property
    def doubts(self) -> tuple[RunWarning, ...]:
        """What weakens figures taken from it: settings taken on trust, or that differ from what was asked."""

    def died(self, *, by_ns: int | None = None) -> str | None:
        """Why it ended by itself, one line; None while it runs, and after ``stop``.

        by_ns: only where its end was noticed by this instant of the monotonic clock, though requests may still have
        been answered; None where a server that has ended answers nothing.
        """

    def lost(self) -> str | None:
        """Why a cluster took it away: cancelled, preempted, out of time, a node lost. That is no death of its own."""

    async def stop(self) -> None:
        """End it, and everything it started, in bounded time; a second call does nothing.

        Abort streams first: vLLM never ends on SIGTERM with one in flight and is killed after its grace.
        """


class Launcher(Protocol):
    """Makes servers."""

    @property
    def name(self) -> str:
        """Its name in ``LAUNCHERS``."""

    def machine(self, device: Literal["auto", "cpu", "cuda"] = "auto") -> Machine:
        """What it offers to servers; ``auto`` is ``cuda`` where a GPU answers."""

    def lanes(self, settings: Sequence[Setting], machine: Machine, *, asked: int) -> int:
        """How many servers it runs side by side, of those asked for; at least one."""

    async def start(self, setting: Setting, place: Place) -> Server:
        """A server that is ready and is the one asked for.

        Raises StartError with the cause, the log's path and advice. Nothing is left running then, nor when the
        awaiting task is cancelled.
        """
