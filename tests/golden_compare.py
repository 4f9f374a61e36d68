"""Compare a JSON report with the recorded one of a golden run directory, figure by figure.

The directories under ``tests/golden`` were written in format 1 of the run directory, and ``NAME.report.json`` is what
``tts-compare report NAME --format json`` said of each on that day. A later version must say the same, except where a
definition was changed on purpose: such a change is an entry of ``golden_changes.EXPECTED_CHANGES`` with its reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("golden")
#: Relative difference up to which two figures are one: other builds of numpy round sums differently.
TOLERANCE = 1e-9

#: The columns that tell the rows of a table apart; a float among them is written with nine digits.
KEYS: Mapping[str, tuple[str, ...]] = {
    "points": ("setting", "method", "budget", "load", "samples", "policy"),
    "pairs": (
        *("axis", "a", "b", "a_method", "b_method", "a_budget", "b_budget", "a_samples", "b_samples"),
        *("load", "policy"),
    ),
    "optimal": ("load", "policy", "accuracy_target"),
    "frontiers": ("axis", "setting", "method", "budget", "load", "samples", "policy"),
    "losslessness": ("axis", "a", "b", "method", "budget", "load", "policy"),
    "spot_checks": ("setting", "method", "budget", "load"),
    "claims": ("letter",),
    "doubts": ("code", "setting"),
    "left_out": ("setting",),
    "failed_servers": ("setting",),
}

#: Sentences for readers, whose wording may improve: not figures.
WORDING = frozenset({"title", "sentence", "message", "advice", "reason", "log"})
#: Sentences of which only the finding is compared, see ``finding``.
VERDICTS = frozenset({"accuracy_verdict", "latency_verdict", "cost_verdict"})
#: What a verdict's sentence begins with where a difference was found -> the finding.
FINDINGS: Mapping[str, str] = {
    "more accurate": "more accurate",
    "less accurate": "less accurate",
    "faster": "faster",
    "slower": "slower",
    "cheaper": "cheaper",
    "dearer": "more expensive",
    "more expensive": "more expensive",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place where two reports do not agree.

    path: the table, row and column. what: both values, or that one is missing, in words.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a comparison ends in; both are empty where the report is as expected.

    unexpected: differences that no pattern covers. unused: patterns that cover no difference.
    """

    unexpected: tuple[Difference, ...]
    unused: tuple[str, ...]


def judge(recorded: Mapping[str, Any], now: Mapping[str, Any], expected: Mapping[str, str]) -> Verdict:
    """Compare two reports under a list of expected changes (pattern of paths -> reason)."""
    found = tuple(differences(recorded, now))
    matchers = {pattern: re.compile(".*".join(map(re.escape, pattern.split("*")))) for pattern in expected}
    covered = {
        pattern: {one.path for one in found if matcher.fullmatch(one.path)} for pattern, matcher in matchers.items()
    }
    known = set().union(*covered.values())
    return Verdict(
        unexpected=tuple(one for one in found if one.path not in known),
        unused=tuple(pattern for pattern, paths in covered.items() if not paths),
    )


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    """Every figure of a recorded report that a new one lacks or states otherwise, and every row it has besides.

    Tables and columns that only the new report has are no difference. ``format`` and ``formulas`` are not compared, nor
    ``bands``: its rows are the steps of resampled curves, as many as rounding makes different.
    """
    for table in KEYS:
        if table not in now:
            yield Difference(path=table, what="the table is missing")
        else:
            yield from _rows_differ(table, recorded[table], now[table])


def _rows_differ(table: str, recorded: list[Any], now: list[Any]) -> Iterator[Difference]:
    before, after = _by_key(table, recorded), _by_key(table, now)
    for key, row in before.items():
        if key not in after:
            yield Difference(path=key, what="the row is missing")
            continue
        for column, value in row.items():
            if column in WORDING:
                continue
            if column not in after[key]:
                yield Difference(path=f"{key}.{column}", what="the column is missing")
            else:
                yield from _values_differ(f"{key}.{column}", column, value, after[key][column])
    for key in after.keys() - before.keys():
        yield Difference(path=key, what="the row was not there")


def _by_key(table: str, rows: list[Any]) -> dict[str, Any]:
    keyed: dict[str, Any] = {}
    for row in rows:
        values = (row.get(column) for column in KEYS[table])
        key = " ".join(f"{value:.9g}" if isinstance(value, float) else str(value) for value in values)
        path, count = f"{table}[{key}]", 1
        while path in keyed:  # a warning may be given twice of one setting
            count += 1
            path = f"{table}[{key} #{count}]"
        keyed[path] = row
    return keyed


def _values_differ(path: str, column: str, recorded: Any, now: Any) -> Iterator[Difference]:
    """Numbers by the tolerance, lists of codes or labels as sets, all else by equality."""
    if isinstance(recorded, list) and isinstance(now, list) and all(isinstance(one, str) for one in recorded + now):
        yield from (Difference(path=f"{path}[{one}]", what="is missing") for one in recorded if one not in now)
        yield from (Difference(path=f"{path}[{one}]", what="was not there") for one in now if one not in recorded)
    elif column in VERDICTS and isinstance(recorded, str) and isinstance(now, str):
        if finding(recorded) != finding(now):
            yield Difference(path=path, what=f"{recorded!r} became {now!r}")
    elif not _same(recorded, now):
        yield Difference(path=path, what=f"{recorded!r} became {now!r}")


def finding(sentence: str) -> str | None:
    """The difference that a verdict states, None where it states none: too few problems, or only one server start."""
    return next((found for words, found in FINDINGS.items() if sentence.startswith(words)), None)


def _same(recorded: Any, now: Any) -> bool:
    if isinstance(recorded, bool) or isinstance(now, bool) or not _are_numbers(recorded, now):
        return type(recorded) is type(now) and bool(recorded == now)
    return math.isclose(recorded, now, rel_tol=TOLERANCE)


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)
