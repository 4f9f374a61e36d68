"""Which name a server that is not ours knows the model by, told from the list of models that it gives."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from tts_compare.codes import warn
from tts_compare.domain import RunWarning, Setting, model_slug


def name_to_send(setting: Setting, listed: Collection[str]) -> str | None:
    """The name to send, or None where the list speaks against it.

    A model that is a path may be listed under its last name. An endpoint without a list is taken at its word, and so
    is a hosted one whose list is not of what it serves, or has the name in part (``listed_part``).
    """
    last = setting.model.rstrip("/").rpartition("/")[2]
    own = (name for name in (setting.model, last, model_slug(setting.model)) if name in listed)
    if name := next(own, None):
        return name
    at_its_word = not listed or _lists_what_it_could_serve(setting)
    in_part = setting.hosted and listed_part(setting.model, listed)
    return setting.model if at_its_word or in_part else None


def listed_part(model: str, listed: Collection[str]) -> str | None:
    """The longest listed NAME where ``model`` is of the form ``x-NAME`` or ``NAME:x``; None where it is not.

    A gateway that routes by the rest of the name (optillm: ``re2-NAME``; OpenRouter: ``NAME:floor``) lists NAME alone.
    """
    parts = (name for name in listed if model.endswith(f"-{name}") or model.startswith(f"{name}:"))
    return max(parts, key=len, default=None)


def unlisted(setting: Setting, listed: Collection[str]) -> tuple[RunWarning, ...]:
    """A warning where the endpoint lists only a part of the name that is sent."""
    part = listed_part(setting.model, listed)
    if part is None or name_to_send(setting, listed) in listed or _lists_what_it_could_serve(setting):
        return ()
    return (
        warn(
            "model_not_listed",
            f"the endpoint lists {part}, not {setting.model}: what it makes of the rest is its own",
            setting=setting.id,
        ),
    )


def _lists_what_it_could_serve(setting: Setting) -> bool:
    """Azure takes names of deployments and lists models that can be deployed (its REST reference, Models - List)."""
    host = urlsplit(setting.base_url or "").hostname or ""
    return setting.hosted and host.endswith(".azure.com")
