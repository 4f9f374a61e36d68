"""The points as tab-separated values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_compare.reports.plain import plain
from tts_compare.reports.view import Look, RunView

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis


@dataclass(frozen=True, slots=True)
class TsvReport:
    """A head and one line a point."""

    suffix: str = ".tsv"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str:  # noqa: ARG002
        """The keys, accuracy and mean latency."""
        names = ("setting", "budget", "accuracy", "latency_mean_s")
        rows = analysis.points.select(names).iter_rows()
        return "".join("\t".join(plain(str(cell)) for cell in row) + "\n" for row in (names, *rows))
