"""Build an engine's environment: steps that are stamped when done, a lock, and a marker written last."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tts_compare.domain import Device
from tts_compare.errors import RunError, UsageError
from tts_compare.installer.hardware import detect_device, free_disk_bytes
from tts_compare.installer.pip import pip_environment, run_pip
from tts_compare.installer.recipes import TORCH_CUDA_INDEX, Recipe, Step, recipe
from tts_compare.installer.registry import MARKER, EnginePython, Installed, engines_dir, interpreter, read_marker
from tts_compare.installer.registry import write_marker as declare_whole

_AGAIN = "run the same command again to go on from there"
_CHECK_TIMEOUT_S = 600.0
ELSEWHERE = "set TTS_COMPARE_DATA to a directory with room that can be written, on a file system that keeps locks"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallStep:
    """One thing that happened while an environment is built. step counts from 1 to ``steps``."""

    engine: str
    step: int
    steps: int
    title: str
    detail: str
    elapsed_s: float


Tell = Callable[[InstallStep], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRequest:
    """One environment to build; by default the tested version, for a GPU where there is one."""

    engine: str
    version: str | None = None
    device: Device | None = None


def install(
    engine: str,
    *,
    version: str | None = None,
    device: Device | None = None,
    progress: Tell = lambda _: None,
) -> EnginePython:
    """Build the environment of one engine, or find it already whole. As ``install_all``."""
    return install_all([InstallRequest(engine=engine, version=version, device=device)], progress=progress)[0]


def install_all(requests: Sequence[InstallRequest], *, progress: Tell = lambda _: None) -> tuple[EnginePython, ...]:
    """Build several environments side by side, each resumed where an earlier attempt stopped.

    ``progress`` is called in the caller's thread. UsageError: unknown engine. RunError: a step failed; what was
    done stays done.
    """
    recipes = [recipe(r.engine, r.version, r.device or detect_device()) for r in requests]
    if len({r.name for r in recipes}) < len(recipes):
        raise UsageError("the same engine and version is named twice: name each once")
    told: queue.SimpleQueue[InstallStep | None] = queue.SimpleQueue()
    cancel = threading.Event()
    with ThreadPoolExecutor(max_workers=max(1, len(recipes))) as pool:
        running = [pool.submit(_Build(r, told.put, cancel).run) for r in recipes]
        for future in running:
            future.add_done_callback(lambda _: told.put(None))
        try:
            ended = 0
            while ended < len(running):
                event = told.get()
                if event is None:
                    ended += 1
                else:
                    progress(event)
        except BaseException:
            cancel.set()  # Ctrl-C, or a callback that raised: pip is ended before the pool is left
            raise
    return tuple(future.result() for future in running)


class _Build:
    """The building of one environment, in a thread of its own."""

    def __init__(self, what: Recipe, tell: Tell, cancel: threading.Event) -> None:
        self.recipe = what
        self.directory = engines_dir() / what.name
        self.cancel = cancel
        self._tell = tell
        self._began = time.monotonic()
        self._stamps = self.directory / ".tts-compare-steps"
        self._plan = ("the virtual environment", *(s.title for s in what.steps), "the import that proves it")

    def run(self) -> EnginePython:
        """Where it is not whole: hold the lock, build what is missing, prove it, and only then write the marker."""
        try:
            whole = self._whole()
            if whole is None:
                with self._lock() as lock_fd:
                    whole = self._whole() or self._build(lock_fd)
        except OSError as error:
            raise RunError(f"installing {self.recipe.name} failed: {error}; {ELSEWHERE}") from error
        return EnginePython(path=whole.interpreter, engine=whole.engine, version=whole.version, source="installed")

    def _whole(self) -> Installed | None:
        there = read_marker(self.directory)
        return there if there and there.recipe == self._stamp_names() else None

    def _build(self, lock_fd: int) -> Installed:
        (self.directory / MARKER).unlink(missing_ok=True)
        self._make_venv()
        with (self.directory / "install.log").open("a") as log:
            for number, step in enumerate(self.recipe.steps, start=2):
                if self._stamp(step).exists():
                    self._say(number, "done before")
                    continue
                self._take_step(number, step, log, lock_fd)
            versions = self._prove(log)
        installed = Installed(
            engine=self.recipe.engine,
            version=versions["engine"],
            device=self.recipe.device,
            torch=versions["torch"],
            python=versions["python"],
            seconds=round(time.monotonic() - self._began, 1),
            recipe=self._stamp_names(),
            deviations=self.recipe.deviations,
            directory=self.directory,
        )
        declare_whole(installed)
        self._say(len(self._plan), f"{installed.engine} {installed.version} is ready")
        return installed

    def _make_venv(self) -> None:
        self._say(1, self.recipe.size_hint)
        stamp = self._stamps / "venv"
        if stamp.exists() and interpreter(self.directory).exists():
            return
        shutil.rmtree(self._stamps, ignore_errors=True)
        made = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(self.directory)],
            capture_output=True,
            text=True,
            check=False,
            env=pip_environment(os.environ),
        )
        if made.returncode != 0:
            said = (made.stdout + made.stderr).strip().splitlines() or ["no reason given"]
            free = f"{free_disk_bytes(self.directory) / 1024**3:.1f} GiB of disk is free"
            raise RunError(f"python -m venv failed: {said[-1]}; {free}; on Debian or Ubuntu install python3-venv")
        self._stamps.mkdir(exist_ok=True)
        stamp.touch()

    def _take_step(self, number: int, step: Step, log: IO[str], lock_fd: int) -> None:
        _forget_half_unpacked(self.directory)
        self._say(number, "")
        with _local_copy(step.local) as copy:
            result = run_pip(
                interpreter(self.directory),
                [*step.pip, *copy],
                log=log,
                tell=lambda said: self._say(number, said),
                cancel=self.cancel,
                lock_fd=lock_fd,
            )
        if result.status != 0:
            raise RunError(
                f"installing {self.recipe.name} failed at {step.title!r}: {result.cause} (log: {log.name}); {_AGAIN}"
            )
        self._stamp(step).touch()

    def _prove(self, log: IO[str]) -> dict[str, str]:
        """Import the engine in its environment: the proof, and it writes the byte code of the modules that are used."""
        self._say(len(self._plan), f"importing {self.recipe.check}")
        argv = [str(interpreter(self.directory)), "-c", _PROVE, self.recipe.distribution, self.recipe.check]
        env = pip_environment(os.environ) | OFFLINE
        try:
            asked = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_CHECK_TIMEOUT_S, env=env)
        except subprocess.TimeoutExpired:
            raise RunError(
                f"importing {self.recipe.check} took over {_CHECK_TIMEOUT_S:.0f} s (log: {log.name}); {_AGAIN}"
            ) from None
        log.write(asked.stdout + asked.stderr)
        without = _without_cuda(asked.stdout) if self.recipe.device == "cuda" else None
        if without:
            raise RunError(
                f"{self.recipe.name} was installed with torch {without}, a build without CUDA (log: {log.name}); "
                f"{without_cuda_advice(without, self.directory)}"
            )
        if asked.returncode != 0:
            said = [line for line in asked.stderr.splitlines() if line.strip()] or ["no reason given"]
            mend = f"delete {self.directory} and run the same command again"
            if "libcuda.so" in said[-1]:  # the driver's library, which a cluster's login node has not
                mend = "run the same command on a node with a GPU: nothing is left to download"
            raise RunError(
                f"{self.recipe.name} was installed, but does not import: {said[-1]} (log: {log.name}); {mend}"
            )
        answer: dict[str, str] = json.loads(asked.stdout.strip().splitlines()[-1])
        return answer

    @contextlib.contextmanager
    def _lock(self) -> Iterator[int]:
        """One installer an environment; a second waits. The file stays: unlinking it would let two in."""
        engines_dir().mkdir(parents=True, exist_ok=True)
        with (engines_dir() / f".{self.recipe.name}.lock").open("w") as file:
            waiting = False
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not waiting:
                        self._say(1, "another installation of it is running: waiting for it")
                    waiting = True
                    if self.cancel.wait(0.5):
                        raise RunError("stopped while waiting for another installation") from None
                except OSError as error:
                    raise RunError(f"{engines_dir()} cannot be locked: {error.strerror}; {ELSEWHERE}") from error
            yield file.fileno()

    def _stamp(self, step: Step) -> Path:
        return self._stamps / step.stamp

    def _stamp_names(self) -> tuple[str, ...]:
        return tuple(s.stamp for s in self.recipe.steps)

    def _say(self, number: int, detail: str) -> None:
        self._tell(
            InstallStep(
                engine=self.recipe.engine,
                step=number,
                steps=len(self._plan),
                title=self._plan[number - 1],
                detail=detail,
                elapsed_s=time.monotonic() - self._began,
            )
        )


OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""An engine that is only imported or asked has nothing to fetch and nothing to report."""

# What torch is comes first: with a build that does not fit, the engine fails to import with an unrelated error.
_PROVE = """
import importlib, importlib.metadata, json, platform, sys
distribution, module = sys.argv[1:]
try:
    import torch
    print()
    cuda = getattr(getattr(torch, "version", None), "cuda", None)
    print(json.dumps({"torch": torch.__version__, "cuda": cuda}))
except ImportError:
    torch = None  # an engine need not use it
importlib.import_module(module)
print()
print(json.dumps({"engine": importlib.metadata.version(distribution), "torch": torch and torch.__version__,
                  "python": platform.python_version()}))
"""


def _without_cuda(said: str) -> str | None:
    """The version of a torch that was built without CUDA, from what the proof printed; None of another."""
    for line in said.splitlines():
        try:
            facts = json.loads(line)
        except ValueError:
            continue
        if isinstance(facts, dict) and "cuda" in facts and facts["cuda"] is None:
            return str(facts["torch"])
    return None


def without_cuda_advice(torch: str, directory: Path) -> str:
    """How to have pip take the CUDA build in the place of a ``+cpu`` one that it prefers as the later version."""
    public = torch.partition("+")[0]
    return (
        f"pip took it from an index or a find-links directory of yours (see pip config list): write torch==={public} "
        f"into a file, delete {directory} and run the same command again with PIP_CONSTRAINT=FILE; PyTorch's CUDA "
        f"builds are on PyPI and on {TORCH_CUDA_INDEX}"
    )


def _forget_half_unpacked(environment: Path) -> None:
    """Remove the metadata of packages whose unpacking was cut off, so that pip unpacks them again.

    pip writes RECORD last; metadata without it means files may be missing, yet pip would take it as installed.
    """
    for info in environment.glob("lib/python*/site-packages/*.dist-info"):
        if not (info / "RECORD").exists():
            shutil.rmtree(info)


@contextlib.contextmanager
def _local_copy(source: Path | None) -> Iterator[tuple[str, ...]]:
    """A copy of a source directory for pip to build in; ours may be read-only, and stays as it is."""
    if source is None:
        yield ()
        return
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / source.name
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        yield (str(copy),)
