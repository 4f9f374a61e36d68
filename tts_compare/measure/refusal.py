"""A refusal that no later request can escape: the key or the model is wrong, and the setting ends there."""

from __future__ import annotations

import os

from tts_compare.domain import RequestError, Setting
from tts_compare.errors import RunError

REFUSED = (401, 403, 404)


class RefusedError(RunError):
    """An endpoint refuses the key, or does not know the address or the model; its message says what to do."""

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
