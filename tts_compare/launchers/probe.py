"""Asking a server over HTTP whether it is ready and whether it is the one we mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_compare.client.untimed import under

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The answer of ``/v1/models``: status, names, and the length limit of each where the server shows it."""

    status: int
    names: tuple[str, ...] = ()
    max_model_len: dict[str, int] | None = None


async def status_of(client: httpx.AsyncClient, url: str) -> int | None:
    """The HTTP status; None where nothing answers."""
    import httpx

    try:
        return (await client.get(url)).status_code
    except httpx.HTTPError:
        return None


async def json_of(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """The JSON object at ``url``; empty where there is none."""
    import httpx

    try:
        answer = await client.get(url)
        value = answer.json() if answer.status_code == httpx.codes.OK else {}
    except (httpx.HTTPError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


async def models_of(client: httpx.AsyncClient, base_url: str) -> Models | None:
    """What ``base_url`` serves; None where nothing answers."""
    import httpx

    try:
        return await ask_models(client, base_url)
    except httpx.HTTPError:
        return None


async def ask_models(client: httpx.AsyncClient, base_url: str) -> Models:
    """What ``base_url`` serves. Raises httpx.HTTPError where nothing answers."""
    answer = await client.get(under(base_url, "/models"))
    cards = cards_in(answer.content)
    return Models(
        status=answer.status_code,
        names=tuple(card["id"] for card in cards),
        max_model_len={c["id"]: c["max_model_len"] for c in cards if isinstance(c.get("max_model_len"), int)},
    )


def cards_in(body: bytes) -> list[dict[str, Any]]:
    """The models of a ``/models`` answer that have a name; Together lists them bare. Empty where it is no such list."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return []
    listed = value.get("data") if isinstance(value, dict) else value
    cards = listed if isinstance(listed, list) else []
    return [card for card in cards if isinstance(card, dict) and isinstance(card.get("id"), str)]
