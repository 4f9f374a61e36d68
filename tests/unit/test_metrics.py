"""The table of metrics: every column once, and everything else made of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs_tables import DOCS, METRIC_TABLES
from tests.rows import grade, row, run_of
from tts_compare.analysis.analyse import analyse
from tts_compare.analysis.findings.slo import parse_slo
from tts_compare.analysis.metric import Mean, Metric, Quantile, Ratio
from tts_compare.analysis.metrics import (
    AXES,
    FORMULAS,
    GROUPS,
    LOSSLESS,
    METRICS,
    OBJECTIVES,
    OPTIMAL,
    PAIRS,
    POINT_COLUMNS,
)
from tts_compare.analysis.rows.outcomes import OUTCOME_COLUMNS
from tts_compare.analysis.statistics.sums import SUMS
from tts_compare.errors import UsageError
from tts_compare.reports.figure_rows import AXES_SHOWN
from tts_compare.reports.sheets import COST, COST_HOSTED, COST_WIDE, SPEED, SPEED_WIDE

REPOSITORY = Path(__file__).parents[2]
ENTRIES = [metric for group in GROUPS.values() for metric in group]
#: What ``cost.priced`` adds to the columns of outcomes.
PRICED = {"flops", "usd"}
#: Rates, whose names end in the unit of what they are divided by.
RATES = ("_per_s", "_device_s", "_user_s")


def test_no_column_is_stated_twice() -> None:
    stated = [*ENTRIES, *(limit for metric in ENTRIES for limit in metric.limits)]
    for table in (stated, PAIRS, OPTIMAL, LOSSLESS):
        names = [metric.name for metric in table]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("metric", [*METRICS.values(), *PAIRS, *OPTIMAL, *LOSSLESS], ids=lambda metric: metric.name)
def test_every_column_has_a_formula_in_one_line_and_its_unit_in_its_name(metric: Metric) -> None:
    assert metric.formula
    assert "\n" not in metric.formula
    assert FORMULAS[metric.name]
    units = {"_gpu_s": "device_seconds", "_s": "seconds", "_w": "watts"}
    unit = next((kind for ending, kind in units.items() if metric.name.endswith(ending)), metric.kind)
    assert metric.kind == unit or metric.name.endswith(RATES)


@pytest.mark.parametrize("metric", ENTRIES, ids=lambda metric: metric.name)
def test_what_a_metric_is_computed_from_is_there(metric: Metric) -> None:
    match metric.aggregation:
        case Mean() | Quantile() as of:
            assert of.column in {*OUTCOME_COLUMNS, *PRICED}
        case Ratio() as of:
            assert {of.above, of.below} <= {*SUMS, *POINT_COLUMNS}
    assert metric.of_answer in {"", *OUTCOME_COLUMNS, *PRICED}
    for flag in filter(None, (metric.at_least, metric.at_most)):
        assert METRICS[flag].kind == "flag"


def test_tables_show_the_columns_that_say_so_and_each_has_a_heading() -> None:
    shown = {metric.name: metric for metric in ENTRIES if metric.tables}
    assert all(metric.heading and metric.heading.count("\n") <= 1 for metric in shown.values())
    drawn = {column.name for table in (SPEED, SPEED_WIDE, COST, COST_HOSTED, COST_WIDE) for column in table}
    assert drawn == set(shown)


def test_every_axis_has_its_columns_and_is_offered_by_figures() -> None:
    for axis in AXES:
        assert axis.metric in {metric.name for metric in ENTRIES}
        assert {axis.compared, axis.mark, axis.share} <= set(POINT_COLUMNS)
    assert [shown.id for shown in AXES_SHOWN] == [axis.name for axis in sorted(AXES, key=lambda axis: axis.place)]
    for several in ([axis.place for axis in AXES], [axis.letter for axis in AXES if axis.letter]):
        assert len(several) == len(set(several))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_can_be_asked_for_and_is_judged_by_its_column(name: str) -> None:
    slo = parse_slo(f"{name}=1")
    assert slo.column == OBJECTIVES[name].name
    assert slo.at_most is (OBJECTIVES[name].better == "less")
    run = run_of([row("a", 0, 0.5, 2.0, 16)], [grade("a", "correct")])
    found = analyse(run.records, run.grades, run.manifest, resamples=50, slo=[slo])
    value = found.points.row(0, named=True)[slo.column]
    kept = value is not None and (value <= 1 if slo.at_most else value >= 1)
    assert (found.slo[0].point is not None) is kept


def test_an_unknown_objective_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="bound_share"):
        parse_slo("nonsense=1")


def test_a_metric_that_is_added_to_the_table_is_a_column_with_its_formula_and_objective() -> None:
    """In a process of its own: the table is read once, when the analysis is imported."""
    program = """
from tts_compare.analysis.columns import times
from tts_compare.analysis.metric import Metric, Quantile
new = Metric(name="tpot_p90_s", kind="seconds", formula="90th percentile", objectives=("p90_tpot",),
             aggregation=Quantile(column="tpot_s", q=0.9))
times.TOKENS_IN_TIME = (*times.TOKENS_IN_TIME, new)
from tests.docs_tables import DOCS, METRIC_TABLES
from tests.rows import grade, only, row, run_of
from tts_compare.analysis.findings.slo import parse_slo
from tts_compare.analysis.metrics import FORMULAS
found = only(run_of([row("a", 0, 0.5, 2.5, 11)], [grade("a", "correct")]))
assert abs(found["tpot_p90_s"] - 0.2) < 1e-9, found["tpot_p90_s"]
assert FORMULAS["tpot_p90_s"] == "90th percentile"
assert parse_slo("p90_tpot<=1").column == "tpot_p90_s"
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


def test_every_metric_is_in_a_table_of_the_documentation() -> None:
    page = (DOCS / "metrics.md").read_text()
    assert [name for name in METRIC_TABLES if f"<!-- table: {name} -->" not in page] == []
    assert [metric.name for metric in ENTRIES if f"`{metric.name}`" not in page] == []


def test_the_table_imports_no_library() -> None:
    package = REPOSITORY / "tts_compare" / "analysis"
    for path in (package / "metric.py", package / "metrics.py", *(package / "columns").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert {name.split(".")[0] for name in names} <= {"tts_compare", *sys.stdlib_module_names}, path
