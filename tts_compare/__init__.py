"""Launch LLM engines, time every token, grade the same responses, and show which setting is system-optimal.

The names below are the Python API (docs/python.md). Each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tts_compare.api import Experiment, Figure, NothingMeasuredError, Run, arun, diff, load, run
    from tts_compare.errors import RunError, TTSCompareError, UsageError

__version__ = "0.1.0"
__all__ = [
    "Experiment",
    "Figure",
    "NothingMeasuredError",
    "Run",
    "RunError",
    "TTSCompareError",
    "UsageError",
    "__version__",
    "arun",
    "diff",
    "load",
    "run",
]

_ERRORS = ("RunError", "TTSCompareError", "UsageError")


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tts_compare import api, errors

    found = getattr(errors if name in _ERRORS else api, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
