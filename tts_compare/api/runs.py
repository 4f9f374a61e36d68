"""Runs that were measured, as frames and figures; and two of them compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tts_compare.api.figure import Figure
from tts_compare.config.values import nearest
from tts_compare.domain import RequestRecord, RunWarning
from tts_compare.errors import UsageError
from tts_compare.rundir import store
from tts_compare.rundir.parts import record_files

if TYPE_CHECKING:
    import polars as pl

    from tts_compare.analysis.analyse import AnalysisRows
    from tts_compare.analysis.findings.diff import RunDiff
    from tts_compare.analysis.findings.verdict import Verdict
    from tts_compare.analysis.schema import Analysis, Claim, SloChoice
    from tts_compare.judge.join import Judged, RunRows
    from tts_compare.judge.prices import Prices
    from tts_compare.measure.execute import Outcome
    from tts_compare.reports.view import RunView
    from tts_compare.rundir.manifest import Manifest

StrPath = str | PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Which setting to use, and how sure that is."""

    #: At most six lines, to be read or pasted.
    text: str
    #: The same as values, one a load and policy; the first is what ``text`` is about.
    found: tuple[Verdict, ...]

    def __str__(self) -> str:
        """The lines."""
        return self.text


class Run:
    """One run, or several put together: what was measured, and what it means.

    Made by ``load``, ``run`` and ``arun``. Rows are read when it is made; the analysis is made once, when it is first
    asked for. Where it holds several runs, settings are named ``<run>:<setting>``.
    """

    def __init__(
        self,
        rows: RunRows,
        *,
        slo: Sequence[str] = (),
        names: Mapping[str, str] = MappingProxyType({}),
        judged: Judged | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        self._rows, self._slo, self._names = rows, tuple(slo), names
        #: How it ended, where it was measured here; None where it was loaded.
        self.outcome = outcome
        if judged is not None:
            self.__dict__["analysis"] = judged.analysis

    def __repr__(self) -> str:
        """Directories and how much there is."""
        rows = f"{self.records.height:,} records, {len(self.manifest.settings)} settings"
        return f"<Run {', '.join(map(str, self.paths))}: {rows}>"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The run directories, in the order they were given."""
        return tuple(one.path for one in self._rows.runs.values())

    @property
    def name(self) -> str:
        """The names of the runs, as reports show them."""
        from tts_compare.judge.join import run_names

        return ", ".join(run_names(self.paths))

    @property
    def manifest(self) -> Manifest:
        """What was run, on what, with what (docs/run-directory.md); joined where there are several runs."""
        return self._rows.manifest

    @property
    def records(self) -> pl.DataFrame:
        """One row an attempt, with its text and its timeline: the fields of ``records.jsonl``, nested ones flattened.

        >>> load("tests/golden/quickstart").records["error_kind"].null_count()
        54
        """
        return self._rows.records

    @property
    def grades(self) -> pl.DataFrame:
        """One row a graded answer, prefix or vote: the fields of ``grades.jsonl``."""
        return self._rows.grades

    @property
    def points(self) -> pl.DataFrame:
        """One row a (setting, method, budget, load, samples, policy), with the columns of docs/metrics.md.

        Raises RunError where no request was measured, as everything below does.
        """
        return self.analysis.points

    @property
    def pairs(self) -> pl.DataFrame:
        """One row a pair of points that differ in one thing; ratios are a's figure over b's.

        >>> sorted(load("tests/golden/quickstart").pairs["axis"].unique())
        ['backend', 'speculation']
        """
        return self.analysis.pairs

    @property
    def warnings(self) -> tuple[RunWarning, ...]:
        """Reasons not to trust a figure, each with the points it touches and a fix."""
        return self.analysis.doubts

    @property
    def slo(self) -> tuple[SloChoice, ...]:
        """The most accurate point that keeps the objectives ``load`` was given, one a load and policy."""
        return self.analysis.slo

    @cached_property
    def analysis(self) -> Analysis:
        """Everything that reports show, as one value."""
        from tts_compare.judge.join import analyse_frames

        return analyse_frames(self._rows, slo=self._slo, prepared=self._prepared).analysis

    @cached_property
    def _prepared(self) -> AnalysisRows:
        """What the analysis and a comparison with another run begin with."""
        from tts_compare.analysis.analyse import prepare

        return prepare(self.records, self.grades, self.manifest)

    def frontier(self, axis: str = "latency") -> pl.DataFrame:
        """The Pareto frontier of accuracy against an axis, from cheap to expensive: a row a point on it.

        axis: tokens, flops, latency, cost, paper_cost (cost per token) or usd; ``x`` is in the unit of its column.
        share: of resamples in which the point is on the frontier. Raises UsageError for another axis.

        >>> load("tests/golden/quickstart").frontier("latency")["x"].is_sorted()
        True
        """
        from tts_compare.analysis.metrics import AXIS_OF

        _check_axis(axis, AXIS_OF)
        return self.analysis.frontiers.filter(axis=axis)

    def verdict(self) -> Answer:
        """Which setting to use, and how sure that is: the lines that every report begins with, and their figures.

        >>> str(load("tests/golden/quickstart").verdict())[:58]
        'System-optimal: not confirmed (one start of each setting).'
        >>> load("tests/golden/quickstart").verdict().found[0].status
        'not confirmed'
        """
        from tts_compare.reports.document import compose

        document = compose(self.analysis, self.view)
        return Answer(text="\n".join(document.verdict), found=document.verdicts)

    def claims(self) -> tuple[Claim, ...]:
        """The claims of the paper, each tested on this data.

        >>> [claim.letter for claim in load("tests/golden/quickstart").claims()]
        ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
        """
        return self.analysis.claims

    def figure(self, axis: str = "latency", *, load: str | None = None, policy: str | None = None) -> Figure:
        """Accuracy against an axis with the frontier and its 95 % band, as in Figures 1 and 2 of arXiv:2509.19645.

        axis: as for ``frontier``. load, policy: which points, where the run has several; the first by default.
        Raises UsageError where there are no such points, or none with a figure on that axis.
        """
        from tts_compare.reports.figure_rows import AXES_SHOWN
        from tts_compare.reports.figures import figure_specs
        from tts_compare.reports.sheets import group_points

        _check_axis(axis, [one.id for one in AXES_SHOWN])
        groups = group_points(self.analysis)
        chosen = tuple(one for one in groups if load in (None, one.load) and policy in (None, one.policy))[:1]
        if not chosen:
            known = ", ".join(f"load={one.load!r} policy={one.policy!r}" for one in groups)
            raise UsageError(f"no points of load {load!r} and policy {policy!r}; there are {known}")
        spec = next((spec for _, one, spec in figure_specs(self.analysis, self.view, chosen) if one.id == axis), None)
        if spec is None:
            raise UsageError(f"no point has a figure on the axis {axis!r}")
        return Figure(spec=spec)

    def report(self, form: str = "markdown") -> str | bytes:
        """The report in a format of ``tts-compare report --format``: console, markdown, latex, html, json, csv, ...

        Raises UsageError for a format that there is not.
        """
        from tts_compare.reports import REPORTS, Look

        if form not in REPORTS:
            raise UsageError(f"no report format {form!r}; {nearest(form, REPORTS)}")
        return REPORTS[form].render(self.analysis, self.view, look=Look())

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        return str(self.report("markdown"))

    @property
    def view(self) -> RunView:
        """What a report looks at besides the analysis."""
        from tts_compare.judge.judge import problems_of
        from tts_compare.reports.view import RunView

        return RunView(
            manifest=self.manifest,
            name=self.name,
            records=self.records,
            grades=self.grades,
            problems=tuple(problems_of(self.manifest).values()),
            read_responses=self.read_records,
            paths=tuple(map(str, self.paths)),
            names=self._names,
        )

    def read_records(self) -> Iterator[RequestRecord]:
        """Go through the rows as values, read from the files again: settings have the names of their own run."""
        for one in self._rows.runs.values():
            for file in record_files(one):
                yield from store.read_rows(file, RequestRecord)


def _check_axis(axis: str, known: Iterable[str]) -> None:
    names = list(known)
    if axis not in names:
        raise UsageError(f"no axis {axis!r}; {nearest(axis, names)}")


def load(
    *paths: StrPath,
    slo: Sequence[str] = (),
    prices: Prices | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
) -> Run:
    """Read one run directory, or several as one.

    slo: service-level objectives, e.g. ``"p90_latency=10"`` (docs/metrics.md). prices: in place of the run's own.
    names: labels that reports use, by setting id or a part of one. Raises UsageError where a directory is no run or is
    named twice or a priced setting is unknown, RunError where nothing was sent.

    >>> load("tests/golden/quickstart").manifest.dataset.name
    'quickstart'
    """
    from tts_compare.judge.join import read_runs

    if not paths:
        raise UsageError("name at least one run directory")
    return Run(read_runs([store.open_run(Path(path)) for path in paths], prices=prices), slo=slo, names=names)


def diff(
    a: Run | StrPath, b: Run | StrPath, *, fail_on: Sequence[str] = (), match: Mapping[str, str] | None = None
) -> RunDiff:
    """Compare each point of run b with the same point of run a, paired by problem, as ``tts-compare diff`` does.

    fail_on: tolerances, e.g. ``"accuracy < -2pp"``; ``checks`` of the result says what became of each. match: setting
    of a -> setting of b, for settings that are not paired by themselves. Raises UsageError, and RunError where a run
    holds no measured request.

    >>> diff("tests/golden/quickstart", "tests/golden/quickstart", fail_on=["latency > +5%"]).breaches
    ()
    """
    from tts_compare.analysis.findings.diff import compare_runs
    from tts_compare.analysis.findings.tolerance import parse_tolerance

    tolerances = [parse_tolerance(text) for text in fail_on]
    first, second = (one if isinstance(one, Run) else load(one) for one in (a, b))
    prepared = (first._prepared, second._prepared)  # noqa: SLF001 - made once for the comparison and the analysis
    frames = [(one.records, one.grades, one.manifest) for one in (first, second)]
    return compare_runs(frames[0], frames[1], fail_on=tolerances, match=match, rows=prepared)
