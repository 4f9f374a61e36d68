"""``report --explain COLUMN``: what a column is, how it is computed, and whom it is of."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tts_compare.errors import UsageError

#: A metric's population in words.
_POPULATIONS: Mapping[str, str] = MappingProxyType(
    {
        "measured": "all answers measured: those that failed too, none that was not measured",
        "answered": "the answers that did not fail",
        "compared": "the problems measured in every setting compared; failures charged",
    }
)


def explain(column: str) -> Iterator[str]:
    """Name, meaning, formula, population and interval of a column. Raises UsageError for one that is not there."""
    from tts_compare.analysis.metrics import METRICS, PAIRS

    of_pairs = {metric.name: metric for metric in PAIRS}
    known = {**of_pairs, **METRICS}
    objectives = {name: metric.name for metric in METRICS.values() for name in metric.objectives}
    name = column if column in known else objectives.get(column, column)
    if name not in known:
        near = difflib.get_close_matches(name, [*known, *objectives], n=3, cutoff=0.5)
        told = f"; is it {', '.join(near)}?" if near else ""
        raise UsageError(f"--explain {column}: there is no such column{told}")
    metric = known[name]
    table = "pairs" if name in of_pairs and name not in METRICS else "points"
    yield f"{name}: {metric.said}"
    yield f"formula: {metric.formula}"
    yield f"source: worked out from records.jsonl and grades.jsonl; in {table} of --format json; docs/metrics.md"
    yield f"population: {_POPULATIONS.get(metric.population, metric.population)}"
    if metric.interval is not None:
        yield f"interval: {metric.interval.lo} to {metric.interval.hi}: {metric.interval.formula}"
    if metric.objectives:
        yield f"--slo: {', '.join(metric.objectives)}"
