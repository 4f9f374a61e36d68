"""The one table of metrics: every column, type, heading, formula, objective and frontier comes from here.

A metric is one entry of ``columns``, an axis one entry of ``columns.axes``. No library is imported: reports read this
module, and must start fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tts_compare.analysis.columns.answers import ANSWERS, IDENTITY
from tts_compare.analysis.columns.axes import AXES
from tts_compare.analysis.columns.formulas import COMPARED, ON, ON_MORE, RESAMPLES
from tts_compare.analysis.columns.pairs import LOSSLESS, OPTIMAL, PAIRS
from tts_compare.analysis.columns.server import ENERGY, LIMIT, SERVER
from tts_compare.analysis.columns.times import LATENCY, TOKENS_IN_TIME
from tts_compare.analysis.columns.work import COSTS, RATES, TOKENS
from tts_compare.analysis.metric import Axis, Kind, Metric, Quantile, Table
from tts_compare.analysis.schema import POINT_KEY

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "AXES",
    "AXIS_OF",
    "BAND_COLUMNS",
    "FORMULAS",
    "FRONTIER_COLUMNS",
    "GROUPS",
    "LOSSLESS",
    "METRICS",
    "OBJECTIVES",
    "OPTIMAL",
    "OPTIMAL_COLUMNS",
    "PAIRS",
    "PAIR_COLUMNS",
    "POINT_COLUMNS",
    "not_reached_from",
    "point_schema",
    "schema_of",
    "shown_in",
]

#: The metrics of points under the headings of the documentation. What is computed of each axis is in ``METRICS`` too.
GROUPS: Mapping[str, tuple[Metric, ...]] = {
    "identity": IDENTITY,
    "answers": ANSWERS,
    "latency": LATENCY,
    "times to tokens": TOKENS_IN_TIME,
    "tokens": TOKENS,
    "rates": RATES,
    "costs": COSTS,
    "energy": ENERGY,
    "server": SERVER,
    "limit": LIMIT,
}
_OWN: Mapping[str, Metric] = {metric.name: metric for group in GROUPS.values() for metric in group}


def _of_axes(axes: Iterable[Axis]) -> tuple[Metric, ...]:
    """The columns of every axis: the figure compared, the marks, and how sure they are."""
    compared = [("compared_accuracy", _OWN["accuracy"]), *((axis.compared, _OWN[axis.metric]) for axis in axes)]
    return (
        *(
            Metric(name=name, kind=of.kind, formula=COMPARED, words=f"{of.said}, compared", population="compared")
            for name, of in compared
        ),
        *(
            Metric(
                name=axis.mark,
                kind="flag",
                formula=ON if _OWN[axis.metric].better == "less" else ON_MORE,
                words=f"on the frontier of accuracy against {axis.word}",
                population="compared",
            )
            for axis in axes
        ),
        *(Metric(name=axis.share, kind="share", formula=RESAMPLES, population="compared") for axis in axes),
    )


#: What is known of each axis.
FRONTIERS: tuple[Metric, ...] = _of_axes(AXES)
_DOUBTS = Metric(name="doubts", kind="list", formula="codes of the warnings that touch the point", population="point")
#: Every metric of points by its column, in the order of the columns; the limits of an interval are metrics too.
METRICS: Mapping[str, Metric] = {
    metric.name: metric for one in (*_OWN.values(), *FRONTIERS, _DOUBTS) for metric in (one, *one.limits)
}
#: Every column of the points frame, in order. Seconds, tokens, shares in [0, 1]; null where unknown.
POINT_COLUMNS: tuple[str, ...] = tuple(METRICS)
#: Every column of the comparisons frame and of the choices, in order.
PAIR_COLUMNS: tuple[str, ...] = tuple(metric.name for metric in PAIRS)
OPTIMAL_COLUMNS: tuple[str, ...] = tuple(metric.name for metric in OPTIMAL)
#: The frontier of one axis as drawn: one row a point of it, the best in the axis first.
FRONTIER_COLUMNS: tuple[str, ...] = (*POINT_KEY, "axis", "x", "accuracy", "share", "tie")
#: Pointwise 95 % band of each frontier: the best accuracy that x buys.
BAND_COLUMNS: tuple[str, ...] = ("load", "policy", "axis", "x", "accuracy", "accuracy_lo", "accuracy_hi")
#: The one-line formula of every column that is a figure; where two tables have a column of one name, that of points.
FORMULAS: Mapping[str, str] = {
    metric.name: metric.formula for metric in (*LOSSLESS, *OPTIMAL, *PAIRS, *METRICS.values())
}
#: Axes by their name.
AXIS_OF: Mapping[str, Axis] = {axis.name: axis for axis in AXES}
#: The metric that each name of ``--slo`` is an objective on.
OBJECTIVES: Mapping[str, Metric] = {name: metric for metric in _OWN.values() for name in metric.objectives}


def shown_in(table: Table) -> tuple[Metric, ...]:
    """The metrics that a table of points shows, in its order."""
    return tuple(metric for metric in _OWN.values() if table in metric.tables)


def not_reached_from(column: str) -> int | None:
    """Outcomes from which a null quantile was never reached; None for columns that are no quantile."""
    metric = METRICS.get(column)
    return metric.aggregation.least if metric and isinstance(metric.aggregation, Quantile) else None


def point_schema() -> dict[str, pl.DataType]:
    """Columns and types of the points frame, in order."""
    return schema_of(METRICS.values())


def schema_of(metrics: Iterable[Metric]) -> dict[str, pl.DataType]:
    """Columns and types of a table of metrics, in order."""
    return {metric.name: _type(metric.kind) for metric in metrics}


def _type(kind: Kind) -> pl.DataType:
    import polars as pl

    types: dict[Kind, pl.DataType] = {
        "text": pl.String(),
        "count": pl.Int64(),
        "flag": pl.Boolean(),
        "list": pl.List(pl.String()),
        "shares": pl.List(pl.Float64()),
    }
    return types.get(kind, pl.Float64())
