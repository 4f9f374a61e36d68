"""Reading an engine's own flags where a user states them, so that what follows from them is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def stated_count(engine_args: Sequence[str], flag: str) -> int | None:
    """The number of ``--flag N`` or ``--flag=N``, the last one, as the engines' parsers take it.

    None where it is not stated, or is no whole number of at least 1.
    """
    found = ""
    for argument, following in pairwise((*engine_args, "")):
        name, equals, value = argument.partition("=")
        if name.replace("_", "-") == flag:
            found = value if equals else following
    return int(found) if found.isdecimal() and int(found) > 0 else None
