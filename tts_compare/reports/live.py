"""The view of a run that goes on: a table that redraws itself in a terminal, one line a minute elsewhere.

The caller owns the rich ``Console`` (on stderr; rich itself obeys NO_COLOR); ``watch`` turns it into a function that
takes events. Drawing happens at most twice a second, in a thread of rich's, never in the caller of ``emit``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tts_compare.domain.events import Emit, Event, Graded, Planned, RequestDone, SettingFailed
from tts_compare.reports.labels import label_settings
from tts_compare.reports.numbers import DASH, duration, three_digits
from tts_compare.reports.plain import ascii_only, one_line
from tts_compare.reports.progress import Progress, SettingProgress

if TYPE_CHECKING:
    from rich.console import Console, OverflowMethod, RenderableType

LINE_EVERY_S = 60.0
_REDRAWS_PER_S = 2
_COLOURS = {"running": "bold", "done": "green", "failed": "bold red", "left out": "yellow", "starting": "cyan"}


@contextmanager
def watch(
    console: Console,
    *,
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
    line_every_s: float = LINE_EVERY_S,
) -> Iterator[Emit]:
    """Yield ``emit(event)``. Quiet: nothing but failures. No terminal: a line a minute, and what happens.

    clock: the one whose instants the events carry.
    """
    if console.is_terminal and not quiet:
        with _watch_terminal(console, clock) as emit:
            yield emit
        return
    lines = _Lines(console, quiet=quiet, every_s=line_every_s)
    if quiet:
        yield lines
        return
    over = threading.Event()

    def remind() -> None:
        while not over.wait(min(1.0, line_every_s)):
            lines.tick(clock())

    thread = threading.Thread(target=remind, name="progress-lines", daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        over.set()
        thread.join()


@contextmanager
def _watch_terminal(console: Console, clock: Callable[[], float]) -> Iterator[Emit]:
    from rich.live import Live

    state = [Progress()]

    def emit(event: Event) -> None:
        state[0] = state[0].apply(event)

    def draw() -> RenderableType:
        return draw_progress(
            state[0], now_s=clock(), width=console.width, height=console.height, unicode=_shows_unicode(console)
        )

    with Live(
        get_renderable=draw, console=console, refresh_per_second=_REDRAWS_PER_S, redirect_stdout=False, transient=False
    ):
        yield emit


class _Lines:
    """Plain lines: what happens as it happens, and where the run is once in a while, also where nothing happens."""

    def __init__(self, console: Console, *, quiet: bool, every_s: float) -> None:
        self._console, self._quiet, self._every_s = console, quiet, every_s
        self._state = Progress()
        self._next_s: float | None = None
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._state = self._state.apply(event)
            happened = not isinstance(event, Planned | RequestDone | Graded)
            if isinstance(event, SettingFailed) if self._quiet else happened:
                self._print(self._state.words[-1])
        self.tick(event.at_s)

    def tick(self, now_s: float) -> None:
        """A line where one is due."""
        with self._lock:
            if self._quiet or not self._state.rows:
                return
            if self._next_s is None:
                self._next_s = now_s + self._every_s
            elif now_s >= self._next_s:
                self._print(say_progress(self._state, now_s=now_s))
                self._next_s = now_s + self._every_s

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
    parts += [f"{one_line(labels.of[row.setting], 80)} {row.done}/{row.planned}" for row in running]
    if running and (rate := running[-1].tokens_per_s(now_s)) is not None:
        parts.append(f"{three_digits(rate)} tokens/s")
    return ", ".join(parts)


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
    if row.state in ("left out", "failed") and not row.done:
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
