"""TLS, proxies and refused connections each have a sentence of their own: preflight, attaching, the first request."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.integration.client_kit import Handler, one, read_request, serving
from tests.integration.relay import BEHIND, relay
from tests.integration.test_hosted import argv, endpoint
from tts_compare.cli import main
from tts_compare.domain import Setting
from tts_compare.errors import StartError
from tts_compare.launchers import Place
from tts_compare.launchers.attach import AttachLauncher

CA = trustme.CA()
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with endpoint(tmp_path_factory.mktemp("reach") / "server", key=None) as url:
        yield url


def tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def preflight(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(argv(url, tmp_path / "run")) == 2
    assert not (tmp_path / "run").exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def attached(url: str, *_: object) -> str:
    setting = Setting(backend="openai", model="m", base_url=url, hosted=True)
    with pytest.raises(StartError) as failed:
        asyncio.run(AttachLauncher().start(setting, Place(log_path=Path("unused.log"))))
    return str(failed.value)


def first_request(url: str, *_: object) -> str:
    row = asyncio.run(one(f"{url.removesuffix('/v1')}/v1"))
    assert row.error is not None
    assert row.error.kind == "connect"
    assert row.sent_ns is None
    return row.error.message


def httpx_request(url: str, *_: object) -> str:
    """The first request by httpx's own transport, which a proxy needs."""
    row = asyncio.run(one(f"{url.removesuffix('/v1')}/v1", transport="httpx"))
    assert row.error is not None
    assert row.error.kind == "connect"
    return row.error.message


WAYS = [preflight, attached, first_request, httpx_request]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("certificate", "reason", "advice"),
    [
        (CA.issue_cert("127.0.0.1"), "unable to get local issuer certificate", "SSL_CERT_FILE"),
        (
            CA.issue_cert("127.0.0.1", not_before=PAST, not_after=PAST.replace(year=2021)),
            "certificate has expired",
            "renew it",
        ),
        (CA.issue_cert("other.example"), "IP address mismatch", "by a name that the certificate holds"),
    ],
    ids=["unknown authority", "expired", "other name"],
)
def test_each_fault_of_a_certificate_is_named_with_what_to_do(
    way: Callable[..., str],
    certificate: trustme.LeafCert,
    reason: str,
    advice: str,
    hosted: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "issuer" not in reason:
        CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with relay(hosted, tls(certificate)) as (_, url):
        said = way(url, tmp_path, capsys)
    assert f"the certificate of {url}" in said
    assert reason in said
    assert advice in said
    assert "--insecure" in said
    assert "nothing answers" not in said


@pytest.mark.parametrize("way", WAYS)
def test_a_server_without_tls_is_told_as_that(
    way: Callable[..., str], hosted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = hosted.replace("http://", "https://").removesuffix("/v1")
    said = way(url, tmp_path, capsys)
    assert f"what answers at {url}" in said
    assert "TLS off, or does not speak it" in said or "does not speak TLS" in said
    assert "http:// in place of https://" in said


@pytest.mark.parametrize("way", WAYS)
def test_a_refused_connection_is_told_as_that(
    way: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        said = way(url, tmp_path, capsys)
    assert f"nothing answers at {url}" in said
    assert "the connection is refused; check the port, and that the server runs" in said.replace(
        " (log: none: the server is not ours)", ""
    )


@pytest.mark.parametrize("way", [preflight, attached, httpx_request])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_told_as_the_proxy(
    way: Callable[..., str],
    scheme: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv(f"{scheme}_proxy", f"http://user:hidden-word@127.0.0.1:{port}")
        said = way(f"{scheme}://{BEHIND}", tmp_path, capsys)
    assert f"the proxy 127.0.0.1:{port} refuses the connection" in said
    assert f"NO_PROXY={BEHIND}" in said
    assert "hidden-word" not in said


def answering(head: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head + b"\r\nContent-Length: 0\r\n\r\n")

    return handler


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_says_so_before_anything_is_spent(
    scheme: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> list[str]:
        async with serving(answering(b"HTTP/1.1 407 Proxy Authentication Required")) as url:
            monkeypatch.setenv(f"{scheme}_proxy", url.removesuffix("/v1"))
            address = f"{scheme}://{BEHIND}"
            return [
                await asyncio.to_thread(preflight, address, tmp_path, capsys),
                await asyncio.to_thread(attached, address),
            ]

    for said in asyncio.run(play()):
        assert "asks for a user name and a password (407)" in said
        assert "http://USER:PASSWORD@HOST:PORT" in said


def test_a_proxy_that_leads_nowhere_is_told_as_the_proxy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> str:
        async with serving(answering(b"HTTP/1.1 403 Forbidden")) as url:
            monkeypatch.setenv("https_proxy", url.removesuffix("/v1"))
            return await asyncio.to_thread(preflight, f"https://{BEHIND}", tmp_path, capsys)

    said = asyncio.run(play())
    assert f"does not lead to https://{BEHIND}" in said
    assert "403" in said


@pytest.mark.parametrize("way", WAYS)
def test_a_name_that_nobody_knows_is_told_as_that(
    way: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = way(f"http://{BEHIND}", tmp_path, capsys)
    assert f"nothing answers at http://{BEHIND}" in said
    assert "its host name is not known" in said
