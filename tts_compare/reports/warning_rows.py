"""Warnings as reports show them: grouped by severity, errors first, each once with its settings and its fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

from tts_compare.domain import RunWarning, Severity
from tts_compare.reports.labels import Labels, shorten
from tts_compare.reports.plain import one_line

#: Severity -> the heading of its group, in the order of reports.
HEADINGS: Mapping[Severity, str] = MappingProxyType(
    {
        "error": "Errors: a figure is wrong or missing",
        "warning": "Warnings: a figure is weakened",
        "note": "Notes: what to know when reading the figures",
    }
)
#: Fixes may hold paths of some length.
_FIX_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One warning as shown.

    code, message: the warning's. advice: what to do in words, empty where the fix says all. fix: a command, empty where
    none helps. settings: labels of those it touches, none for the whole run.
    """

    code: str
    message: str
    advice: str
    fix: str
    settings: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """What to do in words, then as a command; empty where nothing can be done."""
        told = "; ".join(part for part in (self.advice, self.fix) if part)
        return f"To fix it: {told}" if told else ""

    @property
    def sentence(self) -> str:
        """The warning in one line."""
        where = f" [{', '.join(self.settings)}]" if self.settings else ""
        return f"{self.code}: {self.message}{where}.{f' {self.remedy}' if self.remedy else ''}"


def group_warnings(warnings: tuple[RunWarning, ...], labels: Labels) -> Iterator[tuple[str, tuple[Shown, ...]]]:
    """(heading, warnings) of each severity that has any; those of one code, message and fix are one."""
    for severity in get_args(Severity):
        shown = _merged(tuple(one for one in warnings if one.severity == severity), labels)
        if shown:
            yield HEADINGS[severity], shown


def _merged(warnings: tuple[RunWarning, ...], labels: Labels) -> tuple[Shown, ...]:
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for one in warnings:
        advice = "" if one.advice == one.fix else shorten(one.advice, labels)
        key = (one.code, shorten(one.message, labels), advice, one_line(one.fix, _FIX_CHARS))
        settings = found.setdefault(key, [])
        if one.setting is not None:
            label = one_line(labels.of.get(one.setting, one.setting), 80)
            if label not in settings:
                settings.append(label)
    return tuple(
        Shown(code=code, message=message, advice=advice, fix=fix, settings=tuple(settings))
        for (code, message, advice, fix), settings in found.items()
    )
