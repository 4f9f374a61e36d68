"""What the server starts behind a point look like: enough of them, and of one kind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.statistics.cube import Cube

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

#: With fewer starts than this, starts of two kinds confirm nothing.
ENOUGH_STARTS = 5
#: Two groups: a gap between starts of over 5 % that is over three times the rest of their spread.
_GAP, _APART = math.log(1.05), 3.0


def start_rates(cube: Cube, point: int, mask: Flags) -> Floats:
    """Seconds per token of each start of a point, (starts,): one a repeat and round with anything answered."""
    seconds, tokens = (cube.values(point, name, mask, answered=True) for name in ("request_s", "tokens"))
    rounds = cube.rounds[mask]
    known = np.isfinite(seconds) & np.isfinite(tokens)
    rates = []
    for code in np.unique(rounds):
        own = known & (rounds == code)
        total = np.where(own, tokens, 0.0).sum(axis=1)
        spent = np.where(own, seconds, 0.0).sum(axis=1)
        rates += [s / t for s, t in zip(spent.tolist(), total.tolist(), strict=True) if s > 0.0 and t > 0.0]
    return np.array(rates)


def of_two_kinds(rates: Floats) -> bool:
    """Whether three starts or more fall into two groups: then a few of them say little of the next.

    The largest gap of their logarithms is over 5 %, and over three times what is left of their range.
    """
    if rates.size < 3:
        return False
    ordered = np.sort(np.log(rates))
    gap = float(np.diff(ordered).max())
    rest = float(ordered[-1] - ordered[0]) - gap
    return gap > _GAP and gap > _APART * rest
