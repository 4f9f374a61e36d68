"""A program that behaves like an engine's server as far as a launcher can see; standard library only.

Flags say how it misbehaves. It answers /health, /version, /v1/models and /stream (a stream without end).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SLEEPER = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; time.sleep(600)"
DAEMON = """
import subprocess, sys
no = subprocess.DEVNULL
print(subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True, stdout=no, stderr=no).pid)
"""


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--port", type=int, required=True)
    flags.add_argument("--model", default="stub")
    flags.add_argument("--load-s", type=float, default=0.0, help="wait before listening")
    flags.add_argument("--die", help="say this as a traceback's end, then noise, and exit 1")
    flags.add_argument("--ignore-sigterm", action="store_true")
    flags.add_argument(
        "--children", help="write the ids of two stubborn children to this file: one plain, one a daemon"
    )
    flags.add_argument("--shm", help="leave this behind in shared memory")
    flags.add_argument("--need-key", action="store_true", help="want the bearer key of the variable STUB_KEY under /v1")
    told = flags.parse_args()
    say("stub engine starts")
    if told.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if told.children:
        start_children(Path(told.children))
    if told.shm:
        Path("/dev/shm", told.shm).write_bytes(b"left")
    time.sleep(told.load_s)
    if told.die:
        say(f"Traceback (most recent call last):\n{told.die}\nnanobind: leaked 3 instances!")
        sys.exit(1)
    serve(told.port, told.model, os.environ.get("STUB_KEY") if told.need_key else None)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def start_children(path: Path) -> None:
    """A child, and a grandchild in a session of its own whose parent ends at once."""
    plain = subprocess.Popen([sys.executable, "-c", SLEEPER])
    daemon = subprocess.run(
        [sys.executable, "-c", DAEMON, SLEEPER], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    path.write_text(f"{plain.pid} {daemon.strip()}")


def serve(port: int, model: str, key: str | None) -> None:
    card = {"id": model, "object": "model", "max_model_len": 2048}
    pages = {
        "/health": "",
        "/version": '{"version": "9.9.9"}',
        "/v1/models": json.dumps({"object": "list", "data": [card]}),
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/stream":
                self.stream()
            elif self.path.startswith("/v1") and key and self.headers.get("Authorization") != f"Bearer {key}":
                self.answer(401, "{}")
            else:
                self.answer(200 if self.path in pages else 404, pages.get(self.path, ""))

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def stream(self) -> None:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            while True:
                self.wfile.write(b"data: x\n\n")
                time.sleep(0.05)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
