"""Tables, plots and sentences of the terminal's reports, for rich to lay out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tts_compare.reports import charplot, sheets
from tts_compare.reports.figure_rows import AxisShown, place
from tts_compare.reports.labels import Labels
from tts_compare.reports.numbers import scale
from tts_compare.reports.plain import ascii_only
from tts_compare.reports.view import Look

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDE = 120
#: Characters below which a column that may be broken over lines is not.
_FOLDED = 12
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
OTHER = "+"
#: The axes that are drawn, and the title of each plot.
PLOTS: Mapping[str, str] = {
    "latency": "Accuracy against mean latency",
    "cost": "Accuracy against cost per problem",
    "paper_cost": "Accuracy against cost per token",
    "usd": "Accuracy against dollars per problem",
}


def table(sheet: sheets.Sheet, look: Look, *, folds: int | None = None) -> Iterator[RenderableType]:
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
    gap = gap_of(look)
    if sheet.sentences and width_of(sheet, gap, folds) > look.width:
        for sentence in sheet.sentences:
            yield from bullet(sentence)
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


def gap_of(look: Look) -> int:
    return 1 if look.width < WIDE else 2


def width_of(sheet: sheets.Sheet, gap: int, folds: int | None = None) -> int:
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
    return {name: _LETTERS[i] if i < len(_LETTERS) else OTHER for i, name in enumerate(ordered)}


def dots_of(group: sheets.Group, labels: Labels, letters: Mapping[str, str], axis: AxisShown) -> list[charplot.Dot]:
    varied = sheets.varied_keys(group.rows)
    placed = [(row, *place(row, axis)) for row in group.rows]
    return [
        charplot.Dot(
            x=x, y=accuracy, letter=letters[sheets.name_point(row, labels, varied)], on_frontier=bool(row[axis.flag])
        )
        for row, x, accuracy in placed
        if x is not None and accuracy is not None
    ]


def plot(
    axis: AxisShown,
    dots: Sequence[charplot.Dot],
    *,
    on_cpu: bool,
    look: Look,
    width: int,
    height: int = 14,
    tight: bool = False,
) -> RenderableType:
    """A title with the unit, and the dots; frontier points in colour. tight: no empty line below."""
    from rich.text import Text

    unit = scale(axis.kind, (dot.x for dot in dots), on_cpu=on_cpu)
    drawn = charplot.draw(dots, width=width, height=height, write_x=unit.write, unicode=look.unicode)
    lit = set(drawn.frontier_cells)
    text = Text()
    text.append(f"{PLOTS[axis.id]} ({unit.unit})\n", style="bold")
    for r, line in enumerate(drawn.lines):
        for c, char in enumerate(line):
            text.append(char, style="bold green" if (r, c) in lit else None)
        if r < len(drawn.lines) - 1 or not tight:
            text.append("\n")
    return text


def bullet(sentence: str, *, style: str = "", begins: str = "") -> Iterator[RenderableType]:
    """A sentence behind a dash, its lines set below each other. begins: the word at its start that has the style."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    text = Text(sentence, style="" if begins else style)
    if begins and style:
        text.stylize(style, 0, len(begins))
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(Text("-"), text)
    yield Padding(grid, (0, 0, 0, 1))
