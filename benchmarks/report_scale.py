"""How long and how much memory the report of a large run takes: 30 settings x 5 budgets x 500 problems x 4 samples.

    python -m benchmarks.report_scale [--settings 30] [--profile]

First the whole command, ``tts-compare report DIR``, in a process of its own and from files: its seconds, and its own
peak memory. Then the seconds of the analysis alone, in this process.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.synthetic import Run, World, engines_grid, grade_rows, make_run, record_rows
from tts_compare.analysis.analyse import analyse, points
from tts_compare.domain import Sampling, Work
from tts_compare.rundir import store

FORMATS = ("console", "json", "html")


def world(settings: int) -> World:
    """A run of so many settings of five models, responses without timelines."""
    models = ("a", "b", "c", "d", "e")
    engines = (*engines_grid(models=models[:3]), *engines_grid(models=models[3:], tensor_parallels=(1,)))[:settings]
    return World(
        engines=engines,
        budgets=(128, 256, 512, 1024, 2048),
        problems=500,
        samples=4,
        mixed=0.5,
        parameters={name: 10**9 * (i + 1) for i, name in enumerate(models)},
    )


def write_run(run: Run, directory: Path) -> store.RunDir:
    """Put a synthetic run into files, as a real one leaves them."""
    kept = store.create(directory)
    encode = msgspec.json.Encoder().encode
    for path, rows in ((kept.records, record_rows(run)), (kept.grades, grade_rows(run))):
        with path.open("wb") as out:
            out.writelines(encode(row) + b"\n" for row in rows)
    work = (Work(method="truncate", budget=4096, load="c1", samples=4, sampling=Sampling()),)
    experiment = msgspec.structs.replace(run.manifest.experiment, work=work)
    store.write_manifest(kept, msgspec.structs.replace(run.manifest, experiment=experiment))
    return kept


def timed_report(directory: Path, form: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of ``tts-compare report`` over the files."""
    command = [sys.executable, "-m", "tts_compare", "report", str(directory), f"--format={form}", "--output=/dev/null"]
    began = time.perf_counter()
    with subprocess.Popen(command) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"the report ended with {process.returncode}: {' '.join(command)}")
    return time.perf_counter() - began, used.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--settings", type=int, default=30)
    flags.add_argument("--profile", action="store_true", help="where the analysis spends its time")
    args = flags.parse_args()
    run = make_run(world(args.settings))
    print(f"{run.records.height:,} records, {args.settings} settings, load {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as scratch:
        kept = write_run(run, Path(scratch) / "run")
        size = sum(path.stat().st_size for path in kept.path.iterdir()) / 1e6
        print(f"files: {size:,.0f} MB")
        for form in FORMATS:
            seconds, peak = timed_report(kept.path, form)
            print(f"report --format {form}, from the files: {seconds:.1f} s, peak {peak:,.0f} MB", flush=True)
    profile = cProfile.Profile() if args.profile else None
    for name, stage in (("points", points), ("analyse", analyse)):
        began, cpu = time.perf_counter(), time.process_time()
        if profile:
            profile.enable()
        stage(run.records, run.grades, run.manifest)
        if profile:
            profile.disable()
        print(f"{name} alone: {time.perf_counter() - began:.1f} s, {time.process_time() - cpu:.1f} CPU s", flush=True)
    if profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(40)


if __name__ == "__main__":
    main()
