"""When the next request may go: two load shapes, and pure functions of them.

The closed loop keeps n requests under way; the open loop sends on an absolute schedule, so that a late send shows as
``sent_ns - scheduled_ns`` and shifts none of those after it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from tts_compare.errors import UsageError


@dataclass(frozen=True, slots=True)
class Concurrent:
    """Closed loop: ``n`` requests under way, the next one starts when one ends."""

    n: int

    def __post_init__(self) -> None:
        """Raise UsageError for fewer than one."""
        if self.n < 1:
            raise UsageError(f"concurrency must be at least 1, not {self.n}")

    @property
    def id(self) -> str:
        """``c8``."""
        return f"c{self.n}"


@dataclass(frozen=True, slots=True)
class Poisson:
    """Open loop: ``rate`` requests a second on average, exponential gaps drawn from ``seed``."""

    rate: float
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError for a rate that is not a positive number."""
        if not (self.rate > 0 and math.isfinite(self.rate)):
            raise UsageError(f"request rate must be a positive number of requests a second, not {self.rate}")

    @property
    def id(self) -> str:
        """``r2.5``."""
        return f"r{self.rate:.12g}"


Load = Concurrent | Poisson


def offsets_ns(load: Poisson) -> Iterator[int]:
    """Yield when each request is to be sent, in ns since the start: endless, the first at 0, never decreasing.

    The same seed gives the same schedule. The sum of the gaps is kept as a float of seconds and rounded once for
    each request: a rounding error never adds up.
    """
    draw = random.Random(load.seed)  # noqa: S311 - a schedule, not a secret
    elapsed_s = 0.0
    while True:
        yield round(elapsed_s * 1e9)
        elapsed_s += draw.expovariate(load.rate)


def next_free(load: Concurrent, *, under_way: int) -> int:
    """Return how many requests of a closed loop may start now."""
    return max(0, load.n - under_way)


def parse_load(text: str, *, seed: int = 0) -> Load:
    """Parse ``c8`` or ``r2.5`` (the ids of loads), or a bare ``8``, which is a concurrency.

    Raises: UsageError.
    """
    kind, number = (text[:1], text[1:]) if text[:1] in ("c", "r") else ("c", text)
    try:
        return Concurrent(int(number)) if kind == "c" else Poisson(float(number), seed)
    except ValueError:
        raise UsageError(f"a load is c<N> (N under way) or r<R> (R requests a second), not {text!r}") from None
