"""A step under way: the srun that we started, and the control connections of its tasks."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tts_compare.launchers import node, supervisor
from tts_compare.launchers.allocation import Allocation
from tts_compare.launchers.control import Control
from tts_compare.launchers.logs import read_tail
from tts_compare.launchers.ports import LOOPBACK
from tts_compare.launchers.step import Shape, server_step, short_step

POLL_S = 0.05
#: How long all tasks may take to end once they were told to: what a process with a GPU's memory needs, and Slurm's own.
END_S = supervisor.KILL_S + 15.0
SRUN_S = 3.0
CANCEL_S = 10.0
SWEEP_S = 30.0


@dataclass(slots=True, kw_only=True)
class RunningStep:
    """srun leads a session of its own, so that a Ctrl-C in the terminal is ours to answer, and it is never killed
    by SIGKILL: that would leave the step without anybody. api_key: what the server is to ask for. sweep: the command
    line that removes from the nodes' shared memory what a task that was killed could not.
    """

    control: Control
    process: subprocess.Popen[bytes]
    said: Path
    key_file: Path
    api_key: str = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    sweep: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What srun, and tasks before they had an order, have said."""
        return read_tail(self.said)

    def forget_key(self) -> None:
        """Remove the file of the keys: every task has read it, or none will."""
        self.key_file.unlink(missing_ok=True)

    async def end(self) -> None:
        """End all tasks on every node, and wait for it."""
        self.control.kill()
        self.forget_key()
        try:
            if not self.control.hellos:  # srun still waits for the nodes, or for a task that cannot reach us
                self.process.terminate()
            if not await self._ended(END_S):
                await asyncio.to_thread(self._cancel)
                if not await self._ended(CANCEL_S):
                    self.process.terminate()
                    await self._ended(CANCEL_S)
            if any(ended.why == "lost" for ended in self.control.ends):
                await asyncio.to_thread(self._run, self.sweep)
        finally:
            self.control.close()

    async def _ended(self, within_s: float) -> bool:
        """Whether srun ends in time. Once all tasks have, it has little left to do, or waits for one in vain."""
        deadline, shortened = time.monotonic() + within_s, False
        while self.process.poll() is None:
            if not shortened and len(self.control.ends) == self.control.count:
                deadline, shortened = min(deadline, time.monotonic() + SRUN_S), True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    def _cancel(self) -> None:
        self._run(("scancel", *{hello.step for hello in self.control.hellos.values()}))

    def _run(self, argv: Sequence[str]) -> None:
        """Where that fails, as in a job that has ended, there is nobody left to ask."""
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                argv,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=SWEEP_S,
            )


def start_step(
    allocation: Allocation,
    shape: Shape,
    *,
    log_path: Path,
    environ: Mapping[str, str],
    address: str,
    shm: Sequence[str] = (),
) -> RunningStep:
    """Start a step of tasks that connect to ``address`` and wait for their orders.

    environ: srun's, which it hands to every task. shm: how names in shared memory begin that the server leaves. The
    keys' file lies beside the logs, on the file system of the run.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    stem = log_path.name.removesuffix(".log")
    said, key_file = log_path.with_name(f"{stem}.srun.log"), log_path.with_name(f".{stem}.{secrets.token_hex(4)}.key")
    key, api_key = secrets.token_bytes(32), secrets.token_urlsafe(32)
    handle = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump({"control": key.hex(), "api": api_key}, file)
    control = Control(address=address, key=key, count=len(shape.nodes))
    program = (sys.executable, "-S", "-E", node.__file__)
    task = (*program, address, str(control.port), str(key_file.resolve()))
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = subprocess.Popen(
            server_step(allocation, shape, task),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    except BaseException:
        control.close()
        key_file.unlink(missing_ok=True)
        raise
    finally:
        os.close(out)
    return RunningStep(
        control=control,
        process=process,
        said=said,
        key_file=key_file,
        api_key=api_key,
        environ=environ,
        sweep=short_step(allocation, shape.nodes, (*program, "sweep", ",".join(shm))),
    )


def address_towards(node_address: str | None) -> str:
    """Our address on the way to a node; loopback where there is none to reach. Nothing is sent."""
    if node_address is None:
        return LOOPBACK
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((node_address, 9))
        return str(way.getsockname()[0])
