"""A stand-in for an engine's part on one node: three stubborn processes, and the stub server on the head's node.

It takes vLLM's command line as the launcher gives it. A child and an orphan in a session of its own ignore SIGTERM, and
so does the leader where it answers nobody (``--headless``); the leader leaves something in shared memory.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

STUB = Path(__file__).parents[1] / "integration" / "stub_engine.py"


def main(argv: list[str]) -> None:
    said = dict(pairwise(argv))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(f"/dev/shm/vllm_dist_{os.getpid()}").write_bytes(b"left")
    if os.fork() == 0:
        time.sleep(3600)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(3600)
        os._exit(0)
    os.wait()
    if "--headless" in argv:
        time.sleep(3600)
    flags = ["--port", said["--port"], "--model", said["--served-model-name"], "--need-key"]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # asked to end, the head's leader does; nothing else would
    os.environ["STUB_KEY"] = os.environ.get("VLLM_API_KEY", "")
    os.execv(sys.executable, [sys.executable, str(STUB), *flags])


if __name__ == "__main__":
    main(sys.argv)
