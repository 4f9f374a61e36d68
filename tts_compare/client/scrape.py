"""A server's own counters: ``/metrics`` in Prometheus' text format -> numbers, and the change around a point."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

#: Sample name -> labels in order -> value, as the server printed it.
Counters = Mapping[str, Mapping[tuple[tuple[str, str], ...], float]]


def parse(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Every sample of a Prometheus text exposition. Raises ValueError where it is not one."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = float(sample.value)
    return found


async def scrape(client: httpx.AsyncClient, url: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]] | None:
    """The server's samples now, None where it gives none: what is absent is not zero."""
    import httpx

    try:
        answer = await client.get(url, timeout=10.0)
        return parse(answer.text) if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def total(counters: Counters | None, name: str | None) -> float | None:
    """The sum of one sample over its labels, None where the server does not have it."""
    if counters is None or name is None or name not in counters:
        return None
    return sum(counters[name].values())


def change(before: Counters | None, after: Counters | None, name: str | None) -> float | None:
    """How much a counter grew; a counter that first appears in between began at zero.

    None where the server does not have it afterwards either.
    """
    end = total(after, name)
    if end is None or before is None:
        return None
    return end - (total(before, name) or 0.0)


def changes(before: Counters | None, after: Counters | None) -> dict[str, tuple[float | None, float | None]]:
    """Every sample whose value is another afterwards, under its name with its labels; None where it did not
    exist or was no number.
    """
    found: dict[str, tuple[float | None, float | None]] = {}
    for name in sorted({*(before or ()), *(after or ())}):
        ends = [side.get(name, {}) if side else {} for side in (before, after)]
        for labels in sorted({*ends[0], *ends[1]}):
            first, last = (_finite(side.get(labels)) for side in ends)
            if first != last:
                stated = ",".join(f'{key}="{value}"' for key, value in labels)
                found[f"{name}{{{stated}}}" if stated else name] = (first, last)
    return found


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def change_by(before: Counters | None, after: Counters | None, name: str | None, label: str) -> dict[str, float]:
    """How much a counter grew for each value of one label."""
    if before is None or after is None or name is None or name not in after:
        return {}
    grown: dict[str, float] = {}
    for labels, value in after[name].items():
        earlier = before.get(name, {}).get(labels, 0.0)
        key = dict(labels).get(label, "")
        grown[key] = grown.get(key, 0.0) + value - earlier
    return grown
