"""How far a run is: events in, a new frozen state out. Pure; instants are seconds of one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from tts_compare.domain import RunWarning
from tts_compare.domain.events import (
    Event,
    Graded,
    Planned,
    RequestDone,
    Restarted,
    Said,
    ServerReady,
    SettingDone,
    SettingEvent,
    SettingFailed,
    SettingSkipped,
    SettingStarted,
    Warned,
)
from tts_compare.reports.plain import one_line

State = Literal["waiting", "starting", "running", "done", "failed", "left out"]
KEPT_WORDS = 6


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
    begun_at_s: float | None = None
    ready_at_s: float | None = None
    last_at_s: float | None = None
    note: str = ""

    @property
    def latency_mean_s(self) -> float | None:
        """Of successful requests so far."""
        return self.latency_sum_s / self.latencies if self.latencies else None

    @property
    def accuracy(self) -> float | None:
        """Correct / graded, so far: not the accuracy of the report, whose denominator is all problems."""
        return self.correct / self.graded if self.graded else None

    def tokens_per_s(self, now_s: float) -> float | None:
        """Completion tokens of finished requests / seconds since the server was ready."""
        if self.ready_at_s is None or not self.tokens:
            return None
        until = now_s if self.state == "running" else (self.last_at_s or now_s)
        return self.tokens / (until - self.ready_at_s) if until > self.ready_at_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The whole run. ``rows`` in the order planned; ``words`` the last things said, oldest first."""

    rows: tuple[SettingProgress, ...] = ()
    words: tuple[str, ...] = ()
    doubts: tuple[RunWarning, ...] = ()
    started_at_s: float | None = None
    index: dict[str, int] = field(default_factory=dict)

    def apply(self, event: Event) -> Progress:
        """The state after an event. An event of an unplanned setting adds its row."""
        match event:
            case Planned():
                rows = tuple(SettingProgress(setting=name, planned=count) for name, count in event.settings)
                index = {row.setting: i for i, row in enumerate(rows)}
                return replace(self, rows=rows, index=index, started_at_s=event.at_s)
            case Said():
                return _with_words(self, event.text)
            case Warned():
                doubted = replace(self, doubts=(*self.doubts, event.doubt))
                return _with_words(doubted, f"warning: {event.doubt.message}")
            case _:
                return _with_words(_with_row(self, event), _words(event))

    @property
    def planned(self) -> int:
        """Requests that were or will be sent: those of settings that failed or were left out are no longer expected."""
        return sum(row.done if row.state in ("failed", "left out") else row.planned for row in self.rows)

    def remaining_s(self, now_s: float) -> float | None:
        """Seconds the rest will take, from the pace so far; None before the first request is done.

        A setting that has not begun is taken to need as long a request as the mean of those that have, and as long
        to start as they took.
        """
        paces = [pace for row in self.rows if (pace := _pace_s(row, now_s)) is not None]
        starts = [
            row.ready_at_s - row.begun_at_s
            for row in self.rows
            if row.ready_at_s is not None and row.begun_at_s is not None
        ]
        if not paces:
            return None
        mean, start = sum(paces) / len(paces), sum(starts) / max(1, len(starts))
        left = 0.0
        for row in self.rows:
            if row.state in ("waiting", "starting", "running"):
                own = _pace_s(row, now_s)
                left += max(0, row.planned - row.done) * (mean if own is None else own)
                left += start if row.state == "waiting" else 0.0
        return left


def _with_row(progress: Progress, event: SettingEvent) -> Progress:
    rows, index = progress.rows, progress.index
    if event.setting not in index:
        index = {**index, event.setting: len(rows)}
        rows = (*rows, SettingProgress(setting=event.setting, planned=0))
    at = index[event.setting]
    row = replace(_advance(rows[at], event), last_at_s=event.at_s)
    return replace(progress, rows=(*rows[:at], row, *rows[at + 1 :]), index=index)


def _with_words(progress: Progress, text: str) -> Progress:
    return replace(progress, words=(*progress.words, one_line(text))[-KEPT_WORDS:]) if text else progress


def _pace_s(row: SettingProgress, now_s: float) -> float | None:
    """Wall seconds a request, from the server's readiness on."""
    if row.ready_at_s is None or not row.done:
        return None
    until = now_s if row.state == "running" else (row.last_at_s or now_s)
    return (until - row.ready_at_s) / row.done


def _advance(row: SettingProgress, event: SettingEvent) -> SettingProgress:
    after = row
    match event:
        case SettingStarted():
            begun = event.at_s if row.begun_at_s is None else row.begun_at_s
            after = replace(row, state="starting", begun_at_s=begun)
        case ServerReady():
            # Of a repeated start the first counts: the pace is over all of them.
            ready = event.at_s if row.ready_at_s is None else row.ready_at_s
            after = replace(row, state="running", ready_at_s=ready)
        case RequestDone():
            after = _count(row, event)
        case Graded():
            after = replace(row, graded=row.graded + 1, correct=row.correct + event.correct)
        case SettingDone():
            after = replace(row, state="done")
        case SettingFailed():
            after = replace(row, state="failed", note=one_line(event.cause))
        case SettingSkipped():
            after = replace(row, state="left out", note=one_line(event.reason))
        case Restarted():
            after = replace(row, state="starting", restarts=row.restarts + 1, note=one_line(event.cause))
    return after


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
