"""``--strict``: an exit status for the warnings of a report."""

from __future__ import annotations

from collections.abc import Iterable

from tts_compare.cli.terminal import talk
from tts_compare.codes import failing
from tts_compare.domain import RunWarning, Strictness


def refuse(warnings: Iterable[RunWarning], strict: Strictness | None) -> bool:
    """Whether ``--strict`` fails on any of the warnings; each that it fails on is told with its fix."""
    found = failing(tuple(warnings), strict)
    for warning in found:
        fix = f"; fix: {warning.fix}" if warning.fix else ""
        talk(f"--strict: {warning.severity}: {warning.code}: {warning.message}{fix}")
    return bool(found)
