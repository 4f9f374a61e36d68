"""The process that samples one server: ``python -m tts_compare.machine.telemetry.sampler``, asked by standard input.

It ends when its standard input does, or with the process that started it. It runs at the lowest priority, so that the
client's stamps go before it, and asks the engine over a connection of its own.
"""

from __future__ import annotations

import http.client
import os
import select
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tts_compare.machine.gpus import nvml_session
from tts_compare.machine.telemetry.asked import Asked
from tts_compare.machine.telemetry.gauges import engine_sample
from tts_compare.machine.telemetry.sample import Host, gpu_sample, parent_of, whole_gpus
from tts_compare.rundir.telemetry import EngineSample, GpuSample, TelemetryRow

_TIMEOUT_S = 2.0
_LOWEST = 19


@dataclass(slots=True)
class Engine:
    """The engine's ``/metrics``, over one connection that is opened again after an error."""

    url: str | None
    names: Mapping[str, str]
    headers: Mapping[str, str]
    _open: http.client.HTTPConnection | None = field(default=None, repr=False)

    def sample(self) -> EngineSample | None:
        """Its gauges now, None where it does not answer with them."""
        if self.url is None or not self.names:
            return None
        there = urlsplit(self.url)
        try:
            if self._open is None:
                kind = http.client.HTTPSConnection if there.scheme == "https" else http.client.HTTPConnection
                self._open = kind(there.netloc, timeout=_TIMEOUT_S)
            self._open.request("GET", there.path, headers=dict(self.headers))
            answer = self._open.getresponse()
            body = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            if self._open is not None:
                self._open.close()
            self._open = None
            return None
        return engine_sample(body, self.names) if answer.status == http.client.OK else None


def run(asked: Asked, parent: int) -> None:
    """Sample until standard input ends."""
    engine = Engine(asked.metrics_url, asked.names, asked.headers)
    host, out = Host(), _opened(Path(asked.path), private=asked.private)
    root = parent_of(asked.pid) if asked.pid is not None else None
    ended = select.poll()
    ended.register(0, select.POLLIN | select.POLLHUP)
    with nvml_session(None if asked.gpus else _NoLibrary()) as nvml:
        indices = whole_gpus(nvml, asked.visible) if nvml is not None else []
        due = time.monotonic()
        while os.getppid() == parent:
            row = TelemetryRow(
                setting=asked.setting,
                session=asked.session,
                round=asked.round,
                at_ns=time.monotonic_ns(),
                gpus=tuple(_gpus(nvml, indices, root)),
                engine=engine.sample(),
                host=host.sample() if asked.pid is not None else None,
            )
            os.write(out, msgspec.json.encode(row) + b"\n")
            due = max(due + asked.interval_s, time.monotonic())
            if ended.poll(max(0.0, due - time.monotonic()) * 1000):
                return


class _NoLibrary:
    """In the place of pynvml where the server has no GPU: it cannot be started."""

    class NVMLError(Exception):
        """As pynvml's."""

    def nvmlInit(self) -> None:  # noqa: N802 - pynvml's name
        """Refuse."""
        raise self.NVMLError


def _gpus(nvml: Any, indices: Sequence[int], root: int | None) -> Iterator[GpuSample]:
    for index in indices:
        try:
            yield gpu_sample(nvml, index, root_pid=root)
        except nvml.NVMLError:  # it was lost: nothing of it is known any more
            yield GpuSample(index=index)


def _opened(path: Path, *, private: bool) -> int:
    """The file to append to; a line that a kill tore is ended first."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600 if private else 0o666)
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        os.write(fd, b"\n")
    return fd


def main() -> int:
    """Read what is asked, one line of JSON, and sample."""
    parent = os.getppid()
    os.nice(_LOWEST)
    line = b""
    while not line.endswith(b"\n"):  # not sys.stdin: what it buffers, poll() does not see
        byte = os.read(0, 1)
        if not byte:
            return 0
        line += byte
    try:
        run(msgspec.json.decode(line, type=Asked), parent)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
