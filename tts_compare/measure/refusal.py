"""A refusal that no later request can escape: of the key, the model or a control. The setting ends there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from tts_compare.domain import RequestError, Setting
from tts_compare.errors import RunError

REFUSED = (401, 403, 404)
#: How an endpoint says that it does not take a field, or its value.
_NOT_TAKEN = (400, 422)


class RefusedError(RunError):
    """An endpoint refuses the key or a control, or does not know the address or the model; the message says more."""

    def __init__(self, cause: str, *, advice: str) -> None:
        super().__init__(f"{cause}; {advice}")
        self.advice = advice


def check_access(error: RequestError | None, setting: Setting) -> None:
    """Raises RefusedError where a warm-up request was answered by 401, 403 or 404."""
    if error is None or error.kind != "http_4xx" or error.status not in REFUSED:
        return
    said = f"the endpoint answers {error.kind} {error.status}: {error.message}"
    raise RefusedError(said, advice=_advice(error.status, setting))


def _advice(status: int, setting: Setting) -> str:
    if status == 404:
        return f"check that {setting.base_url} has {setting.model} and takes requests of this prompt's kind"
    if not setting.api_key_env:
        return "name the variable that holds its key: --api-key-env VAR"
    if not os.environ.get(setting.api_key_env):
        return f"set {setting.api_key_env}"
    return f"the key in {setting.api_key_env} is refused: set another, or ask for access to {setting.model}"


def check_control(error: RequestError | None, fields: Mapping[str, Any]) -> None:
    """Raises RefusedError where a request was refused by a message that names a field of its control.

    vLLM says so in a stream with status 200, in an error object that holds the 400.
    """
    if error is None or error.kind not in ("http_4xx", "in_band") or error.status not in _NOT_TAKEN:
        return
    names = [*fields, *(name for value in fields.values() if isinstance(value, Mapping) for name in value)]
    named = next((name for name in names if re.search(_spelling(name), error.message, re.IGNORECASE)), None)
    if named is None:
        return
    said = f"the control {named} is refused: {error.message}"
    raise RefusedError(said, advice="docs/methods.md says who takes which control, and with which flags")


def _spelling(name: str) -> str:
    """How a message names a field: with signs or blanks between its words; a plain word only where it is quoted."""
    if "_" not in name:
        return rf"['\"`]{re.escape(name)}['\"`.]"
    return r"\b" + "[_ -]".join(map(re.escape, name.split("_"))) + r"\b"
