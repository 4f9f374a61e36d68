"""An endpoint that thinks, or says so: what it does with controls of thinking is the test's choice."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What one request gets. thought, answer: tokens. prompt: tokens of the prompt as the server would render it."""

    thought: int
    answer: int = 4
    prompt: int = 20
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Thinker:
    """A running endpoint and the bodies that it was sent."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)


def noise(body: Body) -> random.Random:
    """Chance that depends on the whole request, so that levels differ by it alone."""
    return random.Random(json.dumps(body, sort_keys=True))


def length_of(body: Body) -> int:
    """Tokens that a problem takes, the same whatever the request states beside it."""
    return random.Random(json.dumps(body["messages"])).randint(40, 120)


@contextmanager
def thinker(reply: Callable[[Body], Reply], *, split: bool = True) -> Iterator[Thinker]:
    """Serve until the block is left. split: thinking comes as ``reasoning_content``, else between marks."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            self._send(
                200, json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}), "application/json"
            )

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.append(body)
            told = reply(body)
            if told.refused:
                self._send(400, json.dumps({"error": {"message": told.refused, "code": 400}}), "application/json")
            elif not body.get("stream"):
                self._send(200, json.dumps({"choices": [], "usage": {}}), "application/json")
            else:
                self._send(200, stream_of(told, body, split=split), "text/event-stream")

        def _send(self, status: int, text: str, kind: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Thinker(url=f"http://127.0.0.1:{server.server_address[1]}/v1", bodies=bodies)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def stream_of(told: Reply, body: Body, *, split: bool) -> str:
    """The whole stream: a chunk a token, cut at the request's own cap."""
    most = int(body.get("max_tokens") or body.get("max_completion_tokens") or 0)
    thoughts: list[dict[str, str]] = [{"reasoning_content" if split else "content": "hm "}] * told.thought
    marks = [] if split or not told.thought else [{"content": "<think>"}], [{"content": "</think>"}]
    tokens = [*thoughts, *([{"content": "a "}] * told.answer)]
    if not split and told.thought:
        tokens = [*marks[0], *thoughts, *marks[1], *([{"content": "a "}] * told.answer)]
    kept = tokens[:most]
    events = []
    for number, delta in enumerate(kept, 1):
        reason = None if number < len(kept) else ("stop" if len(kept) == len(tokens) else "length")
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        usage = {"prompt_tokens": told.prompt, "completion_tokens": number}
        events.append({"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice], "usage": usage})
    total = {"prompt_tokens": told.prompt, "completion_tokens": len(kept), "total_tokens": told.prompt + len(kept)}
    events.append({"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [], "usage": total})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
