"""One call of pip, its output read as it comes and turned into progress a person can follow."""

from __future__ import annotations

import os
import platform
import re
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tts_compare.errors import RunError
from tts_compare.installer.recipes import TORCH_CPU_INDEX

_HEARTBEAT_S = 3.0
_LARGE_MB = 10.0
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PIP_TARGET", "PIP_PREFIX")
_DOWNLOAD = re.compile(r"Downloading (?P<file>\S+) \((?P<size>[\d.]+ [kMG]?B)\)")
_WHEEL = re.compile(r"(?P<name>[^-/]+)-(?P<version>[^-/]+)-[^/]*\.whl$|(?P<sdist>[^/]+)\.(?:tar\.gz|zip)$")
_NO_CPU_TORCH = re.compile(r"(No matching distribution found|Could not find a version).*\+cpu")
_NO_MATCH = re.compile(r"ERROR: No matching distribution found for (?P<wanted>\S+?==(?P<version>\S+)|\S+)")
_GAVE_UP = re.compile(r"Retry\(total=0,.* broken by '\w+\(['\"]?(?:<[^>]*>: )?(?P<why>.*?)['\"]?\)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipResult:
    """Exit status and the lines pip wrote, standard error among them."""

    status: int
    lines: tuple[str, ...]

    @property
    def cause(self) -> str:
        """pip's own word for what went wrong: its last ``ERROR:`` line, else its last line.

        "No matching distribution" is what it says in the end of an index that it could not reach, and of a version
        for another Python, too; what it said of these before then goes first.
        """
        errors = [line for line in self.lines if line.startswith("ERROR:")]
        last = (errors or [line for line in self.lines if line.strip()] or ["pip said nothing"])[-1].strip()
        if (match := _NO_MATCH.match(last)) is None:
            return last
        if gave_up := next(filter(None, map(_GAVE_UP.search, self.lines)), None):
            return f"the package index cannot be reached: {gave_up['why']}"
        other = rf"require a different python version:.* {re.escape(match['version'] or '-')} Requires-Python ([^;]+)"
        if needs := next(filter(None, (re.search(other, line) for line in errors)), None):
            return f"{match['wanted']} needs Python {needs[1]}, and this is {platform.python_version()}"
        return last


def detail(line: str) -> str | None:
    """What a line of pip's output tells the user; None for a line that tells nothing new.

    >>> detail("  Downloading torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl (191.8 MB)")
    'downloading torch 2.13.0+cpu (191.8 MB)'
    """
    text = line.strip()
    if text.startswith("Collecting "):
        return f"looking for {text.split()[1]}"
    if download := _DOWNLOAD.match(text):
        name = _package(download["file"])
        return f"downloading {name} ({download['size']})" if name else None
    if text.startswith("Installing collected packages: "):
        return f"unpacking {text.count(',') + 1} packages"
    return None


def unpacked(line: str) -> tuple[str, ...]:
    """The packages pip is about to unpack, in its order; empty for any other line."""
    head, _, names = line.strip().partition("Installing collected packages: ")
    return tuple(n.strip() for n in names.split(",")) if names and not head else ()


def _package(file: str) -> str | None:
    match = _WHEEL.search(file.rsplit("/", 1)[-1])
    if match is None:
        return None  # metadata only
    return match["sdist"] or f"{match['name']} {match['version']}"


def run_pip(
    python: Path,
    arguments: Sequence[str],
    *,
    log: IO[str],
    tell: Callable[[str], None],
    cancel: threading.Event,
    lock_fd: int,
) -> PipResult:
    """Run pip in an environment, and again with PyTorch's CPU index where no ``+cpu`` version was to be found."""
    result = _run(python, arguments, log=log, tell=tell, cancel=cancel, lock_fd=lock_fd)
    if result.status != 0 and any(_NO_CPU_TORCH.search(line) for line in result.lines):
        tell(f"no CPU build of torch on your package index: asking PyTorch's own, {TORCH_CPU_INDEX}")
        more = [*arguments, "--extra-index-url", TORCH_CPU_INDEX]
        return _run(python, more, log=log, tell=tell, cancel=cancel, lock_fd=lock_fd)
    return result


def _run(
    python: Path,
    arguments: Sequence[str],
    *,
    log: IO[str],
    tell: Callable[[str], None],
    cancel: threading.Event,
    lock_fd: int,
) -> PipResult:
    argv = [str(python), "-m", "pip", *arguments]
    if arguments[0] == "install":
        # Not compiled: the import that proves the environment compiles what is used, a tenth of what is there.
        argv += ["--no-compile", "--no-warn-conflicts", "--progress-bar", "off", "--no-input"]
    print("$", *argv, file=log, flush=True)
    # The child holds the lock too: should we be killed, no other installer starts while it still writes.
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=pip_environment(os.environ), pass_fds=(lock_fd,)
    )
    lines: list[str] = []
    narrator = _Narrator(python=python, tell=tell)
    try:
        for line in _lines(process, cancel):
            if line is None:
                narrator.silence()
                continue
            print(line, file=log, flush=True)
            lines.append(line)
            narrator.hear(line)
        return PipResult(status=process.wait(), lines=tuple(lines))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


@dataclass(slots=True, kw_only=True)
class _Narrator:
    """Tells what takes time, and otherwise enough to show that something happens: pip has hundreds of lines."""

    python: Path
    tell: Callable[[str], None]
    queued: tuple[str, ...] = ()
    last: str = ""
    told_at: float = 0.0

    def hear(self, line: str) -> None:
        """A line of pip's."""
        self.queued = unpacked(line) or self.queued
        said = detail(line)
        if said and (_takes_time(line) or time.monotonic() - self.told_at >= _HEARTBEAT_S):
            self._say(said)

    def silence(self) -> None:
        """A while in which pip said nothing."""
        if self.queued:
            self._say(_unpacking(self.python, self.queued))

    def _say(self, said: str) -> None:
        if said != self.last:
            self.last, self.told_at = said, time.monotonic()
            self.tell(said)


def _takes_time(line: str) -> bool:
    """Whether it announces a download of 10 MB or more, or the unpacking of all."""
    download = _DOWNLOAD.match(line.strip())
    if download is None:
        return bool(unpacked(line))
    size, unit = download["size"].split()
    return unit == "GB" or (unit == "MB" and float(size) >= _LARGE_MB)


def pip_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment pip runs in: the user's, with their package index, but none of their other packages.

    Byte code is written even where the user's environment forbids it, as container images do: an engine that
    compiles its 5,000 modules anew takes a minute longer at every start.
    """
    kept = {k: v for k, v in environ.items() if k not in _NOT_INHERITED}
    return kept | {
        "PYTHONNOUSERSITE": "1",
        "PYTHONUNBUFFERED": "1",
        "PIP_USER": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def _lines(process: subprocess.Popen[bytes], cancel: threading.Event) -> Iterator[str | None]:
    """pip's lines as they come, and None every few seconds while it is silent."""
    stream = process.stdout
    assert stream is not None  # noqa: S101  (asked for with PIPE)
    rest = b""
    beat = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if cancel.is_set():
                raise RunError("the installation was stopped; run the same command again to go on with it")
            if not selector.select(timeout=0.5):
                if time.monotonic() - beat >= _HEARTBEAT_S:
                    beat = time.monotonic()
                    yield None
                continue
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                break
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _unpacking(python: Path, queued: Iterable[str]) -> str:
    """How far pip has come: the packages of its queue whose metadata stands in the environment."""
    names = tuple(queued)
    there = {_normal(p.name.split("-")[0]) for p in python.parents[1].glob("lib/python*/site-packages/*.dist-info")}
    done = [n for n in names if _normal(n) in there]
    left = next((n for n in names if _normal(n) not in there), names[-1])
    return f"unpacking {left} ({len(done)} of {len(names)} done)"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
