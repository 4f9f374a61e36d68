"""``tts-compare runs``: the runs of a directory in a list, and the removal of those that are not wanted."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tts_compare.cli.terminal import console, talk
from tts_compare.errors import UsageError
from tts_compare.rundir.listing import REMOVABLE, ListedRun, list_runs, remove_run

_DAY_S = 86_400
_HEADS = ("run", "state", "begun", "settings", "best on the latency frontier")
_NARROWEST = 24


def runs_command(arguments: Namespace) -> int:
    """List the runs, or remove some of them."""
    directory = Path(arguments.directory)
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}")
    runs = list_runs(directory)
    if arguments.action == "prune":
        return _prune(_chosen(runs, arguments), runs, arguments)
    if arguments.format == "json":
        print(json.dumps([as_json(run) for run in runs], indent=1, ensure_ascii=False))
    elif runs:
        for line in table([(_HEADS), *map(_cells, runs)], width=console().width):
            print(line)
    else:
        talk(f"no run in {directory}")
    return 0


def as_json(run: ListedRun) -> dict[str, Any]:
    """A run as ``--format json`` shows it; null where something is not known."""
    manifest, best = run.manifest, run.best
    shown = ("setting", "method", "budget", "load", "samples", "accuracy", "latency_mean_s", "gpu_s_per_problem")
    return {
        "path": str(run.path),
        "state": run.state,
        "name": manifest.name if manifest else None,
        "created": manifest.created if manifest else None,
        "settings": list(manifest.settings) if manifest else None,
        "dataset": manifest.dataset.name if manifest else None,
        "problems": len(manifest.dataset.problems) if manifest else None,
        "size_bytes": run.size_bytes,
        "best": {name: best.get(name) for name in shown} if best else None,
    }


def _cells(run: ListedRun) -> tuple[str, ...]:
    from tts_compare.reports.plain import one_line

    manifest = run.manifest
    begun = manifest.created[:16].replace("T", " ") if manifest else "?"
    count = str(len(manifest.settings)) if manifest else "?"
    return tuple(map(one_line, (str(run.path), run.state, begun, count, _best(run))))


def _best(run: ListedRun) -> str:
    """Accuracy and latency of the best point, and what it is."""
    from tts_compare.reports.labels import label_settings
    from tts_compare.reports.numbers import budget, three_digits

    best = run.best
    if best is None or run.manifest is None:
        return "-"
    label = label_settings(list(run.manifest.settings)).of.get(best["setting"], best["setting"])
    latency, sign = best.get("latency_mean_s"), ">= " if best.get("latency_is_lower_bound") else ""
    taken = f" in {sign}{three_digits(latency)} s" if latency is not None else ""
    return f"{best['accuracy']:.1%}{taken}: {label}, {budget(best['budget'])}"


def table(rows: Sequence[Sequence[str]], *, width: int) -> Iterator[str]:
    """Columns as wide as they need; the last one is wrapped to what is left, and stands below where that is little."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    left = width - sum(widths) - 2 * len(widths)
    for row in rows:
        cells = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=False))
        if left >= _NARROWEST:
            first, *others = textwrap.wrap(row[-1], left) or [""]
            yield f"{cells}  {first}".rstrip()
            yield from (" " * (width - left) + line for line in others)
        else:
            yield from textwrap.wrap(cells if len(cells) <= width else "  ".join(row[:-1]), width)
            yield from (f"  {line}" for line in textwrap.wrap(row[-1], max(width - 2, 8)))


def _chosen(runs: Iterable[ListedRun], arguments: Namespace) -> list[ListedRun]:
    """The runs of the states, and of the age, that were asked for; never one that is under way."""
    states = arguments.state.split(",")
    for state in states:
        if state not in REMOVABLE:
            raise UsageError(f"--state: {state!r} is none of {', '.join(REMOVABLE)}")
    until_s = time.time() - arguments.older_than * _DAY_S
    return [run for run in runs if run.state in states and run.changed_s <= until_s]


def _prune(chosen: Sequence[ListedRun], runs: Sequence[ListedRun], arguments: Namespace) -> int:
    """Say what would be freed, ask, and remove; 1 where a run could not be removed."""
    busy = sum(run.state == "under way" for run in runs)
    if busy:
        talk(f"{busy} under way, not touched")
    if not chosen:
        talk(f"nothing to remove in {arguments.directory}: no run is {arguments.state.replace(',', ' or ')}")
        return 0
    rows = [("run", "state", "size"), *((str(run.path), run.state, _size(run.size_bytes)) for run in chosen)]
    for line in table(rows, width=console().width):
        print(line)
    print(f"{len(chosen)} of {len(runs)} runs, {_size(sum(run.size_bytes for run in chosen))}")
    sys.stdout.flush()
    if not arguments.yes and not _agreed():
        talk("nothing was removed")
        return 0
    freed, status = 0, 0
    for run in chosen:
        try:
            remove_run(run.path)
        except UsageError as error:  # it may have begun again since it was listed
            talk(f"not removed: {error}")
            status = 1
        else:
            freed += run.size_bytes
    talk(f"{_size(freed)} freed")
    return status


def _agreed() -> bool:
    """Whether the user says yes. Raises UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here: --yes removes them")
    sys.stderr.write("remove them? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _size(count: int) -> str:
    """Bytes as people write them."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}" if size < 100 else f"{size:.0f} {unit}"
