"""Analysis -> tables of strings: the one place that decides what the text reports show, and under which heads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.metric import Kind, Metric, Table, When
from tts_compare.analysis.metrics import AXES, METRICS, shown_in
from tts_compare.reports.bounds import NOT_REACHED, bound_sign, not_reached
from tts_compare.reports.labels import Labels, label_settings, shorten
from tts_compare.reports.loads import say_load
from tts_compare.reports.numbers import DASH, Scale, budget, scale
from tts_compare.reports.plain import one_line

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis
    from tts_compare.reports.view import RunView

#: The frontiers that have a letter, in the order of the mark column.
_LETTERED = tuple(axis for axis in AXES if axis.letter)
#: What the marks and the signs of a points table mean.
FRONTIERS_TOLD = (
    "on: the frontiers the point is on: "
    f"{', '.join(f'{axis.letter} accuracy against {axis.word}' for axis in _LETTERED)}."
)
_FAILED_TOLD = "failed of n: answers that did not complete, of those measured; u: ungraded; >=, <=: a bound."
WIDE_TOLD = f"figure [95 % interval]; {_FAILED_TOLD}"
NARROW_TOLD = f"figure ± the longer arm of its 95 % interval; {_FAILED_TOLD}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a points table. name, lo, hi: columns of the points frame; when: see ``Metric``."""

    name: str
    head: str
    kind: Kind
    lo: str = ""
    hi: str = ""
    when: When = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table of strings. ``marked``: rows that are on a frontier; ``left``: columns set flush left.

    sentences: the same rows in words, shown where the page is too narrow for the table.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[int] = frozenset({0})
    marked: frozenset[int] = frozenset()
    formulas: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()


def _column(metric: Metric) -> Column:
    """How tables show a metric."""
    interval = metric.interval
    ends = {"lo": interval.lo, "hi": interval.hi} if interval else {}
    return Column(name=metric.name, head=metric.heading, kind=metric.kind, when=metric.when, **ends)


def _columns(table: Table) -> tuple[Column, ...]:
    return tuple(_column(metric) for metric in shown_in(table))


TRUNCATED = _column(METRICS["truncated_share"])
SPEED, SPEED_WIDE = _columns("speed"), _columns("speed_wide")
COST, COST_HOSTED, COST_WIDE = _columns("cost"), _columns("cost_hosted"), _columns("cost_wide")
EVERYTHING: tuple[Column, ...] = (*SPEED_WIDE, *(column for column in COST_WIDE if column not in SPEED_WIDE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The points compared with each other: those of one load and one grading policy, best accuracy first."""

    load: str
    policy: str
    rows: tuple[Mapping[str, Any], ...]

    @property
    def title(self) -> str:
        """``one request at a time, policy any``."""
        return f"{say_load(self.load)}, policy {self.policy}"


def group_points(analysis: Analysis) -> tuple[Group, ...]:
    """Points by load and policy; within a group by setting, method, samples and budget."""
    points = analysis.points.sort("setting", "method", "samples", "budget")
    keys = points.select("load", "policy").unique(maintain_order=True).sort("load", "policy").rows()
    return tuple(
        Group(
            load=load,
            policy=policy,
            rows=tuple(row for row in points.iter_rows(named=True) if (row["load"], row["policy"]) == (load, policy)),
        )
        for load, policy in keys
    )


def name_settings(analysis: Analysis, run: RunView | None = None) -> Labels:
    """Short labels of every setting in the analysis."""
    methods = analysis.points["method"].unique().to_list()
    names = analysis.points["setting"].unique().to_list()
    labels = label_settings(names, run.manifest.settings, run.names) if run else label_settings(names)
    return replace(labels, method=methods[0] if len(methods) == 1 else "")


def mark(row: Mapping[str, Any]) -> str:
    """Which frontiers a point is on, e.g. ``T·PC``: one letter a frontier, a dot where it is not."""
    return "".join(axis.letter if row.get(axis.mark) else "·" for axis in _LETTERED)


def on_a_frontier(row: Mapping[str, Any]) -> bool:
    """Whether the point is on a frontier that has a letter."""
    return any(row.get(axis.mark) for axis in _LETTERED)


def name_point(row: Mapping[str, Any], labels: Labels, varied: frozenset[str]) -> str:
    """The setting's label, with the method and the number of samples where those differ in the table."""
    words = [one_line(labels.of.get(row["setting"], row["setting"]), 80)]
    if "method" in varied:
        words.append(str(row["method"]))
    if "samples" in varied and row["samples"] is not None:
        words.append(f"x{row['samples']}")
    return " ".join(words)


def varied_keys(rows: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Which of ``method`` and ``samples`` differ between rows."""
    several = list(rows)
    return frozenset(key for key in ("method", "samples") if len({row[key] for row in several}) > 1)


def points_sheet(
    group: Group,
    columns: Sequence[Column],
    *,
    labels: Labels,
    formulas: Mapping[str, str],
    on_cpu: bool,
    title: str,
    narrow: bool = False,
) -> Sheet:
    """One table of points: marks, name, budget, the columns asked for, then truncation and failures.

    An interval is written ``[lo-hi]``, or, ``narrow``, as ± its longer arm.
    """
    shown = [c for c in columns if _has_figures(c, group)]
    scales = {
        c.name: scale(c.kind, (row.get(c.name) for row in group.rows), on_cpu=on_cpu) for c in (*shown, TRUNCATED)
    }
    varied = varied_keys(group.rows)
    rows = [
        (
            mark(row),
            name_point(row, labels, varied),
            budget(row["budget"]) + ("~" if row.get("provenance") == "derived" else ""),
            *(_figure(row, c, scales[c.name], narrow=narrow) for c in shown),
            scales[TRUNCATED.name].write(row.get(TRUNCATED.name)),
            _failures(row),
        )
        for row in group.rows
    ]
    heads = ("on", "setting", "budget", *(_head(c, scales[c.name]) for c in shown), "trunc\n%", "failed\nof n")
    told = [(_said(c, scales[c.name]), formulas.get(c.name, "")) for c in (*shown, TRUNCATED)]
    derived = any(row.get("provenance") == "derived" for row in group.rows)
    return Sheet(
        title=title,
        heads=heads,
        rows=tuple(rows),
        left=frozenset({0, 1}),
        marked=frozenset(i for i, row in enumerate(group.rows) if on_a_frontier(row)),
        formulas=tuple(f"{head}: {one_line(formula, 400)}" for head, formula in told if formula),
        notes=(
            *(("~: derived by cutting the longer responses of the same setting at this budget.",) if derived else ()),
            *_bounds(group, labels, varied),
        ),
        sentences=tuple(_in_words(row, shown, scales) for row in rows),
    )


def _in_words(row: tuple[str, ...], columns: Sequence[Column], scales: Mapping[str, Scale]) -> str:
    marks, name, size, *figures, truncated, failures = row
    units = ["" if c.kind == "usd" else f" {scales[c.name].unit}" for c in columns]
    said = ", ".join(f"{c.head} {cell}{unit}" for c, cell, unit in zip(columns, figures, units, strict=True))
    text = f"{name}, budget {size}, on {marks}: {said}; truncated {truncated} %, failed {failures}"
    return text.replace("\n", " ")


def _has_figures(column: Column, group: Group) -> bool:
    """Whether a table of these points has the column: what ``Metric.when`` says."""
    match column.when:
        case "failed":
            return any(row.get("failed") or row.get("ungraded") for row in group.rows)
        case "hosted":
            return has_hosted(group)
        case "known":
            return _is_known(column, group)
        case "devices":
            return not has_hosted(group) or _is_known(column, group)
        case "always":
            return True


def _is_known(column: Column, group: Group) -> bool:
    return any(row.get(column.name) is not None for row in group.rows)


def has_hosted(group: Group) -> bool:
    """Whether a point costs dollars and no device-seconds: only dollars then compare it with the others."""
    return any(row.get("usd_per_problem") is not None and row.get("gpu_s_per_problem") is None for row in group.rows)


def cost_columns(group: Group) -> tuple[Column, ...]:
    """Of the narrow table of costs."""
    return COST_HOSTED if has_hosted(group) else COST


def _bounds(group: Group, labels: Labels, varied: frozenset[str]) -> Iterator[str]:
    """What was not measured, and how far failures could move an accuracy, at the point where it is most."""
    spans = [
        (hi - lo, i)
        for i, row in enumerate(group.rows)
        if (lo := row.get("accuracy_bound_lo")) is not None and (hi := row.get("accuracy_bound_hi")) is not None
    ]
    for row in group.rows:
        if row.get("not_measured"):
            where = f"{name_point(row, labels, varied)}, {budget(row['budget'])}"
            yield f"not measured, and in no figure: {row['not_measured']} of the answers of {where}."
    width, at = max(spans, default=(0.0, 0))
    if width > 0:
        row = group.rows[at]
        yield (
            f"counting failed and ungraded as right, not wrong, would add at most {100 * width:.1f} points of accuracy "
            f"({name_point(row, labels, varied)}, {budget(row['budget'])})."
        )


def _head(column: Column, unit: Scale) -> str:
    return f"{column.head}\n{unit.unit}" if unit.unit and "\n" not in column.head else column.head


def _said(column: Column, unit: Scale) -> str:
    head = column.head.replace("\n", " ")
    return f"{head}, {unit.unit}" if unit.unit and column.kind not in ("share", "tokens", "usd") else head


def _figure(row: Mapping[str, Any], column: Column, unit: Scale, *, narrow: bool) -> str:
    value, lo, hi = (row.get(name) for name in (column.name, column.lo, column.hi))
    if not_reached(row, column.name):
        return NOT_REACHED
    figure = bound_sign(row, column.name) + unit.write(value)
    if value is None or lo is None or hi is None:
        return figure
    return f"{figure} ±{unit.like(value, max(hi - value, value - lo))}" if narrow else f"{figure} [{unit.span(lo, hi)}]"


def _failures(row: Mapping[str, Any]) -> str:
    failed, ungraded, n = row.get("failed") or 0, row.get("ungraded") or 0, row.get("outcomes")
    return f"{failed}/{n}" + (f" +{ungraded}u" if ungraded else "")


def optimal_sheet(analysis: Analysis, labels: Labels, *, on_cpu: bool) -> Sheet:
    """For each accuracy target the cheapest choice by tokens, by latency and by cost."""
    rows = list(analysis.optimal.iter_rows(named=True))
    many = len({(row["load"], row["policy"]) for row in rows}) > 1
    said = [_optimal_row(row, labels, many=many) for row in rows]
    word = "device-seconds" if on_cpu else "GPU-seconds"
    return Sheet(
        title="Compute-optimal against system-optimal",
        heads=(
            "accuracy\nat least",
            "cheapest\nby tokens",
            "cheapest\nby latency",
            f"cheapest\nby {word}",
            "choosing by tokens\ncosts in latency",
            "choosing by tokens\ncosts in cost",
            "differs in\nof resamples",
        ),
        rows=tuple(said),
        left=frozenset({0, 1, 2, 3}),
        notes=("A cost of 1.42x: the setting that is cheapest by tokens takes 1.42 times what the cheapest takes.",),
        sentences=tuple(
            f"accuracy of at least {target}: by tokens {tokens}, by latency {latency}, by {word} {cost}. Choosing by "
            f"tokens costs {slower} in latency and {dearer} in cost per problem; the choices differ in {share} of "
            "resamples."
            for target, tokens, latency, cost, slower, dearer, share in said
        ),
    )


def _optimal_row(row: Mapping[str, Any], labels: Labels, *, many: bool) -> tuple[str, ...]:
    where = f" ({row['load']}, {row['policy']})" if many else ""
    share = row.get("differs_share")
    return (
        f"{row['accuracy_target']:.1%}{where}",
        *(_tied(row[name] or DASH, labels) for name in ("by_tokens", "by_latency", "by_cost")),
        _times(row, "latency_penalty"),
        _times(row, "cost_penalty"),
        DASH if share is None else f"{share:.0%}",
    )


def _tied(points: str, labels: Labels) -> str:
    """The first of points that tie, and how many others do."""
    first, *others = points.split(" = ")
    return shorten(first, labels) + (f" (and {len(others)} equal)" if others else "")


def _times(row: Mapping[str, Any], name: str) -> str:
    value, lo, hi = row.get(name), row.get(f"{name}_lo"), row.get(f"{name}_hi")
    if value is None:
        return DASH
    return f"{value:.2f}x" + (f" [{lo:.2f}{DASH}{hi:.2f}]" if lo is not None and hi is not None else "")
