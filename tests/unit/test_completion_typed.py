"""What a real bash makes of a Tab: flags, also without a command, values, lists, paths."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tts_compare.cli.completion import completion_script
from tts_compare.config import shipped_configs
from tts_compare.dataset import NAMES
from tts_compare.methods import METHODS

DEADLINE_S = 60

#: The command shows its words, so that a test sees how the line was completed.
_RC = """
bind 'set bell-style none'
bind 'set completion-query-items 0'
bind 'set page-completions off'
bind 'set show-all-if-ambiguous on'
. ~/completion
tts-compare() { printf '<%s>' "$@"; echo '<end>'; }
PS1='ready> '
"""
#: The prompt below what a command shows; a line that is sent before it would be echoed twice.
_PROMPT = "\r\nready> "


class Shell:
    """An interactive bash with our completion, and a prompt that tells when it is done."""

    def __init__(self, home: Path) -> None:
        (home / "completion").write_text(completion_script("bash"))
        (home / "rc").write_text(_RC)
        self.controller, terminal = pty.openpty()
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--rcfile", home / "rc", "-i"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=home,
            env=environment,
            start_new_session=True,
        )
        os.close(terminal)
        self._until("ready> ")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.controller)

    def _send(self, text: str) -> None:
        os.write(self.controller, text.encode())

    def _until(self, mark: str, *, times: int = 1) -> str:
        """What is shown until the mark, or until it is there so many times."""
        shown = ""
        while shown.count(mark) < times:
            ready, _, _ = select.select([self.controller], [], [], DEADLINE_S)
            assert ready, f"bash said no more after {shown!r}"
            shown += os.read(self.controller, 65536).decode()
        return shown

    def completed(self, line: str) -> list[str]:
        """The words of the line after a Tab and Return."""
        self._send(f"{line}\t\n")
        return re.findall("<(.*?)>", self._until(f"<end>{_PROMPT}"))[:-1]

    def offered(self, line: str) -> set[str]:
        """The words that bash lists after a Tab."""
        self._send(f"{line}\t")
        shown = self._until(line, times=2).replace("\r", "")  # as typed, and as redrawn below what is listed
        self._send("\x15echo $((6 * 7))end\n")
        self._until(f"42end{_PROMPT}")
        return set(shown.split(line)[1].rpartition("ready> ")[0].split())


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = tmp_path_factory.mktemp("home")
    (home / "mine.jsonl").touch()
    (home / "runs").mkdir()
    shell = Shell(home)
    yield shell
    shell.close()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("tts-compare --bac", ["--backend"]),
        ("tts-compare --vers", ["--version"]),
        ("tts-compare --backend sg", ["--backend", "sglang"]),
        ("tts-compare --backend vllm --mod", ["--backend", "vllm", "--model"]),
        ("tts-compare --dataset quickstart --budget-", ["--dataset", "quickstart", "--budget-usd"]),
        ("tts-compare run --backend vllm,sg", ["run", "--backend", "vllm,sglang"]),
        ("tts-compare plan --spec none,ng", ["plan", "--spec", "none,ngram"]),
        ("tts-compare plan --policy fi", ["plan", "--policy", "final"]),
        ("tts-compare grade --policy fi", ["grade", "--policy", "final"]),
        ("tts-compare --config paper-", ["--config", "paper-sampled"]),
        ("tts-compare run --dataset math", ["run", "--dataset", "math500"]),
        ("tts-compare run --dataset min", ["run", "--dataset", "mine.jsonl"]),
        ("tts-compare --resume ru", ["--resume", "runs/"]),
        ("tts-compare run --prompt few", ["run", "--prompt", "fewshot"]),
        ("tts-compare engines install v", ["engines", "install", "vllm"]),
    ],
)
def test_a_tab_completes_it(typed: str, words: list[str], bash: Shell) -> None:
    assert bash.completed(typed) == words


def test_every_name_is_offered(bash: Shell) -> None:
    assert bash.offered("tts-compare run --method ") == set(METHODS)
    assert bash.offered("tts-compare --config ") >= set(shipped_configs())
    assert bash.offered("tts-compare plan --dataset ") >= {*NAMES, "mine.jsonl"}
