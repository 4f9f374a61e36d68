"""What a report says, composed once: the verdict, tables, sentences and warnings that every format renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tts_compare.analysis.findings.verdict import Verdict, verdicts
from tts_compare.analysis.findings.warning_groups import WarningGroup
from tts_compare.analysis.findings.warning_groups import group_warnings as by_cause
from tts_compare.reports import remarks, sheets
from tts_compare.reports.labels import Labels
from tts_compare.reports.pair_words import pair_sentences
from tts_compare.reports.plain import one_line
from tts_compare.reports.sheets import Column, Group, Sheet
from tts_compare.reports.summary import summarise
from tts_compare.reports.verdict_lines import verdict_lines
from tts_compare.reports.verdicts import MAX_PAIRS, absences, verdict_sheets
from tts_compare.reports.view import RunView
from tts_compare.reports.warning_rows import Shown, group_warnings

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis

Titled = tuple[tuple[str, Sequence[Column]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The points compared with each other. heading: their load and policy; remarks: sentences below their tables."""

    heading: str
    group: Group
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A report before it has a format.

    verdict: at most six lines, said first. summary: (head, text) of what was run. parts: a load and policy each.
    findings: tables of verdicts. pairs: comparisons as sentences, the largest budget first. failures: the lengths of
    problems that settings failed. causes: warnings put together by cause; warnings: all of them, (heading, rows) by
    severity. absences: settings skipped or failed.
    """

    name: str
    paths: tuple[str, ...]
    labels: Labels
    verdict: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    summary: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    findings: tuple[Sheet, ...]
    pairs: tuple[str, ...]
    failures: tuple[str, ...]
    causes: tuple[WarningGroup, ...]
    warnings: tuple[tuple[str, tuple[Shown, ...]], ...]
    absences: tuple[str, ...]
    formulas: Mapping[str, str]
    on_cpu: bool

    def tables(self, part: Part, titled: Titled, *, narrow: bool = False, notes: bool = False) -> tuple[Sheet, ...]:
        """The points of a part under these titles and columns.

        narrow: an interval is written ± its longer arm. notes: what the signs mean, and the part's remarks, are the
        tables' own notes.
        """
        made = tuple(
            sheets.points_sheet(
                part.group,
                columns,
                labels=self.labels,
                formulas=self.formulas,
                on_cpu=self.on_cpu,
                title=title,
                narrow=narrow,
            )
            for title, columns in titled
        )
        return tuple(replace(one, notes=(*one.notes, *legend(part, narrow=narrow))) for one in made) if notes else made


def legend(part: Part, *, narrow: bool) -> tuple[str, ...]:
    """What marks and signs mean, and what is to be known of a part's figures."""
    return (sheets.FRONTIERS_TOLD, sheets.NARROW_TOLD if narrow else sheets.WIDE_TOLD, *part.remarks)


def compose(analysis: Analysis, run: RunView, *, most_pairs: int | None = MAX_PAIRS) -> Document:
    """What there is to say of a run. most_pairs: rows of the table of comparisons, None for all."""
    labels = sheets.name_settings(analysis, run)
    found = verdicts(analysis, run.manifest)
    shared = (("all settings", one_line(labels.shared)),) if labels.shared else ()
    barren = remarks.first_words(analysis)
    lines = verdict_lines(found, labels, on_cpu=run.on_cpu)
    if found and found[0].barren:
        lines = (*barren, *lines[1:])
    return Document(
        name=one_line(run.name),
        paths=run.paths,
        labels=labels,
        verdict=lines,
        verdicts=found,
        summary=(*summarise(run.manifest), *shared),
        parts=tuple(
            Part(
                heading=f"{group.title[:1].upper()}{group.title[1:]}",
                group=group,
                remarks=remarks.group_remarks(group, run),
            )
            for group in sheets.group_points(analysis)
        ),
        findings=tuple(verdict_sheets(analysis, labels, on_cpu=run.on_cpu, limit=most_pairs)),
        pairs=pair_sentences(analysis, labels),
        failures=remarks.failure_remarks(analysis, labels),
        causes=by_cause(analysis.doubts, run.manifest),
        warnings=tuple(group_warnings(analysis.doubts, labels)),
        absences=absences(run),
        formulas=analysis.formulas,
        on_cpu=run.on_cpu,
    )
