"""``--fail-on "accuracy < -2pp"``: how much worse the second run may be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tts_compare.errors import UsageError

#: Name -> the figure it is judged on.
FIGURES = {
    "accuracy": "accuracy",
    "latency": "latency",
    "cost": "cost",
    "cost_per_token": "paper_cost",
    "failed": "failed",
}
#: Figures that are shares, and change in percentage points.
SHARES = ("accuracy", "failed")
_FORM = re.compile(r"\s*([a-z_]+)\s*([<>])=?\s*([+-]?[0-9]*\.?[0-9]+)\s*(pp|%)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What fails the gate: ``figure`` below or above ``bound``.

    bound: a share: -0.02 is -2 percentage points, .05 is +5 %. change: whether the change from the first run to the
    second is meant; False where the second run's own share is (``failed > 1%``).
    """

    figure: str
    below: bool
    bound: float
    text: str
    change: bool = True

    def broken(self, low: float, high: float) -> bool:
        """Whether all that the limits leave open lies beyond the bound; a nan limit breaks nothing."""
        return high < self.bound if self.below else low > self.bound

    def kept(self, low: float, high: float) -> bool:
        """Whether nothing that the limits leave open lies beyond the bound; a nan limit keeps nothing."""
        return low >= self.bound if self.below else high <= self.bound


def parse_tolerance(text: str) -> Tolerance:
    """``accuracy < -2pp``, ``latency > +5%``, ``failed > 1%``, ``failed > +1pp``. Raises UsageError for any other form.

    Accuracy changes in percentage points (``pp``), times and costs relatively (``%``). ``failed`` in ``%`` is the share
    of the second run, in ``pp`` its change.
    """
    match = _FORM.fullmatch(text)
    if match is None or match.group(1).lower() not in FIGURES:
        names = ", ".join(FIGURES)
        raise UsageError(f'--fail-on {text!r} is not like "accuracy < -2pp" or "latency > +5%"; figures: {names}')
    name, sign, number, unit = match.groups()
    figure, in_points = FIGURES[name.lower()], unit.lower() == "pp"
    if figure == "failed" and not in_points and (number[0] in "+-" or sign == "<"):
        forms = "failed > 1% for the second run's share, failed > +1pp for its change"
        raise UsageError(f"--fail-on {text!r}: write {forms}")
    if figure != "failed" and in_points != (figure in SHARES):
        wanted = "pp" if figure in SHARES else "%"
        raise UsageError(f"--fail-on {text!r}: {name} is given in {wanted}, as in {number}{wanted}")
    return Tolerance(
        figure=figure,
        below=sign == "<",
        bound=float(number) / 100.0,
        text=text.strip(),
        change=figure != "failed" or in_points,
    )
