"""The GPUs that NVIDIA's driver reports, as far as CUDA_VISIBLE_DEVICES leaves them to us."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that says which GPUs a process sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU, or one MIG instance of it. index: the GPU's, by the driver; memory_bytes: None where it has no own.

    old_name: what drivers before R470 call a MIG instance, ``MIG-<GPU's UUID>/<GPU instance>/<compute instance>``.
    """

    index: int
    uuid: str
    name: str
    memory_bytes: int | None
    is_mig: bool = False
    old_name: str = ""


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


def find_gpus(nvml: Any = None, *, stated: str | None = None) -> Gpus:
    """Return the GPUs we may use; none where the driver is missing or refuses.

    stated: CUDA_VISIBLE_DEVICES of a server, in the place of ours.
    """
    with nvml_session(nvml) as library:
        if library is None:
            return Gpus()
        try:
            found = [gpu for index in range(library.nvmlDeviceGetCount()) for gpu in _gpus(library, index)]
            driver = _decoded(library.nvmlSystemGetDriverVersion())
        except library.NVMLError:
            return Gpus()
    ours = os.environ.get(VISIBLE)
    return Gpus(visible=_visible(found, ours if stated is None else stated), driver=driver)


def _gpus(library: Any, index: int) -> Iterator[Gpu]:
    """The GPU, or its MIG instances: a container that was given one may not ask the memory of the whole GPU."""
    handle = library.nvmlDeviceGetHandleByIndex(index)
    name = _decoded(library.nvmlDeviceGetName(handle))
    if not _is_divided(library, handle):
        yield Gpu(index=index, uuid=_uuid(library, handle), name=name, memory_bytes=_memory_bytes(library, handle))
        return
    for number in range(library.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part = library.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except library.NVMLError:  # there are fewer, or it is not ours
            continue
        memory = _memory_bytes(library, part)
        old = _old_name(library, handle, part)
        yield Gpu(
            index=index, uuid=_uuid(library, part), name=f"{name} MIG", memory_bytes=memory, is_mig=True, old_name=old
        )


def _old_name(library: Any, handle: Any, part: Any) -> str:
    """Empty where the library does not tell the numbers of the instance."""
    try:
        numbers = library.nvmlDeviceGetGpuInstanceId(part), library.nvmlDeviceGetComputeInstanceId(part)
    except (AttributeError, library.NVMLError):
        return ""
    return f"MIG-{_uuid(library, handle)}/{numbers[0]}/{numbers[1]}"


def amd_gpus(root: Path = Path("/")) -> int:
    """AMD's GPUs that the kernel offers for computing, which no engine here is installed for."""
    nodes = (root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties")
    return sum(bool(re.search(r"^simd_count [1-9]", _text(node), re.MULTILINE)) for node in nodes)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _is_divided(library: Any, handle: Any) -> bool:
    try:
        current, _ = library.nvmlDeviceGetMigMode(handle)
    except library.NVMLError:  # a GPU that cannot be divided
        return False
    return bool(current)


def _uuid(library: Any, handle: Any) -> str:
    return _decoded(library.nvmlDeviceGetUUID(handle))


def _memory_bytes(library: Any, handle: Any) -> int | None:
    try:
        return int(library.nvmlDeviceGetMemoryInfo(handle).total)
    except library.NVMLError:  # a GPU that shares main memory (GB10) does not tell
        return None


def _visible(found: Sequence[Gpu], stated: str | None) -> tuple[Gpu, ...]:
    """What CUDA shows a process: those stated, up to the first that is not there, and of MIG instances one alone.

    Sources: CUDA C++ Programming Guide, environment variables; MIG User Guide, "CUDA Device Enumeration".
    """
    named: list[Gpu | None] = [*found] if stated is None else [_called(found, e.strip()) for e in stated.split(",")]
    there = [*takewhile(lambda gpu: gpu is not None, named)]
    whole = [*takewhile(lambda gpu: gpu is not None and not gpu.is_mig, there)]
    return tuple(gpu for gpu in whole or there[:1] if gpu is not None)


def _called(found: Sequence[Gpu], entry: str) -> Gpu | None:
    return next(
        (gpu for gpu in found if entry and (entry in (str(gpu.index), gpu.old_name) or gpu.uuid.startswith(entry))),
        None,
    )


def _decoded(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
