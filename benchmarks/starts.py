"""A setting against itself on a real engine: how often pairs of starts are told apart.

    python -m benchmarks.starts [--pairs 10] [--backend vllm] [--model DIR] [--runs DIR]

Runs the same command over and over, two server starts each, and compares every run with the next one (the last with
the first), as ``tts-compare diff`` does: with both starts, and with the first start of each alone. Whatever is said to
be faster or slower is wrong. Runs that are there already are used again, so a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tts_compare.analysis.findings.diff import RunFrames, compare_runs
from tts_compare.installer.models import make_tiny_model
from tts_compare.installer.registry import find_python
from tts_compare.judge.join import run_frames
from tts_compare.rundir import store

STARTS = 2
WORDS = ("faster", "slower")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One comparison: the latency ratio with its interval, and what the report says of it."""

    ratio: float
    low: float
    high: float
    verdict: str

    @property
    def says(self) -> bool:
        """Whether a word was said."""
        return any(word in self.verdict for word in WORDS)

    @property
    def excludes_one(self) -> bool:
        """Whether the interval leaves out 1."""
        return not self.low <= 1.0 <= self.high


def measure(directory: Path, args: argparse.Namespace, model: Path) -> store.RunDir:
    """One run, taken up where it was left."""
    command = [sys.executable, "-m", "tts_compare", f"--backend={args.backend}", f"--model={model}"]
    command += ["--dataset=quickstart", f"--problems={args.problems}", f"--budget={args.budget}"]
    command += [f"--repeats={STARTS}", "--quiet", f"--resume={directory}"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"a run ended with {done.returncode}: {' '.join(command)}")
    return store.open_run(directory)


def compare(a: RunFrames, b: RunFrames) -> Seen:
    """The one point of both runs."""
    (row,) = compare_runs(a, b).pairs.iter_rows(named=True)
    low, high = row["latency_ratio_lo"], row["latency_ratio_hi"]
    return Seen(ratio=row["latency_ratio"], low=low, high=high, verdict=row["latency_verdict"])


def first_start(frames: RunFrames) -> RunFrames:
    """The same run as if it had been started once."""
    records, grades, manifest = frames
    return records.filter(pl.col("repeat") == 0), grades.filter(pl.col("repeat") == 0), manifest


def table(one: list[Seen], two: list[Seen]) -> list[str]:
    """Every comparison, and the counts."""
    lines = ["| pair | one start a side | says | two starts a side | says |", "|---|---|---|---|---|"]
    for i, (single, double) in enumerate(zip(one, two, strict=True), 1):
        lines.append(f"| {i} | {_cell(single)} | {_word(single)} | {_cell(double)} | {_word(double)} |")
    says = [sum(seen.says for seen in group) for group in (one, two)]
    excludes = [sum(seen.excludes_one for seen in group) for group in (one, two)]
    counts = f"{excludes[0]} of {len(one)} intervals leave out 1 | {says[0]} | {excludes[1]} of {len(two)} | {says[1]}"
    return [*lines, f"| all | {counts} |", ""]


def spread(runs: list[RunFrames]) -> str:
    """How much the mean latency differs between starts."""
    means = pl.concat(
        records.filter(phase="measured").group_by("repeat").agg(
            s=((pl.col("last_token_ns") - pl.col("sent_ns")) / 1e9).mean()
        )
        for records, _, _ in runs
    )["s"]  # fmt: skip
    mean, deviation = float(means.mean()), float(means.std())  # type: ignore[arg-type]
    return f"{len(means)} starts: mean latency {mean:.3f} s, standard deviation between starts {deviation / mean:.1%}"


def _cell(seen: Seen) -> str:
    return f"{seen.ratio:.3f} ({seen.low:.3f} to {seen.high:.3f})"


def _word(seen: Seen) -> str:
    return seen.verdict if seen.says else "no word"


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--pairs", type=int, default=10)
    flags.add_argument("--backend", default="vllm")
    flags.add_argument("--model", type=Path, help="a model's directory; else a random one of two layers")
    flags.add_argument("--problems", type=int, default=40)
    flags.add_argument("--budget", type=int, default=64)
    flags.add_argument("--runs", type=Path, help="keep the runs here")
    args = flags.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} at the start", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        place = args.runs or Path(scratch)
        model = args.model or _tiny(args.backend, place / "model")
        runs: list[RunFrames] = []
        for i in range(args.pairs):
            runs.append(run_frames(measure(place / f"{i:02d}", args, model)))
            print(f"run {i + 1} of {args.pairs}: {spread(runs)}, load {os.getloadavg()[0]:.1f}", flush=True)
        pairs = [(runs[i], runs[(i + 1) % len(runs)]) for i in range(len(runs))]
        two = [compare(a, b) for a, b in pairs]
        one = [compare(first_start(a), first_start(b)) for a, b in pairs]
    print("\n".join([f"{spread(runs)}.", "", *table(one, two)]))


def _tiny(backend: str, directory: Path) -> Path:
    python: Any = find_python(backend, None, overrides={}, device="cpu")
    return directory if (directory / "config.json").exists() else make_tiny_model(python.path, directory)


if __name__ == "__main__":
    main()
