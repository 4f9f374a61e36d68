"""What a launcher does: a plan becomes a running server, and a server can be stopped and asked how it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tts_compare.domain import Doubt, Endpoint, Setting

DEFAULT_DEADLINE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """Everything a launcher needs to know of one server; ``plan_server`` makes it from a setting.

    argv and env: as the backend gives them; env is added to ours. port: where argv tells it to listen.
    deadline_s: from start to readiness. api_key: what the server asks for, None for none; it is in ``key_env`` too
    where we hand it over, and never in argv. insecure: accept any certificate of a server that is not ours.
    """

    setting: Setting
    log_path: Path
    argv: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    key_env: dict[str, str] = field(default_factory=dict, repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    served_name: str = ""
    health_path: str | None = "/health"
    deadline_s: float = DEFAULT_DEADLINE_S
    stop_grace_s: float = 10.0
    api_key: str | None = field(default=None, repr=False)
    insecure: bool = False


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
    def log_path(self) -> Path | None:
        """Its log; None for a server that is not ours."""

    @property
    def engine_version(self) -> str | None:
        """As the running server tells it."""

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What weakens figures taken from it: settings taken on trust, or that differ from what was asked."""

    def died(self) -> str | None:
        """Why it ended by itself, one line; None while it runs, and after ``stop``."""

    async def stop(self) -> None:
        """End it, and everything it started, in bounded time; a second call does nothing.

        Abort streams first: vLLM never ends on SIGTERM with one in flight and is killed after its grace.
        """


class Launcher(Protocol):
    """Makes servers."""

    @property
    def name(self) -> str:
        """Its name in ``LAUNCHERS``."""

    async def start(self, plan: ServerPlan) -> Server:
        """A server that is ready and is the one asked for.

        Raises StartError with the cause, the log's path and advice. Nothing is left running then, nor when the
        awaiting task is cancelled.
        """
