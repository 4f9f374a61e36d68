"""Capture the report as a real terminal shows it, for docs/terminal.md: ``python -m tests.terminal_captures``.

Needs tmux. The run is the recorded one in tests/golden; pictures are of the screen with its colours, text blocks
without.
"""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "terminal.md"
COMMAND = "tts-compare report tests/golden/quickstart"
WIDTHS = (60, 80, 120)
_LINES = 200
_NUMBERS = itertools.count()


def captured(width: int, *, colour: bool, extra: str = "") -> str:
    """What a terminal of this width shows of the report, as tmux has it on its screen."""
    name = f"capture-{os.getpid()}-{next(_NUMBERS)}"
    flags = "" if colour else " --no-color"
    line = f"clear; {Path(sys.executable).parent}/{COMMAND}{flags}{extra}; tmux wait-for -S {name}; sleep 600"
    tmux = ["tmux", "-L", name]
    subprocess.run(
        [*tmux, "new-session", "-d", "-x", str(width), "-y", str(_LINES), "-c", str(ROOT), line],
        check=True,
        env=os.environ | {"TERM": "xterm-256color", "PS1": "$ "},
    )
    try:
        subprocess.run([*tmux, "wait-for", name], check=True, timeout=60)
        time.sleep(0.5)
        shown = subprocess.run(
            [*tmux, "capture-pane", "-p", *(["-e"] if colour else [])], check=True, capture_output=True, text=True
        ).stdout
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    return shown.rstrip() + "\n"


def drawn(screen: str, width: int) -> str:
    """A picture of a screen with its colours."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen))
    return console.export_svg(title=COMMAND)


def main() -> None:
    """Write the page and its pictures."""
    parts = [
        "# In the terminal\n\n"
        f"`{COMMAND}`, as tmux shows it. The run is a recorded one of the quickstart: two engines on a CPU, one start\n"
        "each. `python -m tests.terminal_captures` writes this page.\n"
    ]
    for width in WIDTHS:
        picture = ROOT / "docs" / "images" / f"terminal-{width}.svg"
        picture.write_text(drawn(captured(width, colour=True), width), encoding="utf-8")
        parts.append(
            f"\n## {width} columns\n\nWith colour:\n\n![the report at {width} columns](images/{picture.name})\n"
        )
        parts.append(f"\nWithout:\n\n```text\n{captured(width, colour=False)}```\n")
    parts.append(f"\n## Without Unicode\n\n```text\n{captured(80, colour=False, extra=' --ascii')}```\n")
    PAGE.write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
