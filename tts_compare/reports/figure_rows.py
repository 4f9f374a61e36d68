"""Analysis -> the rows that figures draw: plain numbers in one unit an axis, one list a mark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.metric import Axis, Kind
from tts_compare.analysis.metrics import AXES, METRICS
from tts_compare.domain import base_method, effort_rank
from tts_compare.reports.bounds import bound_sign
from tts_compare.reports.labels import Labels, split_setting
from tts_compare.reports.numbers import Scale, budget, scale
from tts_compare.reports.sheets import Group, name_point, varied_keys

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisShown:
    """An x axis a figure offers: the columns of the points frame behind it and how it is written.

    ``compared`` is the figure over the problems completed in every point compared, which frontiers are made of.
    ``flag`` and ``share`` are the columns of marks and of how sure they are.
    """

    id: str
    title: str
    column: str
    compared: str
    kind: Kind
    flag: str
    share: str
    lo: str = ""
    hi: str = ""
    more_is_better: bool = False

    @property
    def in_words(self) -> str:
        """The title inside a sentence: ``mean latency``, and ``FLOPs per problem`` as it is."""
        return self.title if self.title[1].isupper() else self.title.lower()


def _shown(axis: Axis) -> AxisShown:
    metric = METRICS[axis.metric]
    ends = {"lo": metric.interval.lo, "hi": metric.interval.hi} if metric.interval else {}
    return AxisShown(
        id=axis.name,
        title=axis.title,
        column=axis.metric,
        compared=axis.compared,
        kind=metric.kind,
        flag=axis.mark,
        share=axis.share,
        more_is_better=metric.better == "more",
        **ends,
    )


#: The switch of the page, in its order.
AXES_SHOWN: tuple[AxisShown, ...] = tuple(map(_shown, sorted(AXES, key=lambda axis: axis.place)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What the figures of one group draw. ``scales``: axis id -> unit, only for axes with figures."""

    points: list[Row]
    frontiers: list[Row]
    bands: list[Row]
    scales: dict[str, Scale]
    log: dict[str, bool]

    def has(self, axis: str) -> frozenset[str]:
        """What besides points can be drawn against an axis: ``frontier``, ``band``, intervals along ``x`` and ``y``."""
        known = {
            "frontier": any(row["axis"] == axis for row in self.frontiers),
            "band": any(row["axis"] == axis for row in self.bands),
            "x": any(row[f"lo_{axis}"] is not None for row in self.points),
            "y": any(row["lo"] is not None for row in self.points),
        }
        return frozenset(name for name, there in known.items() if there)


def rows_to_draw(analysis: Analysis, group: Group, labels: Labels, *, on_cpu: bool) -> Drawn:
    """The points, frontier steps and bands of a group; accuracies in per cent, x in the axis's unit."""
    shown = [axis for axis in AXES_SHOWN if any(row[axis.column] is not None for row in group.rows)]
    scales = {axis.id: scale(axis.kind, [row[axis.column] for row in group.rows], on_cpu=on_cpu) for axis in shown}
    varied = varied_keys(group.rows)
    here = {"load": group.load, "policy": group.policy}
    on_frontier = list(_of_group(analysis.frontiers, here))
    return Drawn(
        points=[_point(row, shown, scales, name_point(_of_curve(row), labels, varied)) for row in group.rows],
        frontiers=[step for axis in shown for step in _steps(on_frontier, axis, group, scales)],
        bands=[
            {"axis": row["axis"], "x": row["x"] * scales[row["axis"]].factor}
            | {end: 100 * row[end] for end in ("accuracy_lo", "accuracy_hi")}
            for row in _of_group(analysis.bands, here)
            if row["axis"] in scales and None not in (row["x"], row["accuracy_lo"], row["accuracy_hi"])
        ],
        scales=scales,
        log={axis.id: _spread([row[axis.column] for row in group.rows]) >= 20 for axis in shown},
    )


def _of_curve(row: Mapping[str, Any]) -> Row:
    """The row under the name of its curve: the levels of ``effort`` are points of one."""
    return {**row, "method": base_method(row["method"])}


def _steps(frontier: list[Row], axis: AxisShown, group: Group, scales: Mapping[str, Scale]) -> Iterator[Row]:
    """The frontier of one axis by its x, and on to the worst x of a point: what it buys does not end before."""
    factor = scales[axis.id].factor
    own = sorted((row["x"], row["accuracy"]) for row in frontier if row["axis"] == axis.id and row["x"] is not None)
    drawn = (place(row, axis)[0] for row in group.rows)
    known = [x for x in drawn if x is not None]
    if own and known and axis.more_is_better and min(known) < own[0][0]:
        own.insert(0, (min(known), own[0][1]))
    elif own and known and not axis.more_is_better and max(known) > own[-1][0]:
        own.append((max(known), own[-1][1]))
    for x, accuracy in own:
        yield {"axis": axis.id, "x": x * factor, "accuracy": 100 * accuracy}


def _of_group(frame: Any, here: Mapping[str, str]) -> Iterable[Row]:
    if frame.is_empty():
        return
    for row in frame.iter_rows(named=True):
        if all(row[key] == value for key, value in here.items()):
            yield row


def _spread(values: list[float | None]) -> float:
    known = [v for v in values if v is not None and v > 0]
    return max(known) / min(known) if known else 1.0


def place(row: Mapping[str, Any], axis: AxisShown) -> tuple[float | None, float | None]:
    """Where a point is drawn: its x and its accuracy over the problems compared, which frontiers are of."""
    return _or(row[axis.compared], row[axis.column]), _or(row["compared_accuracy"], row["accuracy"])


def _point(row: Mapping[str, Any], axes: list[AxisShown], scales: Mapping[str, Scale], series: str) -> Row:
    parts = split_setting(row["setting"])
    accuracy = _or(row["compared_accuracy"], row["accuracy"])
    derived = " (derived)" if row["provenance"] == "derived" else ""
    drawn: Row = {
        "series": series,
        "model": parts["model"] if parts else "",
        "budget": row["budget"],
        "level": row["level"],
        "order": row["budget"] if row["level"] is None else effort_rank(row["method"]),
        "budget_said": (row["level"] or budget(row["budget"])) + derived,
        "accuracy": None if accuracy is None else 100 * accuracy,
        "accuracy_said": _said(row, "accuracy", "accuracy_lo", "accuracy_hi", Scale(factor=100, unit="%")),
        "failed_said": f"{row['failed'] or 0} of {row['outcomes']}",
        "truncated_said": Scale(factor=100, unit="%").write(row["truncated_share"]) + " %",
        **dict(zip(("lo", "hi"), _shifted(row, "accuracy", accuracy, 100.0), strict=True)),
    }
    for axis in axes:
        unit, (x, _) = scales[axis.id], place(row, axis)
        lo, hi = _ends(row, axis.lo, axis.hi)
        shift = 0.0 if x is None or row[axis.column] is None else x - row[axis.column]
        drawn |= {
            f"x_{axis.id}": None if x is None else x * unit.factor,
            f"lo_{axis.id}": None if lo is None else (lo + shift) * unit.factor,
            f"hi_{axis.id}": None if hi is None else (hi + shift) * unit.factor,
            f"on_{axis.id}": bool(row[axis.flag]),
            f"said_{axis.id}": _said(row, axis.column, axis.lo, axis.hi, unit),
            f"share_{axis.id}": _share(row.get(axis.share)),
        }
    return drawn


def _shifted(row: Mapping[str, Any], name: str, drawn: float | None, factor: float) -> tuple[float | None, ...]:
    """The interval of a figure, moved with it where the point drawn is over the compared problems only."""
    lo, hi = _ends(row, f"{name}_lo", f"{name}_hi")
    shift = 0.0 if drawn is None or row[name] is None else drawn - row[name]
    return tuple(None if end is None else min(1.0, max(0.0, end + shift)) * factor for end in (lo, hi))


def _ends(row: Mapping[str, Any], lo: str, hi: str) -> tuple[float | None, float | None]:
    return (row[lo], row[hi]) if lo and hi else (None, None)


def _said(row: Mapping[str, Any], name: str, lo: str, hi: str, unit: Scale) -> str:
    span = unit.span(*_ends(row, lo, hi))
    return f"{bound_sign(row, name)}{unit.write(row[name])} {unit.unit}" + (f" [{span}]" if span else "")


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _or(first: float | None, second: float | None) -> float | None:
    return second if first is None else first
