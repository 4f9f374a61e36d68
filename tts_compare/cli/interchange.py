"""``tts-compare export`` and ``import``: points in another tool's format, and back."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from tts_compare.cli.report import print_report
from tts_compare.cli.terminal import talk
from tts_compare.errors import RunError, UsageError


def export_command(arguments: Namespace) -> int:
    """Write one JSON file a point into a directory, or one JSON a line to standard output."""
    from tts_compare.api import load
    from tts_compare.reports.vllm_json import export_vllm

    run = load(arguments.run)
    files = export_vllm(run.analysis, run.view)
    if not arguments.output:
        for content in files.values():
            print(content.decode())
        return 0
    directory = Path(arguments.output)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory / name).write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write {directory}: {error.strerror}") from error
    talk(f"files written to {directory}: {len(files)}")
    return 0


def import_command(arguments: Namespace) -> int:
    """Make a run directory of a foreign file and report it."""
    from tts_compare.api import Run
    from tts_compare.config.values import count
    from tts_compare.dataset import load_problems
    from tts_compare.judge.imported import import_file

    file = Path(arguments.file)
    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    out = Path(arguments.out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{file.stem}")
    try:
        budget = count(arguments.budget) if arguments.budget else None
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from None
    dataset = load_problems(arguments.dataset) if arguments.dataset else None
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    run, imported, judged = import_file(file, out, dataset=dataset, budget=budget, command=command)
    talk(f"{len(imported.records)} requests of {imported.source} taken into {run.path}")
    if judged is None:
        raise RunError(f"{file} holds no request that was measured")
    print_report(Run(judged.rows, judged=judged))
    talk(f"put it beside a run of yours: tts-compare report {shlex.quote(str(run.path))} RUN")
    return 0
