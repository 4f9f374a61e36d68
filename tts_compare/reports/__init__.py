"""Analysis -> documents: the terminal's report, a page, Markdown, LaTeX, JSON, CSV, Parquet; figures and exports.

Importing this is cheap: polars, rich and vl-convert are imported where they are used.
"""

from __future__ import annotations

from tts_compare.extensions import Extensions
from tts_compare.reports.console import ConsoleReport
from tts_compare.reports.data import CsvReport, JsonReport, ParquetReport
from tts_compare.reports.latex import LatexReport
from tts_compare.reports.markdown import MarkdownReport
from tts_compare.reports.page import PageReport
from tts_compare.reports.view import Absent, Look, Report, RunView

#: Every report by the name ``--format`` takes. A new one is a module and a line here, or an entry point elsewhere.
REPORTS: Extensions[Report] = Extensions(
    "tts_compare.reports",
    {
        "console": ConsoleReport(),
        "html": PageReport(),
        "markdown": MarkdownReport(),
        "latex": LatexReport(),
        "json": JsonReport(),
        "csv": CsvReport(),
        "parquet": ParquetReport(),
    },
)

__all__ = ["REPORTS", "Absent", "Look", "Report", "RunView"]
