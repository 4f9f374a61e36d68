"""The client on cores of its own, where the machine has several NUMA nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import structs

from tts_compare.backends import Machine
from tts_compare.codes import warn
from tts_compare.launchers.pinning import client_cores, not_bound
from tts_compare.measure.writer import RunWriter


@contextmanager
def client_bound(machine: Machine, writer: RunWriter) -> Iterator[None]:
    """Bind this process's main thread, and what it starts, while the block runs; say so in the manifest.

    Where it cannot be done there is a warning, and the run goes on.
    """
    why, cores = not_bound(machine), client_cores(machine)
    ours = os.sched_getaffinity(0) if cores else set()
    if cores:
        try:
            os.sched_setaffinity(0, cores)
        except OSError as error:
            why, cores = f"the client may not choose its cores: {error.strerror}", ()
    if why is not None:
        writer.warn([warn("numa_not_bound", f"servers and client were not bound to NUMA nodes: {why}")])
    if not cores:
        yield
        return
    *before, own = writer.manifest.sessions
    writer.manifest = structs.replace(
        writer.manifest, sessions=(*before, structs.replace(own, cores=tuple(sorted(cores))))
    )
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)
