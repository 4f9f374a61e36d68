"""The terminal's report: the verdict, one table, one plot, comparisons in sentences, warnings by cause."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.metrics import AXES
from tts_compare.reports import sheets
from tts_compare.reports.document import Document, Part
from tts_compare.reports.figure_rows import AXES_SHOWN
from tts_compare.reports.numbers import budget, money, scale
from tts_compare.reports.plain import one_line
from tts_compare.reports.sheets import Column, Sheet
from tts_compare.reports.terminal_parts import OTHER, bullet, dots_of, gap_of, letter_series, plot, table, width_of
from tts_compare.reports.view import Look

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tts_compare.analysis.findings.warning_groups import WarningGroup

_MOST_ROWS, _MOST_PAIRS, _MOST_WARNINGS, _MOST_ABSENT = 12, 4, 3, 3
_PLOT_WIDTH, _PLOT_HEIGHT = 72, 9
_FIGURES = ("accuracy", "latency_mean_s", "gpu_s_per_problem")
#: The frontiers in a word each, in the order of the table's last column.
_BEST_FOR: Mapping[str, str] = {"latency": "latency", "cost": "cost", "usd": "dollars", "tokens": "tokens"}
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def brief_parts(document: Document, look: Look) -> Iterator[RenderableType]:
    """What answers the questions of somebody with two minutes, in their order."""
    from rich.text import Text

    for i, line in enumerate(document.verdict):
        yield Text(line, style="bold green" if i == 0 else "")
    yield Text(_what_was_run(document), style="dim")
    for part in document.parts:
        yield from _table(document, part, look)
    if document.parts:
        yield from _plot(document, document.parts[0], look)
    yield from _pairs(document)
    yield from _warnings(document)
    run = shlex.join(document.paths) or "RUN"
    yield Text(f"More: tts-compare report {run} --full (or --html FILE, --claims)", style="dim")


def _what_was_run(document: Document) -> str:
    kept = {head: told for head, told in document.summary if head in ("engines", "dataset", "state")}
    said = "; ".join(kept.values())
    return f"{document.name}: {said}" if document.name and said else document.name or said


def _table(document: Document, part: Part, look: Look) -> Iterator[RenderableType]:
    from rich.text import Text

    rows = sorted(part.group.rows, key=_order)
    shown = rows[:_MOST_ROWS]
    for interval, failures, folds in ((True, True, None), (True, False, None), (False, False, None), (False, False, 0)):
        sheet = _sheet(document, part, shown, interval=interval, failures=failures)
        if width_of(sheet, gap_of(look), folds) <= look.width:
            break
    yield from table(sheet, look, folds=folds)
    if len(rows) > len(shown):
        yield Text(f"{len(rows) - len(shown)} more points: --full", style="dim")


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Frontiers of latency and cost first, then that of tokens; the most accurate first, the fastest of equals."""
    on = {axis.name: bool(row.get(axis.mark)) for axis in AXES}
    rank = 0 if on["latency"] or on["cost"] or on["usd"] else 1 if on["tokens"] else 2
    return (rank, -(row["accuracy"] or 0.0), row["latency_mean_s"] or 0.0, row["setting"], row["budget"])


def _sheet(
    document: Document, part: Part, rows: Sequence[Mapping[str, Any]], *, interval: bool, failures: bool
) -> Sheet:
    """The points as one table. interval: ± the longer arm of the 95 % interval; failures: their column."""
    hosted = sheets.has_hosted(part.group)
    names = _FIGURES[:-1] if hosted else _FIGURES
    columns = tuple(sheets.column_of(name) for name in names)
    scales = {c.name: scale(c.kind, (row[c.name] for row in rows), on_cpu=document.on_cpu) for c in columns}
    varied = sheets.varied_keys(part.group.rows)
    any_failed = failures or any(row.get("failed") or row.get("ungraded") for row in rows)

    def cells(row: Mapping[str, Any]) -> Iterator[str]:
        yield sheets.name_point(row, document.labels, varied)
        yield budget(row["budget"]) + ("~" if row.get("provenance") == "derived" else "")
        for column in columns:
            shown = column if interval else Column(name=column.name, head=column.head, kind=column.kind)
            yield sheets.figure(row, shown, scales[column.name], narrow=True)
        if hosted:
            yield "unknown" if row["usd_per_problem"] is None else money(1000 * row["usd_per_problem"])
        if any_failed:
            yield sheets.failures(row)
        yield _best_for(row)

    heads = [
        "setting",
        "budget",
        *(sheets.head_of(c, scales[c.name]) for c in columns),
        *(("$ per 1k\nproblems",) if hosted else ()),
        *(("failed\nof n",) if any_failed else ()),
        "best for",
    ]
    made = [tuple(cells(row)) for row in rows]
    derived = any(row.get("provenance") == "derived" for row in rows)
    signs = "best for: on the frontier of it"
    signs += "; ±: 95 % interval" if interval else ""
    signs += "; ~: cut from longer answers" if derived else ""
    return Sheet(
        title=part.heading,
        heads=tuple(heads),
        rows=tuple(made),
        left=frozenset({0, len(heads) - 1}),
        marked=frozenset(i for i, row in enumerate(rows) if sheets.on_a_frontier(row)),
        notes=(f"{signs}.", *part.remarks[1:]),
        sentences=tuple(", ".join(_worded(heads, row)) for row in made),
    )


def _worded(heads: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    yield row[0]
    for head, cell in zip(heads[1:], row[1:], strict=True):
        if cell:
            yield f"{head} {cell}".replace("\n", " ")


def _best_for(row: Mapping[str, Any]) -> str:
    marks = {axis.name: axis.mark for axis in AXES}
    known = [name for name in _BEST_FOR if row.get(marks[name]) is not None]
    on = [name for name in known if row.get(marks[name])]
    if len(on) > 2 and len(on) == len(known):
        return "all"
    return ", ".join(_BEST_FOR[name] for name in on if name != "usd" or "cost" not in on)


def _plot(document: Document, part: Part, look: Look) -> Iterator[RenderableType]:
    from rich.text import Text

    letters = letter_series(part.group, document.labels)
    axis = next(axis for axis in AXES_SHOWN if axis.id == "latency")
    dots = dots_of(part.group, document.labels, letters, axis)
    if len({(dot.x, dot.y) for dot in dots}) < 2:
        return
    yield Text("")
    yield plot(
        axis,
        dots,
        on_cpu=document.on_cpu,
        look=look,
        width=min(look.width, _PLOT_WIDTH),
        height=_PLOT_HEIGHT,
        tight=True,
    )
    names = ", ".join(f"{letter} {name}" for name, letter in letters.items() if letter != OTHER)
    yield Text(f"{names}; capital: on the frontier; *: several.", style="dim")


def _pairs(document: Document) -> Iterator[RenderableType]:
    """The comparisons of the largest budget; the rest is counted."""
    from rich.text import Text

    sentences = document.pairs
    if not sentences:
        return
    first = sentences[0].partition(": ")[0]
    shown = [one.partition(": ")[2] for one in sentences if one.startswith(f"{first}: ")][:_MOST_PAIRS]
    rest = len(sentences) - len(shown)
    more = f" ({rest} more: --full)" if rest else ""
    yield Text(f"\nComparisons {first[:1].lower()}{first[1:]}, paired by problem{more}", style="bold")
    for sentence in shown:
        yield from bullet(sentence)


def _warnings(document: Document) -> Iterator[RenderableType]:
    from rich.text import Text

    above = {found.warning.code for found in document.verdicts[:1] if found.warning}
    told = [one for one in document.causes if one.severity != "note"]
    notes = [one.code for one in document.causes if one.severity == "note"]
    errors = sum(one.severity == "error" for one in told)
    shown = [one for one in told if one.code not in above or _fix(one)][: max(errors, _MOST_WARNINGS)]
    absences = document.absences[:_MOST_ABSENT]
    if told or notes or absences:
        yield Text("\nWarnings", style="bold")
    for one in shown:
        yield from bullet(_warning(one, document), style=_STYLES[one.severity], begins=one.severity)
    for absence in absences:
        yield from bullet(one_line(document.labels.replace_ids(absence), 600))
    rest = [*(one.code for one in told if one not in shown), *notes]
    if hidden := len(document.absences) - len(absences):
        rest.append(f"{hidden} more settings skipped or failed")
    if rest:
        yield from bullet(f"also {', '.join(rest)}: --full", style="dim")


def _fix(one: WarningGroup) -> str:
    return one.fix or one.advice


def _warning(one: WarningGroup, document: Document) -> str:
    names = [document.labels.name(setting) for setting in one.settings]
    where = f" [{', '.join(names[:3])}{' ...' if len(names) > 3 else ''}]" if names else ""
    also = f" (hence {', '.join(one.also)})" if one.also else ""
    fix = f". Fix: {_fix(one)}" if _fix(one) else ""
    return one_line(f"{one.severity}: {document.labels.replace_ids(one.message)}{where}{also}{fix}", 600)
