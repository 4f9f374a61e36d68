"""``tts-compare run``: the experiment, its live view, and the report at its end."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from tts_compare.cli.overrides import CommandLine, asked_by
from tts_compare.cli.strict import refuse
from tts_compare.cli.terminal import console, talk

if TYPE_CHECKING:
    from tts_compare.measure.execute import Outcome


def run_command(arguments: Namespace) -> int:
    """Run the experiment that the flags describe."""
    return run_asked(asked_by(arguments))


def run_asked(asked: CommandLine) -> int:
    """Run, report, and say by the exit status whether all of it was done."""
    from tts_compare.api import Experiment, NothingMeasuredError, run
    from tts_compare.api.measuring import default_path
    from tts_compare.cli.report import print_report
    from tts_compare.reports.live import watch

    experiment = Experiment.from_flags(asked.config, asked.flags)
    checked, path = experiment.checked, default_path(experiment)
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    try:
        with watch(console(no_color=checked.no_color, stderr=True), quiet=checked.quiet) as tell:
            measured = run(experiment, path, tell=tell, command=command)
    except KeyboardInterrupt:
        talk(f"interrupted; what was done is kept: tts-compare run --resume {shlex.quote(str(path))}")
        raise
    except NothingMeasuredError as error:
        return _status(error.outcome)
    warnings = print_report(measured, no_color=checked.no_color)
    status = _status(measured.outcome) if measured.outcome else 0
    return 1 if refuse(warnings, checked.strict) else status


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
