"""Compute-optimal against system-optimal: what choosing by tokens costs in latency and in the cost per problem."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tts_compare.analysis.findings.frontier import Resampled
from tts_compare.analysis.findings.labels import point_label
from tts_compare.analysis.metrics import OPTIMAL, schema_of
from tts_compare.analysis.statistics.cube import Cube
from tts_compare.analysis.statistics.resampling import Estimate, Term, log_contrasts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: A penalty counts from here on: less is what two starts of one setting differ by.
MATERIAL = 1.05
#: Mean tokens within this factor of the least are a tie.
TIE = 1.01
_MOST_TARGETS = 12
_DIFFERS_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What each axis chooses at one accuracy target (columns of a Resampled), and the penalties of choosing by tokens.

    by_tokens: the token-cheapest, several where their tokens are within 1 % of the least.
    """

    target: float
    by_tokens: tuple[int, ...]
    by_flops: int | None
    by_latency: int
    by_cost: int | None
    latency: Estimate
    cost: Estimate | None
    differs_share: float


def choices(cube: Cube, drawn: Resampled, weights: Floats, *, confidence: float = 0.95) -> list[Choice]:
    """One Choice an accuracy level on the compute frontier, among the points that reach it in the data.

    A penalty is the figure of the token-cheapest (the geometric mean where several tie) over the least one.
    """
    if not drawn.points or weights.shape[1] < 2:
        return []
    accuracy, tokens = drawn.accuracy[0], drawn.axes["tokens"][0]
    found = []
    for target in _targets(accuracy, tokens):
        able = np.flatnonzero((accuracy >= target - 1e-12) & np.isfinite(tokens))
        least = tokens[able].min()
        by_tokens = tuple(int(i) for i in able[tokens[able] <= least * TIE])
        by_latency = _cheapest(drawn.axes["latency"][0], able)
        if by_latency is None:
            continue
        by_cost = _cheapest(drawn.axes["cost"][0], able)
        contrasts = [_penalty(cube, drawn, by_tokens, by_latency, "latency_s")]
        if by_cost is not None:
            contrasts.append(_penalty(cube, drawn, by_tokens, by_cost, "bill_gpu_s"))
        results = log_contrasts(contrasts, weights, confidence=confidence)
        found.append(
            Choice(
                target=target,
                by_tokens=by_tokens,
                by_flops=_cheapest(drawn.axes["flops"][0], able),
                by_latency=by_latency,
                by_cost=by_cost,
                latency=results[0],
                cost=results[1] if len(results) > 1 else None,
                differs_share=_differs(drawn, able, by_tokens),
            )
        )
    return found


def _targets(accuracy: Floats, tokens: Floats) -> list[float]:
    """The accuracies at which the compute frontier steps up, at most _MOST_TARGETS of them, evenly chosen."""
    steps: list[float] = []
    for i in np.lexsort((-accuracy, tokens)):
        if np.isfinite(tokens[i]) and accuracy[i] > 0.0 and (not steps or accuracy[i] > steps[-1] + 1e-12):
            steps.append(float(accuracy[i]))
    if len(steps) <= _MOST_TARGETS:
        return steps
    kept = np.unique(np.round(np.linspace(0, len(steps) - 1, _MOST_TARGETS)).astype(int))
    return [steps[i] for i in kept]


def _cheapest(x: Floats, able: NDArray[np.intp]) -> int | None:
    own = x[able]
    return int(able[np.nanargmin(own)]) if np.isfinite(own).any() else None


def _penalty(cube: Cube, drawn: Resampled, chosen: tuple[int, ...], best: int, figure: str) -> list[Term]:
    signs: dict[int, float] = {best: -1.0}
    for column in chosen:
        signs[column] = signs.get(column, 0.0) + 1.0 / len(chosen)
    return [
        Term(
            values=cube.values(drawn.points[column], figure),
            sign=sign,
            setting=str(cube.keys[drawn.points[column]]["setting"]),
            rounds=cube.rounds[cube.compared],
        )
        for column, sign in signs.items()
    ]


def _differs(drawn: Resampled, able: NDArray[np.intp], by_tokens: tuple[int, ...]) -> float:
    """Share of resamples in which what tokens chose is more than MATERIAL times the least latency or bill."""
    differs = np.zeros(min(_DIFFERS_RESAMPLES, drawn.accuracy.shape[0] - 1), dtype=bool)
    for axis in ("latency", "cost"):
        x = drawn.axes[axis][1 : _DIFFERS_RESAMPLES + 1]
        chosen = x[:, list(by_tokens)]
        if not (np.isfinite(chosen) & (chosen > 0)).all():
            continue
        least = np.nanmin(x[:, able], axis=1)
        mean = np.exp(np.log(chosen).mean(axis=1))
        differs |= mean > MATERIAL * least
    return float(differs.mean()) if differs.size else math.nan


def optimal_frame(cube: Cube, drawn: Resampled, found: list[Choice]) -> pl.DataFrame:
    """The columns of ``metrics.OPTIMAL``, one row a target."""

    def label(column: int | None) -> str | None:
        return None if column is None else point_label(cube.keys[drawn.points[column]])

    def least(axis: str, column: int | None) -> float | None:
        return None if column is None else float(drawn.axes[axis][0, column])

    rows = [
        {
            "load": cube.load,
            "policy": cube.policy,
            "accuracy_target": choice.target,
            "by_tokens": " = ".join(point_label(cube.keys[drawn.points[c]]) for c in choice.by_tokens),
            "by_flops": label(choice.by_flops),
            "by_latency": label(choice.by_latency),
            "by_cost": label(choice.by_cost),
            "tokens": least("tokens", choice.by_tokens[0]),
            "latency_s": least("latency", choice.by_latency),
            "gpu_s_per_problem": least("cost", choice.by_cost),
            "latency_penalty": choice.latency.value,
            "latency_penalty_lo": choice.latency.lo,
            "latency_penalty_hi": choice.latency.hi,
            "cost_penalty": choice.cost.value if choice.cost else None,
            "cost_penalty_lo": choice.cost.lo if choice.cost else None,
            "cost_penalty_hi": choice.cost.hi if choice.cost else None,
            "differs_share": choice.differs_share,
        }
        for choice in found
    ]
    return pl.DataFrame(rows, schema=schema_of(OPTIMAL), strict=False).with_columns(pl.selectors.float().fill_nan(None))
