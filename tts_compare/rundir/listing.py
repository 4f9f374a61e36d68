"""The runs in a directory: how far each is, what it holds and what it takes; and their removal."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tts_compare.errors import RunError, UsageError
from tts_compare.rundir import store
from tts_compare.rundir.manifest import Manifest

RunState = Literal["finished", "under way", "interrupted", "stopped", "imported", "unreadable"]
#: The state of a run that no process is writing, by what its manifest says.
_AT_REST: Mapping[str, RunState] = {
    "done": "finished",
    "running": "interrupted",
    "interrupted": "interrupted",
    "stopped": "stopped",
    "imported": "imported",
}
#: States that ``--state`` takes; what is under way is never removed.
REMOVABLE: tuple[RunState, ...] = ("finished", "interrupted", "stopped", "imported", "unreadable")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """One run directory as a list shows it."""

    #: Where it is.
    path: Path
    #: How far it is. Under way: a process has its lock.
    state: RunState
    #: What was run; None where the manifest cannot be read, or is not there yet.
    manifest: Manifest | None
    #: The rows of ``points.json``, none where there is no such file yet.
    points: tuple[Mapping[str, Any], ...]
    #: Bytes of its files.
    size_bytes: int
    #: When its manifest was last written, seconds since 1970.
    changed_s: float

    @property
    def best(self) -> Mapping[str, Any] | None:
        """Of the points on the latency frontier the most accurate, the quickest of several; None where none is."""
        on = [row for row in self.points if row.get("on_latency_frontier") and row.get("accuracy") is not None]
        return max(on, key=lambda row: (row["accuracy"], -(row.get("latency_mean_s") or 0.0)), default=None)


def list_runs(directory: Path) -> tuple[ListedRun, ...]:
    """The runs right under a directory, or the directory itself where it is one, the oldest first.

    Raises UsageError where the directory cannot be read.
    """
    try:
        places = [directory] if _is_run(directory) else sorted(directory.iterdir())
    except OSError as error:
        raise UsageError(f"cannot read {directory}: {error.strerror}") from error
    runs = (_listed(store.RunDir(place)) for place in places if _is_run(place))
    return tuple(sorted(runs, key=lambda run: ((run.manifest.created if run.manifest else ""), str(run.path))))


def remove_run(path: Path) -> None:
    """Delete a run directory while holding its lock.

    Raises UsageError where a process is writing it, it is a link, or it cannot be deleted.
    """
    if path.is_symlink():
        raise UsageError(f"{path} is a link: remove it yourself")
    if not _is_run(path):
        raise UsageError(f"{path} is not a run directory")
    with store.Lock(store.RunDir(path)):
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise UsageError(f"cannot delete {path}: {error.strerror}") from error


def is_under_way(run: store.RunDir) -> bool:
    """Whether a process has the lock of a run; a run that cannot be asked counts as under way."""
    try:
        lock = os.open(run.path / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _is_run(path: Path) -> bool:
    """A directory with a manifest, or one that a process has just begun."""
    run = store.RunDir(path)
    return path.is_dir() and (run.manifest.is_file() or (run.path / ".lock").is_file())


def _listed(run: store.RunDir) -> ListedRun:
    manifest, points = None, list[Any]()
    try:
        manifest = store.read_manifest(run)
        points = [row for row in store.read_list(run.points) if isinstance(row, dict)]
    except RunError:
        pass  # it is listed as unreadable, or without its points
    state: RunState = "unreadable" if manifest is None else _AT_REST[manifest.state]
    sizes = list(_sizes(run.path))
    changed = run.manifest if run.manifest.is_file() else run.path
    return ListedRun(
        path=run.path,
        state="under way" if is_under_way(run) else state,
        manifest=manifest,
        points=tuple(points),
        size_bytes=sum(sizes),
        changed_s=changed.stat().st_mtime,
    )


def _sizes(path: Path) -> Iterator[int]:
    for place, _, files in os.walk(path):
        for name in files:
            file = Path(place) / name
            if not file.is_symlink():
                yield file.stat().st_size
