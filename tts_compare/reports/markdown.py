"""The report as Markdown: for a pull request, an issue or a paper's repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_compare.reports import remarks, sheets, verdicts
from tts_compare.reports.labels import Labels
from tts_compare.reports.plain import one_line
from tts_compare.reports.summary import summarise
from tts_compare.reports.view import Look, RunView
from tts_compare.reports.warning_rows import group_warnings

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
        return "\n".join(_lines(analysis, run)) + "\n"


def escape(text: str) -> str:
    """Text on one line in which Markdown sees no markup."""
    return _MARKUP.sub(r"\\\1", one_line(text, 500))


def _lines(analysis: Analysis, run: RunView) -> Iterator[str]:
    labels = sheets.name_settings(analysis)
    yield f"# {escape(run.name or 'tts-compare')}"
    yield ""
    for sentence in remarks.first_words(analysis):
        yield f"**{escape(sentence)}**\n"
    for head, told in summarise(run.manifest):
        yield f"- {head}: {escape(told)}"
    if labels.shared:
        yield f"- all settings: {escape(labels.shared)}"
    for group in sheets.group_points(analysis):
        yield f"\n## {escape(group.title[:1].upper() + group.title[1:])}"
        for title, columns in (("Accuracy and latency", sheets.SPEED_WIDE), ("Accuracy and cost", sheets.COST_WIDE)):
            sheet = sheets.points_sheet(
                group, columns, labels=labels, formulas=analysis.formulas, on_cpu=run.on_cpu, title=title
            )
            yield from _table(sheet)
        for told in (sheets.FRONTIERS_TOLD, sheets.WIDE_TOLD, *remarks.group_remarks(group, run)):
            yield f"- {escape(told)}"
    for sheet in verdicts.verdict_sheets(analysis, labels, on_cpu=run.on_cpu):
        yield from _table(sheet)
    if failures := remarks.failure_remarks(analysis, labels):
        yield "\n### Problems that settings failed\n"
        yield from (f"- {escape(sentence)}" for sentence in failures)
    yield from _warnings(analysis, run, labels)


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


def _warnings(analysis: Analysis, run: RunView, labels: Labels) -> Iterator[str]:
    for heading, warnings in group_warnings(analysis.doubts, labels):
        yield f"\n### {heading}\n"
        for warning in warnings:
            where = f" ({escape(', '.join(warning.settings))})" if warning.settings else ""
            remedy = f" {escape(warning.remedy)}" if warning.remedy else ""
            yield f"- **{escape(warning.code)}**{where}: {escape(warning.message)}.{remedy}"
    missing = verdicts.absences(run)
    if missing:
        yield "\n### Settings skipped or failed\n"
    for sentence in missing:
        yield f"- {escape(sentence)}"
