"""What an engine's environment is made of: values that each backend gives and the installer carries out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tts_compare.domain import Device

TOOLS = ("install", "--upgrade", "pip", "wheel", "setuptools<81")
"""pip's arguments of the first step of every recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of pip in the engine's environment; what is done is stamped, and not done again.

    local: a source directory that pip installs from a copy of its own, appended to ``pip``.
    """

    title: str
    pip: tuple[str, ...]
    local: Path | None = None

    @property
    def stamp(self) -> str:
        """A name that changes with what the step does."""
        return hashlib.sha256(json.dumps([self.pip, _source_text(self.local)]).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one engine's environment is built.

    distribution: the name under which the engine is installed; check: the module whose import proves it whole;
    deviations: where it differs from what the engine's authors pin. kernels: modules of compiled kernels, which the
    import of ``check`` does not load; they need the driver's library. The first that is there is tried by the doctor.
    """

    engine: str
    version: str
    device: Device
    distribution: str
    steps: tuple[Step, ...]
    check: str
    size_hint: str
    deviations: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Directory name of the environment."""
        return environment_name(self.engine, self.version, self.device)


def environment_name(engine: str, version: str, device: Device) -> str:
    """``<engine>-<version>-<device>``."""
    return f"{engine}-{version}-{device}"


def published(
    engine: str, version: str, *, check: str, kernels: tuple[str, ...] = (), torch: str | None = None
) -> Recipe:
    """An engine on a GPU as its authors publish it, under its own name and with their pins.

    torch: the version that they pin, where it is known. It is asked for by ``===``: to ``==`` a ``+cpu`` build that one
    of the user's indexes or directories has is the same version, and a later one (PEP 440), so pip prefers it.
    """
    exact = (f"torch==={torch}",) if torch else ()
    return Recipe(
        engine=engine,
        version=version,
        device="cuda",
        distribution=engine,
        steps=(
            Step(title="pip and build tools", pip=TOOLS),
            Step(title=f"{engine} {version}", pip=("install", f"{engine}=={version}", *exact)),
        ),
        check=check,
        size_hint="about 5 GB to download, 10 GB on disk",
        kernels=kernels,
    )


def _source_text(directory: Path | None) -> list[str]:
    if directory is None:
        return []
    files = sorted(p for p in directory.rglob("*") if p.suffix in (".py", ".toml"))
    return [f"{p.relative_to(directory).as_posix()}\n{p.read_text()}" for p in files]
