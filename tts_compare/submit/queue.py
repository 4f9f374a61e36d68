"""Slurm's own commands, as far as submitting and cancelling need them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tts_compare.errors import RunError, UsageError

_PATIENCE_S = 60.0


def sbatch(file: Path, *, indices: Sequence[int] | None = None, limit: int | None = None) -> str:
    """Submit a batch file, or some indices of its array; the job's id. Raises UsageError where Slurm refuses."""
    words = ["sbatch", "--parsable"]
    if indices is not None:
        words.append(f"--array={','.join(map(str, indices))}" + (f"%{limit}" if limit else ""))
    done = _ran([*words, str(file)])
    if done.returncode:
        raise UsageError(f"sbatch refused {file}: {' '.join(done.stderr.split())}")
    return done.stdout.strip().partition(";")[0]


def queued(jobs: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """By ``<array>_<index>`` the state and the reason that squeue gives; jobs that have ended are not among them.

    Raises RunError where squeue cannot be asked.
    """
    if not jobs:
        return {}
    words = ["squeue", "--noheader", "--array", "--format=%F|%K|%T|%r", f"--jobs={','.join(jobs)}"]
    done = _ran(words)
    if done.returncode and "Invalid job id" not in done.stderr:
        raise RunError(f"squeue: {' '.join(done.stderr.split())}")
    found = {}
    for line in done.stdout.splitlines():
        array, index, state, reason = line.split("|", 3)
        found[f"{array}_{index}" if index != "N/A" else array] = (state, reason)
    return found


def cancel(jobs: Sequence[str], *, patience_s: float = _PATIENCE_S) -> Mapping[str, tuple[str, str]]:
    """Cancel jobs and wait until Slurm knows none of them any more; those that are left after that."""
    if jobs:
        _ran(["scancel", *jobs])
    deadline = time.monotonic() + patience_s
    while (left := queued(jobs)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def _ran(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(
            f"{words[0]} cannot be run here: {error.strerror}; run this on a login node of Slurm"
        ) from error
