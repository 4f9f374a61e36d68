"""The command line that a job runs: the flags of the experiment as they were typed, without those of one invocation."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tts_compare.config.keys import KNOBS
from tts_compare.errors import UsageError

_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def program() -> tuple[str, ...]:
    """How this program is started on another node that sees the same files."""
    own = Path(sys.argv[0])
    if own.name == "tts-compare" and own.is_file():
        return (str(own.absolute()),)
    return (sys.executable, "-P", "-m", "tts_compare")


def flags_of(config: str | None, flags: Mapping[str, Any]) -> tuple[str, ...]:
    """The words that ask for the same again. Raises UsageError where one holds a password."""
    words = ["--config", config] if config else []
    for key, value in flags.items():
        knob = KNOBS[key]
        if knob.is_switch:
            words += [knob.option] if value else []
            continue
        words += [f"{knob.option}={one}" for one in (value if isinstance(value, list | tuple) else [value])]
    for word in words:
        if _PASSWORD.search(word):
            flag = word.partition("=")[0]
            raise UsageError(f"{flag} holds a password, which would stand in the batch file: give it by a variable")
    return tuple(words)
