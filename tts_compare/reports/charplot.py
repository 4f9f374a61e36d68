"""A scatter plot drawn with characters: accuracy up, latency or cost to the right, frontier points as capitals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MANY = "*"
_RANGE_FOR_LOG = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One point of a plot. ``letter`` is lower case; it is drawn as a capital where ``on_frontier``."""

    x: float
    y: float
    letter: str
    on_frontier: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Lines of equal width, and the cells (line, column) of frontier points, for a renderer that has colour."""

    lines: tuple[str, ...]
    frontier_cells: tuple[tuple[int, int], ...]


def draw(
    dots: Sequence[Dot],
    *,
    width: int,
    height: int,
    write_x: Callable[[float], str],
    unicode: bool = True,
) -> Plot:
    """Draw dots on ``width`` x ``height`` characters, axes included; x is logarithmic from a range of 20 on.

    y is a share in [0, 1], written in per cent. Frontier points are joined by a staircase: the accuracy that x buys.
    A cell that several settings share shows ``*``, or the frontier point where exactly one is on the frontier.
    """
    margin, rows = 6, height - 2
    columns = width - margin - 1
    log = _log_scale(dots)
    # At least a twentieth of the figure itself: three digits could not tell the ticks of a narrower axis apart.
    least = 0.0 if log else 0.05 * max((abs(d.x) for d in dots), default=0.0)
    x_of, x_at = _axis([_to(d.x, log) for d in dots], columns, pad=0.04, least=least)
    y_of, y_at = _axis([d.y for d in dots], rows, pad=0.06, least=0.1, floor=0.0, ceiling=1.0)
    grid = [[" "] * columns for _ in range(rows)]
    _stairs(grid, [(x_of(_to(d.x, log)), y_of(d.y)) for d in dots if d.on_frontier], rows, unicode=unicode)
    cells = _place(grid, dots, x_of, y_of, rows, log=log)
    bar, corner, dash = ("│", "└", "─") if unicode else ("|", "+", "-")
    labelled = {0, rows // 2, rows - 1}
    lines = []
    for r, row in enumerate(grid):
        tick = f"{100 * y_at(rows - 1 - r):.0f}%" if r in labelled else ""
        lines.append(f"{tick:>{margin - 1}} {bar}{''.join(row)}")
    lines.append(" " * margin + corner + dash * columns)
    lines.append(" " * margin + _ticks(columns + 1, lambda c: write_x(_back(x_at(c), log))))
    return Plot(lines=tuple(lines), frontier_cells=tuple((r, c + margin + 1) for r, c in cells))


def _log_scale(dots: Sequence[Dot]) -> bool:
    xs = [d.x for d in dots]
    return bool(xs) and min(xs) > 0 and max(xs) / min(xs) >= _RANGE_FOR_LOG


def _to(x: float, log: bool) -> float:  # noqa: FBT001 - a scale, not a switch
    return math.log10(x) if log else x


def _back(x: float, log: bool) -> float:  # noqa: FBT001
    return 10**x if log else x


def _axis(
    values: Sequence[float],
    cells: int,
    *,
    pad: float,
    least: float = 0.0,
    floor: float = -math.inf,
    ceiling: float = math.inf,
) -> tuple[Callable[[float], int], Callable[[float], float]]:
    """Value -> cell, and cell -> value, over the values' range widened by ``pad`` and to at least ``least``."""
    lo, hi = (min(values), max(values)) if values else (0.0, 1.0)
    span = max(hi - lo, least) or abs(hi) or 1.0
    wider = pad * span + max(0.0, least - (hi - lo)) / 2
    lo, hi = lo - wider, hi + wider
    if hi > ceiling:
        lo, hi = lo - (hi - ceiling), ceiling
    if lo < floor:
        lo, hi = floor, min(ceiling, hi + floor - lo)
    step = (hi - lo) / max(1, cells - 1)
    return (lambda v: min(cells - 1, max(0, round((v - lo) / step)))), (lambda c: lo + c * step)


def _stairs(grid: list[list[str]], points: Sequence[tuple[int, int]], rows: int, *, unicode: bool) -> None:
    across, up = ("·", "·") if unicode else (".", ".")
    ordered = sorted(points)
    for i, (column, level) in enumerate(ordered):
        end = ordered[i + 1][0] if i + 1 < len(ordered) else len(grid[0]) - 1
        for c in range(column, end + 1):
            grid[rows - 1 - level][c] = across
        if i + 1 < len(ordered):
            for y in range(level, ordered[i + 1][1] + 1):
                grid[rows - 1 - y][end] = up


def _place(
    grid: list[list[str]],
    dots: Sequence[Dot],
    x_of: Callable[[float], int],
    y_of: Callable[[float], int],
    rows: int,
    *,
    log: bool,
) -> list[tuple[int, int]]:
    cells: dict[tuple[int, int], list[Dot]] = {}
    for dot in dots:
        cells.setdefault((rows - 1 - y_of(dot.y), x_of(_to(dot.x, log))), []).append(dot)
    lit = []
    for (r, c), here in cells.items():
        best = {d.letter for d in here if d.on_frontier}
        letters = best or {d.letter for d in here}
        letter = next(iter(letters)) if len(letters) == 1 else MANY
        grid[r][c] = letter.upper() if best else letter
        if best:
            lit.append((r, c))
    return lit


def _ticks(columns: int, write: Callable[[int], str]) -> str:
    """Four or fewer tick labels under their columns, none overlapping, none past the edge."""
    line = [" "] * columns
    free = 0
    count = 4 if columns >= 56 else 3
    for i in range(count):
        at = round(i * (columns - 2) / (count - 1))
        text = write(at)
        start = min(max(0, at + 1 - len(text) // 2), columns - len(text))
        if start >= free:
            line[start : start + len(text)] = text
            free = start + len(text) + 2
    return "".join(line)
