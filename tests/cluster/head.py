"""A program that starts a stand-in over both nodes and keeps it: what a batch job runs. ``head.py DIRECTORY``

Writes DIRECTORY/roles.json when the server is ready, then one line to DIRECTORY/ends when it ended. SIGTERM stops it in
order.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from tests.cluster.trees import place_in, roles_of, setting_over
from tts_compare.launchers import LAUNCHERS
from tts_compare.launchers.slurm import SlurmServer


async def main(directory: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    place = await asyncio.to_thread(place_in, directory)
    server = await LAUNCHERS["slurm"].start(setting_over(2), place)
    assert isinstance(server, SlurmServer)
    try:
        (directory / "roles.part").write_text(json.dumps(asdict(roles_of(server))))
        (directory / "roles.part").rename(directory / "roles.json")
        while not stop.is_set():
            if server.died() or server.lost():
                (directory / "ends").write_text(json.dumps({"died": server.died(), "lost": server.lost()}) + "\n")
                break
            await asyncio.sleep(0.05)
    finally:
        await server.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
