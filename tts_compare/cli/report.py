"""``tts-compare report``: one run or several, drawn from their files."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_compare.cli.explain import explain
from tts_compare.cli.strict import refuse
from tts_compare.cli.terminal import console, talk
from tts_compare.errors import UsageError

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis
    from tts_compare.api import Run
    from tts_compare.domain import RunWarning
    from tts_compare.judge.prices import Prices
    from tts_compare.reports import Look, RunView

FIGURE_FORMATS = ("png", "svg", "pdf")


def report_command(arguments: Namespace) -> int:
    """Write what was asked for: the console's report, another format, a page, figures; 1 where ``--strict`` fails."""
    from tts_compare.api import load
    from tts_compare.reports import REPORTS

    if arguments.explain:
        _emit("".join(f"{line}\n" for line in explain(arguments.explain)), arguments.output)
        return 0
    if not arguments.runs:
        raise UsageError("no run to report: name a run directory")
    form = arguments.format or ("png" if arguments.figures else "console")
    known = FIGURE_FORMATS if arguments.figures else tuple(REPORTS)
    if form not in known:
        raise UsageError(f"--format {form} is not one of {', '.join(known)}")
    if (arguments.claims or arguments.full) and form in REPORTS and form != "console":
        flag = "--claims" if arguments.claims else "--full"
        raise UsageError(f"{flag} is of the terminal's report, and --format {form} always whole: give one of them")
    run = load(*arguments.runs, slo=arguments.slo, prices=_prices(arguments), names=dict(map(_pair_of, arguments.name)))
    analysis, view = run.analysis, run.view
    look = _look(no_color=arguments.no_color, ascii_only=arguments.ascii)
    look = replace(look, full=arguments.full, claims=arguments.claims)
    if arguments.html:
        _write(Path(arguments.html), REPORTS["html"].render(analysis, view, look=look))
    if arguments.figures:
        _write_figures(analysis, view, Path(arguments.figures), form)
    to_terminal = arguments.format in REPORTS or arguments.claims or arguments.full
    if to_terminal or not (arguments.html or arguments.figures):
        document = REPORTS[form if form in REPORTS else "console"].render(analysis, view, look=look)
        _emit(document, arguments.output)
    return 1 if refuse(analysis.doubts, arguments.strict) else 0


def print_report(run: Run, *, no_color: bool = False) -> tuple[RunWarning, ...]:
    """Print the console's report of a run; returns its warnings."""
    from tts_compare.reports import REPORTS

    _emit(REPORTS["console"].render(run.analysis, run.view, look=_look(no_color=no_color)), None)
    return run.warnings


def _prices(arguments: Namespace) -> Prices | None:
    """``--gpu-hour-usd`` and ``--price [NAME=]IN/OUT``. Raises UsageError."""
    from tts_compare.config.serving import price
    from tts_compare.config.values import BadValueError, number
    from tts_compare.judge.prices import Prices

    if arguments.gpu_hour_usd is None and not arguments.price:
        return None
    try:
        hourly = None if arguments.gpu_hour_usd is None else number(arguments.gpu_hour_usd)
        named = [text.rpartition("=") for text in arguments.price]
        return Prices(gpu_hour_usd=hourly, hosted={name: price(value) for name, _, value in named})
    except BadValueError as error:
        raise UsageError(str(error)) from error


def _pair_of(text: str) -> tuple[str, str]:
    setting, equals, label = text.rpartition("=")
    if not equals or not setting or not label:
        raise UsageError(f"--name {text!r} is not SETTING=LABEL")
    return setting, label


def _look(*, no_color: bool = False, ascii_only: bool = False) -> Look:
    from tts_compare.reports import Look

    out = console(no_color=no_color)
    encoding = (sys.stdout.encoding or "ascii").lower()
    dumb = os.environ.get("TERM") == "dumb"
    return Look(
        width=out.width,
        colour=out.is_terminal and not out.no_color and not dumb,
        unicode=encoding.startswith("utf") and not ascii_only and not dumb,
    )


def _emit(document: str | bytes, output: str | None) -> None:
    if output:
        _write(Path(output), document)
    elif isinstance(document, bytes):
        if sys.stdout.isatty():
            raise UsageError("this format is not text: name a file with --output")
        sys.stdout.buffer.write(document)
    else:
        sys.stdout.write(document)


def _write(path: Path, document: str | bytes) -> None:
    try:
        if isinstance(document, bytes):
            path.write_bytes(document)
        else:
            path.write_text(document, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    talk(f"written: {path}")


def _write_figures(analysis: Analysis, view: RunView, directory: Path, form: Any) -> None:
    from tts_compare.reports.figures import draw_figures

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {directory}: {error.strerror}") from error
    for name, drawn in draw_figures(analysis, view, file_format=form).items():
        _write(directory / name, drawn)
