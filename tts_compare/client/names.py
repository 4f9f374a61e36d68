"""Whether the name in an answer is that of the model that was asked for."""

from __future__ import annotations

import re

from tts_compare.domain import model_slug

_DATED = re.compile(r"[-@:_](?:\d{4}-?\d{2}-?\d{2}|\d{4}|\d{3}|latest)$")
"""What a provider puts behind a name for its version: ``gpt-4o-2024-08-06``, ``gemini-1.5-pro-002``, ``x@latest``."""


def is_other_model(asked: str | None, told: str) -> bool:
    """Tell whether ``told`` names another model than ``asked``; False where either is not known.

    The path before a name, upper case and the date of a version make no other model. A router's own words around a
    name (``re2-NAME``, ``NAME:floor``) make none either, as long as they are in what was asked for.
    """
    if not asked or not told:
        return False
    wanted, given = _plain(asked), _plain(told)
    return not (wanted == given or wanted.endswith(f"-{given}") or wanted.startswith(f"{given}:"))


def _plain(name: str) -> str:
    return _DATED.sub("", model_slug(name[:400]))
