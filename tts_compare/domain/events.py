"""What happens while a run goes on, as values: each is told once, to whatever watches. Instants are seconds of one
monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tts_compare.domain.warning import RunWarning


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The work: ``(setting, requests)`` in the order they will run. The first event of a run."""

    settings: tuple[tuple[str, int], ...]
    at_s: float
    #: Server starts of the settings, in the same order; one of each where it is empty.
    starts: tuple[int, ...] = ()
    #: Servers that run at once.
    lanes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsAdded:
    """A resumed run adds settings to those in its directory."""

    path: str
    settings: tuple[str, ...]
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingStarted:
    """Its server is being started, or attached to."""

    setting: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReady:
    """It answers."""

    setting: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSent:
    """An attempt begins, of the warm-up too."""

    setting: str
    #: Its number in this session.
    request: int
    at_s: float
    #: Whether ``AnswerBegun`` will tell of it: a worker process of the client does not.
    followed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerBegun:
    """The first piece of an answer's body is there; no token was before it."""

    setting: str
    request: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnded:
    """An attempt is over, however it ended."""

    setting: str
    request: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDone:
    """A request of the replay has its outcome; retries that were repeated are not counted. Warm-up is not told."""

    setting: str
    ok: bool
    at_s: float
    latency_s: float | None = None
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A response was graded."""

    setting: str
    correct: bool
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDone:
    """All its requests have an outcome and its server is stopped."""

    setting: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingFailed:
    """It ended early, or its server did not start."""

    setting: str
    cause: str
    at_s: float
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingSkipped:
    """It cannot run here."""

    setting: str
    reason: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """Its server died and is being started again."""

    setting: str
    cause: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A warning arose while the run went on."""

    warning: RunWarning
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A line of talk: what the program does now, or the last line of a server's log."""

    text: str
    at_s: float


SettingEvent: TypeAlias = (
    SettingStarted
    | ServerReady
    | RequestSent
    | AnswerBegun
    | RequestEnded
    | RequestDone
    | Graded
    | SettingDone
    | SettingFailed
    | SettingSkipped
    | Restarted
)
Event: TypeAlias = Planned | SettingsAdded | SettingEvent | Warned | Said
#: Is called from the loop that takes stamps, and so must return at once: it may not wait, write or draw.
Emit: TypeAlias = Callable[[Event], None]
