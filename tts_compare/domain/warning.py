"""A warning: a reason not to trust a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tts_compare.domain.about import about
from tts_compare.domain.words import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWarning:
    """A warning: a reason not to trust a figure, and what to do about it. Made by ``codes.warn``.

    ``code`` is stable (``snake_case``); ``severity`` is ``error`` where a figure is wrong or missing, ``warning`` where
    it is weakened, ``note`` for context; ``fix`` is a command, ``advice`` the same in words; ``setting`` is the setting
    id it touches, None for the whole run; ``points`` are the labels of the points it touches, where it is known to
    touch some only.
    """

    code: Annotated[str, about("its stable name")]
    message: Annotated[str, about("what is wrong, in a sentence")]
    advice: Annotated[str, about("what to do, in words")] = ""
    setting: Annotated[str | None, about("the setting it touches; null for the whole run")] = None
    points: Annotated[tuple[str, ...], about("labels of the points it touches, where it is not all")] = ()
    severity: Annotated[
        Severity, about("`error`: a figure is wrong or missing; `warning`: weakened; `note`: context")
    ] = "warning"
    fix: Annotated[str, about("a command that fixes it")] = ""
