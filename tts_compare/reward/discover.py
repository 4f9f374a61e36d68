"""Which reward model a server has, and which wire form it speaks: ``/v1/models`` is asked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tts_compare.errors import RunError
from tts_compare.reward.http import Reply, request
from tts_compare.reward.reasons import every_one, hopeless

if TYPE_CHECKING:
    import httpx


async def discover(
    client: httpx.AsyncClient, root: str, *, model: str, api: str, key_env: str = "", secrets: tuple[str, ...] = ()
) -> tuple[str, str]:
    """The model's name and the form. What is stated (a model, a form other than ``auto``) is taken at its word.

    ``auto`` is ``sglang`` where the server says it is SGLang, else ``pooling``. Raises RunError where nobody answers,
    the key is refused, or the model is not stated and cannot be told.
    """
    if model and api != "auto":
        return model, api
    reply = await request(client, f"{root}/v1/models", secrets=secrets)
    if (error := reply.error) and error.status in (None, 401, 403):
        reason = hopeless(error, root, path="/v1/models", key_env=key_env)
        raise RunError(reason or every_one(error, root, path="/v1/models"))
    cards = _cards(reply)
    if not model:
        names = [card["id"] for card in cards]
        if len(names) != 1:
            said = f"serves {', '.join(names[:5])}" if names else "does not say which model it serves"
            raise RunError(f"scores: {root} {said}: name the reward model in scores_model")
        model = names[0]
    if api == "auto":
        api = "sglang" if any(card.get("owned_by") == "sglang" for card in cards) else "pooling"
    return model, api


def _cards(reply: Reply) -> list[dict[str, Any]]:
    listed = reply.value.get("data") if isinstance(reply.value, dict) else None
    cards = listed if isinstance(listed, list) else []
    return [card for card in cards if isinstance(card, dict) and isinstance(card.get("id"), str)]
