"""Finding the line of an engine's log that explains why it ended; it is hardly ever the last one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tts_compare.backends.protocol import StartupCause

MAX_CAUSE_CHARS = 300

# What an engine or its runtime prints after the cause, or around it, and that explains nothing.
_NOISE = re.compile(
    r"nanobind|^- leaked |^- \.\.\. skipped|leaked (shared_memory|semaphore)|resource_tracker|^\s*$"
    r"|destroy_process_group|See root cause above|^\s*For further information visit|\^{3,}|^frame #\d"
    r"|warnings\.warn|(User|Future)Warning|Ignore import error|server_args=\{"
)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# "(EngineCore pid=12) ERROR 11-21 20:52:03 [core.py:1099] ", "[2026-11-21 20:52:03 TP0] ": who speaks and when.
_SPEAKER = re.compile(
    r"^(?:\([^()]*pid=\d+\)\s*)?(?:(?:INFO|WARNING|ERROR|CRITICAL|DEBUG)\s+[\d-]+\s+[\d:.]+\s*(?:\[[^\]]*\]\s?)?)?"
    r"(?:\[\d{4}-\d\d-\d\d [\d:]+[^\]]*\]\s?)?"
)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_][\w.]*\.)?[A-Za-z_]\w*(?:Error|Exception|Interrupt|NotFound)(?::\s.*|$)")


class Rule(NamedTuple):
    """A line that, where it stands in a log, is the cause. The first rule that matches wins, and its first match."""

    pattern: str
    advice: str


COMMON_RULES = (
    Rule(
        r"error: (?P<cause>unrecognized arguments: .*)", "check --engine-args: this engine version has no such argument"
    ),
    Rule(r"error: (?P<cause>(?:argument|the following arguments) .*)", "check --engine-args against the engine's help"),
    Rule(
        r"(?:ModuleNotFoundError: |/python[\d.]*: )(?P<cause>No module named .*)",
        "run `tts-compare engines doctor`: the engine's environment is not whole",
    ),
    Rule(
        r"(?P<cause>.*(?:\[Errno 98\]|[Aa]ddress already in use).*)",
        "another program listens on that port; start again, another port is then chosen",
    ),
    Rule(
        r"(?P<cause>.*(?:CUDA out of memory|OutOfMemoryError|DefaultCPUAllocator: can't allocate).*)",
        "take a smaller model, a lower max_model_len or a larger tensor parallel size",
    ),
    Rule(r"(?P<cause>.*No space left on device.*)", "make room on the disk or in /dev/shm"),
)


def find_cause(log_text: str, rules: Sequence[Rule]) -> StartupCause:
    """The cause by ``rules``, then by the common ones; else the earliest exception shown, else the last line.

    The line comes without colours, without who spoke and when, and cut at 300 characters.
    """
    lines = [line for raw in log_text.splitlines() if not _NOISE.search(line := _plain(raw))]
    for rule in (*rules, *COMMON_RULES):
        pattern = re.compile(rule.pattern)
        for line in lines:
            if match := pattern.search(line):
                return StartupCause(_cut(match["cause"]), rule.advice)
    exceptions = [line for line in lines if _EXCEPTION.match(line) and "Engine core initialization failed" not in line]
    if exceptions:
        return StartupCause(_cut(exceptions[0]), "read the log from its first traceback on")
    if lines:
        return StartupCause(_cut(lines[-1]), "read the log")
    return StartupCause("it ended without a word", "start the command by hand: `tts-compare plan` prints it")


def _plain(line: str) -> str:
    return _SPEAKER.sub("", _ANSI.sub("", line)).strip()


def _cut(line: str) -> str:
    line = " ".join(line.split()).partition(" [type=")[0]  # pydantic adds its input there
    return line if len(line) <= MAX_CAUSE_CHARS else line[: MAX_CAUSE_CHARS - 1] + "…"
