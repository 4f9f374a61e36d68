"""How a module of ours is started as a process of its own."""

from __future__ import annotations

import os
import sys


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """The command line of ``python -m module``; -P: no module of the directory in which we were started."""
    return (sys.executable, "-P", "-m", module, *arguments)


def import_path() -> dict[str, str]:
    """The variable by which the process finds what this one imports from."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
