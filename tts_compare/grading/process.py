"""One worker process, seen from its parent."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Any

from tts_compare import children

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "PYTHONHOME", "VIRTUAL_ENV")
_REPLY_LIMIT_BYTES = 65_536


class WorkerProcess:
    """A started worker. deadline: the monotonic second by which its next reply is due.

    The child gets the import path of this process and no other of its variables: no key ever reaches it.
    """

    def __init__(self, *, memory_bytes: int, deadline: float) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._process = subprocess.Popen(
            children.command("tts_compare.grading.worker", str(memory_bytes)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | children.import_path(),
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 - it was asked for above
        assert self._process.stdout is not None  # noqa: S101
        self._questions, self.replies = self._process.stdin, self._process.stdout
        self._buffer = b""
        self.deadline = deadline
        self.ready = False
        self.ended = False
        self.question: tuple[str, str] | None = None
        self.answered = 0

    def ask(self, question: tuple[str, str], limit_s: float) -> None:
        """Send a question; its reply is due in ``limit_s`` seconds. A worker that has ended shows in ``read``."""
        line = json.dumps({"gold": question[0], "candidate": question[1], "limit_s": limit_s}) + "\n"
        self.question, self.deadline = question, time.monotonic() + limit_s
        try:
            self._questions.write(line.encode())
            self._questions.flush()
        except BrokenPipeError:
            self.deadline = time.monotonic() + limit_s  # its end is read as a crash at the next turn

    def rest(self) -> None:
        """Note that the question has been answered."""
        self.question, self.deadline = None, float("inf")
        self.answered += 1

    def read(self) -> list[dict[str, Any]]:
        """The whole replies that have arrived; call it only when ``replies`` is readable."""
        arrived = os.read(self.replies.fileno(), _REPLY_LIMIT_BYTES)
        self.ended = not arrived
        *lines, self._buffer = (self._buffer + arrived).split(b"\n")
        return [json.loads(line) for line in lines]

    def kill(self) -> None:
        """End it at once and free its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._questions, self.replies):
            try:
                pipe.close()
            except BrokenPipeError:  # a question that the child never read was still in the buffer
                continue
