"""Why an address could not be talked to, as a sentence and what to do: TLS, a proxy, a refusal are different faults."""

from __future__ import annotations

import errno
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_BROKEN_OFF = ("UNEXPECTED_EOF_WHILE_READING", "")
#: OpenSSL's codes (openssl-verify(1)): out of its time; for another name or another IP address.
_EXPIRED, _OTHER_NAME = (9, 10), (62, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """said: what is wrong, one clause that names the address; advice: what to try."""

    said: str
    advice: str

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.said}; {self.advice}"


def why_unreachable(error: BaseException, address: str, *, proxied: bool = False) -> Unreachable:
    """Tell why no request reached ``address``.

    error: what an HTTP library raised, its causes attached. proxied: whether the environment's proxy was to be asked.
    """
    causes = tuple(_chain(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _distrusted(cause, address, proxied=proxied)
        if isinstance(cause, ssl.SSLError) or (isinstance(cause, ConnectionResetError) and address[:6] == "https:"):
            return _no_tls(cause, address)
    return _proxy(error, causes, address) if proxied else _silent(error, causes, address)


def _silent(error: BaseException, causes: tuple[BaseException, ...], address: str) -> Unreachable:
    if any(_is_refused(cause) for cause in causes):
        advice = "check the port, and that the server runs"
        return Unreachable(said=f"nothing answers at {address}: the connection is refused", advice=advice)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        said = f"nothing answers at {address}: its host name is not known"
        return Unreachable(said=said, advice="check its spelling, and that this machine resolves names")
    if any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in causes):
        said = f"nothing answers at {address}: no answer in time ({error})"
        return Unreachable(said=said, advice="check the address, and that no firewall lies between")
    if any("ProtocolError" in type(cause).__name__ or "disconnected" in str(cause) for cause in causes):
        other = "https" if address.startswith("http:") else "http"
        said = f"what answers at {address} does not speak HTTP ({error})"
        return Unreachable(said=said, advice=f"check the port; a server that speaks {other} needs {other}://")
    detail = str(error) or type(error).__name__
    return Unreachable(said=f"nothing answers at {address} ({detail})", advice="check the address, and that it runs")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was raised from or while."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_refused(cause: BaseException) -> bool:
    """Where several addresses of a name were tried, asyncio puts the errors into one text."""
    return isinstance(cause, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(cause)


def _distrusted(error: ssl.SSLCertVerificationError, address: str, *, proxied: bool) -> Unreachable:
    through = f" (through {_proxy_of(address)}, which may show its own)" if proxied else ""
    said = f"the certificate of {address} is not trusted: {error.verify_message or error.reason}{through}"
    if error.verify_code in _EXPIRED:
        return Unreachable(said=said, advice="renew it, or set this machine's clock; --insecure takes any")
    if error.verify_code in _OTHER_NAME:
        return Unreachable(said=said, advice="give the host by a name that the certificate holds; --insecure takes any")
    advice = "name its authority's file in SSL_CERT_FILE, or take any certificate with --insecure"
    return Unreachable(said=said, advice=advice)


def _no_tls(error: OSError, address: str) -> Unreachable:
    reason = error.reason if isinstance(error, ssl.SSLError) else ""
    if reason in (*_NOT_TLS, *_BROKEN_OFF):
        how = "breaks TLS off, or does not speak it" if reason in _BROKEN_OFF else "does not speak TLS"
        said = f"what answers at {address} {how} ({reason or 'connection reset'})"
        return Unreachable(said=said, advice="give its address with http:// in place of https://, or check the port")
    said = f"no TLS connection to {address} comes about: {reason or error}"
    return Unreachable(said=said, advice="see what versions of TLS and what certificates the server asks for")


def _proxy(error: BaseException, causes: tuple[BaseException, ...], address: str) -> Unreachable:
    proxy, host = _proxy_of(address), urlsplit(address).hostname or "HOST"
    if "407" in str(error):
        return proxy_wants_key(address)
    if any("ProxyError" in type(cause).__name__ for cause in causes):
        what = f"does not lead to {address} ({error})"
    else:
        how = "refuses the connection" if any(_is_refused(cause) for cause in causes) else f"does not answer ({error})"
        what = f"{how}: {address} was not asked"
    advice = f"check the variable that names it, or except the host with NO_PROXY={host}"
    return Unreachable(said=f"{proxy} {what}", advice=advice)


def proxy_wants_key(address: str) -> Unreachable:
    """What a proxy's answer 407 means."""
    said = f"{_proxy_of(address)} asks for a user name and a password (407)"
    return Unreachable(said=said, advice="put them into the variable that names it: http://USER:PASSWORD@HOST:PORT")


def _proxy_of(address: str) -> str:
    """The proxy that the environment names for an address, without its credentials."""
    proxies = urllib.request.getproxies_environment()
    named = proxies.get(urlsplit(address).scheme) or proxies.get("all") or ""
    where = urlsplit(named if "://" in named else f"http://{named}")
    return f"the proxy {where.hostname}{f':{where.port}' if where.port else ''}" if where.hostname else "the proxy"
