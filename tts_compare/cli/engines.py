"""``tts-compare engines``: install, list, doctor."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tts_compare.cli.terminal import console, talk
from tts_compare.errors import UsageError

if TYPE_CHECKING:
    from tts_compare.installer.doctor import Diagnosis
    from tts_compare.installer.install import InstallRequest, InstallStep


def engines_command(arguments: Namespace) -> int:
    """Run one action on the engines' environments."""
    actions = {"install": _install, "list": _list, "doctor": _doctor}
    return actions[arguments.action](arguments)


def _install(arguments: Namespace) -> int:
    from tts_compare.installer.install import InstallRequest

    if arguments.version and len(arguments.engines) > 1:
        raise UsageError("--version names the version of one engine: install the engines one by one")
    install_engines(
        [InstallRequest(engine=name, version=arguments.version, device=arguments.device) for name in arguments.engines]
    )
    return 0


def install_engines(requests: list[InstallRequest]) -> None:
    """Build the environments, telling what happens line by line."""
    from tts_compare.installer.install import install_all

    for python in install_all(requests, progress=_tell):
        talk(f"{python.engine} {python.version or ''} is ready: {python.path}")


def _tell(event: InstallStep) -> None:
    detail = f": {event.detail}" if event.detail else ""
    talk(f"[{event.elapsed_s:5.0f} s] {event.engine} {event.step}/{event.steps} {event.title}{detail}")


def _list(_arguments: Namespace) -> int:
    from rich.table import Table

    from tts_compare.installer.registry import engines_dir, list_installed

    rows = list_installed()
    if not rows:
        talk(f"no engine is installed under {engines_dir()}; run: tts-compare engines install vllm sglang")
        return 0
    table = Table("engine", "version", "device", "torch", "where")
    for row in rows:
        table.add_row(row.engine, row.version, row.device, row.torch or "?", str(row.directory))
    console().print(table)
    for row in rows:
        for deviation in row.deviations:
            talk(f"{row.engine} {row.version}: {deviation}")
    return 0


def _gpu(row: Diagnosis) -> str:
    if not row.gpus:
        return "none"
    names = ", ".join(gpu.name for gpu in row.gpus)
    return names if row.torch_sees_gpu is not False else f"{names} (torch does not see it)"


def _doctor(_arguments: Namespace) -> int:
    from rich.table import Table

    from tts_compare.installer.doctor import doctor

    talk("importing each engine in its own Python; this takes up to a minute")
    diagnoses = doctor()
    table = Table("engine", "version", "device", "imports", "torch", "GPU", "free memory", "free disk")
    for row in diagnoses:
        imports = {None: "not installed", True: "yes", False: f"no: {row.error}"}[row.imports]
        memory, disk = (f"{size / 2**30:.1f} GiB" for size in (row.free_memory_bytes, row.free_disk_bytes))
        table.add_row(row.engine, row.version or "", row.device, imports, row.torch or "", _gpu(row), memory, disk)
    console().print(table)
    for row in diagnoses:
        for advice in row.advice:
            sys.stdout.write(f"{row.engine}: {advice}\n")
    for line in _unusable():
        sys.stdout.write(line + "\n")
    return 0 if any(row.healthy for row in diagnoses) else 1


def _unusable() -> Iterator[str]:
    """A line for each part of another package that cannot be used."""
    from tts_compare.backends import BACKENDS
    from tts_compare.dataset import DATASETS
    from tts_compare.launchers import LAUNCHERS
    from tts_compare.methods import METHODS
    from tts_compare.reports import REPORTS

    for failures, group in (
        (parts.failures(), parts.group) for parts in (BACKENDS, LAUNCHERS, METHODS, DATASETS, REPORTS)
    ):
        yield from (f"{part} ({group}) cannot be used: {why}" for part, why in failures.items())
