"""A small reward model over HTTP, in a thread: it speaks the documented forms and counts what it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Rewarding = Callable[[str, str], float]
MODEL = "stub-reward"


@dataclass
class Reward:
    """What the stub does and what it saw.

    rewarding: (problem, response) to a reward in [0, 1]. key: what it asks for. dies_after: it hangs up on every
    connection, and listens no more, after so many answers. refuses: responses that are answered with a 400.
    """

    rewarding: Rewarding
    engine: str = "vllm"
    key: str | None = None
    dies_after: int | None = None
    delay_s: float = 0.0
    refuses: Callable[[str], bool] = lambda _response: False
    url: str = ""
    paths: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    answered: int = 0
    requests: int = 0
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and JSON of one request."""
        problem, response = pair_of(body)
        if self.refuses(response):
            return 400, {"error": {"message": f"maximum context length; key {self.key}", "type": "BadRequestError"}}
        reward = self.rewarding(problem, response)
        usage = {"prompt_tokens": 7, "total_tokens": 7, "completion_tokens": 0}
        if self.engine == "sglang":
            return 200, {"embedding": [reward], "meta_info": {"id": "x", "prompt_tokens": 7}}
        if path == "/pooling":
            steps = [[0.1, 0.9], [1 - reward, reward]]
            data: dict[str, Any] = {"index": 0, "object": "pooling", "data": steps}
        elif path == "/classify":
            data = {"index": 0, "label": "LABEL_1", "probs": [1 - reward, reward], "num_classes": 2}
        elif path == "/score":
            data = {"index": 0, "object": "score", "score": reward}
        else:
            return 404, {"detail": "Not Found"}
        return 200, {"id": "x", "object": "list", "created": 1, "model": MODEL, "data": [data], "usage": usage}


def pair_of(body: dict[str, Any]) -> tuple[str, str]:
    """Problem and response of a request in any of the forms."""
    if "messages" in body:
        user, assistant = body["messages"]
        return user["content"], assistant["content"]
    if "text_1" in body:
        return body["text_1"], body["text_2"]
    problem, _, response = body["text"].partition("<assistant>")
    return problem.removeprefix("<user>"), response


@contextmanager
def serving(reward: Reward) -> Iterator[Reward]:
    """Serve it on a port of 127.0.0.1; its ``url`` is then known."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            reward.requests += 1
            card = {"id": MODEL, "object": "model", "owned_by": reward.engine}
            self._send(200 if self._has_key() else 401, {"object": "list", "data": [card]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with reward.lock:
                reward.requests += 1
                reward.paths.append(self.path)
                reward.asked.append(pair_of(body))
                reward.at_once += 1
                reward.most_at_once = max(reward.most_at_once, reward.at_once)
                dead = reward.dies_after is not None and reward.answered >= reward.dies_after
                reward.answered += not dead
            if dead:
                threading.Thread(target=stop, daemon=True).start()
                self.close_connection = True
                return
            if reward.delay_s:
                threading.Event().wait(reward.delay_s)
            status, value = reward.answer(self.path, body) if self._has_key() else (401, {"error": "who are you?"})
            with reward.lock:
                reward.at_once -= 1
            self._send(status, value)

        def _has_key(self) -> bool:
            return reward.key is None or self.headers.get("Authorization") == f"Bearer {reward.key}"

        def _send(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hung up is no news."""

    server = Server(("127.0.0.1", 0), Handler)

    def stop() -> None:
        server.shutdown()
        server.server_close()

    reward.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield reward
    finally:
        stop()
        thread.join()
