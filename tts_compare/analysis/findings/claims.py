"""The claims of arXiv:2509.19645 as a table, each tested on the user's own data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from tts_compare.analysis.findings.barren import Barren
from tts_compare.analysis.findings.claim_curves import accuracy_flattens
from tts_compare.analysis.findings.claim_ratios import (
    larger_models_gain_more,
    ranks_raise_cost,
    ranks_speed_up_less,
    speculation_lowers_latency,
    speculation_saves_more,
)
from tts_compare.analysis.findings.claim_residuals import cost_varies_more
from tts_compare.analysis.findings.compare import cube_pairs
from tts_compare.analysis.findings.evidence import Evidence
from tts_compare.analysis.findings.tested import Cell, Tested, Untestable
from tts_compare.analysis.findings.ties import tokens_choose_wrongly
from tts_compare.analysis.schema import Claim
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A claim and how it is tested.

    letter, title: as reports name it. source: where the paper says it. measured: what the paper measured. tested: the
    statistic and the side of the bound on which the claim holds. sentence: the figure in words, with ``{figure}`` for
    it and its interval and ``{cell}`` for the part of the claim that decides. statistic: computes it. one_start:
    whether one server start suffices.
    """

    letter: str
    title: str
    source: str
    measured: str
    tested: str
    sentence: str
    statistic: Callable[[Evidence], Tested | Untestable]
    one_start: bool = False


_PAPER = "arXiv:2509.19645"
#: Every claim, in the order of reports. A new one is one more entry here.
STATEMENTS: tuple[Statement, ...] = (
    Statement(
        letter="a",
        title="accuracy flattens with time while tokens keep growing",
        source=_PAPER,
        measured="accuracy against mean latency over token budgets, by eye",
        tested="accuracy per second at the last step of the budget less that over the steps before it, below 0",
        sentence="a second more brings {figure} at the last step of the budget than at the steps before ({cell})",
        statistic=accuracy_flattens,
        one_start=True,
    ),
    Statement(
        letter="b",
        title="speculation lowers latency",
        source=_PAPER,
        measured="mean latency with and without n-gram speculation, one server start each",
        tested="latency without / with speculation, above 1 in every model and budget",
        sentence="latency without speculation over latency with it is {figure} for {cell}, where it is least certain",
        statistic=speculation_lowers_latency,
    ),
    Statement(
        letter="c",
        title="tensor parallelism speeds up less than proportionally, and not at all for the small model",
        source=_PAPER,
        measured="mean latency on 1, 2 and 4 ranks, one server start each; 1.7x for the 14B model on 4 ranks",
        tested="speed-up over one rank, below the number of ranks; for models of at most 2B parameters also below 1",
        sentence="the speed-up is {figure} for {cell}, where it is least certain",
        statistic=ranks_speed_up_less,
    ),
    Statement(
        letter="d",
        title="speculation lowers the cost per token more than tensor parallelism does",
        source=_PAPER,
        measured="devices x latency / tokens with speculation, and on 1, 2 and 4 ranks",
        tested="saving of cost per token by speculation, above 1 and above that of every tensor parallelism",
        sentence="the saving of cost per token is {figure} for {cell}, where it is least certain",
        statistic=speculation_saves_more,
    ),
    Statement(
        letter="e",
        title="tensor parallelism raises the cost per token",
        source=_PAPER,
        measured="devices x latency / tokens on 1, 2 and 4 ranks",
        tested="cost per token on several ranks / on one, above 1 in every model and budget",
        sentence="cost per token on several ranks over one is {figure} for {cell}, where it is least certain",
        statistic=ranks_raise_cost,
    ),
    Statement(
        letter="f",
        title="the compute-optimal setting is not the system-optimal one",
        source=_PAPER,
        measured="accuracy against tokens, and against latency and cost, over settings that take the same tokens",
        tested="latency or cost of a token-cheapest point / that of one no less accurate, above 1.05 somewhere",
        sentence="of the ratios, the one with the largest lower limit is {cell}: {figure}",
        statistic=tokens_choose_wrongly,
    ),
    Statement(
        letter="g",
        title="the cost per token under speculation varies more as the model grows",
        source=_PAPER,
        measured="cost per token over token budgets, with and without speculation, for the 14B model",
        tested="variation of log cost per token around its trend over budgets, shared by rounds, with less without"
        " speculation, above 0",
        sentence="the variation over budgets with speculation less that without is {figure} for {cell}",
        statistic=cost_varies_more,
    ),
    Statement(
        letter="h",
        title="speculation has more potential for larger models",
        source=_PAPER,
        measured="mean latency with and without speculation for models of several sizes, one server start each",
        tested="speed-up by speculation of each larger model / that of the next smaller one, above 1",
        sentence="the larger speed-up over the smaller is {figure} for {cell}, where it is least certain",
        statistic=larger_models_gain_more,
    ),
)
#: Why no claim can be made where nothing can be compared.
_BARREN: Mapping[Barren, str] = {
    "nothing was right": "no answer was right",
    "everything was cut": "every answer was cut at its budget",
}
_NOTHING_BARREN: Mapping[tuple[str, str], Barren] = MappingProxyType({})
TITLES: Mapping[str, str] = {statement.letter: statement.title for statement in STATEMENTS}


def judge_claims(
    cubes: Sequence[Cube],
    weights: Sequence[Floats],
    manifest: Manifest,
    *,
    only: str = "",
    barren: Mapping[tuple[str, str], Barren] = _NOTHING_BARREN,
) -> tuple[Claim, ...]:
    """Every claim, on the cube (load and policy) with the most compared points.

    weights: for each cube, resamples of its compared problems. only: letters of the claims wanted, all where empty.
    barren: ``barren.barren`` of the points: of such a load and policy no claim is made.
    """
    asked = [statement for statement in STATEMENTS if not only or statement.letter in only]
    comparable = [i for i, cube in enumerate(cubes) if cube.compared.sum() >= 2]
    usable = [i for i in comparable if (cubes[i].load, cubes[i].policy) not in barren]
    if not usable:
        why = "no two points share two measured problems"
        if comparable:
            why = _BARREN[barren[cubes[comparable[0]].load, cubes[comparable[0]].policy]]
        return tuple(_untestable(s, why) for s in asked)
    best = max(usable, key=lambda i: (int(cubes[i].included.sum()), -i))
    cube = cubes[best]
    pairs = tuple(cube_pairs(cube, manifest))
    evidence = Evidence(cube=cube, weights=weights[best], manifest=manifest, pairs=pairs)
    return tuple(_judge(statement, evidence) for statement in asked)


def _judge(statement: Statement, evidence: Evidence) -> Claim:
    found = statement.statistic(evidence)
    if isinstance(found, Untestable):
        return _untestable(statement, found.why, evidence.doubts(found.points))
    cell, verdict = found.deciding, found.verdict
    figure = _figure(cell, found.unit)
    lacking = None if statement.one_start else evidence.unconfirmed(found.points)
    said = statement.sentence.format(figure=figure, cell=cell.label)
    if lacking is not None:
        verdict = "cannot be told"
        said = f"not confirmed: {said} {lacking}"
    else:
        said = f"{'not confirmed' if verdict == 'cannot be told' else verdict}: {said}"
        if any(one.barred for one in found.cells):
            said += "; a setting that would be favoured fails more often than the other"
    if found.remark:
        said += f"; {found.remark}"
    return Claim(
        letter=statement.letter,
        title=statement.title,
        verdict=verdict,
        sentence=said,
        figure=_known(cell.value),
        lo=_known(cell.lo),
        hi=_known(cell.hi),
        unit=found.unit,
        evidence=evidence.labels(found.points),
        doubts=evidence.doubts(found.points),
        source=statement.source,
        measured=statement.measured,
        tested=statement.tested,
    )


def _untestable(statement: Statement, why: str, doubts: tuple[str, ...] = ()) -> Claim:
    return Claim(
        letter=statement.letter,
        title=statement.title,
        verdict="cannot be told",
        sentence=f"not testable: {why}",
        doubts=doubts,
        source=statement.source,
        measured=statement.measured,
        tested=statement.tested,
    )


def _figure(cell: Cell, unit: str) -> str:
    if unit == "x":
        shown = f"{cell.value:.2f}x"
        return shown if math.isnan(cell.lo) or math.isnan(cell.hi) else f"{shown} ({cell.lo:.2f} to {cell.hi:.2f})"
    return f"{cell.value:+.3g} {unit} ({cell.lo:+.3g} to {cell.hi:+.3g})"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
