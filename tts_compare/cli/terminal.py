"""The terminal: a console for data on standard output, plain lines on standard error for talk."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(*, no_color: bool = False, stderr: bool = False) -> Console:
    """A console on standard output or error; 80 columns wide where it is no terminal that says otherwise."""
    from rich.console import Console

    return Console(no_color=True if no_color else None, stderr=stderr, highlight=False)


def talk(line: str) -> None:
    """One line for people, on standard error; what steers a terminal is written out."""
    from tts_compare.reports.plain import plain

    sys.stderr.write(f"{plain(line)}\n")
    sys.stderr.flush()
