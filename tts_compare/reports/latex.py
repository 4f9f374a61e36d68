"""The points and the table of optima as LaTeX tables (booktabs), to be put into a paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tts_compare.reports import sheets
from tts_compare.reports.document import Document, compose
from tts_compare.reports.plain import one_line
from tts_compare.reports.remarks import first_words
from tts_compare.reports.view import Look, RunView

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\u2013": "--",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "µ": r"\textmu{}",
    "…": r"\dots{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}
#: Of a table: with its caption they fit a page of 11 points.
_ROWS = 36
_ANY_SPECIAL = re.compile("|".join(map(re.escape, _SPECIAL)))


@dataclass(frozen=True, slots=True)
class LatexReport:
    """``table*`` environments; the preamble needs ``\\usepackage{booktabs,graphicx}``."""

    suffix: str = ".tex"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str:  # noqa: ARG002 - has no columns
        """The tables, each with its formulas in the caption."""
        return "\n".join(_lines(compose(analysis, run), analysis)) + "\n"


def escape(text: str) -> str:
    """Text on one line in which TeX sees no command; what is not ASCII and has no name here becomes ``?``."""
    named = _ANY_SPECIAL.sub(lambda match: _SPECIAL[match[0]], one_line(text, 600))
    return named.encode("ascii", "replace").decode()


def _lines(document: Document, analysis: Analysis) -> Iterator[str]:
    yield r"% \usepackage{booktabs,graphicx}"
    if any(found.barren for found in document.verdicts):
        yield from (rf"\noindent\textbf{{{escape(line)}}}\par" for line in first_words(analysis))
    for line in document.verdict:
        yield f"% {escape(line)}"
    for part in document.parts:
        tables = document.tables(part, sheets.narrow_tables(part.group), narrow=True, notes=True)
        for sheet in tables:
            yield from _tables(sheet, f"{sheet.title}, {part.group.title}")
    if analysis.optimal.height:
        optimal = sheets.optimal_sheet(analysis, document.labels, on_cpu=document.on_cpu)
        yield from _tables(optimal, optimal.title)


def _tables(sheet: sheets.Sheet, caption: str) -> Iterator[str]:
    """As many tables as pages are needed: of one longer than its page LaTeX shows what fits and drops the rest."""
    for start in range(0, max(1, len(sheet.rows)), _ROWS):
        rows = sheet.rows[start : start + _ROWS]
        marked = frozenset(i - start for i in sheet.marked if start <= i < start + _ROWS)
        part = replace(sheet, rows=rows, marked=marked)
        yield from _table(
            part if start == 0 else replace(part, formulas=(), notes=()), caption + ", continued" * (start > 0)
        )


def _table(sheet: sheets.Sheet, caption: str) -> Iterator[str]:
    ends = [line if line.endswith(".") else f"{line}." for line in (*sheet.formulas, *sheet.notes)]
    yield r"\begin{table*}[t]"
    yield r"\centering\small"
    yield rf"\caption{{{escape(caption)}. {' '.join(map(escape, ends))}}}"
    # Only a table wider than the text is made smaller.
    yield r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"
    yield rf"\begin{{tabular}}{{{''.join('l' if i in sheet.left else 'r' for i in range(len(sheet.heads)))}}}"
    yield r"\toprule"
    for part in range(2):
        cells = [head.split("\n")[part] if part <= head.count("\n") else "" for head in sheet.heads]
        if any(cells):
            yield " & ".join(map(escape, cells)) + r" \\"
    yield r"\midrule"
    for i, row in enumerate(sheet.rows):
        cells = [escape(cell) for cell in row]
        if i in sheet.marked:
            cells[1] = rf"\textbf{{{cells[1]}}}"
        yield " & ".join(cells) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}}"
    yield r"\end{table*}"
