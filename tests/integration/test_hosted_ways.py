"""The ways to a hosted endpoint: a private authority, a certificate nobody signed, a proxy, a query in its address."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.integration.relay import BEHIND, relay
from tests.integration.running import rows_of
from tests.integration.test_hosted import KEY, argv, endpoint
from tts_compare.cli import main

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def without_this_machines_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with endpoint(tmp_path_factory.mktemp("ways") / "server") as url:
        yield url


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secured(hosted: str, authority: trustme.CA) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with relay(hosted, context) as (_, url):
        yield url


def succeeded(run: Path) -> bool:
    measured = [row for row in rows_of(run) if row.phase == "measured"]
    return len(measured) == 6 and all(row.ok for row in measured)


def test_a_certificate_nobody_signed_is_refused_with_its_reason(
    secured: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv(secured, tmp_path / "run")) == 2
    assert "certificate" in capsys.readouterr().err.lower()
    assert not (tmp_path / "run").exists()


def test_insecure_takes_a_certificate_nobody_signed_all_the_way_and_says_so(secured: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(argv(secured, run, "--insecure", "--quiet")) == 0
    assert succeeded(run)
    assert "insecure" in {warning["code"] for warning in json.loads((run / "manifest.json").read_text())["doubts"]}


def test_an_authority_of_the_environment_is_trusted_all_the_way(
    secured: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    assert main(argv(secured, tmp_path / "run", "--quiet")) == 0
    assert succeeded(tmp_path / "run")


def test_a_proxy_of_the_environment_is_used_all_the_way_and_warned_of(
    hosted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with relay(hosted) as (proxy, url):
        monkeypatch.setenv("http_proxy", url)
        assert main(argv(f"http://{BEHIND}/v1", run, "--quiet")) == 0
        heads = list(proxy.heads)
    assert succeeded(run)
    assert all("not_stamped_on_arrival" in row.doubts for row in rows_of(run))
    assert f"GET http://{BEHIND}/v1/models HTTP/1.1".encode() in heads


def test_an_address_on_this_machine_is_never_asked_through_a_proxy(
    hosted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay(hosted) as (proxy, url):
        monkeypatch.setenv("http_proxy", url)
        assert main(argv(hosted, tmp_path / "run", "--quiet")) == 0
        assert proxy.heads == []
    assert succeeded(tmp_path / "run")


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("https_proxy", "nonsense://127.0.0.1:9", "proxy that the environment names for https cannot be used"),
        ("https_proxy", "socks5://user:hidden-word@127.0.0.1:9", "proxy that the environment names for https"),
        ("SSL_CERT_FILE", "/nowhere/authority.pem", "cannot be read"),
    ],
)
def test_an_environment_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    reason: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(argv(f"https://{BEHIND}/v1", tmp_path / "run")) == 2
    said = capsys.readouterr().err.strip()
    assert reason in said
    assert "\n" not in said
    assert "hidden-word" not in said


def test_a_query_of_the_address_goes_with_every_request(hosted: str, tmp_path: Path) -> None:
    with relay(hosted) as (between, url):
        assert main(argv(f"{url}/v1?api-version=2024-10-21", tmp_path / "run", "--prompt=math", "--quiet")) == 0
        targets = {head.split(b" ")[1] for head in between.heads if head.startswith((b"GET ", b"POST "))}
    assert succeeded(tmp_path / "run")
    assert targets == {b"/v1/models?api-version=2024-10-21", b"/v1/chat/completions?api-version=2024-10-21"}
