"""The client against real sockets."""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import trustme

from tests.integration.client_kit import (
    ANSWER,
    BODY,
    CHUNK,
    OK,
    attempt,
    chunked,
    one,
    read_request,
    saying,
    serving,
)
from tts_compare.client import StampingTransport, TimeLimits, open_client
from tts_compare.domain import Endpoint, RequestRecord
from tts_compare.selftest import embedded_server

Transport = Literal["own", "httpx"]
both = pytest.mark.parametrize("transport", ["own", "httpx"])


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_both_transports_give_the_same_rows() -> None:
    async def main() -> list[RequestRecord]:
        async with embedded_server(("--token-rate", "500", "--tokens-per-chunk", "3")) as url:
            return [await one(url, body={**BODY, "n": 1}, transport=t) for t in ("own", "httpx")]

    ours, theirs = asyncio.run(main())

    def content(row: RequestRecord) -> dict[str, object]:
        known = asdict(row)
        for name in [name for name in known if name.endswith("_ns")] + ["request_id", "doubts"]:
            known.pop(name)
        known["timeline"].pop("us")
        return known

    assert content(ours) == content(theirs)
    assert ours.ok
    assert ours.doubts == ()
    assert theirs.doubts == ("not_stamped_on_arrival",)
    for row in (ours, theirs):
        order = [row.connect_ns, row.sent_ns, row.first_byte_ns, row.first_token_ns, row.last_token_ns, row.end_ns]
        assert None not in order
        assert order == sorted(order, key=lambda instant: instant or 0)


@both
def test_a_connection_is_used_again_and_so_it_is_after_an_error(transport: Transport) -> None:
    peers: list[Any] = []
    refusal = b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername"))
        for said in (refusal, chunked([CHUNK]), ANSWER):
            await read_request(reader)
            writer.write(said)

    async def main() -> list[RequestRecord]:
        async with (
            serving(handler) as url,
            open_client(Endpoint(base_url=url, model="m"), transport=transport) as client,
        ):
            return [(await attempt(client))[0] for _ in range(3)]

    rows = asyncio.run(main())
    assert [row.ok for row in rows] == [False, True, True]
    assert len(peers) == 1
    assert [row.connect_ns is None for row in rows] == [False, True, True]


def test_a_pooled_connection_that_died_is_replaced_before_any_byte_of_the_answer() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ANSWER)
        await reader.read(1)  # the next request arrives on a connection that closes without a word

    async def main() -> list[RequestRecord]:
        async with serving(handler) as url, open_client(Endpoint(base_url=url, model="m")) as client:
            return [(await attempt(client))[0] for _ in range(3)]

    rows = asyncio.run(main())
    assert [row.error for row in rows] == [None, None, None]
    assert all(row.connect_ns is not None and row.sent_ns is not None for row in rows)


def test_a_pooled_connection_lost_while_the_server_works_is_a_failure_and_nothing_is_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tts_compare.client.transport.STALE_S", 0.05)
    received: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append((await read_request(reader))[1])
        writer.write(ANSWER)
        received.append((await read_request(reader))[1])
        await asyncio.sleep(0.2)

    async def main() -> list[RequestRecord]:
        async with serving(handler) as url, open_client(Endpoint(base_url=url, model="m")) as client:
            return [(await attempt(client))[0] for _ in range(2)]

    rows = asyncio.run(main())
    assert [row.error.kind if row.error else None for row in rows] == [None, "connect"]
    assert len(received) == len(rows)


def test_a_fresh_connection_that_closes_without_a_word_is_a_failure() -> None:
    async def main() -> RequestRecord:
        async with serving(saying()) as url:
            return await one(url)

    row = asyncio.run(main())
    assert row.error is not None
    assert row.error.kind == "connect"


@both
def test_nobody_listening_is_a_failure_to_connect(transport: Transport) -> None:
    row = asyncio.run(one("http://127.0.0.1:9/v1", transport=transport))
    assert row.error is not None
    assert row.error.kind == "connect"
    assert row.sent_ns is None


@both
@pytest.mark.parametrize(
    ("parts", "limits", "kind"),
    [
        ((), TimeLimits(first_byte_s=0.2), "timeout_first_byte"),
        ((OK + b"Transfer-Encoding: chunked\r\n\r\n",), TimeLimits(idle_s=0.2), "timeout_idle"),
        (
            (OK + b"Transfer-Encoding: chunked\r\n\r\n", *[b"3\r\n: x\r\n"] * 100),
            TimeLimits(total_s=0.4),
            "timeout_total",
        ),
    ],
)
def test_each_limit_has_its_own_kind(
    transport: Transport, parts: tuple[bytes, ...], limits: TimeLimits, kind: str
) -> None:
    async def main() -> RequestRecord:
        async with serving(saying(*parts, pause_s=0.02, close=False)) as url:
            return await one(url, limits=limits, transport=transport)

    row = asyncio.run(main())
    assert row.error is not None
    assert row.error.kind == kind


def test_connecting_has_its_limit_too() -> None:
    # TEST-NET-1 (RFC 5737) is routed nowhere: either nothing answers, or the machine says at once that it cannot.
    row = asyncio.run(one("http://192.0.2.1:81/v1", limits=TimeLimits(connect_s=0.2)))
    assert row.error is not None
    assert row.error.kind in ("timeout_connect", "connect")
    assert row.end_ns is not None


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        chunked([CHUNK]),
        chunked([CHUNK[:1], CHUNK[1:9], CHUNK[9:]]),
        OK + b"\r\n" + CHUNK,
        OK + b"Connection: close\r\n\r\n" + CHUNK,
        b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + chunked([CHUNK]),
        chunked([CHUNK])[:-2] + b"X-Trailer: 1\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + CHUNK,
    ],
    ids=["length", "chunked", "small chunks", "to the end", "closed", "100", "103", "trailer", "HTTP/1.0"],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_answer_is_the_same_however_it_is_framed_and_cut(answer: bytes, size: int) -> None:
    parts = [answer[i : i + size] for i in range(0, len(answer), size)]

    async def main() -> RequestRecord:
        async with serving(saying(*parts, pause_s=0)) as url:
            return await one(url)

    row = asyncio.run(main())
    assert row.error is None
    assert row.text == "hi"
    assert row.completion_tokens == 1


def test_a_long_stream_is_reduced_while_it_goes_on_and_loses_nothing() -> None:
    async def main() -> tuple[RequestRecord, RequestRecord]:
        async with embedded_server(("--max-model-len", "100000")) as url:
            body = {**BODY, "max_tokens": 12_000, "ignore_eos": True}
            return await one(url, body=body), await one(url, body=body, transport="httpx")

    row, other = asyncio.run(main())
    assert row.ok
    assert row.completion_tokens == sum(row.timeline.tokens) == 12_000
    assert row.text == other.text
    assert row.timeline.chars == other.timeline.chars


def test_a_cancelled_attempt_leaves_its_row_with_what_had_come() -> None:
    kept: list[tuple[RequestRecord, ...]] = []

    async def main() -> None:
        async with (
            embedded_server(("--token-rate", "100")) as url,
            open_client(Endpoint(base_url=url, model="selftest")) as client,
        ):
            task = asyncio.create_task(attempt(client, on_cancel=kept.append))
            await asyncio.sleep(0.15)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    ((row,),) = kept
    assert row.error is not None
    assert row.error.kind == "cancelled"
    assert 0 < sum(row.timeline.tokens) < 30
    assert row.text


def test_a_cancelled_attempt_of_several_choices_leaves_all_their_rows() -> None:
    kept: list[tuple[RequestRecord, ...]] = []

    async def main() -> None:
        async with (
            serving(saying(pause_s=0, close=False)) as url,
            open_client(Endpoint(base_url=url, model="m")) as client,
        ):
            task = asyncio.create_task(attempt(client, body={**BODY, "n": 3}, on_cancel=kept.append))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert [row.sample for row in kept[0]] == [0, 1, 2]


def test_no_key_sends_no_authorization_and_a_key_sends_it() -> None:
    heads: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await read_request(reader))[0])
        writer.write(ANSWER)

    async def main() -> None:
        async with serving(handler) as url:
            for key in (None, "planted-key"):
                async with open_client(Endpoint(base_url=url, model="m", api_key=key)) as client:
                    await attempt(client)

    asyncio.run(main())
    assert b"authorization" not in heads[0].lower()
    assert b"authorization: bearer planted-key" in heads[1].lower()


def test_a_redirect_never_takes_the_key_to_another_host() -> None:
    reached: list[bytes] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append((await read_request(reader))[0])
        writer.write(ANSWER)

    async def main() -> RequestRecord:
        async with serving(other) as elsewhere:
            move = b"HTTP/1.1 307 Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % elsewhere.encode()
            async with serving(saying(move)) as url:
                endpoint = Endpoint(base_url=url, model="m", api_key="planted-key")
                async with open_client(endpoint) as client:
                    return (await attempt(client))[0]

    row = asyncio.run(main())
    assert reached == []
    assert row.error is not None
    assert "redirected" in row.error.message


def test_a_key_that_the_server_repeats_is_masked() -> None:
    said = b'{"error": {"message": "Incorrect API key: planted-key-1234"}}'
    refusal = b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(said) + said

    async def main() -> RequestRecord:
        async with (
            serving(saying(refusal)) as url,
            open_client(Endpoint(base_url=url, model="m", api_key="planted-key-1234")) as client,
        ):
            return (await attempt(client))[0]

    row = asyncio.run(main())
    assert row.error is not None
    assert row.error.kind == "http_4xx"
    assert "planted-key-1234" not in repr(row)
    assert "***" in row.error.message


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_https_is_spoken_where_the_certificate_is_trusted(
    authority: trustme.CA, tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    async def main() -> RequestRecord:
        async with serving(saying(chunked([CHUNK])), tls=tls) as url:
            return await one(url)

    row = asyncio.run(main())
    assert row.error is None
    assert row.text == "hi"
    assert row.doubts == ()


def test_an_unknown_certificate_is_refused_unless_told_otherwise(tls: ssl.SSLContext) -> None:
    async def main() -> list[RequestRecord]:
        rows: list[RequestRecord] = []
        async with serving(saying(chunked([CHUNK])), tls=tls) as url:
            for insecure in (False, True):
                async with open_client(Endpoint(base_url=url, model="m"), insecure=insecure) as client:
                    rows += await attempt(client)
        return rows

    strict, lax = asyncio.run(main())
    assert strict.error is not None
    assert strict.error.kind == "connect"
    assert "certificate" in strict.error.message.lower()
    assert strict.sent_ns is None
    assert lax.ok


def test_a_proxy_of_the_environment_is_used_and_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    targets: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        targets.append((await read_request(reader))[0].split(b"\r\n")[0])
        writer.write(ANSWER)

    async def main() -> RequestRecord:
        async with serving(proxy) as url:
            monkeypatch.setenv("HTTP_PROXY", url.removesuffix("/v1"))
            monkeypatch.setenv("http_proxy", url.removesuffix("/v1"))
            return await one("http://model.example/v1")

    row = asyncio.run(main())
    assert row.ok
    assert "not_stamped_on_arrival" in row.doubts
    assert targets == [b"POST http://model.example/v1/chat/completions HTTP/1.1"]


def test_what_the_environment_excepts_is_not_proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> RequestRecord:
        async with serving(saying(ANSWER)) as url:
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
            monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
            return await one(url)

    row = asyncio.run(main())
    assert row.ok
    assert row.doubts == ()


def test_httpx_works_whole_on_the_transport() -> None:
    async def main() -> None:
        async with embedded_server() as url, httpx.AsyncClient(transport=StampingTransport(), base_url=url) as client:
            models = (await client.get("/models")).json()
            assert models["data"][0]["id"] == "selftest"
            async with client.stream("POST", "/chat/completions", json=BODY) as response:
                lines = [line async for line in response.aiter_lines() if line]
            assert lines[-1] == "data: [DONE]"
            assert (await client.head("/models")).status_code == 200
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get("ftp://127.0.0.1/x")
            with pytest.raises(httpx.LocalProtocolError):
                await client.get("/models", headers={"x-odd": "a\r\nx-smuggled: b"})

            async def pieces() -> Any:
                yield json.dumps({**BODY, "stream": False}).encode()

            answer = await client.post("/chat/completions", content=pieces())
            assert answer.json()["choices"][0]["message"]["content"]

    asyncio.run(main())


def test_a_body_left_half_read_costs_its_connection_only() -> None:
    async def main() -> None:
        async with (
            embedded_server(
                (
                    "--token-rate",
                    "50",
                )
            ) as url,
            httpx.AsyncClient(transport=StampingTransport(), base_url=url) as client,
        ):
            async with client.stream("POST", "/chat/completions", json=BODY) as response:
                async for _ in response.aiter_raw():
                    break
            assert (await client.get("/models")).status_code == 200

    asyncio.run(main())


@pytest.fixture
def few_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_running_out_of_file_descriptors_fails_rows_and_not_the_program(few_files: None) -> None:
    async def main() -> list[RequestRecord]:
        async with (
            embedded_server(("--token-rate", "50")) as url,
            open_client(Endpoint(base_url=url, model="selftest")) as client,
        ):
            made = await asyncio.gather(*(attempt(client) for _ in range(80)))
            again = await attempt(client)
        return [row for rows in (*made, again) for row in rows]

    *rows, again = asyncio.run(main())
    refused = [row.error for row in rows if row.error is not None]
    assert len(rows) == 80
    assert refused
    assert all(error.kind == "connect" and "open files" in error.message for error in refused)
    assert again.ok


def test_a_body_that_cannot_be_json_is_a_row_and_not_an_exception() -> None:
    row = asyncio.run(one("http://127.0.0.1:9/v1", body={"model": object()}))
    assert row.error is not None
    assert row.error.kind == "malformed"
