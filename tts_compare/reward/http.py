"""One request to a reward model: an answer, or why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from tts_compare.client import untimed
from tts_compare.client.outcome import masked, retry_after_s
from tts_compare.domain import ErrorKind, RequestError

if TYPE_CHECKING:
    import httpx

CONNECT_S = 10.0
READ_S = 600.0
#: An answer is one number, or a few for every token; hidden states of a model that is no reward model are more.
MOST_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """``value`` is the JSON of a 200, None where ``error`` says what went wrong."""

    value: Any = None
    error: RequestError | None = None


def root_of(address: str) -> str:
    """The server's root: its forms of scoring stand beside ``/v1``, not under it."""
    return address.rstrip("/").removesuffix("/v1")


def open_client(root: str, api_key: str | None, *, insecure: bool = False) -> httpx.AsyncClient:
    """A client for the reward model at ``root``, which may take minutes to read long responses on a CPU."""
    import httpx

    timeout = httpx.Timeout(READ_S, connect=CONNECT_S, pool=None)
    return untimed.open_client(root, timeout=timeout, api_key=api_key, insecure=insecure)


async def request(
    client: httpx.AsyncClient, url: str, body: dict[str, Any] | None = None, *, secrets: tuple[str, ...] = ()
) -> Reply:
    """POST the body, or GET without one. What goes wrong is in the reply, secrets masked; nothing is raised."""
    import httpx

    try:
        answer, data = await _exchange(client, url, body)
    except httpx.HTTPError as error:
        return _failed(_broken(error), str(error) or type(error).__name__, secrets)
    if len(data) > MOST_BYTES:
        return _failed("malformed", f"an answer of over {MOST_BYTES >> 20} MiB: is it a reward model?", status=200)
    if answer.status_code != httpx.codes.OK:
        kind, wait_s = _kind_of(answer.status_code), retry_after_s(answer.headers)
        return _failed(kind, _message(data), secrets, status=answer.status_code, wait_s=wait_s)
    try:
        return Reply(value=msgspec.json.decode(data))
    except (msgspec.DecodeError, RecursionError):
        return _failed("malformed", f"a body that is not JSON: {_shown(data)}", secrets, status=200)


async def _exchange(client: httpx.AsyncClient, url: str, body: dict[str, Any] | None) -> tuple[httpx.Response, bytes]:
    """The head of the answer and its body, of which no more is read than a little over the limit."""
    method, content = ("GET", None) if body is None else ("POST", msgspec.json.encode(body))
    headers = {"Content-Type": "application/json"} if body is not None else {}
    data = bytearray()
    async with client.stream(method, url, content=content, headers=headers) as answer:
        async for chunk in answer.aiter_bytes():
            data += chunk
            if len(data) > MOST_BYTES:
                break
    return answer, bytes(data)


def _broken(error: httpx.HTTPError) -> ErrorKind:
    """Nobody there, nobody in time, or closed before the answer was whole."""
    import httpx

    if isinstance(error, httpx.ConnectTimeout):
        return "timeout_connect"
    if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol):
        return "connect"
    return "timeout_idle" if isinstance(error, httpx.TimeoutException) else "empty"


def _failed(
    kind: ErrorKind,
    message: str,
    secrets: tuple[str, ...] = (),
    *,
    status: int | None = None,
    wait_s: float | None = None,
) -> Reply:
    error = RequestError(kind=kind, status=status, message=message, retry_after_s=wait_s)
    return Reply(error=masked(error, secrets))


def _kind_of(status: int) -> ErrorKind:
    if status == 429:
        return "http_429"
    if 400 <= status < 500:
        return "http_4xx"
    return "http_5xx" if status >= 500 else "malformed"


def _message(body: bytes) -> str:
    """What an error body says: OpenAI's error object, FastAPI's detail, or its beginning."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return _shown(body)
    for name in ("error", "message", "detail"):
        value = value[name] if isinstance(value, dict) and name in value else value
    return value if isinstance(value, str) else _shown(msgspec.json.encode(value))


def _shown(body: bytes) -> str:
    return re.sub(r"\s+", " ", body[:200].decode("utf-8", "replace")).strip() or "nothing"
