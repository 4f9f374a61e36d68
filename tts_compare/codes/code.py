"""What one warning code says: how bad it is, what it means, and the command that cures it."""

from __future__ import annotations

from dataclasses import dataclass

from tts_compare.domain import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One row of the table.

    severity: ``error`` where a figure is wrong or missing, ``warning`` where it is weakened, ``note`` for context.
    text: what it means, for every case of it; a warning about one case may say more.
    fix: a command to type, with capitals where a value belongs (RUN: the run directory); empty where none helps.
    advice: the same in words; the command itself where it is empty.
    """

    severity: Severity
    text: str
    fix: str = ""
    advice: str = ""
