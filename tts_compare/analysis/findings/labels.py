"""How points are named in sentences and legends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def budget_label(budget: int) -> str:
    """``4k`` for 4096 tokens; the number itself where it is no multiple of 1024."""
    return f"{budget // 1024}k" if budget >= 1024 and budget % 1024 == 0 else str(budget)


def point_label(row: Mapping[str, Any]) -> str:
    """``<setting> <method>@<budget>[ x<samples>]``: unique within one load and policy."""
    samples = row.get("samples") or 1
    times = f" x{samples}" if samples > 1 else ""
    return f"{row['setting']} {row['method']}@{budget_label(int(row['budget']))}{times}"


def place_label(row: Mapping[str, Any]) -> str:
    """``point_label`` and the load: unique within one policy."""
    return f"{point_label(row)} {row['load']}"
