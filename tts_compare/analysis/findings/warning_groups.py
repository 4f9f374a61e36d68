"""Warnings put together: errors first, causes before what follows from them, one of a kind once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from tts_compare.domain import RunWarning, Severity
from tts_compare.rundir.manifest import Manifest

#: A cause -> codes that follow from it in the settings it touches. Causes stand in the order in which they are told.
CONSEQUENCES: Mapping[str, frozenset[str]] = {
    "engine_died": frozenset({"server_failed", "never_sent", "failed_requests", "censored", "retried", "left_out"}),
    "server_failed": frozenset({"never_sent", "failed_requests", "censored", "retried", "left_out"}),
    "client_stood_still": frozenset(
        {"client_saturated", "client_lag", "client_send_lag", "client_bottleneck", "client_trails_server"}
    ),
    "client_saturated": frozenset({"client_lag", "client_send_lag", "client_bottleneck", "client_trails_server"}),
    "client_lag": frozenset({"client_send_lag", "client_bottleneck", "client_trails_server"}),
    "not_measured": frozenset({"left_out", "rounds_missing", "interrupted"}),
    "failed_requests": frozenset({"censored", "retried"}),
    "one_server_start": frozenset({"few_rounds", "cold_first_request"}),
    "few_problems": frozenset({"too_few_problems"}),
    "all_truncated": frozenset({"truncated", "nothing_correct"}),
    "nothing_correct": frozenset(),
}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
#: Three rounds need so many problems.
_FOR_ROUNDS = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningGroup:
    """Warnings of one code as one.

    message: the one with the largest figure. count: how many there were. settings: ids of those touched, none for the
    whole run. also: codes of warnings that follow from it and are not told apart; also_fixes: their commands. fix: a
    command; advice: in words.
    """

    code: str
    severity: Severity
    message: str
    count: int
    settings: tuple[str, ...]
    fix: str
    advice: str
    also: tuple[str, ...] = ()
    also_fixes: tuple[str, ...] = ()


def group_warnings(warnings: Sequence[RunWarning], manifest: Manifest) -> tuple[WarningGroup, ...]:
    """Each code once, errors before warnings before notes, causes first; what follows from a cause is in ``also``."""
    by_code: dict[str, list[RunWarning]] = {}
    for one in warnings:
        by_code.setdefault(one.code, []).append(one)
    fixes = {code: own[0].fix for code, own in by_code.items()}
    also: dict[str, list[str]] = {}
    for cause, followers in CONSEQUENCES.items():
        if cause not in by_code:
            continue
        touched = {one.setting for one in by_code[cause]}
        for code in sorted(followers & by_code.keys()):
            left = [one for one in by_code[code] if not _follows(one, touched)]
            if len(left) < len(by_code[code]):
                also.setdefault(cause, []).extend([code, *also.pop(code, ())] if not left else [code])
            if left:
                by_code[code] = left
            else:
                del by_code[code]
    order = {code: place for place, code in enumerate(CONSEQUENCES)}
    severities = get_args(Severity)
    groups = []
    for code, own in by_code.items():
        hence = tuple(dict.fromkeys(also.get(code, ())))
        groups.append(replace(_merged(code, own, manifest), also=hence, also_fixes=tuple(fixes[c] for c in hence)))
    return tuple(sorted(groups, key=lambda one: (severities.index(one.severity), order.get(one.code, len(order)))))


def _follows(one: RunWarning, touched: set[str | None]) -> bool:
    """Whether a warning is about nothing but settings that a cause touches."""
    if None in touched or one.setting in touched:
        return True
    return bool(one.points) and all(any(point.startswith(f"{own} ") for own in touched) for point in one.points)


def _merged(code: str, own: Sequence[RunWarning], manifest: Manifest) -> WarningGroup:
    first = max(own, key=lambda one: _figure(one.message))
    settings = () if any(one.setting is None for one in own) else tuple(dict.fromkeys(str(one.setting) for one in own))
    return WarningGroup(
        code=code,
        severity=first.severity,
        message=first.message,
        count=len(own),
        settings=settings,
        fix=_possible(first.fix, manifest),
        advice=_possible(first.advice, manifest),
    )


def _figure(message: str) -> float:
    found = _NUMBER.search(message)
    return abs(float(found[0])) if found else 0.0


def _possible(fix: str, manifest: Manifest) -> str:
    """The fix with a problem's id in place of PROBLEM, and repeats where there are too few problems for rounds."""
    problems = manifest.dataset.problems
    if problems:
        fix = re.sub(r"\bPROBLEM\b", problems[0].id, fix)
        if len(problems) < _FOR_ROUNDS:
            fix = fix.replace("--rounds 3: three starts of each setting, and hardly more requests", "--repeats 3")
            fix = re.sub(r"--rounds (\d)", r"--repeats \1", fix)
    return fix
