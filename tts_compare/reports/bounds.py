"""Figures that are bounds, and instants that were never reached, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_REACHED = "not reached"
_AT_LEAST = {"latency_mean_s": "latency_is_lower_bound"}
_AT_MOST = dict.fromkeys(
    ("gpu_s_per_problem", "gpu_s_per_correct", "gpu_s_per_token", "cost_per_token_gpu_s"), "cost_is_upper_bound"
)
#: Quantiles of answers, and how many of these each needs.
_QUANTILES = {"latency_p50_s": 1, "latency_p90_s": 1, "latency_p99_s": 400, "ttft_p50_s": 1, "ttft_p90_s": 1}


def bound_sign(row: Mapping[str, Any], column: str) -> str:
    """``>=`` or ``<=`` where a point's figure is known to be a bound, else nothing."""
    if row.get(_AT_LEAST.get(column, "")):
        return ">="
    return "<=" if row.get(_AT_MOST.get(column, "")) else ""


def not_reached(row: Mapping[str, Any], column: str) -> bool:
    """Whether a quantile is null because so many answers failed that it was never reached."""
    needed = _QUANTILES.get(column)
    enough = needed is not None and (row.get("outcomes") or 0) >= needed
    return enough and row.get(column) is None and bool(row.get("failed_share"))
