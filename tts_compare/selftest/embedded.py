"""The embedded server as a process of its own, for as long as a block runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tts_compare import children
from tts_compare.errors import RunError

_START_S = 30.0


@asynccontextmanager
async def embedded_server(flags: Sequence[str] = ()) -> AsyncIterator[str]:
    """Start the server with these flags and yield its base URL, which ends in ``/v1``. Raises: RunError."""
    command = children.command("tts_compare.selftest.server", "--port", "0", *flags)
    environment = os.environ | children.import_path()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    assert process.stdout is not None  # noqa: S101 - opened as a pipe above
    try:
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _START_S)
            url = json.loads(line)["url"]
        except (TimeoutError, ValueError) as error:
            raise RunError(
                "the embedded server did not start: run it alone to see why: " + " ".join(command)
            ) from error
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 5.0)
        except TimeoutError:
            process.kill()
            await process.wait()
