"""Why a comparison of times or costs gets no verdict, whatever its figures say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.findings.starts import ENOUGH_STARTS, of_two_kinds, start_rates
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.analysis.statistics.ratios import Duel, Ratios
from tts_compare.analysis.statistics.rounds import LEAST_ROUNDS

if TYPE_CHECKING:
    from tts_compare.analysis.statistics.resampling import Estimate

#: A comparison that lacks more than this share of the answers says nothing of times.
TOLERATED_MISSING = 0.01
#: A vote with more failed samples than this share is never favoured.
TOLERATED_SAMPLES = 0.01
#: An open loop in which more than this share of the requests waited for a limit of ours did not reach its load.
TOLERATED_HELD = 0.01
ONE_START = "one_server_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Why there is no verdict.

    code: of the warning that stands beside the pair. text: ends "not confirmed: 1.89x ..." or follows "no verdict: ".
    unconfirmed: whether more starts would give one.
    """

    code: str
    text: str
    unconfirmed: bool = False


def withhold(duel: Duel, ratios: Ratios, missing: float) -> Withheld | None:
    """The first reason against a verdict, None where there is none. missing: share not measured of the worse side."""
    first, second = duel.cube.keys[duel.a], duel.cube.keys[duel.b]
    if not same_limits(first, second):
        return Withheld(code="limits_differ", text="the two ran under different limits or retry rules")
    if is_derived_under_load(first, duel.cube.load) or is_derived_under_load(second, duel.cube.load):
        return Withheld(code="derived_biased", text="a latency is derived at a concurrency above 1")
    if not reached(duel.cube, duel.a) or not reached(duel.cube, duel.b):
        return Withheld(code="load_not_reached", text="a limit of ours held requests back: the load was not reached")
    if missing > TOLERATED_MISSING:
        return Withheld(code="not_measured", text=f"{100 * missing:.1f} % of the answers of one side were not measured")
    return _too_few_starts(duel, ratios.latency)


def _too_few_starts(duel: Duel, estimate: Estimate) -> Withheld | None:
    if estimate.starts < 2:
        return Withheld(code=ONE_START, text="in this one start", unconfirmed=True)
    if not estimate.confirmed:
        text = f"in {estimate.rounds} rounds; {LEAST_ROUNDS} are needed"
        return Withheld(code="few_rounds", text=text, unconfirmed=True)
    few = LEAST_ROUNDS <= estimate.rounds < ENOUGH_STARTS
    if few and any(of_two_kinds(start_rates(duel.cube, point, duel.mask)) for point in (duel.a, duel.b)):
        text = f"in {estimate.rounds} rounds whose server starts fall into two groups; {ENOUGH_STARTS} are needed"
        return Withheld(code="bimodal_starts", text=text, unconfirmed=True)
    return None


def reached(cube: Cube, point: int) -> bool:
    """Whether a point's load was the one asked for: a closed loop's always is."""
    return not cube.load.startswith("r") or float(cube.held_back[point]) <= TOLERATED_HELD


def same_limits(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two points were measured under the same limits and retry rules, as far as these are known."""
    sides = [json.loads(key.get("limits") or "{}") for key in (first, second)]
    known = [name for name in sides[0] if None not in (sides[0][name], sides[1].get(name))]
    return all(sides[0][name] == sides[1][name] for name in known)


def is_derived_under_load(key: Mapping[str, Any], load: str) -> bool:
    """Whether a point's latency is read off longer responses that ran beside others."""
    return key["provenance"] == "derived" and load != "c1"
