"""Where engine environments live, which are whole, and which Python runs an engine.

``<data>/engines/<engine>-<version>-<device>/`` is a virtual environment. It counts only once ``tts-compare.json``
stands in it, which the installer writes last and by a rename: a half-built environment has none.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from tts_compare.backends import BACKENDS, Backend
from tts_compare.domain import Device
from tts_compare.errors import UsageError

MARKER = "tts-compare.json"
Source = Literal["flag", "installed", "current"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePython:
    """The interpreter that runs an engine, or the engine where it is a program, and how it was found."""

    path: Path
    engine: str
    version: str | None
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A whole environment of ours. seconds: what building it took; deviations: from the engine's own pins."""

    engine: str
    version: str
    device: Device
    torch: str | None
    python: str
    seconds: float
    recipe: tuple[str, ...]
    deviations: tuple[str, ...]
    directory: Path

    @property
    def interpreter(self) -> Path:
        """The environment's Python."""
        return interpreter(self.directory)


def data_dir() -> Path:
    """Where environments and models are kept: TTS_COMPARE_DATA, else the user's data directory."""
    stated = os.environ.get("TTS_COMPARE_DATA")
    return Path(stated).expanduser().absolute() if stated else Path(platformdirs.user_data_dir("tts-compare"))


def engines_dir() -> Path:
    """The directory that holds the environments."""
    return data_dir() / "engines"


def interpreter(environment: Path) -> Path:
    """The Python of a virtual environment."""
    return environment / "bin" / "python"


def write_marker(installed: Installed) -> None:
    """Declare an environment whole; on disk before it is named, so that a crash cannot leave an empty marker."""
    row = asdict(installed)
    del row["directory"]
    draft = installed.directory / f".{MARKER}.draft"
    with draft.open("w") as file:
        json.dump(row, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(installed.directory / MARKER)


def read_marker(environment: Path) -> Installed | None:
    """What an environment's marker says; None where there is none, or its interpreter is gone."""
    try:
        row = json.loads((environment / MARKER).read_text())
        installed = Installed(
            **(row | {"recipe": tuple(row["recipe"]), "deviations": tuple(row["deviations"])}), directory=environment
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return installed if installed.interpreter.exists() else None


def list_installed() -> tuple[Installed, ...]:
    """Every whole environment, by engine, then the newest version first."""
    directory = engines_dir()
    found = [read_marker(p) for p in sorted(directory.iterdir())] if directory.is_dir() else []
    whole = [i for i in found if i is not None]
    return tuple(sorted(whole, key=lambda i: (i.engine, *(-n for n in version_key(i.version)), i.device)))


def version_key(version: str) -> tuple[int, ...]:
    """A version's release numbers, to put ``0.9`` before ``0.10``."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version).release
    except InvalidVersion:
        return (0,)


def find_python(
    engine: str,
    version: str | None,
    *,
    overrides: Mapping[str, str],
    device: Device,
) -> EnginePython:
    """The interpreter for an engine: from the flag, else an environment of ours, else the current one.

    overrides: ``--engine-python``, keyed by ``vllm`` or ``vllm==0.32.0``. Without a version an environment of the
    tested version is preferred, then the newest. UsageError where there is none, with the command that makes one.
    """
    backend = launched(engine)
    if backend.program is not None:
        return _program(backend, backend.program, version, overrides)
    stated = overrides.get(f"{engine}=={version}") or overrides.get(engine)
    if stated:
        return _from_flag(backend, version, Path(stated).expanduser())
    ours = [i for i in list_installed() if i.engine == engine and _is(i.version, version)]
    fitting = sorted((i for i in ours if i.device == device), key=lambda i: not _is(i.version, backend.pinned))
    if fitting:
        best = fitting[0]
        return EnginePython(path=best.interpreter, engine=engine, version=best.version, source="installed")
    current = _current_version(backend)
    if current is not None and _is(current, version):
        return EnginePython(path=Path(sys.executable), engine=engine, version=current, source="current")
    wanted = f"{engine}=={version}" if version else engine
    other = f" (the one installed is for {ours[0].device})" if ours else ""
    flags = f"{engine}{f' --version {version}' if version else ''}{' --device ' + device if ours else ''}"
    install = f"run `tts-compare engines install {flags}`, or " if backend.pinned else ""
    raise UsageError(f"no environment for {wanted}{other}: {install}give --engine-python {wanted}=/path/to/python")


def _program(backend: Backend, name: str, version: str | None, overrides: Mapping[str, str]) -> EnginePython:
    """A program in the place of an interpreter; its version is not known before it runs."""
    engine = backend.name
    stated = overrides.get(f"{engine}=={version}") or overrides.get(engine)
    found = shutil.which(stated or name)
    if found is None:
        where = f"--engine-python {engine}={stated} is no program" if stated else f"there is no program {name} on PATH"
        raise UsageError(f"{where}: install {engine}, or give --engine-python {engine}=/path/to/{name}")
    source: Source = "flag" if stated else "current"
    return EnginePython(path=Path(found).absolute(), engine=engine, version=version, source=source)


def launched(engine: str) -> Backend:
    """The backend of an engine that we can start. UsageError for any other name."""
    backend = BACKENDS.get(engine)
    if backend is None or not backend.launched:
        known = sorted(name for name, other in BACKENDS.items() if other.launched)
        raise UsageError(f"unknown engine {engine!r}: there are {', '.join(known)}")
    return backend


def _is(there: str, wanted: str | None) -> bool:
    """Whether an installed version is the one asked for, as pip takes it: ``0.31.0+cu129`` is a build of ``0.31.0``."""
    return wanted in (None, there, there.partition("+")[0])


def _current_version(backend: Backend) -> str | None:
    """The engine's version in our own environment, without importing it; None where it is not there."""
    if backend.module is None or importlib.util.find_spec(backend.module) is None:
        return None
    for name in backend.distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


_ASK_VERSION = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    try:
        print(importlib.metadata.version(name))
        break
    except importlib.metadata.PackageNotFoundError:
        pass
"""


def _from_flag(backend: Backend, version: str | None, path: Path) -> EnginePython:
    engine = backend.name
    flag = f"--engine-python {engine}={path}"
    try:
        asked = subprocess.run(
            [str(path), "-c", _ASK_VERSION, *backend.distributions],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{flag} does not run: {error}; give the path of a Python interpreter") from None
    there = asked.stdout.strip()
    if asked.returncode != 0 or not there:
        install = f", or run `tts-compare engines install {engine}`" if backend.pinned else ""
        raise UsageError(f"{flag} has no {engine}: install it there{install}")
    if not _is(there, version):
        raise UsageError(f"{flag} has {engine} {there}, not the {version} asked for")
    # Not resolved: a virtual environment is known by the link's own place.
    return EnginePython(path=path.absolute(), engine=engine, version=there, source="flag")
