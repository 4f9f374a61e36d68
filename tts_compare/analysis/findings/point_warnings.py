"""Warnings that a point's own row shows: one a code, with the points it touches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.findings.labels import place_label
from tts_compare.codes import CODES, warn
from tts_compare.domain import RunWarning

if TYPE_CHECKING:
    import polars as pl

#: More than this share of problems outside a comparison is a warning.
LEFT_OUT = 0.01
_TRUNCATED = 0.2
_SHORT = 0.1
_INSIDE = 0.1
_FEW = 100

Row = Mapping[str, Any]


def _costless(row: Row) -> bool:
    return row["usd_per_problem"] is None and row["gpu_s_per_problem"] is None and row["devices"] is None


def _priceless(row: Row, priced: frozenset[str]) -> bool:
    return _costless(row) and row["setting"] not in priced


def _uncounted(row: Row, priced: frozenset[str]) -> bool:
    return _costless(row) and row["setting"] in priced and (row["failed"] or 0) < row["outcomes"]


#: Code -> whether a point's row, of a run in which the second argument's settings have a price, shows it.
_TESTS: Mapping[str, Callable[[Row, frozenset[str]], bool]] = {
    "one_server_start": lambda r, _: r["repeats"] * r["rounds"] < 2,
    "few_rounds": lambda r, _: r["repeats"] == 1 and r["rounds"] == 2,
    "censored": lambda r, _: bool(r["latency_is_lower_bound"]),
    "nothing_correct": lambda r, _: r["accuracy_bound_hi"] == 0.0,
    "all_truncated": lambda r, _: r["truncated_share"] == 1.0,
    "ungraded": lambda r, _: (r["ungraded"] or 0) > 0,
    "left_out": lambda r, _: r["n_compared"] < (1.0 - LEFT_OUT) * r["n"],
    "derived_biased": lambda r, _: bool(r["biased"]),
    "derived_short": lambda r, _: (r["prefix_short_share"] or 0.0) > _SHORT,
    "cut_inside_chunk": lambda r, _: (r["inside_chunk_share"] or 0.0) > _INSIDE,
    "truncated": lambda r, _: _TRUNCATED < (r["truncated_share"] or 0.0) < 1.0,
    "vote_cost_bound": lambda r, _: bool(r["cost_is_upper_bound"]),
    "price_missing": _priceless,
    "cost_unknown": _uncounted,
    "few_problems": lambda r, _: r["n"] < _FEW,
}


def point_warnings(points: pl.DataFrame, priced: frozenset[str]) -> list[RunWarning]:
    """One warning a code that any row shows; ``setting`` is stated where it is only one.

    points: POINT_COLUMNS. priced: settings with a price.
    """
    rows = list(points.iter_rows(named=True))
    found = []
    for code, shows in _TESTS.items():
        touched = [row for row in rows if shows(row, priced)]
        if touched:
            settings = {row["setting"] for row in touched}
            setting = settings.pop() if len(settings) == 1 else None
            message = CODES[code].text + _of_budgets(touched, rows)
            found.append(warn(code, message, setting=setting, points=dict.fromkeys(map(place_label, touched))))
    return found


def _of_budgets(touched: Sequence[Row], rows: Sequence[Row]) -> str:
    """The budgets of a warning that does not touch every budget."""
    own, every = ({row["budget"] for row in these} for these in (touched, rows))
    return "" if own == every else f" (budget {', '.join(map(str, sorted(own)))})"
