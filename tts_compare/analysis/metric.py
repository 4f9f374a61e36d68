"""What a metric is: one column of a table, with all that reports, files, objectives and documentation say of it.

No library is imported here: reports read this module, and must start fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How a figure is written. A ``count`` is whole; ``list`` is of texts, ``shares`` of figures.
Kind = Literal[
    "share",
    "seconds",
    "device_seconds",
    "tokens",
    "flops",
    "usd",
    "joules",
    "watts",
    "count",
    "ratio",
    "number",
    "text",
    "flag",
    "list",
    "shares",
]
#: Whose figure it is: all answers measured, those answered, those that votes, prefixes, comparisons or servers have.
Population = Literal["measured", "answered", "votes", "derived", "compared", "server", "machine", "point"]
#: Tables of points that show a column: beside latency and beside cost, narrow and wide.
Table = Literal["speed", "speed_wide", "cost", "cost_hosted", "cost_wide"]
#: When a table has the column: always, where a point has the figure, where an answer failed or is ungraded, where a
#: point costs dollars alone, and where a point has the figure or none costs dollars alone.
When = Literal["always", "known", "failed", "hosted", "devices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean of a column of the outcomes frame over the answered outcomes, or over all that were measured."""

    column: str
    over: Literal["answered", "measured"] = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """A quantile (type 7) of seconds of the outcomes, in which a failed outcome was never reached.

    least: outcomes below which it is null. after: where an outcome has this column and not ``column`` itself, that was
    never reached either.
    """

    column: str
    q: float
    after: str = ""
    least: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One figure of the point over another, null where the other is not above 0 or either is unknown.

    Besides the columns of points there are the sums in ``sums.SUMS``.
    """

    above: str
    below: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The columns of a 95 % interval and how it is computed."""

    lo: str
    hi: str
    formula: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One column of a table, and all that is said of it.

    name: the column. kind: how it is written, and the column's type. formula: one line, printed beside the figure.
    heading: above a column of a table, over two lines at most; empty for columns that no table shows. words: inside a
    sentence; the heading where empty. population: which answers it is of.
    aggregation: how it is computed from outcomes; None for the columns that a module of their own works out.
    interval: its interval's columns. objectives: names that ``--slo`` takes for it. better: which way is an
    improvement. answer: the column of the outcomes frame that is the same figure of one answer, where it is not the
    aggregation's. tables, when: which tables of points show it, and on what condition. at_least, at_most: the flag of
    points that makes it a bound.
    """

    name: str
    kind: Kind
    formula: str
    heading: str = ""
    words: str = ""
    population: Population = "measured"
    aggregation: Mean | Quantile | Ratio | None = None
    interval: Interval | None = None
    objectives: tuple[str, ...] = ()
    better: Literal["less", "more"] = "less"
    answer: str = ""
    tables: tuple[Table, ...] = ()
    when: When = "always"
    at_least: str = ""
    at_most: str = ""

    @property
    def said(self) -> str:
        """The metric inside a sentence."""
        return self.words or self.heading.replace("\n", " ") or self.name

    @property
    def of_answer(self) -> str:
        """The column of the outcomes frame that is the figure of one answer; empty where it is of points alone."""
        if self.answer or not isinstance(self.aggregation, Mean | Quantile):
            return self.answer
        return self.aggregation.column

    @property
    def limits(self) -> tuple[Metric, ...]:
        """The columns of its interval, as metrics of their own."""
        if self.interval is None:
            return ()
        ends = ((self.interval.lo, "lower"), (self.interval.hi, "upper"))
        return tuple(
            Metric(
                name=name,
                kind=self.kind,
                formula=self.interval.formula,
                words=f"{end} limit of {self.said}",
                population=self.population,
            )
            for name, end in ends
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What accuracy is set against: one frontier.

    name: its id. metric: the column of points. compared: the same over the problems compared, which frontiers are of.
    figure: the figure of a cube it is the mean of; empty where it is worked out from several.
    mark: the column that says whether a point is on the frontier. letter: of the mark column, empty where it has none.
    word: what the letter stands for. title: of the axis of a figure. place: in the order in which figures offer it.
    """

    name: str
    metric: str
    compared: str
    mark: str
    title: str
    word: str
    figure: str = ""
    letter: str = ""
    place: int = 0

    @property
    def share(self) -> str:
        """The column of the share of resamples in which a point is on the frontier."""
        return f"share_{self.mark}"
