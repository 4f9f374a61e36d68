"""What a prepared experiment will be able to find, under assumptions that are stated beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import comb
from typing import Any

from tts_compare.analysis.findings.compare import setting_pairs
from tts_compare.analysis.statistics.detectable import Assumptions, Measured, smallest_drop, smallest_ratio
from tts_compare.plan.manifest import setting_facts
from tts_compare.plan.prepare import Prepared

#: Correlation of lengths between settings that answer alike, and between those whose texts part (other samples).
CORRELATIONS = (1.0, 0.9)
#: Shares of problems that exactly one of two settings answers right: near equal texts, and texts that part.
DISCORDANT = (0.03, 0.13)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """The design and the smallest effects that it finds with the power assumed.

    ratios: by correlation of lengths, None where no verdict can be given; drops: by discordant share, in [0, 1].
    """

    design: Measured
    given: Assumptions
    ratios: tuple[tuple[float, float | None], ...]
    drops: tuple[tuple[float, float | None], ...]

    @property
    def starts(self) -> int:
        """Server starts a setting."""
        return self.design.rounds * self.design.repeats

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        assumed = asdict(self.given)
        level, power = assumed.pop("level"), assumed.pop("power")
        del assumed["length_correlation"], assumed["discordant"]
        return {
            "power": power,
            "level": level,
            "design": {**asdict(self.design), "starts": self.starts},
            "assumptions": assumed,
            "smallest_ratio": [{"length_correlation": rho, "ratio": ratio} for rho, ratio in self.ratios],
            "smallest_accuracy_drop": [{"discordant_share": psi, "drop": drop} for psi, drop in self.drops],
        }


def foresee(prepared: Prepared, given: Assumptions = Assumptions()) -> Foresight | None:  # noqa: B008 - a frozen value
    """What the design finds; None where it compares nothing, or its problems are not known."""
    comparisons = comparisons_of(prepared)
    if not comparisons or not prepared.problem_count:
        return None
    design = Measured(
        problems=prepared.problem_count,
        rounds=prepared.experiment.rounds,
        repeats=prepared.experiment.repeats,
        comparisons=comparisons,
    )
    return Foresight(
        design=design,
        given=given,
        ratios=tuple((rho, smallest_ratio(design, replace(given, length_correlation=rho))) for rho in CORRELATIONS),
        drops=tuple((psi, smallest_drop(design, replace(given, discordant=psi))) for psi in DISCORDANT),
    )


def comparisons_of(prepared: Prepared) -> int:
    """The most comparisons that one axis has at the largest budget: they are corrected for together."""
    settings = {setting.id: setting_facts(setting) for setting in prepared.settings}
    works = {(item.method, item.load) for item in prepared.work}
    by_axis = Counter(axis for axis, _, _ in setting_pairs(settings))
    loads, methods = ({work[at] for work in works} for at in (1, 0))
    of_methods = len(settings) * len(loads) * comb(len(methods), 2)
    return max([of_methods, *(count * len(works) for count in by_axis.values())])


def foresight_lines(seen: Foresight | None) -> Iterator[str]:
    """The same in words."""
    if seen is None:
        return
    given, design = seen.given, seen.design
    many = f" (of {design.comparisons}, corrected by Holm)" if design.comparisons > 1 else ""
    starts = "1 server start" if seen.starts == 1 else f"{seen.starts} server starts"
    yield f"with {given.power:.0%} power, one comparison{many} finds"
    if any(ratio is None for _, ratio in seen.ratios):
        yield f"  latency, cost   nothing: {starts} a setting tell no difference from luck; give --rounds 3 or more"
    else:
        told = [
            f"{ratio:.3g}x where {'texts are equal' if rho == 1.0 else f'lengths are correlated {rho:g}'}"
            for rho, ratio in seen.ratios
            if ratio is not None
        ]
        yield f"  latency, cost   {', '.join(told)}, or more"
    drops = [f"{100 * drop:.1f} pp where {psi:.0%}" for psi, drop in seen.drops if drop is not None]
    found = f"{', '.join(drops)} of the problems are right in one setting only, or more" if drops else "nothing"
    yield f"  accuracy drop   {found}"
    yield (
        f"  assuming {given.request_noise:.0%} noise a request, {given.start_noise:.0%} between server starts, "
        f"lognormal lengths (sigma {given.length_sigma:g}), no failures"
    )
