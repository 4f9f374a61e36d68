"""Shared memory that an engine leaves behind in /dev/shm."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

SHM = Path("/dev/shm")  # noqa: S108 - the engine's place, not ours


def present(prefixes: Sequence[str], shm: Path = SHM) -> frozenset[str]:
    """Names that begin with one of the prefixes."""
    if not prefixes or not shm.is_dir():
        return frozenset()
    return frozenset(path.name for path in shm.iterdir() if path.name.startswith(tuple(prefixes)))


def unlink_own(prefixes: Sequence[str], before: frozenset[str], shm: Path = SHM) -> tuple[str, ...]:
    """Unlink what came since ``before``, is our user's and is mapped by no living process; the names unlinked.

    The names hold no process id that could tell whose they are, but another server's are mapped while it lives.
    """
    gone = []
    names = present(prefixes, shm) - before
    mapped = _mapped(shm) if names else frozenset()
    for name in sorted(names - mapped):
        path = shm / name
        try:
            if path.stat().st_uid == os.getuid():
                path.unlink()
                gone.append(name)
        except OSError:
            continue
    return tuple(gone)


def _mapped(shm: Path) -> frozenset[str]:
    names: set[str] = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            maps = (process / "maps").read_text(errors="replace")
        except OSError:
            continue
        names.update(Path(line.split(None, 5)[5]).name for line in maps.splitlines() if f" {shm}/" in line)
    return frozenset(names)
