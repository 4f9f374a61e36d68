"""Shell completion: every command and every flag of the parser, in scripts that the shells themselves accept."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tts_compare.cli import main
from tts_compare.cli.completion import completion_script
from tts_compare.cli.main import _HOMES
from tts_compare.cli.parser import COMMANDS, build_parser

SHELLS = ("bash", "zsh", "fish")


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    """Every long flag of a parser and of its commands."""
    found: set[str] = set()
    for action in parser._actions:
        found |= {flag for flag in action.option_strings if flag.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found |= flags_of(command)
    return found


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_every_flag_is_in_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    flags = {flag.removeprefix("--") if shell == "fish" else flag for flag in flags_of(build_parser())}
    assert len(flags) > 40
    assert {word for word in (*COMMANDS, *flags) if word not in script} == set()


def test_every_command_has_a_home_and_the_parser_knows_no_other() -> None:
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert set(commands.choices) == set(COMMANDS) == set(_HOMES)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_its_script_without_complaint(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not on this machine")
    script = tmp_path / "script"
    script.write_text(completion_script(shell))
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def bash_offers(*words: str, cwd: Path) -> list[str]:
    """What bash offers for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    asked = f"""
    {completion_script("bash")}
    COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}
    _shtab_tts_compare
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True, cwd=cwd)
    return done.stdout.split()


def test_bash_offers_commands_flags_choices_and_run_directories(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine.txt").touch()
    assert bash_offers("tts-compare", "se", cwd=tmp_path) == ["selftest"]
    assert bash_offers("tts-compare", "run", "--engine-p", cwd=tmp_path) == ["--engine-python"]
    assert bash_offers("tts-compare", "plan", "--curve", "s", cwd=tmp_path) == ["single-pass"]
    assert bash_offers("tts-compare", "engines", "install", "v", cwd=tmp_path) == ["vllm"]
    assert [name.rstrip("/") for name in bash_offers("tts-compare", "report", "mi", cwd=tmp_path)] == ["mine"]


def test_help_needs_nothing_of_what_completion_needs() -> None:
    seen = "import sys; from tts_compare.cli.parser import build_parser; build_parser().format_help(); "
    done = subprocess.run(
        [sys.executable, "-c", seen + "print('shtab' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
