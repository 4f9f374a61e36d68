"""The report for a terminal: the answer first, or every table; good from 60 columns on, in a pipe, without colour."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tts_compare.reports.brief import brief_parts
from tts_compare.reports.document import compose
from tts_compare.reports.full import full_parts
from tts_compare.reports.labels import Labels
from tts_compare.reports.plain import ascii_only, one_line
from tts_compare.reports.terminal_parts import bullet
from tts_compare.reports.view import Look, RunView

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tts_compare.analysis.schema import Analysis


@dataclass(frozen=True, slots=True)
class ConsoleReport:
    """Plain text, or text with ANSI colours where ``look.colour``."""

    suffix: str = ".txt"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str:
        """The report at ``look.width`` columns; with ``look.full`` all of it."""
        document = compose(analysis, run)
        parts = list((full_parts if look.full else brief_parts)(document, look))
        if look.claims and not look.full:
            parts += _claims(analysis, document.labels)
        return laid_out(parts, look)


def laid_out(parts: list[RenderableType], look: Look) -> str:
    """What rich makes of the parts at the look's width, no line ending in spaces."""
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
    for part in parts:
        console.print(part)
    text = "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())
    return text if look.unicode else ascii_only(text)


def _claims(analysis: Analysis, labels: Labels) -> Iterator[RenderableType]:
    """The paper's claims, a verdict and a sentence each."""
    from rich.text import Text

    yield Text("\nThe paper's claims (arXiv:2509.19645) on this data", style="bold")
    for claim in analysis.claims:
        why = labels.replace_ids(claim.sentence.removeprefix(f"{claim.word}: "))
        yield from bullet(one_line(f"({claim.letter}) {claim.title}: {claim.word}. {why[:1].upper()}{why[1:]}", 900))
