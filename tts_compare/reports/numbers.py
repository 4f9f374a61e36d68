"""Figures as people read them: one unit a column, three digits that mean something."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tts_compare.analysis.metric import Kind

DASH = "\u2013"
_SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How a column is written: figures are multiplied by ``factor`` and have the unit ``unit``."""

    factor: float = 1.0
    unit: str = ""
    whole: bool = False

    def write(self, value: float | None) -> str:
        """The figure with three significant digits and no unit; a dash where it is unknown."""
        if value is None or not math.isfinite(value):
            return DASH
        if self.unit == "%":
            return f"{value * self.factor:.1f}"
        return str(round(value)) if self.whole else three_digits(value * self.factor)

    def like(self, value: float, other: float) -> str:
        """``other`` with as many decimals as ``value`` is written with."""
        return f"{other * self.factor:,.{_decimals(self.write(value))}f}"

    def span(self, lo: float | None, hi: float | None) -> str:
        """An interval, ``lo-hi`` with an en dash; empty where either end is unknown."""
        if lo is None or hi is None:
            return ""
        return f"{self.write(lo)}{DASH}{self.write(hi)}"


def _decimals(written: str) -> int:
    return len(written.partition(".")[2]) if "e" not in written else 1


def three_digits(value: float) -> str:
    """``0.0123``, ``1.23``, ``12.3``, ``123``, ``1,234``, and powers of ten where zeros would mislead."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-4:
        return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e")
    if size >= 99.95:
        return f"{value:,.0f}"
    decimals = 2 - math.floor(math.log10(float(f"{size:.2e}")) + 1e-12)  # 9.996 is 10.0, not 10.00
    return f"{value:.{max(0, decimals)}f}"


def scale(kind: Kind, values: Iterable[float | None], *, on_cpu: bool = False) -> Scale:
    """The unit that suits a column's middle figure: seconds become ms or µs, FLOPs become T or P."""
    if kind == "share":
        return Scale(factor=100.0, unit="%")
    if kind == "count":
        return Scale(whole=True)
    known = sorted(abs(v) for v in values if v is not None and math.isfinite(v) and v != 0)
    middle = known[len(known) // 2] if known else 1.0
    if kind in ("seconds", "device_seconds", "joules", "watts"):
        size, prefix = next(((s, p) for s, p in _SMALL if middle >= s), _SMALL[-1])
        word = {"seconds": "s", "joules": "J", "watts": "W", "device_seconds": "device-s" if on_cpu else "GPU-s"}[kind]
        joined = f"{prefix}{word}" if kind != "device_seconds" or not prefix else word.replace("-s", f"-{prefix}s")
        return Scale(factor=1 / size, unit=joined)
    if kind == "flops":
        size, prefix = next(((s, p) for s, p in _LARGE if middle >= s), _LARGE[-1])
        return Scale(factor=1 / size, unit=f"{prefix}FLOP")
    return Scale(unit={"usd": "$", "tokens": "tok", "ratio": "x"}.get(kind, ""))


def budget(tokens: int) -> str:
    """A budget as people write it: 16384 is ``16k``."""
    return f"{tokens // 1024}k" if tokens >= 1024 and tokens % 1024 == 0 else str(tokens)


def money(usd: float) -> str:
    """Dollars as people write them: ``$1,370``, ``$13.70``, ``$0.42``, and two digits below a cent."""
    if usd >= 999.5:
        return f"${usd:,.0f}"
    if usd >= 0.095 or usd == 0:
        return f"${usd:.2f}"
    return f"${usd:.{1 - math.floor(math.log10(usd))}f}"


def duration(seconds: float | None) -> str:
    """A stretch of time for people: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
