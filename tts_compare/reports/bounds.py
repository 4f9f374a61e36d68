"""Figures that are bounds, and instants that were never reached, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tts_compare.analysis.metrics import METRICS, not_reached_from

NOT_REACHED = "not reached"


def bound_sign(row: Mapping[str, Any], column: str) -> str:
    """``>=`` or ``<=`` where a point's figure is known to be a bound, else nothing."""
    metric = METRICS[column]
    if row.get(metric.at_least):
        return ">="
    return "<=" if row.get(metric.at_most) else ""


def not_reached(row: Mapping[str, Any], column: str) -> bool:
    """Whether a quantile is null because so many answers failed that it was never reached."""
    needed = not_reached_from(column)
    enough = needed is not None and (row.get("outcomes") or 0) >= needed
    return enough and row.get(column) is None and bool(row.get("failed_share"))
