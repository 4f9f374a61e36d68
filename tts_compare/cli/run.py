"""``tts-compare run``: the experiment, its live view, and the report at its end."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tts_compare.cli.overrides import Asked, asked_by
from tts_compare.cli.strict import refuse
from tts_compare.cli.terminal import console, talk
from tts_compare.errors import UsageError

if TYPE_CHECKING:
    from tts_compare.run.execute import Outcome


def run_command(arguments: Namespace) -> int:
    """Run the experiment that the flags describe."""
    return run_asked(asked_by(arguments))


def run_asked(asked: Asked) -> int:
    """Run, report, and say by the exit status whether all of it was done."""
    from tts_compare.cli.report import print_report
    from tts_compare.plan.hardware import that_fit
    from tts_compare.plan.inputs import design_of
    from tts_compare.plan.manifest import additions, is_resumable
    from tts_compare.plan.prepare import prepare
    from tts_compare.plan.tasks import only, task_name
    from tts_compare.reports.live import watch
    from tts_compare.run.execute import execute
    from tts_compare.rundir.parts import is_parted, part_of

    experiment = asked.experiment()
    prepared = prepare(experiment)
    prepared = that_fit(prepared, design_of(prepared, None))
    path = Path(experiment.resume or experiment.out or _default_path(experiment.name))
    if experiment.only:
        prepared = only(prepared, experiment.only)
        path = part_of(path, task_name(experiment.only)).path
    elif is_parted(path):
        raise UsageError(f"{path} is measured by jobs: tts-compare submit --resume {shlex.quote(str(path))}")
    prepared.require_settings()
    if experiment.resume and is_resumable(path) and (added := additions(path, prepared)):
        talk(f"--resume adds to {path}: {', '.join(added)}")
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    try:
        with watch(console(no_color=experiment.no_color, stderr=True), quiet=experiment.quiet) as tell:
            outcome = execute(prepared, path, command=command, asked=asked.to_keep(), tell=tell)
    except KeyboardInterrupt:
        talk(f"interrupted; what was done is kept: tts-compare run --resume {shlex.quote(str(path))}")
        raise
    warnings = print_report([outcome.run.path], no_color=experiment.no_color) if outcome.measured else ()
    status = _status(outcome)
    return 1 if refuse(warnings, experiment.strict) else status


def _default_path(name: str) -> Path:
    return Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}"


def _status(outcome: Outcome) -> int:
    again = f"tts-compare run --resume {shlex.quote(str(outcome.run.path))}"
    talk(f"run directory: {outcome.run.path}")
    if outcome.stopped:
        talk(f"{outcome.stopped}; go on with: {again}")
    for setting, cause in outcome.failed.items():
        talk(f"failed: {setting}: {cause}")
    for setting, error in outcome.barren.items():
        talk(f"no successful request: {setting}{f': {error}' if error else ''}")
    return 0 if outcome.done else 1
