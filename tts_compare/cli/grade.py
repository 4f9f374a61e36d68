"""``tts-compare grade``: a finished run anew, why an answer was judged as it was, or any file of answers."""

from __future__ import annotations

import asyncio
import json
import shlex
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from tts_compare.cli.terminal import console, talk
from tts_compare.errors import TTSCompareError, UsageError
from tts_compare.rundir import store

if TYPE_CHECKING:
    from tts_compare.domain import Grade
    from tts_compare.grading.judgement import Grader
    from tts_compare.rundir.manifest import Manifest


def grade_command(arguments: Namespace) -> int:
    """Grade; nothing of a run but its grades and points is written."""
    if (arguments.run is None) == (arguments.responses is None):
        raise UsageError("name a run directory, or a file with --responses FILE.jsonl")
    if arguments.responses:
        return _grade_responses(arguments)
    run = store.open_run(Path(arguments.run))
    return _explain(arguments, run) if arguments.explain else _regrade(arguments, run)


def _grade_responses(arguments: Namespace) -> int:
    from tts_compare.grading.pool import GraderPool
    from tts_compare.grading.responses import grade_file

    path, both = Path(arguments.responses), arguments.grader == "both"
    options: dict[str, Any] = {"kind": arguments.kind, "policy": arguments.policy or "any"}
    with GraderPool(limit_s=arguments.timeout) as pool:
        grader: Grader = "layered" if both else arguments.grader or "layered"
        first = grade_file(path, pool=pool, grader=grader, **options)
        second = grade_file(path, pool=pool, grader="math-verify", **options) if both else None
        differing = []
        for number, judgement in enumerate(first, 1):
            row = {"status": judgement.status, "answer": judgement.answer, "layer": judgement.layer}
            print(json.dumps(row))
            if second is not None and (other := next(second)).status != judgement.status:
                differing.append((f"line {number}", judgement, other))
    _tell_disagreements(differing, both=both)
    return 0


def _regrade(arguments: Namespace, run: store.RunDir) -> int:
    from tts_compare.judge.join import write_points
    from tts_compare.judge.judge import Judge, write_grades
    from tts_compare.judge.score import with_scores

    manifest = store.read_manifest(run)
    if arguments.scores:
        manifest = with_scores(manifest, arguments.scores, key_env=arguments.scores_api_key_env)
    policy = arguments.policy or manifest.experiment.policy
    asked = arguments.grader or manifest.experiment.grader
    grader: Grader = "layered" if asked == "both" else asked
    with store.Lock(run), Judge(run, manifest, policy=policy, grader=grader, limit_s=arguments.timeout) as judge:
        unasked = _score(arguments, run, manifest)
        grades = list(judge.grade_all())
        write_grades(run, grades)
        judged = structs.replace(manifest.experiment, policy=policy, grader=asked)
        known = (warning for warning in manifest.doubts if warning.code != "cut_text_approximate")
        manifest = structs.replace(manifest, experiment=judged, doubts=(*known, *judge.warnings()))
        store.write_manifest(run, manifest, private=run.private)
        write_points(run, manifest)
    if asked == "both":
        with Judge(run, manifest, policy=policy, grader="math-verify", limit_s=arguments.timeout) as other:
            pairs = zip(grades, other.grade_all(), strict=True)
            named = [(f"{a.setting} {a.problem}", a, b) for a, b in pairs if a.sample is not None]
        _tell_disagreements([row for row in named if row[1].status != row[2].status], both=True)
    _print_counts(grades, no_color=arguments.no_color)
    if unasked is not None:
        raise unasked
    return 0


def _score(arguments: Namespace, run: store.RunDir, manifest: Manifest) -> TTSCompareError | None:
    """Ask for the scores that are missing, only where the command line says whom: a run may be somebody else's.

    Returns what went wrong, for grading goes on with what is there.
    """
    from tts_compare.domain.events import Event, Said
    from tts_compare.judge.judge import endpoint_options
    from tts_compare.judge.score import score_run, unscored

    def tell(event: Event) -> None:
        if isinstance(event, Said):
            talk(event.text)

    options = endpoint_options(manifest)
    if options is None:
        return None
    if arguments.scores:
        try:
            asyncio.run(score_run(run, manifest, tell=tell))
        except TTSCompareError as error:
            return error
    elif missing := len(unscored(run, manifest)):
        again = ["tts-compare", "grade", str(run.path), "--scores", str(options["scores"])]
        key = ["--scores-api-key-env", options["scores_api_key_env"]] if options["scores_api_key_env"] else []
        talk(f"{missing} responses have no score; to ask the reward model: {shlex.join([*again, *key])}")
    return None


def _print_counts(grades: Iterable[Grade], *, no_color: bool) -> None:
    from rich.table import Table

    from tts_compare.reports.plain import one_line

    counts: dict[str, dict[str, int]] = {}
    for grade in grades:
        if grade.sample is not None and grade.cut_tokens is None:
            mine = counts.setdefault(grade.setting, {})
            mine[grade.status] = mine.get(grade.status, 0) + 1
    names = ("correct", "incorrect", "no_answer", "ungraded")
    table = Table("setting", *names)
    for setting, mine in counts.items():
        table.add_row(one_line(setting), *(str(mine.get(name, 0)) for name in names))
    console(no_color=no_color).print(table)


def _explain(arguments: Namespace, run: store.RunDir) -> int:
    from rich.table import Table

    from tts_compare.domain import RequestRecord
    from tts_compare.grading.explain import explain
    from tts_compare.grading.pool import GraderPool
    from tts_compare.grading.records import targets
    from tts_compare.judge.judge import problems_of
    from tts_compare.reports.plain import one_line

    manifest = store.read_manifest(run)
    problems = problems_of(manifest)
    if arguments.explain not in problems:
        raise UsageError(f"no problem {arguments.explain!r} in this run; its problems: {_some(problems)}")
    rows = [row for row in store.read_rows(run.records, RequestRecord) if row.problem == arguments.explain]
    policy = arguments.policy or manifest.experiment.policy
    asked = arguments.grader or manifest.experiment.grader
    grader: Grader = "layered" if asked == "both" else asked
    wanted = list(targets(rows, problems, policy=policy, stop_at=manifest.prompt.stop_at))
    if not wanted:
        talk(f"nothing to explain: no response to {arguments.explain!r} succeeded")
    with GraderPool(limit_s=arguments.timeout) as pool:
        for target in wanted:
            record = target.record
            title = f"{record.setting} budget {record.budget} sample {record.sample} repeat {record.repeat}"
            table = Table("step", "in", "out", "decision", title=one_line(title), title_justify="left")
            for step in explain(target.item, pool=pool, grader=grader):
                table.add_row(*(one_line(text) for text in (step.step, step.input, step.output, step.decision)))
            console(no_color=arguments.no_color).print(table)
    return 0


def _some(problems: Iterable[str]) -> str:
    shown = list(problems)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _tell_disagreements(rows: list[tuple[str, Any, Any]], *, both: bool) -> None:
    """Two graders side by side: where they differ, as a list to look at."""
    if not both:
        return
    from tts_compare.reports.plain import one_line

    talk(f"{len(rows)} disagreements between layered and math-verify")
    for where, first, second in rows:
        answer = one_line(first.answer or "")
        talk(f"{where}: layered {first.status} ({first.layer}), math-verify {second.status}: {answer}")
