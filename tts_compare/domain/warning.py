"""A warning: a reason not to trust a figure."""

from __future__ import annotations

from dataclasses import dataclass

from tts_compare.domain.words import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A warning: a reason not to trust a figure, and what to do about it. Made by ``codes.warn``.

    ``code`` is stable (``snake_case``); ``severity`` is ``error`` where a figure is wrong or missing, ``warning`` where
    it is weakened, ``note`` for context; ``fix`` is a command, ``advice`` the same in words; ``setting`` is the setting
    id it touches, None for the whole run; ``points`` are the labels of the points it touches, where it is known to
    touch some only.
    """

    code: str
    message: str
    advice: str = ""
    setting: str | None = None
    points: tuple[str, ...] = ()
    severity: Severity = "warning"
    fix: str = ""
