"""How far a run is: events in, a new frozen state out. Pure; instants are seconds of one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from tts_compare.domain import RunWarning
from tts_compare.domain.events import (
    AnswerBegun,
    Event,
    Graded,
    Planned,
    RequestDone,
    RequestEnded,
    RequestSent,
    Restarted,
    Said,
    ServerReady,
    SettingDone,
    SettingEvent,
    SettingFailed,
    SettingsAdded,
    SettingSkipped,
    SettingStarted,
    Warned,
)
from tts_compare.reports.plain import one_line

State = Literal["waiting", "starting", "running", "done", "failed", "skipped"]
KEPT_WORDS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A request that is under way. begun: whether its answer has; None where that is not told."""

    request: int
    sent_at_s: float
    begun: bool | None = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingProgress:
    """One row: where a setting is and its figures so far."""

    setting: str
    planned: int
    state: State = "waiting"
    done: int = 0
    failed: int = 0
    tokens: int = 0
    latency_sum_s: float = 0.0
    latencies: int = 0
    graded: int = 0
    correct: int = 0
    restarts: int = 0
    note: str = ""
    #: Server starts that are still to begin.
    starts_left: int = 1
    #: Starts that ended in a ready server, and the seconds they took together.
    starts: int = 0
    start_sum_s: float = 0.0
    #: When the start that goes on began; None while none does.
    begun_at_s: float | None = None
    #: When the server that serves now was ready; None while none does.
    ready_at_s: float | None = None
    #: Seconds that servers served before this one.
    served_s: float = 0.0
    #: Requests under way, the oldest first.
    in_flight: tuple[Attempt, ...] = ()

    @property
    def latency_mean_s(self) -> float | None:
        """Of successful requests so far."""
        return self.latency_sum_s / self.latencies if self.latencies else None

    @property
    def accuracy(self) -> float | None:
        """Correct / graded, so far: not the accuracy of the report, whose denominator is all problems."""
        return self.correct / self.graded if self.graded else None

    def serving_s(self, now_s: float) -> float:
        """Seconds in which a server of the setting was ready, over all its starts."""
        return self.served_s + (max(0.0, now_s - self.ready_at_s) if self.ready_at_s is not None else 0.0)

    def tokens_per_s(self, now_s: float) -> float | None:
        """Completion tokens of finished requests / seconds in which a server was ready."""
        served_s = self.serving_s(now_s)
        return self.tokens / served_s if self.tokens and served_s > 0 else None

    def pace_s(self, now_s: float) -> float | None:
        """Seconds a request, while a server was ready; None before the first is done."""
        return self.serving_s(now_s) / self.done if self.done else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The whole run. ``rows`` in the order planned; ``words`` the last things said, oldest first."""

    rows: tuple[SettingProgress, ...] = ()
    words: tuple[str, ...] = ()
    doubts: tuple[RunWarning, ...] = ()
    started_at_s: float | None = None
    lanes: int = 1
    index: dict[str, int] = field(default_factory=dict)

    def apply(self, event: Event) -> Progress:
        """The state after an event. An event of an unplanned setting adds its row."""
        match event:
            case Planned():
                starts = event.starts or (1,) * len(event.settings)
                rows = tuple(
                    SettingProgress(setting=name, planned=count, starts_left=left)
                    for (name, count), left in zip(event.settings, starts, strict=True)
                )
                index = {row.setting: i for i, row in enumerate(rows)}
                return replace(self, rows=rows, index=index, started_at_s=event.at_s, lanes=event.lanes)
            case SettingsAdded():
                return _with_words(self, f"--resume adds to {event.path}: {', '.join(event.settings)}")
            case Said():
                return _with_words(self, event.text)
            case Warned():
                doubted = replace(self, doubts=(*self.doubts, event.warning))
                return _with_words(doubted, f"warning: {event.warning.message}")
            case _:
                return _with_words(_with_row(self, event), _words(event))

    @property
    def planned(self) -> int:
        """Requests that were or will be sent: those of settings that failed or were skipped are no longer expected."""
        return sum(row.done if row.state in ("failed", "skipped") else row.planned for row in self.rows)

    @property
    def in_flight(self) -> tuple[Attempt, ...]:
        """Requests of every setting that are under way, the oldest first."""
        return tuple(sorted((one for row in self.rows for one in row.in_flight), key=lambda one: one.sent_at_s))

    def remaining_s(self, now_s: float) -> float | None:
        """Seconds the rest will take, server starts too, from the pace so far; None before the first request is done.

        A setting that has not begun is taken to need as long a request as the mean of those that have, and as long a
        start as theirs. Servers side by side share the work; none ends before its own setting does.
        """
        paces = [pace for row in self.rows if (pace := row.pace_s(now_s)) is not None]
        if not paces:
            return None
        mean = sum(paces) / len(paces)
        starts = sum(row.starts for row in self.rows)
        start_s = sum(row.start_sum_s for row in self.rows) / starts if starts else 0.0
        left = [
            _left_s(row, now_s, pace_s=mean, start_s=start_s)
            for row in self.rows
            if row.state in ("waiting", "starting", "running")
        ]
        return max(sum(left) / self.lanes, *left) if left else 0.0


def _left_s(row: SettingProgress, now_s: float, *, pace_s: float, start_s: float) -> float:
    """Seconds that a setting still needs. pace_s, start_s: those of the others, where it has none of its own."""
    own = row.pace_s(now_s)
    start = row.start_sum_s / row.starts if row.starts else start_s
    begun = 0.0 if row.begun_at_s is None else max(0.0, start - (now_s - row.begun_at_s))
    return max(0, row.planned - row.done) * (pace_s if own is None else own) + row.starts_left * start + begun


def _with_row(progress: Progress, event: SettingEvent) -> Progress:
    rows, index = progress.rows, progress.index
    if event.setting not in index:
        index = {**index, event.setting: len(rows)}
        rows = (*rows, SettingProgress(setting=event.setting, planned=0))
    at = index[event.setting]
    row = _advance(rows[at], event)
    return replace(progress, rows=(*rows[:at], row, *rows[at + 1 :]), index=index)


def _with_words(progress: Progress, text: str) -> Progress:
    return replace(progress, words=(*progress.words, one_line(text))[-KEPT_WORDS:]) if text else progress


def _advance(row: SettingProgress, event: SettingEvent) -> SettingProgress:
    after = row
    match event:
        case SettingStarted() | Restarted():
            after = _starting(row, event)
        case ServerReady():
            took = 0.0 if row.begun_at_s is None else max(0.0, event.at_s - row.begun_at_s)
            after = replace(_without_server(row, event.at_s), state="running", ready_at_s=event.at_s)
            after = replace(after, starts=row.starts + 1, start_sum_s=row.start_sum_s + took)
        case RequestSent() | AnswerBegun() | RequestEnded():
            after = replace(row, in_flight=_flying(row.in_flight, event))
        case RequestDone():
            after = _count(row, event)
        case Graded():
            after = replace(row, graded=row.graded + 1, correct=row.correct + event.correct)
        case SettingDone():
            more = row.starts_left > 0 and row.done < row.planned
            after = replace(_without_server(row, event.at_s), state="waiting" if more else "done")
        case SettingFailed():
            after = replace(_without_server(row, event.at_s), state="failed", note=one_line(event.cause))
        case SettingSkipped():
            after = replace(row, state="skipped", note=one_line(event.reason))
    return after


def _starting(row: SettingProgress, event: SettingStarted | Restarted) -> SettingProgress:
    """A start that follows a restart is the restarted one, not one of those that were planned."""
    after = replace(_without_server(row, event.at_s), state="starting", begun_at_s=event.at_s)
    if isinstance(event, Restarted):
        return replace(after, restarts=row.restarts + 1, note=one_line(event.cause))
    return after if row.state == "starting" else replace(after, starts_left=max(0, row.starts_left - 1))


def _flying(flying: tuple[Attempt, ...], event: RequestSent | AnswerBegun | RequestEnded) -> tuple[Attempt, ...]:
    match event:
        case RequestSent():
            begun = False if event.followed else None
            return (*flying, Attempt(request=event.request, sent_at_s=event.at_s, begun=begun))
        case AnswerBegun():
            return tuple(replace(one, begun=True) if one.request == event.request else one for one in flying)
        case RequestEnded():
            return tuple(one for one in flying if one.request != event.request)


def _without_server(row: SettingProgress, at_s: float) -> SettingProgress:
    """The row once its server is gone: what was under way has ended with it."""
    return replace(row, served_s=row.serving_s(at_s), ready_at_s=None, begun_at_s=None, in_flight=())


def _count(row: SettingProgress, event: RequestDone) -> SettingProgress:
    timed = event.ok and event.latency_s is not None
    return replace(
        row,
        done=row.done + 1,
        failed=row.failed + (not event.ok),
        tokens=row.tokens + event.completion_tokens,
        latency_sum_s=row.latency_sum_s + ((event.latency_s or 0.0) if timed else 0.0),
        latencies=row.latencies + timed,
    )


def _words(event: SettingEvent) -> str:
    """What is worth a line when it happens."""
    words = ""
    match event:
        case SettingStarted():
            words = f"starting {event.setting}"
        case ServerReady():
            words = f"ready: {event.setting}"
        case SettingDone():
            words = f"done: {event.setting}"
        case SettingFailed():
            words = f"failed: {event.setting}: {event.cause}" + (f" (log: {event.log})" if event.log else "")
        case SettingSkipped():
            words = f"skipped: {event.setting}: {event.reason}"
        case Restarted():
            words = f"starting {event.setting} again: {event.cause}"
    return words
