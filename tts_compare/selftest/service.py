"""What the embedded server serves: OpenAI's completions and chat, and the small endpoints of an engine."""

from __future__ import annotations

import hmac
import json
import random
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

from tts_compare.errors import UsageError
from tts_compare.selftest import tokens
from tts_compare.selftest.answer import (
    Prompted,
    Renderer,
    RequestRefusedError,
    ScriptedChoice,
    Style,
    Truth,
    parse_ask,
    say,
)
from tts_compare.selftest.faults import Fault, choose
from tts_compare.selftest.http import HttpRequest
from tts_compare.selftest.metrics import Counters, PrefixCache
from tts_compare.selftest.play import Pace, Step, Until, plain, stream
from tts_compare.selftest.replies import Planted

VERSION = "selftest-1"
_TRUTHS_KEPT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the server behaves; every field is a flag of ``python -m tts_compare.selftest.server``."""

    model: str = "selftest"
    api_key: str | None = None
    pace: Pace = field(default_factory=Pace)
    style: Style = "vllm"
    max_model_len: int = 32768
    planted: tuple[Planted, ...] = ()
    faults: tuple[tuple[Fault, float], ...] = ()
    seed: int = 0
    stamp: bool = False
    request_metrics: bool = False
    prefix_caching: bool = False
    keeps_cache: bool = False
    kv_usage: float = 0.0
    preempts: bool = False
    any_model: bool = False


class Service:
    """Answers requests with steps; holds what an engine holds: counters, a prefix cache, and the truth."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._counters = Counters()
        self._cache = PrefixCache(kept=options.keeps_cache)
        self._draw = random.Random(options.seed)  # noqa: S311 - faults, not secrets
        self._truths: OrderedDict[str, Truth] = OrderedDict()
        self._refused_once: set[int] = set()
        self._unseeded = 0

    def answer(self, request: HttpRequest) -> Iterator[Step]:
        """Play the answer to a request; whatever goes wrong is an error in OpenAI's form."""
        try:
            yield from self._route(request)
        except RequestRefusedError as refused:
            yield plain(refused.status, json.dumps(refused.body()).encode())
            yield "keep"
        except UsageError as error:
            yield from _json(RequestRefusedError(400, "BadRequestError", str(error)).body(), 400)

    def _route(self, request: HttpRequest) -> Iterator[Step]:
        path, options = request.path.rstrip("/"), self._options
        if path in ("/health", "/ping"):
            yield plain(200, b"")
            yield "keep"
        elif path == "/metrics":
            draft = options.pace.tokens_per_chunk - 1
            blocks = self._cache.block_tokens
            text = self._counters.text(
                options.model, draft_tokens=draft, block_tokens=blocks, kv_usage=options.kv_usage
            )
            yield plain(200, text.encode(), kind="text/plain; version=0.0.4; charset=utf-8")
            yield "keep"
        else:
            self._authorize(request)
            yield from self._open_route(request, path)

    def _open_route(self, request: HttpRequest, path: str) -> Iterator[Step]:
        options = self._options
        if path == "/version":
            yield from _json({"version": VERSION})
        elif path in ("/server_info", "/get_server_info"):
            yield from _json({"version": VERSION, "model_path": options.model, "max_model_len": options.max_model_len})
        elif path == "/v1/models":
            yield from _json({"object": "list", "data": [self._model_card()]})
        elif path == f"/v1/models/{options.model}":
            yield from _json(self._model_card())
        elif path in ("/reset_prefix_cache", "/flush_cache"):
            self._cache.clear()
            yield plain(200, b"")
            yield "keep"
        elif path.startswith("/selftest/truth/"):
            yield from self._truth(path.rsplit("/", 1)[-1])
        elif path in ("/tokenize", "/detokenize"):
            yield from self._tokenize(request, path)
        elif path in ("/v1/chat/completions", "/v1/completions"):
            if request.method != "POST":
                raise RequestRefusedError(405, "MethodNotAllowed", "Method Not Allowed")
            yield from self._complete(request, chat="chat" in path)
        else:
            raise RequestRefusedError(404, "NotFoundError", f"no such path: {request.path}")

    def _complete(self, request: HttpRequest, *, chat: bool) -> Iterator[Step]:
        options = self._options
        body = _object(request.body)
        if body.get("model") not in (None, options.model) and not options.any_model:
            raise RequestRefusedError(404, "NotFoundError", f"The model `{body.get('model')}` does not exist.", "model")
        fault = choose(request.headers, body, options.faults, self._draw)
        self._unseeded += 1
        ask = parse_ask(body, chat=chat, max_model_len=options.max_model_len, unseeded=self._unseeded)
        if (refusal := self._refusal(fault, ask)) is not None:
            yield from refusal
            return
        said = say(ask, options.planted)
        cached = self._count_prompt(ask)
        renderer = Renderer(ask, said, style=options.style, cached_tokens=cached if options.prefix_caching else None)
        truth = self._new_truth(request, fault)
        yield from self._counted(self._played(renderer, truth, fault), said, truth)

    def _played(self, renderer: Renderer, truth: Truth, fault: Fault) -> Iterator[Step]:
        options = self._options
        if renderer.ask.stream and not fault.is_("json_body"):
            metrics = options.request_metrics
            yield from stream(renderer, options.pace, truth, fault, stamp=options.stamp, metrics=metrics)
            return
        longest = max(s.count for s in renderer.said)
        yield Until(options.pace.due_s(longest))
        truth.sent_ns.append(monotonic_ns())
        truth.tokens.append(sum(s.count for s in renderer.said))
        yield from _json(renderer.whole())

    def _counted(self, steps: Iterator[Step], said: Sequence[ScriptedChoice], truth: Truth) -> Iterator[Step]:
        """Play on, and keep the counters."""
        counters, begun_s = self._counters, time.monotonic()
        counters.running += 1
        counters.preemptions += self._options.preempts
        try:
            yield from steps
            counters.requests += 1
        finally:
            counters.running -= 1
            counters.generation_tokens += sum(s.count for s in said)
            counters.steps += len(truth.sent_ns)
            if truth.sent_ns:
                counters.ttft.add(truth.sent_ns[0] / 1e9 - begun_s)
                counters.e2e.add(time.monotonic() - begun_s)

    def _refusal(self, fault: Fault, ask: Prompted) -> Iterator[Step] | None:
        """Return the steps of an answer that is none, None where the fault lets an answer begin."""
        wait = f"Retry-After: {fault.value if fault.value is not None else 1:g}\r\n"
        if fault.is_("429"):
            attempt = hash((ask.prompt, ask.max_tokens))
            if attempt in self._refused_once:
                return None
            self._refused_once.add(attempt)
            return _refused(429, "rate_limit_exceeded", "Rate limit reached, try again later", wait)
        if fault.is_("503"):
            return _refused(503, "ServiceUnavailableError", "The server is overloaded", wait)
        if fault.is_("500"):
            return _refused(500, "InternalServerError", "EngineCore encountered an issue", "")
        odd: dict[str, tuple[Step, ...]] = {
            "no_answer": (Until(86400.0), "close"),
            "close": ("close",),
            "garbage": (b"\x16\x03\x01 this is not HTTP\r\n\r\n", "close"),
            "html": (plain(200, _PAGE, kind="text/html"), "keep"),
        }
        return iter(odd[fault.name]) if fault.name in odd else None

    def _count_prompt(self, ask: Prompted) -> int:
        ids = tokens.encode(ask.prompt)
        cached = self._cache.hit(ids) if self._options.prefix_caching else 0
        self._counters.prompt_tokens += len(ids)
        self._counters.prefix_queries += len(ids)
        self._counters.prefix_hits += cached
        return cached

    def _new_truth(self, request: HttpRequest, fault: Fault) -> Truth:
        truth = Truth(request_id=request.headers.get("x-request-id", ""), fault=fault.name)
        self._truths[truth.request_id] = truth
        while len(self._truths) > _TRUTHS_KEPT:
            self._truths.popitem(last=False)
        return truth

    def _truth(self, request_id: str) -> Iterator[Step]:
        truth = self._truths.get(request_id)
        if truth is None:
            raise RequestRefusedError(404, "NotFoundError", f"no request {request_id}")
        names = ("request_id", "fault", "sent_ns", "tokens", "first_answer_ns")
        yield from _json({name: getattr(truth, name) for name in names})

    def _tokenize(self, request: HttpRequest, path: str) -> Iterator[Step]:
        body = _object(request.body)
        if path == "/tokenize":
            ids = tokens.encode(str(body.get("prompt", "")))
            yield from _json({"tokens": ids, "count": len(ids), "max_model_len": self._options.max_model_len})
        else:
            yield from _json({"prompt": tokens.decode(body.get("tokens") or [])})

    def _model_card(self) -> dict[str, Any]:
        options = self._options
        card = {"id": options.model, "object": "model", "created": 0, "owned_by": "tts-compare"}
        return {**card, "root": options.model, "max_model_len": options.max_model_len}

    def _authorize(self, request: HttpRequest) -> None:
        key = self._options.api_key
        if key is not None:
            stated = request.headers.get("authorization", "")
            if not hmac.compare_digest(stated.encode(), f"Bearer {key}".encode()):
                raise RequestRefusedError(401, "AuthenticationError", "Unauthorized: the API key is missing or wrong")


_PAGE = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>The upstream is gone.</body></html>"


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise RequestRefusedError(400, "BadRequestError", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestRefusedError(400, "BadRequestError", "the body must be a JSON object")
    return value


def _json(value: object, status: int = 200) -> Iterator[Step]:
    yield plain(status, json.dumps(value, separators=(",", ":")).encode("utf-8", errors="replace"))
    yield "keep"


def _refused(status: int, kind: str, message: str, headers: str) -> Iterator[Step]:
    body = RequestRefusedError(status, kind, message).body()
    yield plain(status, json.dumps(body).encode(), headers=headers)
    yield "keep"
