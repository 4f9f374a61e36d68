"""One request in, one row a choice out, whatever happens on the way."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic_ns
from typing import Any, Literal

import httpx
import msgspec

from tts_compare.client.limits import Stamps, TimeLimits
from tts_compare.client.outcome import Attempt, rows
from tts_compare.client.reducer import Reducer
from tts_compare.client.transport import StampingTransport
from tts_compare.client.unreachable import why_unreachable
from tts_compare.client.untimed import is_proxied, tls_context
from tts_compare.client.wire import Exchange, FirstByteTimeout, IdleTimeout, Read, TotalTimeout
from tts_compare.domain import Endpoint, ErrorKind, Phase, RequestError, RequestRecord, RowKey

REDUCE_BYTES = 256 * 1024
"""A stream's reads are reduced on a thread once there are so many bytes of them."""

_INLINE_BYTES = 32 * 1024
_SLACK_S = 0.25
"""Our transport reports a limit itself, and must be the first to."""
_READ = httpx.ByteStream(b"")
_reducing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reduce")
_PLAIN_HEADERS = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length"}


def open_client(
    endpoint: Endpoint,
    *,
    limits: TimeLimits | None = None,
    transport: Literal["own", "httpx"] = "own",
    insecure: bool = False,
) -> httpx.AsyncClient:
    """Return an httpx client bound to the endpoint; use it as an async context manager, inside a running loop.

    Authorization is sent only where the endpoint has a key; redirects are not followed, so a key stays with its
    host. A proxy named by the environment is spoken to by httpx's own transport, and the rows then carry the warning
    ``not_stamped_on_arrival``. ``insecure`` accepts any certificate.
    """
    limits = limits or TimeLimits()
    base = httpx.URL(endpoint.base_url)
    headers = {**dict(endpoint.headers), "Accept-Encoding": "identity"}
    if endpoint.api_key:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    timeout = httpx.Timeout(None, connect=limits.connect_s)
    proxied = is_proxied(endpoint.base_url)
    context = tls_context(insecure=insecure) if base.scheme == "https" else None
    if transport == "own" and not proxied:
        own = StampingTransport(limits=limits, ssl_context=context)
        return httpx.AsyncClient(
            base_url=base.copy_with(query=None),
            params=base.params,
            headers=headers,
            timeout=timeout,
            transport=own,
            follow_redirects=False,
        )
    return httpx.AsyncClient(
        base_url=base.copy_with(query=None),
        params=base.params,
        headers=headers,
        timeout=timeout,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        verify=context or True,
        trust_env=proxied,
        follow_redirects=False,
    )


async def send(
    client: httpx.AsyncClient,
    *,
    path: str,
    body: Mapping[str, Any],
    key: RowKey,
    phase: Phase,
    scheduled_ns: int | None = None,
    limits: TimeLimits | None = None,
    on_cancel: Callable[[tuple[RequestRecord, ...]], None] | None = None,
    on_answer: Callable[[], None] | None = None,
) -> tuple[RequestRecord, ...]:
    """Make one attempt and return its rows, one a choice (``body["n"]``; choice i is the row of ``key.sample + i``).

    path: ``/chat/completions`` or ``/completions``, under the endpoint's base URL. body: the JSON as it is sent.
    What goes wrong is in the rows. Only asyncio.CancelledError is raised; before that, ``on_cancel`` is called with
    the rows of kind ``cancelled``, which hold what had arrived. A 429's or 503's ``Retry-After`` is the
    error's ``retry_after_s``. on_answer: is called once, when the first piece of the answer's body has been stamped.
    """
    flight = _Flight(client, path=path, body=body, key=key, phase=phase, scheduled_ns=scheduled_ns, limits=limits)
    flight.stamps.on_answer = on_answer
    try:
        await flight.run()
    except asyncio.CancelledError:
        if on_cancel is not None:
            on_cancel(flight.rows(RequestError(kind="cancelled", message="cancelled while under way")))
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the attempt must end in its rows
        return flight.rows(_error_of(error, flight))
    try:
        return flight.rows(None)
    except Exception as error:  # noqa: BLE001 - the same: what a server says must not stop a run
        return flight.rows(_error_of(error, flight))


class _Flight:
    """One attempt under way: what has been learnt of it so far, so that its rows can be made at any moment."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        path: str,
        body: Mapping[str, Any],
        key: RowKey,
        phase: Phase,
        scheduled_ns: int | None,
        limits: TimeLimits | None,
    ) -> None:
        self._client = client
        self._path = path
        self._body = body
        self._limits = limits or TimeLimits()
        self.stamps = Stamps()
        self.reducer: Reducer | None = None
        self.exchange: Exchange | None = None
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self._head_timeout = asyncio.timeout(None)
        secrets = _secrets(client.headers)
        self.attempt = attempt_of(body, key=key, phase=phase, scheduled_ns=scheduled_ns, secrets=secrets)

    async def run(self) -> None:
        request = self._client.build_request(
            "POST",
            self._path,
            content=msgspec.json.encode(self._body),
            headers={"Content-Type": "application/json", "X-Request-Id": self.attempt.request_id},
            extensions={"stamps": self.stamps, "limits": self._limits, "trace": self._trace},
            timeout=httpx.Timeout(None, connect=self._limits.connect_s),
        )
        response = await self._head(request)
        self.status, self.headers = response.status_code, response.headers
        self.exchange = response.extensions.get("exchange")
        reducer = self.reducer = Reducer(
            status=response.status_code,
            encoding=response.headers.get("content-encoding", "").strip().lower(),
            max_tokens=self.attempt.max_tokens,
            n=self.attempt.choices,
            model=model if isinstance(model := self._body.get("model"), str) else None,
        )
        batches = self.exchange.batches(REDUCE_BYTES) if self.exchange else self._batches(response)
        try:
            async for batch in batches:
                reducer.put(batch)
                if sum(len(data) for _, data in batch) > _INLINE_BYTES:
                    await asyncio.get_running_loop().run_in_executor(_reducing, lambda: reducer.drain(politely=True))
                if reducer.runaway:
                    break
        finally:
            await response.aclose()
            # httpx binds the stream to its response: without this each answer would wait for the collector.
            response.stream = _READ

    def rows(self, broken: RequestError | None) -> tuple[RequestRecord, ...]:
        """Make the rows of what is known now."""
        if self.reducer is not None:
            if self.exchange is not None:
                self.reducer.put(self.exchange.take())
            self.reducer.drain()
        if self.stamps.end_ns is None or broken is not None:
            self.stamps.end_ns = monotonic_ns()
        return rows(
            self.attempt,
            self.stamps,
            self.reducer,
            headers=self.headers,
            status=self.status,
            broken=broken,
            surplus=self.exchange is not None and self.exchange.surplus,
        )

    def why_unreachable(self, error: Exception) -> str:
        """Why httpx's own transport found no way to the endpoint."""
        address = str(self._client.base_url).rstrip("/")
        return str(why_unreachable(error, address, proxied=is_proxied(address)))

    async def _head(self, request: httpx.Request) -> httpx.Response:
        """Send and wait for the head. Our transport keeps the limits itself; httpx's has none like them."""
        limits = self._limits
        try:
            async with asyncio.timeout(limits.connect_s + self._until_head_s()) as self._head_timeout:
                response = await self._client.send(request, stream=True)
        except TimeoutError as error:
            if limits.total_s < limits.first_byte_s:
                raise TotalTimeout(f"no end of the answer within {limits.total_s:g} s") from error
            raise FirstByteTimeout(f"no byte of an answer within {limits.first_byte_s:g} s") from error
        if self.stamps.first_byte_ns is None:
            self.stamps.first_byte_ns = monotonic_ns()
        return response

    def _until_head_s(self) -> float:
        return min(self._limits.first_byte_s, self._limits.total_s) + _SLACK_S

    async def _batches(self, response: httpx.Response) -> AsyncIterator[list[Read]]:
        """Stamp what httpx's own transport hands up."""
        pieces = response.aiter_raw().__aiter__()
        deadline_ns = (self.stamps.sent_ns or monotonic_ns()) + int(self._limits.total_s * 1e9)
        while True:
            left_s = (deadline_ns - monotonic_ns()) / 1e9
            try:
                async with asyncio.timeout(min(self._limits.idle_s, left_s)):
                    data = await anext(pieces)
            except StopAsyncIteration:
                self.stamps.end_ns = monotonic_ns()
                return
            except TimeoutError as error:
                if left_s <= self._limits.idle_s:
                    raise TotalTimeout(f"no end of the answer within {self._limits.total_s:g} s") from error
                raise IdleTimeout(f"nothing more of the answer for {self._limits.idle_s:g} s") from error
            now = monotonic_ns()
            self.stamps.begun()
            yield [(now, data)]

    async def _trace(self, event: str, _: dict[str, Any]) -> None:
        """Take the instants that httpx's own transport reports."""
        if event == "connection.connect_tcp.started":
            self.stamps.connect_ns = monotonic_ns()
        elif event.endswith("send_request_headers.started"):
            self.stamps.sent_ns = monotonic_ns()
            self._head_timeout.reschedule(asyncio.get_running_loop().time() + self._until_head_s())
        elif event.endswith("receive_response_headers.complete"):
            self.stamps.first_byte_ns = monotonic_ns()


_KINDS: tuple[tuple[type[Exception], ErrorKind], ...] = (
    (httpx.ConnectTimeout, "timeout_connect"),
    (FirstByteTimeout, "timeout_first_byte"),
    (IdleTimeout, "timeout_idle"),
    (TotalTimeout, "timeout_total"),
    (httpx.ConnectError, "connect"),
    (httpx.ProxyError, "connect"),
    (httpx.UnsupportedProtocol, "connect"),
)


def _error_of(error: Exception, flight: _Flight) -> RequestError:
    kind = next((kind for cause, kind in _KINDS if isinstance(error, cause)), None)
    message = str(error) or type(error).__name__
    if kind is None and isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
        # httpx's own transport tells a lost connection as a protocol error.
        lost = isinstance(error, httpx.NetworkError) or "disconnected" in message or "closed" in message
        kind = ("connect" if flight.status is None else "truncated_stream") if lost else "malformed"
    if kind == "connect" and not flight.stamps.on_arrival:  # our own transport has said it
        message = flight.why_unreachable(error)
    if kind is None:
        kind, message = "malformed", f"{type(error).__name__}: {message}"
    return RequestError(kind=kind, status=flight.status, message=message)


def attempt_of(
    body: Mapping[str, Any], *, key: RowKey, phase: Phase, scheduled_ns: int | None, secrets: tuple[str, ...] = ()
) -> Attempt:
    """What is known of an attempt before it is made."""
    return Attempt(
        key=key,
        phase=phase,
        request_id=uuid.uuid4().hex,
        scheduled_ns=scheduled_ns,
        choices=_choices(body),
        stream=body.get("stream") is True,
        max_tokens=_max_tokens(body),
        secrets=secrets,
    )


def _choices(body: Mapping[str, Any]) -> int:
    n = body.get("n", 1)
    return n if isinstance(n, int) and n > 0 else 1


def _max_tokens(body: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        if isinstance(stated := body.get(name), int):
            return stated
    return None


def _secrets(headers: httpx.Headers) -> tuple[str, ...]:
    """Everything a caller put into a header may be a secret; the scheme before a credential is none."""
    values = [value for name, value in headers.items() if name.lower() not in _PLAIN_HEADERS]
    return tuple(value.rsplit(" ", 1)[-1] for value in values if len(value.rsplit(" ", 1)[-1]) >= 8)
