"""``tts-compare report``: one run or several, drawn from their files."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_compare.cli.strict import refuse
from tts_compare.cli.terminal import console, talk
from tts_compare.errors import UsageError

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis
    from tts_compare.api import Run
    from tts_compare.domain import RunWarning
    from tts_compare.reports import Look, RunView

FIGURE_FORMATS = ("png", "svg", "pdf")


def report_command(arguments: Namespace) -> int:
    """Write what was asked for: the console's report, another format, a page, figures; 1 where ``--strict`` fails."""
    from tts_compare.api import load
    from tts_compare.reports import REPORTS

    form = arguments.format or ("png" if arguments.figures else "console")
    known = FIGURE_FORMATS if arguments.figures else tuple(REPORTS)
    if form not in known:
        raise UsageError(f"--format {form} is not one of {', '.join(known)}")
    if arguments.claims and arguments.format in REPORTS:
        raise UsageError(f"--claims is text of its own, and --format {form} the whole report: give one of them")
    run = load(*arguments.runs, slo=arguments.slo)
    analysis, view = run.analysis, run.view
    if arguments.html:
        _write(Path(arguments.html), REPORTS["html"].render(analysis, view, look=_look()))
    if arguments.figures:
        _write_figures(analysis, view, Path(arguments.figures), form)
    if arguments.claims:
        _emit("".join(f"{line}\n" for line in claim_lines(analysis)), arguments.output)
    elif not (arguments.html or arguments.figures) or arguments.format in REPORTS:
        document = REPORTS[form].render(analysis, view, look=_look(no_color=arguments.no_color))
        _emit(document, arguments.output)
    return 1 if refuse(analysis.doubts, arguments.strict) else 0


def print_report(run: Run, *, no_color: bool = False) -> tuple[RunWarning, ...]:
    """Print the console's report of a run; returns its warnings."""
    from tts_compare.reports import REPORTS

    _emit(REPORTS["console"].render(run.analysis, run.view, look=_look(no_color=no_color)), None)
    return run.warnings


def _look(*, no_color: bool = False) -> Look:
    from tts_compare.reports import Look

    out = console(no_color=no_color)
    encoding = (sys.stdout.encoding or "ascii").lower()
    return Look(width=out.width, colour=out.is_terminal and not out.no_color, unicode=encoding.startswith("utf"))


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


def claim_lines(analysis: Analysis) -> Iterator[str]:
    """The paper's claims, a verdict and a sentence each."""
    from tts_compare.reports.plain import plain
    from tts_compare.reports.remarks import first_words

    yield from map(plain, first_words(analysis))
    for claim in analysis.claims:
        yield plain(f"({claim.letter}) {claim.title}: {claim.word}")
        yield plain(f"    {claim.sentence.removeprefix(f'{claim.word}: ')}")
