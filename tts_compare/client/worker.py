"""A worker process of the client: ``python -m tts_compare.client.worker``, started by workers.py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

from tts_compare.client.audit import Probe
from tts_compare.client.messages import AskFigures, Cancel, Ended, Figures, Hello, Job, framed, receive, to_worker
from tts_compare.client.send import open_client, send


async def _work() -> None:
    """A worker process: jobs from stdin, rows to stdout, until stdin ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out, _ = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(os.dup(1), "wb"))
    tasks: dict[int, asyncio.Task[None]] = {}

    def post(message: object) -> None:
        out.write(framed(message))

    async def run(job: Job) -> None:
        try:
            rows = await send(
                client,
                path=job.path,
                body=job.body,
                key=job.key,
                phase=job.phase,
                scheduled_ns=job.scheduled_ns,
                limits=job.limits,
                on_cancel=lambda rows: post(Ended(job.id, rows)),
            )
        finally:
            tasks.pop(job.id, None)
        post(Ended(job.id, rows))

    with contextlib.suppress(asyncio.IncompleteReadError):
        hello = to_worker.decode(await receive(reader))
        assert isinstance(hello, Hello)  # noqa: S101 - our own parent speaks first
        opened = open_client(hello.endpoint, limits=hello.limits, transport=hello.transport, insecure=hello.insecure)
        async with opened as client:
            probe = Probe()
            sampling = asyncio.create_task(probe.sample())
            post(Figures(probe.figures()))
            try:
                while True:
                    message = to_worker.decode(await receive(reader))
                    if isinstance(message, Job):
                        tasks[message.id] = asyncio.create_task(run(message))
                    elif isinstance(message, Cancel) and message.id in tasks:
                        tasks[message.id].cancel()
                    elif isinstance(message, AskFigures):
                        post(Figures(probe.figures()))
                        sampling.cancel()
                        probe = Probe()
                        sampling = asyncio.create_task(probe.sample())
            finally:
                sampling.cancel()
                for task in tuple(tasks.values()):
                    task.cancel()


def main() -> None:
    """Run a worker; a signal that a terminal or a job's end sends to every process is the parent's to handle."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    run = asyncio.run
    if sys.platform != "win32":
        import uvloop

        run = uvloop.run
    run(_work())


if __name__ == "__main__":
    main()
