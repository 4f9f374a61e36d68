r"""Symbolic equality by math-verify. Runs in a worker only: it may take for ever, or all memory.

Only its LaTeX reader is used. The reader for plain expressions is omitted, because it hands text to SymPy's
``parse_expr``, which evaluates Python.
"""

from __future__ import annotations

from typing import Any


def symbolically_equal(gold: str, candidate: str) -> bool:
    """Whether math-verify holds the two boxes equal; what it cannot read is not equal. The order matters: gold first.

    Raises MemoryError and RecursionError: those are failures of the grader, not of the answer.
    """
    from math_verify import verify  # type: ignore[import-untyped]

    # Its own limits use SIGALRM, which big-integer work ignores; the parent kills this process instead.
    try:
        expected, given = _parsed(gold), _parsed(candidate)
        return bool(verify(expected, given, timeout_seconds=None, raise_on_error=True))
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - SymPy raises about anything on strange input; such an answer is not the gold
        return False


def _parsed(answer: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    reader = LatexExtractionConfig(boxed_match_priority=0)
    return list(parse(rf"\boxed{{{answer}}}", [reader], parsing_timeout=None, raise_on_error=True))
