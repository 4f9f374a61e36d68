"""What is left of a server that ended: its log's end, and what its exit status means."""

from __future__ import annotations

import os
from pathlib import Path

LOG_TAIL_BYTES = 2_000_000


def read_tail(path: Path) -> str:
    """The last two megabytes of a log; empty where there is none."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def describe_status(status: int) -> str:
    """``exit status 1``, ``signal 9 (killed)`` for 137."""
    number = signal_of(status)
    if number <= 0:
        return f"exit status {status}"
    names = {2: "interrupted", 6: "aborted", 9: "killed", 11: "segmentation fault", 15: "terminated"}
    named = f" ({names[number]})" if number in names else ""
    return f"signal {number}{named}"


def signal_of(status: int) -> int:
    """The number of the signal that ended a process, 0 or less where none did."""
    return status - 128 if status > 128 else -status
