"""Endpoints that we do not start, asked before anything is spent: do they answer, take the key, have the model?

Only ``/models`` is asked: a completion could cost money, and could be refused for reasons that a run would survive.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from tts_compare.client.bounded import bound
from tts_compare.client.unreachable import proxy_wants_key, why_unreachable
from tts_compare.client.untimed import is_proxied, tls_context
from tts_compare.domain import Setting
from tts_compare.errors import UsageError
from tts_compare.launchers.attach import base_url_of
from tts_compare.launchers.model_names import name_to_send
from tts_compare.launchers.probe import cards_in

TIMEOUT_S = 15.0


def preflight(settings: Iterable[Setting], *, insecure: bool = False) -> None:
    """Raises UsageError, naming what to do, for the first endpoint that cannot be used.

    An endpoint without ``/models``, or with an empty list, is taken at its word; so is a name around a listed one.
    """
    for setting in settings:
        if setting.base_url is not None:
            _check(setting, insecure=insecure)


def _check(setting: Setting, *, insecure: bool) -> None:
    import httpx
    import openai

    address = base_url_of(setting.base_url or "")
    url = httpx.URL(address)
    key = os.environ.get(setting.api_key_env or "", "")
    # The package insists on a key; an endpoint that asks for none ignores this one, and none is sent to it.
    unsigned = {} if key else {"Authorization": openai.Omit()}
    with (
        openai.DefaultHttpxClient(
            verify=tls_context(insecure=insecure),
            trust_env=is_proxied(address),
            follow_redirects=False,
            event_hooks={"response": [bound]},
        ) as transport,
        openai.OpenAI(
            base_url=str(url.copy_with(query=None)),
            default_query=dict(url.params),
            api_key=key or "none",
            default_headers=dict(setting.headers),
            timeout=TIMEOUT_S,
            max_retries=1,
            http_client=transport,
        ) as client,
    ):
        try:
            # Raw: the package raises what it likes where a list has another form than OpenAI's.
            listed = client.models.with_raw_response.list(extra_headers=unsigned)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise UsageError(str(why_unreachable(cause, address, proxied=is_proxied(address)))) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            state = "refused" if key else "missing"
            advice = f"set {setting.api_key_env}" if setting.api_key_env else "name its variable: api_key_env = ..."
            raise UsageError(f"{address} answers {error.status_code}: the key is {state}; {advice}") from None
        except openai.APIStatusError as error:
            if error.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
                raise UsageError(str(proxy_wants_key(address))) from None
            return
    names = [card["id"] for card in cards_in(listed.content)]
    if name_to_send(setting, names) is None:
        raise UsageError(
            f"{address} serves {', '.join(names[:5])}, not {setting.model}: give one of these with --model"
        )
