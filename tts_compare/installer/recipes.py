"""The recipe of an engine's environment, as its backend gives it."""

from __future__ import annotations

from collections.abc import Mapping

from tts_compare.backends import BACKENDS
from tts_compare.backends.recipe import Recipe, Step, environment_name
from tts_compare.domain import Device
from tts_compare.errors import UsageError

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of CPU builds, asked only where the user's indexes have no ``+cpu`` version."""

TORCH_CUDA_INDEX = "https://download.pytorch.org/whl/cu130"
"""PyTorch's own index of builds for CUDA 13.0, which both pinned engines take."""

PINNED: Mapping[str, str] = {name: backend.pinned for name, backend in BACKENDS.items() if backend.pinned}
"""The version of each engine that ``engines install`` takes unless told otherwise: the tested one."""

__all__ = ["PINNED", "TORCH_CPU_INDEX", "TORCH_CUDA_INDEX", "Recipe", "Step", "environment_name", "recipe"]


def recipe(engine: str, version: str | None, device: Device) -> Recipe:
    """The recipe for a version of an engine, by default the tested one. UsageError where there is none."""
    if engine not in PINNED:
        raise UsageError(f"unknown engine {engine!r}: there are {', '.join(sorted(PINNED))}")
    made = BACKENDS[engine].recipe(version or PINNED[engine], device)
    if made is None:
        raise UsageError(f"{engine} cannot be installed for {device}; give --engine-python {engine}=/path/to/python")
    return made
