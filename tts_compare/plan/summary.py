"""A plan in words and as JSON. Pure: lines in, lines out; what prints them is elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tts_compare.plan.result import Plan, SettingPlan, Total

_HEADINGS = ("setting", "devices", "tokens", "ms/token", "bound by", "KV tokens", "time", "$")
_THOUSAND, _MILLION = 1e3, 1e6


def summary(plan: Plan, *, findings: Iterable[str] = ()) -> Iterator[str]:
    """The totals first, then what the design can tell apart, each setting, the skipped ones, and what it rests on.

    findings: lines about what the design can decide, and about cheaper ones that decide the same.
    """
    yield from totals(plan.total)
    yield from findings
    timed = [one for one in plan.settings if one.fits]
    if timed:
        yield ""
        yield from _table([_HEADINGS, *(_row(one) for one in timed)])
    yield from _warnings(timed)
    for one in plan.settings:
        if not one.fits:
            yield f"skipped    {one.id}: {one.reason}"
    for sentence in plan.basis:
        yield f"based on   {sentence}"


def totals(total: Total) -> Iterator[str]:
    """Counts, hours and dollars of all settings, in two or three lines."""
    skipped = f", {total.skipped} skipped" if total.skipped else ""
    tokens = between(total.tokens_low, total.tokens_high, of=counted)
    yield (
        f"{_plural(total.settings, 'setting')}{skipped}, {_plural(total.starts, 'server start')}, "
        f"{_plural(total.requests, 'request')}, {tokens} generated tokens"
    )
    if total.unknown < total.settings:
        apart = f" (without {total.unknown} that cannot be estimated)" if total.unknown else ""
        gpus = between(total.gpu_hours_low, total.gpu_hours_high)
        yield f"{_time(total.hours_low, total.hours_high)}, {gpus} device-hours{apart}"
    if total.usd_low is not None and total.usd_high is not None:
        used = f"${between(total.usd_low, total.usd_high)} for what the settings use"
        whole = ""
        if total.machine_usd_low is not None and total.machine_usd_high is not None:
            whole = f"; ${between(total.machine_usd_low, total.machine_usd_high)} to rent the whole machine meanwhile"
        yield used + whole


def as_json(plan: Plan, *, findings: Sequence[str] = ()) -> dict[str, Any]:
    """The plan for ``--format json``: JSON values only; null where something cannot be said."""
    return {
        "machine": plan.machine,
        "settings": [asdict(one) for one in plan.settings],
        "total": asdict(plan.total),
        "findings": list(findings),
        "basis": list(plan.basis),
    }


def _row(one: SettingPlan) -> tuple[str, ...]:
    bound = "?" if one.bound_s_per_token is None else f"{one.bound_s_per_token * 1e3:.3g}"
    return (
        one.id,
        "-" if one.devices is None else str(one.devices),
        between(one.tokens_low, one.tokens_high, of=counted),
        bound,
        one.binding or "?",
        "?" if one.kv_tokens is None else counted(one.kv_tokens),
        _time(one.hours_low, one.hours_high),
        between(one.usd_low, one.usd_high),
    )


def _warnings(timed: Sequence[SettingPlan]) -> Iterator[str]:
    """One line a kind of warning: settings of one model share theirs."""
    counts = Counter(one.warning for one in timed if one.warning)
    for warning, count in counts.items():
        first = next(one.id for one in timed if one.warning == warning)
        more = f" and {count - 1} more" if count > 1 else ""
        yield f"warning    {first}{more}: {warning}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *others]).rstrip()


def between(low: float | None, high: float | None, *, of: Any = None) -> str:
    """``2.1 to 9.8``, one figure where both ends read the same, ``?`` where either is unknown."""
    if low is None or high is None:
        return "?"
    write = of or amount
    first, last = write(low), write(high)
    return first if first == last else f"{first} to {last}"


def _time(low: float | None, high: float | None) -> str:
    """``2.1 to 9.8 hours``; minutes where even the longest is under an hour."""
    if low is None or high is None:
        return "?"
    return f"{between(60 * low, 60 * high)} min" if high < 1 else f"{between(low, high)} hours"


def amount(value: float) -> str:
    """Two figures below ten, whole numbers from a hundred on: ``0.031``, ``4.2``, ``1,240``."""
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.1f}"


def counted(value: float) -> str:
    """A count in few figures: ``812``, ``35.2k``, ``4.1M``."""
    if value >= _MILLION:
        return f"{value / _MILLION:,.1f}M"
    return f"{value / _THOUSAND:.1f}k" if value >= 10 * _THOUSAND else f"{value:,.0f}"


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")
