"""The view of a run that goes on: a table that redraws itself in a terminal, one line a minute elsewhere.

The caller owns the rich ``Console`` (on stderr; rich itself obeys NO_COLOR); ``watch`` turns it into a function that
takes events. Drawing happens at most twice a second, in a thread of rich's, never in the caller of ``emit``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from tts_compare.domain.events import (
    AnswerBegun,
    Emit,
    Event,
    Graded,
    Planned,
    RequestDone,
    RequestEnded,
    RequestSent,
    SettingFailed,
    SettingsAdded,
)
from tts_compare.reports.labels import label_settings
from tts_compare.reports.numbers import DASH, duration, three_digits
from tts_compare.reports.plain import ascii_only, one_line
from tts_compare.reports.progress import Attempt, Progress, SettingProgress

if TYPE_CHECKING:
    from rich.console import Console, OverflowMethod, RenderableType

LINE_EVERY_S = 60.0
_REDRAWS_PER_S = 2
_COLOURS = {"running": "bold", "done": "green", "failed": "bold red", "skipped": "yellow", "starting": "cyan"}
_QUIET_TOO = (SettingFailed, SettingsAdded)
_NO_LINE = (Planned, RequestSent, AnswerBegun, RequestEnded, RequestDone, Graded)


@contextmanager
def watch(
    console: Console,
    *,
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
    line_every_s: float = LINE_EVERY_S,
) -> Iterator[Emit]:
    """Yield ``emit(event)``. Quiet: nothing but failures. No terminal: a line a minute, and what happens.

    ``emit`` puts the event into a queue and returns: what is slow to write or draw delays no stamp of the caller.
    clock: the one whose instants the events carry.
    """
    if console.is_terminal and not quiet:
        with _watch_terminal(console, clock) as emit:
            yield emit
        return
    events: SimpleQueue[Event | None] = SimpleQueue()
    lines = _Lines(console, quiet=quiet, every_s=line_every_s)
    writer = threading.Thread(target=_write, args=(events, lines, clock), name="progress-lines", daemon=True)
    writer.start()
    try:
        yield events.put
    finally:
        events.put(None)
        writer.join()


def _write(events: SimpleQueue[Event | None], lines: _Lines, clock: Callable[[], float]) -> None:
    """Take events until there is None; where none comes for a while a line may be due."""
    while True:
        try:
            event = events.get(timeout=min(1.0, lines.every_s))
        except Empty:
            lines.tick(clock())
            continue
        if event is None:
            return
        lines.take(event)


@contextmanager
def _watch_terminal(console: Console, clock: Callable[[], float]) -> Iterator[Emit]:
    from rich.live import Live

    events: SimpleQueue[Event] = SimpleQueue()
    state = [Progress()]
    drawing = threading.Lock()

    def draw() -> RenderableType:
        with drawing:
            while not events.empty():
                state[0] = state[0].apply(events.get())
            return draw_progress(
                state[0], now_s=clock(), width=console.width, height=console.height, unicode=_shows_unicode(console)
            )

    with Live(
        get_renderable=draw, console=console, refresh_per_second=_REDRAWS_PER_S, redirect_stdout=False, transient=False
    ):
        yield events.put


class _Lines:
    """Plain lines: what happens as it happens, and where the run is once in a while, also where nothing happens."""

    def __init__(self, console: Console, *, quiet: bool, every_s: float) -> None:
        self.every_s = every_s
        self._console, self._quiet = console, quiet
        self._state = Progress()
        self._next_s: float | None = None

    def take(self, event: Event) -> None:
        """Print what is worth a line."""
        self._state = self._state.apply(event)
        if isinstance(event, _QUIET_TOO) if self._quiet else not isinstance(event, _NO_LINE):
            self._print(self._state.words[-1])
        self.tick(event.at_s)

    def tick(self, now_s: float) -> None:
        """A line where one is due."""
        if self._quiet or not self._state.rows:
            return
        if self._next_s is None:
            self._next_s = now_s + self.every_s
        elif now_s >= self._next_s:
            self._print(say_progress(self._state, now_s=now_s))
            self._next_s = now_s + self.every_s

    def _print(self, line: str) -> None:
        line = line if _shows_unicode(self._console) else ascii_only(line)
        self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def say_progress(progress: Progress, *, now_s: float) -> str:
    """Where the run is, in one line."""
    done = sum(row.done for row in progress.rows)
    failed = sum(row.failed for row in progress.rows)
    running = [row for row in progress.rows if row.state in ("starting", "running")]
    labels = label_settings([row.setting for row in progress.rows])
    parts = [f"{done} of {progress.planned} requests"]
    if (left := progress.remaining_s(now_s)) is not None:
        parts.append(f"about {duration(left)} left")
    if failed:
        parts.append(f"{failed} failed")
    if flying := progress.in_flight:
        parts.append(_say_flying(flying, now_s))
    parts += [f"{one_line(labels.of[row.setting], 80)} {row.done}/{row.planned}" for row in running]
    if running and (rate := running[-1].tokens_per_s(now_s)) is not None:
        parts.append(f"{three_digits(rate)} tokens/s")
    return ", ".join(parts)


def _say_flying(flying: Sequence[Attempt], now_s: float) -> str:
    """How many requests are under way, for how long, and of how many no token has come."""
    age = duration(now_s - flying[0].sent_at_s)
    silent = sum(one.begun is False for one in flying)
    if len(flying) == 1:
        return f"1 in flight, {age}" + (", no token yet" if silent else "")
    return f"{len(flying)} in flight, the oldest {age}" + (f", {silent} without a token yet" if silent else "")


def _shows_unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")


def draw_progress(
    progress: Progress, *, now_s: float, width: int, height: int = 50, unicode: bool = True
) -> RenderableType:
    """Settings as rows and the last words below, within ``width`` columns and ``height`` lines."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    shown_as = str if unicode else ascii_only
    labels = label_settings([row.setting for row in progress.rows])
    table = Table(box=box.SIMPLE_HEAD if unicode else box.ASCII2, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    overflow: OverflowMethod = "ellipsis" if unicode else "crop"
    # Where room is short these two give way: a figure that is cut is another figure. Their cells do not wrap.
    table.add_column("setting")
    table.add_column("state")
    wide = width >= 100
    for head in ("requests", *(("",) if wide else ()), "failed", "tokens/s", "latency s", "right"):
        table.add_column(head, justify="left" if head == "" else "right", no_wrap=True)
    shown = _fitting(progress.rows, max(3, height - 6 - len(progress.words)))
    for row in shown:
        name = one_line(labels.of[row.setting], max(16, width // 3))
        cells = (
            Text(shown_as(cell), no_wrap=True, overflow=overflow) for cell in (name, *_cells(row, now_s, bar=wide))
        )
        table.add_row(*cells, style=_COLOURS.get(row.state, "dim"))
    hidden = len(progress.rows) - len(shown)
    foot = say_progress(progress, now_s=now_s) if progress.rows else "planning"
    if progress.started_at_s is not None:
        foot = f"{duration(now_s - progress.started_at_s)}: {foot}"
    lines = [Text(f"{hidden} more setting{'s' if hidden > 1 else ''}")] if hidden else []
    said = (labels.replace_ids(line) for line in progress.words)
    words = [Text(shown_as(line), style="dim", no_wrap=True, overflow=overflow) for line in said]
    return Group(table, *lines, Text(shown_as(foot), style="bold", no_wrap=True, overflow=overflow), *words)


def _fitting(rows: tuple[SettingProgress, ...], most: int) -> tuple[SettingProgress, ...]:
    """As many rows as fit, around the one that runs."""
    if len(rows) <= most:
        return rows
    current = next((i for i, row in enumerate(rows) if row.state in ("starting", "running")), 0)
    start = min(max(0, current - most // 2), len(rows) - most)
    return rows[start : start + most]


def _cells(row: SettingProgress, now_s: float, *, bar: bool) -> tuple[str, ...]:
    state = row.state + (f" ({row.restarts} restart{'s' if row.restarts > 1 else ''})" if row.restarts else "")
    if row.state in ("skipped", "failed") and not row.done:
        return (state,)
    rate, latency = row.tokens_per_s(now_s), row.latency_mean_s
    share = min(1.0, row.done / row.planned) if row.planned else 0.0
    return (
        state,
        f"{row.done}/{row.planned}",
        *((("█" * round(12 * share)).ljust(12, "·"),) if bar else ()),
        str(row.failed),
        DASH if rate is None else three_digits(rate),
        DASH if latency is None else three_digits(latency),
        DASH if row.accuracy is None else f"{row.accuracy:.0%} of {row.graded}",
    )
