"""HTTP for what is not timed: lists of models, health, versions, reward models. Also which way leads to an address."""

from __future__ import annotations

import ipaddress
import urllib.request
from typing import TYPE_CHECKING

from tts_compare.client.bounded import bound_async
from tts_compare.errors import UsageError

if TYPE_CHECKING:
    import ssl

    import httpx


def open_client(
    address: str,
    *,
    timeout: httpx.Timeout | float,
    api_key: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    insecure: bool = False,
) -> httpx.AsyncClient:
    """An httpx client for questions to ``address`` alone; it goes the way that the timed requests go.

    Authorization is sent only where there is a key; no redirect is followed, which could carry the key away.
    timeout: seconds. insecure: accept any certificate. Answers are bounded (``bounded.MOST_BYTES``).
    """
    import httpx

    sent = dict(headers) | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    return httpx.AsyncClient(
        headers=sent,
        timeout=timeout,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        verify=tls_context(insecure=insecure),
        trust_env=is_proxied(address),
        follow_redirects=False,
        event_hooks={"response": [bound_async]},
    )


def tls_context(*, insecure: bool = False) -> ssl.SSLContext:
    """What certificates are accepted: certifi's, or those of SSL_CERT_FILE or SSL_CERT_DIR; any where ``insecure``.

    Raises UsageError where such a file cannot be read.
    """
    import httpx

    try:
        return httpx.create_ssl_context(verify=not insecure)
    except OSError as error:
        raise UsageError(f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: {error}") from None


def is_proxied(address: str) -> bool:
    """Whether the environment names a proxy for ``address``; never for this machine's own, whatever it says.

    A proxy would take a loopback address for its own machine, and would be shown the key of a server of ours.
    Raises UsageError where the proxy is one that httpx cannot use.
    """
    import httpx

    url = httpx.URL(address)
    proxies = urllib.request.getproxies_environment()
    named = proxies.get(url.scheme) or proxies.get("all")
    host = f"{url.host}:{url.port}" if url.port else url.host
    if not named or _is_loopback(url.host) or urllib.request.proxy_bypass(host):
        return False
    try:
        httpx.HTTPTransport(verify=False, proxy=named if "://" in named else f"http://{named}").close()
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise UsageError(f"the proxy that the environment names for {url.scheme} cannot be used: {error}") from None
    return True


def under(address: str, path: str) -> str:
    """``path`` below ``address``, whose query stays: ``https://h/v1?a=b`` and ``/models``, ``https://h/v1/models?a=b``."""
    before, mark, query = address.partition("?")
    return f"{before.rstrip('/')}{path}{mark}{query}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
