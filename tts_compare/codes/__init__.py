"""The one table of warning codes. Pure; every room takes a warning's severity and fix from here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, get_args

from tts_compare.codes.code import Code
from tts_compare.codes.figures import FIGURE_CODES
from tts_compare.codes.parts import PART_CODES
from tts_compare.codes.rows import ROW_CODES
from tts_compare.codes.runs import RUN_CODES
from tts_compare.codes.servers import SERVER_CODES
from tts_compare.domain import RunWarning, Severity, Strictness

#: code -> its row of the table.
CODES: Mapping[str, Code] = MappingProxyType({**FIGURE_CODES, **ROW_CODES, **RUN_CODES, **SERVER_CODES, **PART_CODES})
#: The run directory where a fix names it, with what lies under it.
_RUN = re.compile(r"\bRUN\b((?:/[\w.]+)*)")
_LATER = "a warning that this version does not know"
#: What ``--strict`` takes -> the severities it fails on.
STRICT: Mapping[Strictness, tuple[Severity, ...]] = MappingProxyType(
    {"error": ("error",), "warning": ("error", "warning")}
)


def warn(code: str, message: str = "", *, setting: str | None = None, points: Iterable[str] = ()) -> RunWarning:
    """A warning with the severity, fix and advice of its code; without a message, with the table's text.

    Raises KeyError for a code that is not in the table.
    """
    row = CODES[code]
    return RunWarning(
        code=code,
        message=message or row.text,
        advice=row.advice or row.fix,
        severity=row.severity,
        fix=row.fix,
        setting=setting,
        points=tuple(points),
    )


def stated(row: Mapping[str, Any]) -> RunWarning:
    """A warning as a manifest holds it.

    Severity and fix are the table's, also for format 1, which states neither; a code of a later version keeps its own.
    """
    known = CODES.get(str(row.get("code"))) or Code(severity=_severity(row), text=_LATER)
    return RunWarning(
        code=str(row.get("code")),
        message=str(row.get("message") or known.text),
        advice=str(row.get("advice") or known.advice or known.fix),
        severity=known.severity,
        fix=str(row.get("fix") or known.fix),
        setting=row.get("setting"),
        points=tuple(row.get("points") or ()),
    )


def _severity(row: Mapping[str, Any]) -> Severity:
    return next((known for known in get_args(Severity) if known == row.get("severity")), "warning")


def placed(warning: RunWarning, run: str, *, log: str | None = None) -> RunWarning:
    """The warning with a run's directory, quoted for a shell, where its fix and advice say RUN.

    log: path of the log of the warning's setting, for ``RUN/servers/SETTING.log``.
    """

    def real(match: re.Match[str]) -> str:
        under = match[1] or ""
        if "SETTING" in under:
            return shlex.quote(log) if log is not None else match[0]
        return shlex.quote(run + under)

    fix, advice = (_RUN.sub(real, text) for text in (warning.fix, warning.advice))
    return replace(warning, fix=fix, advice=advice)


def failing(warnings: Iterable[RunWarning], strict: Strictness | None) -> tuple[RunWarning, ...]:
    """The warnings that ``--strict`` (``error`` or ``warning``; None: not asked for) fails on, errors first."""
    severities = STRICT[strict] if strict else ()
    return tuple(w for severity in severities for w in warnings if w.severity == severity)


__all__ = ["CODES", "STRICT", "Code", "failing", "placed", "stated", "warn"]
