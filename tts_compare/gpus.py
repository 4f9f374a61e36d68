"""The GPUs that NVIDIA's driver tells of, as far as CUDA_VISIBLE_DEVICES leaves them to us."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU; ``index`` is the driver's."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """What can be used here, and the driver's version; None without a driver."""

    visible: tuple[Gpu, ...] = ()
    driver: str | None = None


@contextmanager
def nvml_session(nvml: Any = None) -> Iterator[Any | None]:
    """NVIDIA's management library while the block runs; None where it or the driver is missing.

    nvml: the pynvml module, or a fake of it; imported where not given.
    """
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            yield None
            return
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        yield None
        return
    try:
        yield nvml
    finally:
        nvml.nvmlShutdown()


def find_gpus(nvml: Any = None) -> Gpus:
    """Return the GPUs we may use; none where the driver is missing or refuses."""
    with nvml_session(nvml) as library:
        if library is None:
            return Gpus()
        try:
            found = [_gpu(library, index) for index in range(library.nvmlDeviceGetCount())]
            driver = _decoded(library.nvmlSystemGetDriverVersion())
        except library.NVMLError:
            return Gpus()
    return Gpus(visible=tuple(filter(_is_visible, found)), driver=driver)


def _gpu(library: Any, index: int) -> Gpu:
    handle = library.nvmlDeviceGetHandleByIndex(index)
    memory = library.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        index=index,
        uuid=_decoded(library.nvmlDeviceGetUUID(handle)),
        name=_decoded(library.nvmlDeviceGetName(handle)),
        memory_bytes=int(memory.total),
        free_bytes=int(memory.free),
    )


def _is_visible(gpu: Gpu) -> bool:
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    if stated is None:
        return True
    entries = [entry.strip() for entry in stated.split(",")]
    return any(entry == str(gpu.index) or (entry and gpu.uuid.startswith(entry)) for entry in entries)


def _decoded(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
