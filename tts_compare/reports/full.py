"""The whole report for a terminal: every table and plot, all comparisons and warnings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tts_compare.reports import sheets
from tts_compare.reports.document import Document, Part, legend
from tts_compare.reports.figure_rows import AXES_SHOWN
from tts_compare.reports.terminal_parts import (
    OTHER,
    PLOTS,
    WIDE,
    bullet,
    dots_of,
    gap_of,
    letter_series,
    plot,
    table,
    width_of,
)
from tts_compare.reports.view import Look

if TYPE_CHECKING:
    from rich.console import RenderableType


def full_parts(document: Document, look: Look) -> Iterator[RenderableType]:
    """Everything in the document, the verdict first."""
    from rich.text import Text

    for i, line in enumerate(document.verdict):
        yield Text(line, style="bold" if i == 0 else "")
    yield Text("")
    if document.name:
        yield Text(document.name, style="bold")
    for head, told in document.summary:
        yield Text(f"{head}: {told}")
    for part in document.parts:
        yield from _part(document, part, look)
    for sheet in document.findings:
        yield from table(sheet, look)
    yield from _listed("Problems that settings failed", document.failures)
    for heading, warnings in document.warnings:
        yield from _listed(heading, [warning.sentence for warning in warnings])
    yield from _listed("Settings skipped or failed", document.absences)


def _listed(heading: str, sentences: list[str] | tuple[str, ...]) -> Iterator[RenderableType]:
    from rich.text import Text

    if sentences:
        yield Text(f"\n{heading}", style="bold")
    for sentence in sentences:
        yield from bullet(sentence)


def _part(document: Document, part: Part, look: Look) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text(f"\n{part.heading}", style="bold")
    wide_tables = document.tables(part, sheets.WIDE_TABLES)
    wide = look.width >= WIDE and all(width_of(sheet, gap_of(look)) <= look.width for sheet in wide_tables)
    narrow = sheets.narrow_tables(part.group)
    for sheet in wide_tables if wide else document.tables(part, narrow, narrow=True):
        yield from table(sheet, look, folds=1)
    for told in legend(part, narrow=not wide):
        yield Text(told, style="dim")
    yield from _plots(document, part, look)


def _plots(document: Document, part: Part, look: Look) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    group, labels = part.group, document.labels
    letters = letter_series(group, labels)
    wide = look.width >= WIDE
    width = (look.width - 4) // 2 if wide else min(look.width, 96)
    shown = [axis for axis in AXES_SHOWN if axis.id in PLOTS and (axis.id != "usd" or sheets.has_hosted(group))]
    dots = [(axis, dots_of(group, labels, letters, axis)) for axis in shown]
    drawn = [plot(axis, here, on_cpu=document.on_cpu, look=look, width=width) for axis, here in dots if here]
    if not drawn:
        return
    yield Text("")
    if wide:
        grid = Table.grid(padding=(0, 4, 0, 0))
        for i in range(0, len(drawn), 2):
            grid.add_row(*drawn[i : i + 2])
        yield grid
    else:
        yield from drawn
    names = ", ".join(f"{letter} {name}" for name, letter in letters.items() if letter != OTHER)
    rest = f", {OTHER} the others" if OTHER in letters.values() else ""
    if any(0 < (row["n_compared"] or 0) < row["n"] for row in group.rows):
        yield Text("Drawn over the problems that every setting completed, as frontiers are.", style="dim")
    yield Text(f"{names}{rest}. Capital: on the frontier, which the dots join; *: several in one place.", style="dim")
