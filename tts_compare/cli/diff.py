"""``tts-compare diff``: two runs, paired by problem; a gate for an engine upgrade with ``--fail-on``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_compare import store
from tts_compare.cli.terminal import console, talk
from tts_compare.reports.plain import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from tts_compare.analysis.diff import RunDiff

_SHOWN_CHANGES = 40


def diff_command(arguments: Namespace) -> int:
    """Print what changed and by how much; 1 where an interval excludes a tolerance."""
    from tts_compare.analysis.diff import compare_runs
    from tts_compare.analysis.tolerance import parse_tolerance
    from tts_compare.experiment.join import run_frames

    tolerances = [parse_tolerance(text) for text in arguments.fail_on]
    runs = [store.open_run(Path(path)) for path in (arguments.a, arguments.b)]
    found = compare_runs(run_frames(runs[0]), run_frames(runs[1]), fail_on=tolerances)
    for line in change_lines(found):
        print(line)
    console(no_color=arguments.no_color).print(pair_table(found) if found.pairs.height else "No point is in both runs")
    for side, labels in ((arguments.a, found.only_a), (arguments.b, found.only_b)):
        for label in labels:
            print(f"only in {side}: {one_line(label)}")
    for breach in found.breaches:
        talk(f"--fail-on '{breach.tolerance.text}': {breach.sentence}")
    if tolerances and not found.breaches:
        talk("no tolerance is exceeded: no interval lies wholly beyond one")
    return 1 if found.breaches else 0


def change_lines(found: RunDiff) -> Iterator[str]:
    """What differs between the manifests."""
    yield "What changed" if found.changes else "Nothing changed in the manifests but times and places"
    for change in found.changes[:_SHOWN_CHANGES]:
        yield f"  {one_line(change.path)}: {one_line(str(change.a))} -> {one_line(str(change.b))}"
    if len(found.changes) > _SHOWN_CHANGES:
        yield f"  and {len(found.changes) - _SHOWN_CHANGES} more"


def pair_table(found: RunDiff) -> Table:
    """Every point that is in both runs: no name is cut, and no two rows read the same."""
    from rich import box
    from rich.table import Table

    from tts_compare.reports.labels import label_settings
    from tts_compare.reports.numbers import budget
    from tts_compare.reports.verdicts import name_side, varied_parts

    rows = list(found.pairs.iter_rows(named=True))
    labels, varied = label_settings([row["a"] for row in rows]), varied_parts(rows)
    shared = f", all settings: {one_line(labels.shared)}" if labels.shared else ""
    table = Table(box=box.SIMPLE_HEAD, title=f"b against a{shared}", show_edge=False, pad_edge=False)
    table.add_column("setting", overflow="fold")
    for head in ("budget", "n", "accuracy, points", "latency, %", "bill, %"):
        table.add_column(head, justify="right", overflow="fold")
    for row in rows:
        table.add_row(
            name_side(row, "a", labels, varied=varied),
            budget(row["a_budget"]) + (f" ({row['load']})" if "load" in varied else ""),
            str(row["n"]),
            _points(row),
            _percent(row, "latency"),
            _percent(row, "cost"),
        )
    return table


def _points(row: dict[str, Any]) -> str:
    values = [row[f"accuracy_diff{end}"] for end in ("", "_lo", "_hi")]
    return _with_interval([None if value is None else 100 * value for value in values])


def _percent(row: dict[str, Any], figure: str) -> str:
    """Ratios are a's figure over b's: the change from a to b is its inverse, and the interval's ends change places."""
    values = [row[f"{figure}_ratio{end}"] for end in ("", "_hi", "_lo")]
    return _with_interval([100 * (1 / value - 1) if value else None for value in values])


def _with_interval(values: list[float | None]) -> str:
    value, low, high = values
    if value is None:
        return "-"
    return f"{value:+.1f}" if low is None or high is None else f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
