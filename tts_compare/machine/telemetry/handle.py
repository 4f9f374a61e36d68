"""A sampler as the process that started it sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tts_compare.children import command, import_path
from tts_compare.machine.telemetry.asked import Asked
from tts_compare.rundir.rows import read_rows
from tts_compare.rundir.telemetry import TelemetryRow

_MODULE = "tts_compare.machine.telemetry.sampler"
_END_S = 5.0
_MOST_SAID = 200


@dataclass(slots=True)
class Sampler:
    """A running sampler. It ends with its standard input, which only we hold."""

    asked: Asked
    process: subprocess.Popen[bytes] = field(repr=False)

    def rows(self, begin_ns: int, end_ns: int) -> list[TelemetryRow]:
        """Its samples between two instants so far."""
        every = read_rows(Path(self.asked.path), TelemetryRow)
        return [r for r in every if r.setting == self.asked.setting and begin_ns <= r.at_ns <= end_ns]

    async def stop(self) -> str | None:
        """End it; the reason where it had ended by itself."""
        died = self.process.poll()
        if died is not None:
            said = (self.process.stderr.read() if self.process.stderr else b"").decode(errors="replace").strip()
            self._close()
            last = said.splitlines()[-1][:_MOST_SAID] if said else ""
            return f"it ended with status {died}" + (f": {last}" if last else "")
        if self.process.stdin is not None:  # said too, not only shown by the pipe's end, which a fork of ours may hold
            with contextlib.suppress(OSError):
                self.process.stdin.write(b"\n")
        self._close()
        try:
            await asyncio.to_thread(self.process.wait, _END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        return None

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # it ended before it had read what was asked
                    pipe.close()


def start_sampler(asked: Asked) -> Sampler:
    """Start sampling. Raises OSError where no process can be started."""
    process = subprocess.Popen(
        command(_MODULE),
        env=os.environ | import_path(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C in the terminal is for us: we end it
    )
    made = Sampler(asked=asked, process=process)
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # it has ended: stop() says why
            process.stdin.write(msgspec.json.encode(asked) + b"\n")
            process.stdin.flush()
    return made
