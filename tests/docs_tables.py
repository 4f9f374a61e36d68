"""The tables of the documentation that are made of declarations: `make docs` writes them, a test compares them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.gpu.proof import claims_table, proofs_table
from tts_compare.analysis.metric import Metric
from tts_compare.analysis.metrics import AXES, GROUPS, METRICS, PAIRS
from tts_compare.cli.knob_names import meaning_of
from tts_compare.config.asked import WaitLimits
from tts_compare.config.experiment import Experiment
from tts_compare.config.knob import Knob, Scope, knobs_of

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")))
_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def knob_table(knobs: Iterable[Knob]) -> str:
    """A row for each knob: its key, its flag, what it means, its default; without flags where no knob has one."""
    rows = list(knobs)
    heads = ["key", "flag", "meaning", "default"] if any(knob.flag for knob in rows) else ["key", "meaning", "default"]
    lines = [heads, ["---"] * len(heads)]
    for knob in rows:
        key = " or ".join(f"`{name}`" for name in (knob.key, *knob.synonyms))
        flag = ", ".join(f"`{name}`" for name in (knob.option, *knob.aliases)) if knob.flag else ""
        default = knob.shown_default or ("`false`" if knob.is_switch else "")
        lines.append([key, *([flag] if "flag" in heads else []), meaning(knob), default])
    return _lines(lines)


def meaning(knob: Knob) -> str:
    """What a knob means: its help, its possible values, and what only the documentation adds."""
    choices = [f"`{choice}`" for choice in knob.choices]
    values = [f"one of {', '.join(choices)}"] if choices and choices[0] not in knob.help else []
    levels = [f'`{knob.key} = "{level}"`: {told}' for level, told in knob.levels.items()]
    return "; ".join(part for part in (meaning_of(knob), *values, *levels, knob.more) if part)


def metric_table(metrics: Iterable[Metric]) -> str:
    """A row for each metric: its columns, its formula, which answers it is of and its names as an objective."""
    rows = [["column", "formula", "of", "`--slo`"], ["---"] * 4]
    for metric in metrics:
        limits = f" [`{metric.interval.lo}`, `{metric.interval.hi}`]" if metric.interval else ""
        interval = f"; interval: {metric.interval.formula}" if metric.interval else ""
        names = ", ".join(f"`{name}`" for name in metric.objectives)
        rows.append([f"`{metric.name}`{limits}", metric.formula + interval, metric.population, names])
    return _lines(rows)


def axis_table() -> str:
    """A row for each axis: what accuracy is set against, and the columns of its frontier."""
    rows = [["axis", "metric", "better", "compared", "on the frontier", "letter"], ["---"] * 6]
    for axis in AXES:
        columns = [f"`{name}`" for name in (axis.name, axis.metric)]
        marks = [f"`{axis.compared}`", f"`{axis.mark}`, `{axis.share}`"]
        rows.append([*columns, METRICS[axis.metric].better, *marks, axis.letter])
    return _lines(rows)


def _lines(rows: Iterable[Iterable[str]]) -> str:
    return "".join(re.sub(r"\|\s+(?=\|)", "| ", "| " + " | ".join(cells) + " |") + "\n" for cells in rows)


def _of_metrics(metrics: Iterable[Metric]) -> Callable[[], str]:
    return lambda: metric_table(metrics)


def _of(*scopes: Scope) -> Callable[[], str]:
    return lambda: knob_table(knob for knob in knobs_of(Experiment) if knob.scope in scopes)


#: What stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->`` in docs/configuration.md.
TABLES: dict[str, Callable[[], str]] = {
    "axis": _of("axis"),
    "setting": _of("setting"),
    "hosted": _of("hosted"),
    "work": _of("work"),
    "judging": _of("judging"),
    "run": _of("run", "invocation"),
    "limit": lambda: knob_table(knobs_of(WaitLimits)),
}
#: The same of the metrics, in docs/metrics.md.
METRIC_TABLES: dict[str, Callable[[], str]] = {
    **{f"metrics-{group.replace(' ', '-')}": _of_metrics(metrics) for group, metrics in GROUPS.items()},
    "axes": axis_table,
    "pairs": _of_metrics(PAIRS),
}
#: Tables of what only a GPU can show.
PROOFS: dict[str, Callable[[], str]] = {
    "gpu-claims": claims_table,
    "gpu-proofs": lambda: proofs_table(DOCS / "gpu-proofs"),
}


def current(page: str) -> str:
    """A page with its tables made anew."""
    return _TABLE.sub(lambda match: match[1] + (TABLES | METRIC_TABLES | PROOFS)[match[2]]() + match[3], page)


def main() -> None:
    """Write the tables of every page."""
    for path in PAGES:
        before = path.read_text()
        after = current(before)
        if after != before:
            path.write_text(after)


if __name__ == "__main__":
    main()
