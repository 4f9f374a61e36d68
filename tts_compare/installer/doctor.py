"""A look at every engine that could run here: does it import, what does it see, and what would fix it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tts_compare.backends import BACKENDS
from tts_compare.domain import Device
from tts_compare.errors import UsageError
from tts_compare.installer.hardware import detect_device, free_disk_bytes, free_memory_bytes
from tts_compare.installer.install import OFFLINE, without_cuda_advice
from tts_compare.installer.pip import pip_environment
from tts_compare.installer.registry import EnginePython, data_dir, engines_dir, find_python, list_installed, read_marker
from tts_compare.machine.gpus import VISIBLE, Gpu, Gpus, find_gpus

GIB = 1024**3
_LOW_MEMORY_BYTES = 4 * GIB
_LOW_DISK_BYTES = 8 * GIB
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One engine in one environment. ``imports`` is None where there is no environment to import it in.

    error: the last line of what the import said; gpus: those the driver tells; torch_sees_gpu: whether the
    environment's torch can use one; free_*: now, in bytes; advice: what to run or do, empty when all is well.
    """

    engine: str
    version: str | None
    device: Device
    path: Path | None
    imports: bool | None
    error: str | None
    torch: str | None
    torch_sees_gpu: bool | None
    gpus: tuple[Gpu, ...]
    free_memory_bytes: int
    free_disk_bytes: int
    advice: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether the engine can be launched as it is."""
        return bool(self.imports) and not self.advice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an engine is looked for. there: its Python, None where it has none; half_built: what an installer left."""

    engine: str
    device: Device
    version: str | None = None
    there: EnginePython | None = None
    half_built: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What importing an engine in its own Python gave. slow: it was not waited for to the end.

    cuda: the version that torch was built with, None without; kernels: why the compiled kernels do not load, None where
    they do or there are none.
    """

    error: str | None = None
    slow: bool = False
    torch: str | None = None
    sees_gpu: bool | None = None
    cuda: str | None = None
    kernels: str | None = None


def doctor(overrides: Mapping[str, str] | None = None, *, only: Collection[str] = ()) -> tuple[Diagnosis, ...]:
    """Every environment of ours, every Python of ``overrides``, and each engine that has none.

    only: the engines that are looked at, all of them by default.

    The engines are imported in their own Pythons, side by side; that takes 10 to 40 s on two cores.
    """
    known = [*_places(overrides or {}, detect_device()), *_half_built()]
    places = [place for place in known if not only or place.engine in only]
    with ThreadPoolExecutor(max_workers=max(1, len(places))) as pool:
        looks = [*pool.map(_examine, places)]
    return tuple(_diagnosis(place, look) for place, look in zip(places, looks, strict=True))


def _places(overrides: Mapping[str, str], device: Device) -> Iterator[_Place]:
    named, paths = set(), set()
    for key in overrides:
        engine, _, version = key.partition("==")
        place = _found(find_python(engine, version or None, overrides=overrides, device=device), device)
        yield place
        named.add(engine)
        paths.add(place.there.path if place.there else None)
    for one in list_installed():
        if one.interpreter in paths:
            continue
        ours = EnginePython(path=one.interpreter, engine=one.engine, version=one.version, source="installed")
        yield _found(ours, one.device)
        named.add(one.engine)
    for engine in sorted({name for name, backend in BACKENDS.items() if backend.launched} - named):
        try:
            yield _found(find_python(engine, None, overrides={}, device=device), device)
        except UsageError:
            yield _Place(engine=engine, device=device)


def _found(there: EnginePython, device: Device) -> _Place:
    return _Place(engine=there.engine, device=device, version=there.version, there=there)


def _half_built() -> Iterator[_Place]:
    """Environments whose installation was cut off, or is going on."""
    directory = engines_dir()
    for home in sorted(directory.iterdir()) if directory.is_dir() else []:
        engine, _, rest = home.name.partition("-")
        version, _, device = rest.rpartition("-")
        if engine in BACKENDS and version and device in ("cpu", "cuda") and read_marker(home) is None:
            kind: Device = "cuda" if device == "cuda" else "cpu"
            yield _Place(engine=engine, device=kind, version=version, half_built=home)


def _examine(place: _Place) -> _Look:
    if place.half_built:
        return _Look(error="half-built: its installation has not ended")
    if place.there is None:
        return _Look(error="not installed")
    backend = BACKENDS[place.engine]
    made = backend.recipe(place.version, "cuda") if place.version and place.device == "cuda" else None
    kernels = made.kernels if made else ()
    looked = ("--version",) if backend.program else ("-c", _EXAMINE, backend.check(place.version) or "", *kernels)
    argv = [str(place.there.path), *looked]
    as_launched = pip_environment(os.environ) if place.there.source == "installed" else dict(os.environ)
    env = as_launched | OFFLINE
    try:
        asked = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=env)
    except subprocess.TimeoutExpired:
        return _Look(error=f"importing it took over {_TIMEOUT_S:g} s", slow=True)
    except OSError as error:
        return _Look(error=str(error))
    if backend.program and asked.returncode == 0:
        return _Look()
    return _heard(asked)


def _heard(asked: subprocess.CompletedProcess[str]) -> _Look:
    if asked.returncode == 0:
        answer = (asked.stdout.strip().splitlines() or [""])[-1]
        try:
            told = json.loads(answer)
            built, kernels = told.get("cuda"), told.get("kernels")
            return _Look(torch=told["torch"], sees_gpu=told["gpu"], cuda=built, kernels=kernels)
        except (ValueError, KeyError, TypeError):
            return _Look(error=f"it answered {answer!r}")
    said = [line for line in asked.stderr.splitlines() if line.strip()]
    return _Look(error=said[-1].strip() if said else f"exit status {asked.returncode}")


def _diagnosis(place: _Place, look: _Look) -> Diagnosis:
    here, memory, disk = find_gpus(), free_memory_bytes(), free_disk_bytes(data_dir())
    seen = here.visible
    advice = [*_engine_advice(place, look, here)]
    if memory < _LOW_MEMORY_BYTES:
        advice.append(f"only {memory / GIB:.1f} GiB of memory is free: an engine needs about 4")
    if place.there is None and disk < _LOW_DISK_BYTES:
        advice.append(f"only {disk / GIB:.1f} GiB of disk is free: set TTS_COMPARE_DATA to a larger one")
    return Diagnosis(
        engine=place.engine,
        version=place.version,
        device=place.device,
        path=place.there.path if place.there else place.half_built,
        imports=look.error is None if place.there else None,
        error=look.error,
        torch=look.torch,
        torch_sees_gpu=look.sees_gpu,
        gpus=seen,
        free_memory_bytes=memory,
        free_disk_bytes=disk,
        advice=tuple(advice),
    )


def _engine_advice(place: _Place, look: _Look, here: Gpus) -> Iterator[str]:
    pinned, gpu_here = BACKENDS[place.engine].pinned, bool(here.visible)
    if pinned is None:
        yield from _without_recipe(place, look)
        return
    command = _command(place, pinned)
    if place.half_built:
        yield f"run `{command}` to go on with it"
    elif place.there is None:
        yield f"run `tts-compare engines install {place.engine}`"
    elif look.slow:
        yield "run it again: a slow disk is read faster the second time; else set TTS_COMPARE_DATA to a local one"
    elif look.error is not None and place.there.source == "installed":
        yield f"delete {place.there.path.parents[1]} and run `{command}`"
    elif look.error is not None:
        yield f"fix {place.engine} in {place.there.path}, or run `{command}`"
    elif place.device == "cuda":
        yield from _cuda_advice(place.there, look, here, command=command)
    elif gpu_here and place.there.source == "installed":
        yield f"a GPU is here: run `tts-compare engines install {place.engine} --device cuda` to use it"


def _command(place: _Place, pinned: str) -> str:
    version = f" --version {place.version}" if place.version not in (None, pinned) else ""
    return f"tts-compare engines install {place.engine}{version} --device {place.device}"


def _cuda_advice(there: EnginePython, look: _Look, here: Gpus, *, command: str) -> Iterator[str]:
    """In the order in which they must hold: a CUDA build of torch, a GPU, a driver that is new enough, the kernels."""
    if look.torch is not None and look.cuda is None:
        yield f"torch {look.torch} was built without CUDA: {without_cuda_advice(look.torch, there.path.parents[1])}"
    elif not here.visible:
        cpu = command.replace("--device cuda", "--device cpu")
        yield (
            f"no GPU is seen: see what nvidia-smi says, {VISIBLE}, a container's --gpus; the compiled kernels can only "
            f"be tried where the driver is; or run `{cpu}`"
        )
    elif not look.sees_gpu:
        needed = f", which needs a driver of CUDA {look.cuda} or newer" if look.cuda else ""
        yield (
            f"torch {look.torch}{needed}, cannot use the GPU: update the driver (here {here.driver or 'unknown'}), or "
            "install with --device cpu"
        )
    elif look.kernels is not None:
        yield f"its compiled kernels do not load: {look.kernels}; delete {there.path.parents[1]} and run `{command}`"


def _without_recipe(place: _Place, look: _Look) -> Iterator[str]:
    """Advice on an engine that ``engines install`` knows nothing of."""
    if place.there is None:
        program = BACKENDS[place.engine].program
        yield f"give --engine-python {place.engine}=/path/to/{program or 'python'}"
    elif look.error is not None and not look.slow:
        yield f"fix {place.engine} in {place.there.path}"


# An engine need not use torch.
_EXAMINE = """
import importlib, importlib.util, json, sys
importlib.import_module(sys.argv[1])
found = {"torch": None, "gpu": None, "cuda": None, "kernels": None}
if importlib.util.find_spec("torch"):
    import torch
    found |= {"torch": torch.__version__, "gpu": torch.cuda.is_available(), "cuda": torch.version.cuda}
for kernels in sys.argv[2:]:
    if importlib.util.find_spec(kernels):
        try:
            importlib.import_module(kernels)
        except Exception as error:  # whatever loading a library raises is the finding
            found["kernels"] = f"{kernels}: {error}".strip().splitlines()[0]
        break
print()
print(json.dumps(found))
"""
