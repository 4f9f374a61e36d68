"""One pass for every budget against a request for each: the tokens saved, and whether the derived figures hold.

    python -m benchmarks.budgets --runs DIR -- --backend vllm,sglang --tp 1,2 --spec none,ngram --model M \\
        --dataset quickstart --problems 20 --budget 16,32,64,128,256

Everything after ``--`` is the experiment; it runs twice, with ``--curve single-pass`` and with ``--curve per-budget``,
on server starts of its own each. A run that is there already is taken up. Per setting: tokens generated in each
run's own records, accuracy and text of every prefix against the real request, and per budget the paired median of
derived / measured latency. Two starts of one setting differ too, and that is in these ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import polars as pl

from tts_compare.analysis.analyse import prepare
from tts_compare.domain import RequestRecord
from tts_compare.judge.join import run_frames
from tts_compare.rundir import store

CURVES = ("single-pass", "per-budget")
KEY = ["setting", "budget", "problem"]
COLUMNS = ("correct", "latency_s")


def measure(directory: Path, curve: str, experiment: list[str]) -> store.RunDir:
    """Run the experiment with one kind of curve."""
    command = [sys.executable, "-m", "tts_compare", *experiment, f"--curve={curve}", f"--resume={directory}"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"the run ended with {done.returncode}: {' '.join(command)}")
    return store.open_run(directory)


def responses(run: store.RunDir) -> list[RequestRecord]:
    """The successful measured rows."""
    return [row for row in store.read_rows(run.records, RequestRecord) if row.phase == "measured" and row.ok]


def generated(rows: list[RequestRecord]) -> dict[str, int]:
    """Completion tokens of a run by setting."""
    found: dict[str, int] = {}
    for row in rows:
        found[row.setting] = found.get(row.setting, 0) + (row.completion_tokens or 0)
    return found


def compared(single: store.RunDir, each: store.RunDir) -> pl.DataFrame:
    """Derived beside measured, one row a problem and budget; the largest budget is measured in both and left out."""
    sides = []
    for name, run in (("derived", single), ("measured", each)):
        outcomes = prepare(*run_frames(run)).outcomes
        sides.append(outcomes.select(*KEY, *COLUMNS).rename({c: f"{name}_{c}" for c in COLUMNS}))
    joined = sides[0].join(sides[1], on=KEY, validate="1:1")
    return joined.filter(pl.col("budget") < pl.col("budget").max())


def equal_prefixes(single: list[RequestRecord], each: list[RequestRecord]) -> dict[str, tuple[int, int]]:
    """By setting, how many real responses are the prefix of the long one, and of how many."""
    whole = {(row.setting, row.problem): row.full_text for row in single}
    found: dict[str, tuple[int, int]] = {}
    for row in each:
        equal, count = found.get(row.setting, (0, 0))
        same = whole[row.setting, row.problem].startswith(row.full_text.rstrip("\ufffd"))
        found[row.setting] = (equal + same, count + 1)
    return found


def table(single: store.RunDir, each: store.RunDir) -> list[str]:
    """One line a setting, and what all of them say."""
    rows = [responses(run) for run in (single, each)]
    tokens = [generated(found) for found in rows]
    prefixes = equal_prefixes(*rows)
    pairs = compared(single, each).with_columns(ratio=pl.col("derived_latency_s") / pl.col("measured_latency_s"))
    budgets: list[int] = sorted(pairs["budget"].unique().to_list())
    at = ", ".join(str(budget) for budget in budgets)
    lines = [
        "| setting | tokens, one pass | per budget | x fewer | equal prefixes "
        f"| accuracy derived=measured at {at} | derived / measured latency, median at {at} | all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (setting,), own in pairs.sort("setting").group_by("setting", maintain_order=True):
        name = str(setting)
        by_budget = [own.filter(pl.col("budget") == budget) for budget in budgets]
        said = ", ".join(f"{_mean(p, 'derived_correct')}={_mean(p, 'measured_correct')}" for p in by_budget)
        ratios = ", ".join(_median(p) for p in by_budget)
        one, many = (counted[name] for counted in tokens)
        equal, count = prefixes[name]
        cells = f"{name} | {one:,} | {many:,} | {many / one:.2f} | {equal} of {count} | {said} | {ratios}"
        lines.append(f"| {cells} | {_median(own)} |")
    one, many = (sum(counted.values()) for counted in tokens)
    differ = pairs.filter(pl.col("derived_correct") != pl.col("measured_correct")).height
    verdicts = f"{differ} of {pairs.height} verdicts differ"
    return [*lines, "", f"{many / one:.2f} x fewer tokens in one pass; {verdicts} between derived and measured.", ""]


def _median(frame: pl.DataFrame) -> str:
    median = frame["ratio"].median()
    return f"{median:.3f}" if isinstance(median, float) else "-"


def _mean(frame: pl.DataFrame, column: str) -> str:
    mean = frame[column].mean()
    return f"{mean:.2f}" if isinstance(mean, float) else "-"


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--runs", type=Path, required=True, help="where the two runs are kept")
    flags.add_argument("experiment", nargs="+", help="flags of tts-compare, after --")
    args = flags.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} at the start", flush=True)
    single, each = (measure(args.runs / curve, curve, args.experiment) for curve in CURVES)
    print("\n".join(table(single, each)))


if __name__ == "__main__":
    main()
