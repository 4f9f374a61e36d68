"""The report for a terminal: tables, small plots, verdicts and warnings; good at 80 and at 160 columns, in a pipe."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tts_compare.reports import charplot, remarks, sheets, verdicts
from tts_compare.reports.figure_rows import AXES_SHOWN, AxisShown, place
from tts_compare.reports.labels import Labels
from tts_compare.reports.numbers import scale
from tts_compare.reports.plain import ascii_only, one_line
from tts_compare.reports.summary import summarise
from tts_compare.reports.view import Look, RunView
from tts_compare.reports.warning_rows import group_warnings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tts_compare.analysis.schema import Analysis

WIDE = 120
#: Characters below which a column that may be broken over lines is not.
_FOLDED = 12
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OTHER = "+"
_PLOTS = {
    "latency": "Accuracy against mean latency",
    "cost": "Accuracy against cost per problem",
    "paper_cost": "Accuracy against cost per token",
    "usd": "Accuracy against dollars per problem",
}


@dataclass(frozen=True, slots=True)
class ConsoleReport:
    """Plain text, or text with ANSI colours where ``look.colour``."""

    suffix: str = ".txt"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str:
        """The whole report at ``look.width`` columns."""
        from rich.console import Console

        out = io.StringIO()
        console = Console(
            file=out,
            width=look.width,
            force_terminal=look.colour,
            color_system="standard" if look.colour else None,
            no_color=not look.colour,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        for part in _parts(analysis, run, look):
            console.print(part)
        text = "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())
        return text if look.unicode else ascii_only(text)


def _parts(analysis: Analysis, run: RunView, look: Look) -> Iterator[RenderableType]:
    from rich.text import Text

    labels = sheets.name_settings(analysis)
    for sentence in remarks.first_words(analysis):
        yield Text(sentence, style="bold")
    yield from _head(run, labels)
    for group in sheets.group_points(analysis):
        yield from _group(group, analysis, run, labels, look)
    for sheet in verdicts.verdict_sheets(analysis, labels, on_cpu=run.on_cpu):
        yield from _sheet(sheet, look)
    if failures := remarks.failure_remarks(analysis, labels):
        yield Text("\nProblems that settings failed", style="bold")
        for sentence in failures:
            yield from _bullet(sentence)
    yield from _warnings(analysis, labels)
    missing = verdicts.absences(run)
    if missing:
        yield Text("\nSettings skipped or failed", style="bold")
        for sentence in missing:
            yield from _bullet(sentence)


def _head(run: RunView, labels: Labels) -> Iterator[RenderableType]:
    from rich.text import Text

    if run.name:
        yield Text(one_line(run.name), style="bold")
    for head, told in summarise(run.manifest):
        yield Text(f"{head}: {told}")
    if labels.shared:
        yield Text(f"all settings: {one_line(labels.shared)}")


def _group(
    group: sheets.Group, analysis: Analysis, run: RunView, labels: Labels, look: Look
) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text(f"\n{group.title[:1].upper()}{group.title[1:]}", style="bold")
    tables = _point_sheets(group, analysis, run, labels, narrow=False)
    wide = look.width >= WIDE and all(_width(sheet, _gap(look)) <= look.width for sheet in tables)
    for sheet in tables if wide else _point_sheets(group, analysis, run, labels, narrow=True):
        yield from _sheet(sheet, look, folds=1)
    yield Text(sheets.FRONTIERS_TOLD, style="dim")
    for told in (sheets.WIDE_TOLD if wide else sheets.NARROW_TOLD, *remarks.group_remarks(group, run)):
        yield Text(told, style="dim")
    yield from _plots(group, run, labels, look)


def _point_sheets(
    group: sheets.Group, analysis: Analysis, run: RunView, labels: Labels, *, narrow: bool
) -> list[sheets.Sheet]:
    columns = (sheets.SPEED, sheets.cost_columns(group)) if narrow else (sheets.SPEED_WIDE, sheets.COST_WIDE)
    return [
        sheets.points_sheet(
            group, shown, labels=labels, formulas=analysis.formulas, on_cpu=run.on_cpu, title=title, narrow=narrow
        )
        for title, shown in zip(("Accuracy and latency", "Accuracy and cost"), columns, strict=True)
    ]


def _sheet(sheet: sheets.Sheet, look: Look, *, folds: int | None = None) -> Iterator[RenderableType]:
    """A table; sentences where it does not fit. ``folds``: the column that may be broken over lines instead."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not look.unicode:
        # Before the layout: a sign may become two characters.
        rows = tuple(tuple(map(ascii_only, row)) for row in sheet.rows)
        heads, sentences = (tuple(map(ascii_only, texts)) for texts in (sheet.heads, sheet.sentences))
        sheet = replace(sheet, heads=heads, rows=rows, sentences=sentences)
    yield Text(f"\n{sheet.title}", style="bold")
    gap = _gap(look)
    if sheet.sentences and _width(sheet, gap, folds) > look.width:
        for sentence in sheet.sentences:
            yield from _bullet(sentence)
    else:
        table = Table(
            box=box.SIMPLE_HEAD if look.unicode else box.ASCII2,
            padding=(0, gap - 1, 0, 0),
            pad_edge=False,
            show_edge=False,
        )
        for i, head in enumerate(sheet.heads):
            table.add_column(
                Text(head),
                justify="left" if i in sheet.left else "right",
                overflow="fold",
                no_wrap=i != folds,
                min_width=_FOLDED if i == folds else None,
            )
        for i, row in enumerate(_without_repeats(sheet.rows, folds)):
            table.add_row(*(Text(cell) for cell in row), style="bold" if i in sheet.marked else None)
        yield table
    for line in (*sheet.formulas, *sheet.notes):
        yield Text(line, style="dim")


def _gap(look: Look) -> int:
    return 1 if look.width < WIDE else 2


def _width(sheet: sheets.Sheet, gap: int, folds: int | None = None) -> int:
    """Characters the table takes where no cell is broken, but those of the column that ``folds``."""
    widest = [
        max(len(line) for cell in column for line in cell.splitlines() or [""])
        for column in zip(sheet.heads, *sheet.rows, strict=True)
    ]
    if folds is not None:
        widest[folds] = min(widest[folds], _FOLDED)
    return sum(widest) + gap * (len(sheet.heads) - 1)


def _without_repeats(rows: Sequence[tuple[str, ...]], column: int | None) -> Iterator[tuple[str, ...]]:
    """A name is written once for the rows that follow with the same."""
    before = None
    for row in rows:
        name = None if column is None else row[column]
        yield tuple("" if i == column and name == before else cell for i, cell in enumerate(row))
        before = name


def letter_series(group: sheets.Group, labels: Labels) -> dict[str, str]:
    """A letter for each setting and method, those on a frontier first; ``+`` for those past the alphabet."""
    varied = sheets.varied_keys(group.rows)
    names: dict[str, bool] = {}
    for row in group.rows:
        name = sheets.name_point(row, labels, varied)
        names[name] = names.get(name, False) or sheets.on_a_frontier(row)
    ordered = sorted(names, key=lambda name: not names[name]) if len(names) > len(_LETTERS) else list(names)
    return {name: _LETTERS[i] if i < len(_LETTERS) else _OTHER for i, name in enumerate(ordered)}


def _plots(group: sheets.Group, run: RunView, labels: Labels, look: Look) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    letters = letter_series(group, labels)
    wide = look.width >= WIDE
    width = (look.width - 4) // 2 if wide else min(look.width, 96)
    shown = [axis for axis in AXES_SHOWN if axis.id in _PLOTS and (axis.id != "usd" or sheets.has_hosted(group))]
    dots = [(axis, _dots(group, labels, letters, axis)) for axis in shown]
    drawn = [_plot(axis, here, run=run, look=look, width=width) for axis, here in dots if here]
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
    names = ", ".join(f"{letter} {name}" for name, letter in letters.items() if letter != _OTHER)
    rest = f", {_OTHER} the others" if _OTHER in letters.values() else ""
    if any(0 < (row["n_compared"] or 0) < row["n"] for row in group.rows):
        yield Text("Drawn over the problems that every setting completed, as frontiers are.", style="dim")
    yield Text(f"{names}{rest}. Capital: on the frontier, which the dots join; *: several in one place.", style="dim")


def _dots(group: sheets.Group, labels: Labels, letters: Mapping[str, str], axis: AxisShown) -> list[charplot.Dot]:
    varied = sheets.varied_keys(group.rows)
    placed = [(row, *place(row, axis)) for row in group.rows]
    return [
        charplot.Dot(
            x=x, y=accuracy, letter=letters[sheets.name_point(row, labels, varied)], on_frontier=bool(row[axis.flag])
        )
        for row, x, accuracy in placed
        if x is not None and accuracy is not None
    ]


def _plot(axis: AxisShown, dots: Sequence[charplot.Dot], *, run: RunView, look: Look, width: int) -> RenderableType:
    from rich.text import Text

    unit = scale(axis.kind, (dot.x for dot in dots), on_cpu=run.on_cpu)
    plot = charplot.draw(dots, width=width, height=14, write_x=unit.write, unicode=look.unicode)
    lit = set(plot.frontier_cells)
    text = Text()
    text.append(f"{_PLOTS[axis.id]} ({unit.unit})\n", style="bold")
    for r, line in enumerate(plot.lines):
        for c, char in enumerate(line):
            text.append(char, style="bold green" if (r, c) in lit else None)
        text.append("\n")
    return text


def _warnings(analysis: Analysis, labels: Labels) -> Iterator[RenderableType]:
    from rich.text import Text

    for heading, warnings in group_warnings(analysis.doubts, labels):
        yield Text(f"\n{heading}", style="bold")
        for warning in warnings:
            where = f" [{', '.join(warning.settings)}]" if warning.settings else ""
            remedy = f" {warning.remedy}" if warning.remedy else ""
            yield from _bullet(f"{warning.code}: {warning.message}{where}.{remedy}")


def _bullet(sentence: str) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(Text("-"), Text(sentence))
    yield Padding(grid, (0, 0, 0, 1))
