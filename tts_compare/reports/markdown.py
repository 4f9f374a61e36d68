"""The report as Markdown: for a pull request, an issue or a paper's repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_compare.reports import sheets
from tts_compare.reports.document import Document, compose, legend
from tts_compare.reports.plain import one_line
from tts_compare.reports.verdicts import MAX_PAIRS
from tts_compare.reports.view import Look, RunView
from tts_compare.reports.warning_rows import Shown

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis

# What GitHub-flavoured Markdown reads as markup inside a line or a cell, and what would become a link or a mention.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~$@!&])")


@dataclass(frozen=True, slots=True)
class MarkdownReport:
    """GitHub-flavoured tables; nothing from outside can become markup."""

    suffix: str = ".md"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str:  # noqa: ARG002 - has no columns
        """The whole report."""
        return "\n".join(_lines(compose(analysis, run))) + "\n"


def escape(text: str) -> str:
    """Text on one line in which Markdown sees no markup."""
    return _MARKUP.sub(r"\\\1", one_line(text, 600))


def _lines(document: Document) -> Iterator[str]:
    yield f"# {escape(document.name or 'tts-compare')}"
    yield ""
    for i, line in enumerate(document.verdict):
        yield f"**{escape(line)}**\n" if i == 0 else f"{escape(line)}\n"
    for head, told in document.summary:
        yield f"- {head}: {escape(told)}"
    for part in document.parts:
        yield f"\n## {escape(part.heading)}"
        for sheet in document.tables(part, sheets.WIDE_TABLES):
            yield from _table(sheet)
        yield from (f"- {escape(told)}" for told in legend(part, narrow=False))
    yield from _listed("Comparisons", document.pairs[:MAX_PAIRS])
    for sheet in document.findings:
        yield from _table(sheet)
    yield from _listed("Problems that settings failed", document.failures)
    for heading, warnings in document.warnings:
        yield from _listed(heading, (), [_warning(warning) for warning in warnings])
    yield from _listed("Settings skipped or failed", document.absences)


def _listed(heading: str, sentences: Sequence[str], marked: Sequence[str] = ()) -> Iterator[str]:
    """A list under its heading; nothing where it is empty. marked: lines that are Markdown already."""
    if sentences or marked:
        yield f"\n### {heading}\n"
    yield from (f"- {line}" for line in (*map(escape, sentences), *marked))


def _warning(warning: Shown) -> str:
    where = f" ({escape(', '.join(warning.settings))})" if warning.settings else ""
    remedy = f" {escape(warning.remedy)}" if warning.remedy else ""
    return f"**{escape(warning.code)}**{where}: {escape(warning.message)}.{remedy}"


def _table(sheet: sheets.Sheet) -> Iterator[str]:
    yield f"\n### {escape(sheet.title)}\n"
    yield "| " + " | ".join(escape(head.replace("\n", " ")) for head in sheet.heads) + " |"
    yield "|" + "|".join(":--" if i in sheet.left else "--:" for i in range(len(sheet.heads))) + "|"
    for i, row in enumerate(sheet.rows):
        cells = [escape(cell) for cell in row]
        if i in sheet.marked:
            cells[1] = f"**{cells[1]}**"
        yield "| " + " | ".join(cells) + " |"
    if sheet.formulas or sheet.notes:
        yield ""
    for line in (*sheet.formulas, *sheet.notes):
        yield f"- {escape(line)}"
