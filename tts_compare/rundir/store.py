"""Reading and writing the files of a run directory; every file name in it is owned here (docs/run-directory.md)."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tts_compare.domain import Grade, RequestRecord
from tts_compare.errors import RunError, UsageError
from tts_compare.rundir.manifest import FORMAT, READABLE, Manifest, manifest_of, plain
from tts_compare.rundir.rows import Aside, read_frame, read_rows, told
from tts_compare.rundir.scores import Score

__all__ = [
    "FORMAT",
    "READABLE",
    "Aside",
    "Lock",
    "RowLog",
    "RunDir",
    "close_to_others",
    "create",
    "open_run",
    "read_frame",
    "read_list",
    "read_manifest",
    "read_rows",
    "told",
    "write_json",
    "write_manifest",
]


#: Without these a file is no manifest, whatever it says of its format.
_NEEDED = ("experiment", "settings", "dataset")


@dataclass(frozen=True, slots=True)
class RunDir:
    """The paths of one run."""

    path: Path

    @property
    def manifest(self) -> Path:
        """What was run, on what, with what: one JSON object."""
        return self.path / "manifest.json"

    @property
    def records(self) -> Path:
        """One row an attempt, appended as it ends, never rewritten."""
        return self.path / "records.jsonl"

    @property
    def grades(self) -> Path:
        """One row a (record, policy, cut) graded, and one a vote."""
        return self.path / "grades.jsonl"

    @property
    def scores(self) -> Path:
        """One row a response that a reward model was asked about, appended as it answers, never rewritten."""
        return self.path / "scores.jsonl"

    @property
    def telemetry(self) -> Path:
        """One row a sample of a server and its machine, appended by the samplers, never rewritten."""
        return self.path / "telemetry.jsonl"

    @property
    def points(self) -> Path:
        """The table behind every report."""
        return self.path / "points.json"

    @property
    def private(self) -> bool:
        """Whether a key was in use: nobody else may look into the directory, and its files are made 0600."""
        return self.path.stat().st_mode & 0o077 == 0

    def server_log(self, setting: str) -> Path:
        """Where the server of a setting writes its standard output and error."""
        return self.path / "servers" / f"{_file_name(setting)}.log"

    def server_metrics(self, setting: str) -> Path:
        """The server's own counters around every point."""
        return self.path / "servers" / f"{_file_name(setting)}.metrics.json"


def _file_name(setting: str) -> str:
    """A setting id as one path component: nothing in it can leave the directory."""
    return re.sub(r"[^A-Za-z0-9._=+-]+", "_", setting).lstrip(".") or "_"


def create(path: Path, *, private: bool = False) -> RunDir:
    """Make a new run directory, 0700 when ``private``.

    Raises UsageError where the directory is not empty or cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
        if not all(_is_beginning(entry) for entry in path.iterdir()):
            raise UsageError(
                f"{path} is not empty: name another directory with --out, or resume it with --resume {path}"
            )
        (path / "servers").mkdir(exist_ok=True)
        if private:
            path.chmod(0o700)
    except OSError as error:
        raise UsageError(
            f"cannot write the run directory {path}: {error.strerror}; choose another with --out"
        ) from error
    return RunDir(path)


def close_to_others(run: RunDir) -> None:
    """Make a run private whose rows before were not. Raises UsageError where that is not ours to do."""
    try:
        for file in run.path.rglob("*"):
            if file.is_file():
                file.chmod(0o600)
        run.path.chmod(0o700)
    except OSError as error:
        raise UsageError(f"cannot make {run.path} private, and a key is in use: {error.strerror}") from error


def check_beginning(path: Path, why: str) -> None:
    """Raises UsageError, ending in ``why``, where a directory holds something that is not of a run not yet begun."""
    if path.exists() and (not path.is_dir() or not all(_is_beginning(entry) for entry in path.iterdir())):
        raise UsageError(f"{path} is not a run directory: it has no manifest.json and is not empty; {why}")


def _is_beginning(entry: Path) -> bool:
    """Whether a run that ended before it had a manifest left this: nothing that was measured."""
    if entry.name == "servers":
        return entry.is_dir() and not any(entry.iterdir())
    return entry.name in (".lock", ".manifest.json.new") or (entry.name == "records.jsonl" and not entry.stat().st_size)


def open_run(path: Path) -> RunDir:
    """An existing run directory. Raises UsageError where it holds no manifest."""
    run = RunDir(path)
    if not run.manifest.is_file():
        raise UsageError(f"{path} is not a run directory: it has no manifest.json")
    return run


class Lock:
    """Exclusive use of a run directory until closed or the process ends.

    Raises UsageError where another has it, or where the directory cannot be written or locked.
    """

    def __init__(self, run: RunDir) -> None:
        try:
            self._fd = os.open(run.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(f"cannot write the run directory {run.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise UsageError(f"another process is writing {run.path}: wait for it, or choose another --out") from error
        except OSError as error:
            os.close(self._fd)
            raise UsageError(
                f"cannot lock {run.path}: {error.strerror}; choose an --out on a file system that keeps locks"
            ) from error

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)


class RowLog:
    """Appends rows to a JSONL file, one write a row; what was written is whole or not there.

    A torn last line, left by a kill, is completed where it is a whole row and cut off where it is not.
    Raises RunError when the disk is full; the rows before stay whole.
    """

    def __init__(self, path: Path, *, private: bool = False) -> None:
        self.path = path
        self._encoder = msgspec.json.Encoder()
        mode = 0o600 if private else 0o666
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        self._mend()

    def _mend(self) -> None:
        size = os.fstat(self._fd).st_size
        tail, start = b"", size
        while start > 0 and b"\n" not in tail:
            step = min(1 << 16, start)
            start -= step
            tail = os.pread(self._fd, step, start) + tail
        keep = start + tail.rfind(b"\n") + 1
        if keep == size:
            return
        try:
            json.loads(tail[tail.rfind(b"\n") + 1 :])
        except (ValueError, RecursionError):
            os.ftruncate(self._fd, keep)
        else:
            os.write(self._fd, b"\n")

    def append(self, rows: Iterable[RequestRecord] | Iterable[Grade] | Iterable[Score]) -> None:
        """Write rows, each in full before this returns."""
        for row in rows:
            self._write(self._encoder.encode(row) + b"\n")

    def _write(self, line: bytes) -> None:
        before = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            os.ftruncate(self._fd, before)
            raise RunError(
                f"cannot write {self.path}: {error.strerror}; all rows before are kept: "
                f"make room and go on with --resume {self.path.parent}"
            ) from error

    def close(self) -> None:
        """Flush to the disk and close. Raises RunError where the disk, of a server maybe, took less than it said."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}; some of its last rows may be lost") from error
        finally:
            os.close(self._fd)

    def __enter__(self) -> RowLog:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def write_json(path: Path, value: Mapping[str, Any] | list[Any], *, private: bool = False) -> None:
    """Replace a JSON file at once: a reader sees the old one or the new one, never a part."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"
    scratch = path.with_name(f".{path.name}.new")
    try:
        fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600 if private else 0o666)
        with os.fdopen(fd, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        scratch.replace(path)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror}; the rows written before are kept: "
            f"fix that and go on with --resume {path.parent}"
        ) from error


def read_list(path: Path) -> list[Any]:
    """A JSON file of rows; empty where there is none. Raises RunError where it holds something else."""
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list):
        raise RunError(f"{path} is not a list of rows")
    return rows


def read_manifest(run: RunDir) -> Manifest:
    """The manifest. Raises RunError where it is not one of ours."""
    try:
        found = json.loads(run.manifest.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{run.manifest} cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("format") not in READABLE:
        raise RunError(f"{run.manifest} is not a manifest of format {' or '.join(map(str, READABLE))}")
    if missing := [key for key in _NEEDED if key not in found]:
        raise RunError(f"{run.manifest} is not a manifest: it has no {', '.join(missing)}")
    try:
        return manifest_of(found)
    except (TypeError, ValueError) as error:
        raise RunError(f"{run.manifest} cannot be read: {error}") from error


def write_manifest(run: RunDir, manifest: Manifest, *, private: bool = False) -> None:
    """Replace the manifest at once, as ``write_json`` does."""
    write_json(run.manifest, plain(manifest), private=private)
