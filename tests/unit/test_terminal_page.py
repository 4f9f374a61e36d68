"""The terminal's report as the documentation shows it is the one that the program prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.terminal_captures import COMMAND, PAGE, WIDTHS
from tts_compare.cli import main

BLOCKS = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(("at", "width"), list(enumerate(WIDTHS)))
def test_the_page_shows_what_is_printed_today(
    at: int, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([*COMMAND.split()[1:], "--no-color"]) == 0
    assert capsys.readouterr().out == BLOCKS[at], "run: python -m tests.terminal_captures"


def test_the_quickstarts_report_is_at_most_sixty_lines_at_eighty_columns() -> None:
    assert len(BLOCKS[WIDTHS.index(80)].splitlines()) <= 60
