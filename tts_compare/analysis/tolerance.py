"""``--fail-on "accuracy < -2pp"``: how much worse the second run may be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tts_compare.errors import UsageError

#: Name -> the ratio or difference it is tried on; for ratios the bound is a relative change.
FIGURES = {
    "accuracy": "accuracy",
    "latency": "latency",
    "cost": "cost",
    "cost_per_token": "paper_cost",
}
_FORM = re.compile(r"\s*([a-z_]+)\s*([<>])=?\s*([+-]?[0-9]*\.?[0-9]+)\s*(pp|%)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """A change that fails the gate: ``figure`` below or above ``bound`` (a share: -0.02 is -2 points, .05 is +5 %)."""

    figure: str
    below: bool
    bound: float
    text: str

    def broken(self, low: float, high: float) -> bool:
        """Whether the whole interval of the change lies beyond the bound; a nan limit breaks nothing."""
        return high < self.bound if self.below else low > self.bound


def parse_tolerance(text: str) -> Tolerance:
    """``accuracy < -2pp``, ``latency > +5%``, ``cost > 10%``. Raises UsageError for any other form.

    Accuracy changes in percentage points (``pp``), everything else relatively (``%``).
    """
    match = _FORM.fullmatch(text)
    if match is None or match.group(1).lower() not in FIGURES:
        names = ", ".join(FIGURES)
        raise UsageError(f'--fail-on {text!r} is not like "accuracy < -2pp" or "latency > +5%"; figures: {names}')
    name, sign, number, unit = match.groups()
    wanted = "pp" if name.lower() == "accuracy" else "%"
    if unit.lower() != wanted:
        raise UsageError(f"--fail-on {text!r}: {name} is given in {wanted}, as in {number}{wanted}")
    return Tolerance(figure=FIGURES[name.lower()], below=sign == "<", bound=float(number) / 100.0, text=text.strip())
