"""``tts-compare diff``: two runs, paired by problem; a gate for an engine upgrade with ``--fail-on``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tts_compare.cli.strict import refuse
from tts_compare.cli.terminal import console, talk
from tts_compare.errors import RunError
from tts_compare.reports.plain import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from tts_compare.analysis.findings.diff import RunDiff

_SHOWN_CHANGES = 40
#: The exit status where a gate has nothing to go by.
CANNOT_TELL = 2
_NO_PARTNER = (
    "no point has a partner in the other run: settings of different models are paired by --map A=B alone, "
    "and so are several settings whose ids differ by more than the engine's version"
)
_WORDS = {
    "exceeded": "exceeded",
    "within": "kept",
    "not_shown": "not shown",
    "not_judged": "cannot be judged",
}


def diff_command(arguments: Namespace) -> int:
    """Print what changed and by how much; the exit status is the gate's (``analysis.gate.gate_status``)."""
    from tts_compare.analysis.findings.partners import parse_map
    from tts_compare.analysis.findings.tolerance import parse_tolerance
    from tts_compare.api import diff, load

    for text in arguments.fail_on:
        parse_tolerance(text)  # a mistyped one is told before runs are read
    mapped = dict(parse_map(text) for text in arguments.map)
    try:
        runs = [load(path) for path in (arguments.a, arguments.b)]
        found = diff(*runs, fail_on=arguments.fail_on, match=mapped)
    except RunError as error:
        talk(f"nothing to compare: {error}")
        return CANNOT_TELL
    for line in change_lines(found):
        print(line)
    console(no_color=arguments.no_color).print(pair_table(found) if found.pairs.height else "No point is in both runs")
    for side, labels in ((arguments.a, found.only_a), (arguments.b, found.only_b)):
        for label in labels:
            print(f"only in {side}: {one_line(label)}")
    status = _judged(found, arguments) if arguments.fail_on else _compared(found)
    strict = arguments.strict and refuse(
        (warning for run in runs for warning in run.warnings),
        arguments.strict,
    )
    return 1 if strict else status


def _compared(found: RunDiff) -> int:
    if found.pairs.height:
        return 0
    talk(_NO_PARTNER)
    return CANNOT_TELL


def _judged(found: RunDiff, arguments: Namespace) -> int:
    """Say what became of each tolerance, the exceeded ones last; return the gate's exit status."""
    from tts_compare.analysis.findings.gate import gate_status

    for verdict in ("within", "not_shown", "not_judged", "exceeded"):
        for one in found.checks:
            if one.verdict == verdict:
                talk(f"--fail-on '{one.tolerance.text}': {_WORDS[verdict]}: {one.sentence}")
    alone = len(found.only_a) + len(found.only_b)
    status = gate_status(
        found.checks, alone=alone, require_proof=arguments.require_proof, allow_missing=arguments.allow_missing
    )
    if not found.checks:
        talk(_NO_PARTNER)
    elif alone and not arguments.allow_missing:
        talk(f"{alone} points are in one run only and cannot be judged; --allow-missing takes no account of them")
    if status == 0 and all(one.verdict == "within" for one in found.checks):
        talk("no tolerance is exceeded, and every one is shown to be kept")
    elif status == 0:
        talk("no tolerance is exceeded, and not all are shown to be kept (--require-proof makes that exit status 2)")
    return status


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
    for head in ("budget", "n", "accuracy, points", "latency, %", "cost, %", "failed, %"):
        table.add_column(head, justify="right", overflow="fold")
    for row in rows:
        table.add_row(
            name_side(row, "a", labels, varied=varied),
            budget(row["a_budget"]) + (f" ({row['load']})" if "load" in varied else ""),
            str(row["n"]),
            _points(row),
            _percent(row, "latency"),
            _percent(row, "cost"),
            _failed(row),
        )
    return table


def _points(row: dict[str, Any]) -> str:
    values = [row[f"accuracy_diff{end}"] for end in ("", "_lo", "_hi")]
    return _with_interval([None if value is None else 100 * value for value in values])


def _percent(row: dict[str, Any], figure: str) -> str:
    """Ratios are a's figure over b's: the change from a to b is its inverse, and the interval's ends change places."""
    values = [row[f"{figure}_ratio{end}"] for end in ("", "_hi", "_lo")]
    return _with_interval([100 * (1 / value - 1) if value else None for value in values])


def _failed(row: dict[str, Any]) -> str:
    """Share of answers that failed, of a and then of b."""
    shares = [row[f"{side}_failed_share"] for side in ("a", "b")]
    return " to ".join("-" if share is None else f"{100 * share:.1f}" for share in shares)


def _with_interval(values: list[float | None]) -> str:
    value, low, high = values
    if value is None:
        return "-"
    return f"{value:+.1f}" if low is None or high is None else f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
