"""The quickstart starts each setting once, and names a command of three rounds that is accepted."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tests.standin import model_directory
from tts_compare.cli import main
from tts_compare.cli.overrides import CommandLine
from tts_compare.cli.quickstart import _in_rounds

if TYPE_CHECKING:
    import pytest


def test_the_command_of_three_rounds_can_be_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = shlex.split(_in_rounds(CommandLine(config="quickstart", flags={"model": str(model_directory(tmp_path))})))
    assert command[0] == "tts-compare"
    assert main(["plan", *command[1:]]) == 0
    assert "rounds     3, 5 problems or one more in each" in capsys.readouterr().out


def test_the_command_on_a_gpu_asks_for_as_many_problems_as_three_rounds_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = shlex.split(_in_rounds(CommandLine(config="quickstart-gpu", flags={"out": str(tmp_path)})))
    assert command[-4:] == ["--problems", "75", "--rounds", "3"]
    asked = [*command[1:], "--device=cpu"]
    main(["plan", *asked])
    assert "needs 25" not in capsys.readouterr().err
