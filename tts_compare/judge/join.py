"""Runs -> their analysis, from their files alone; several runs are put on one frontier."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from msgspec import structs

from tts_compare.codes import placed, warn
from tts_compare.domain import Grade, RequestRecord, RunWarning
from tts_compare.errors import RunError, UsageError
from tts_compare.judge.bounds import with_bounds
from tts_compare.judge.judge import Judge, endpoint_options, write_grades
from tts_compare.judge.parts import parted_frames
from tts_compare.judge.prices import Prices
from tts_compare.rundir import store
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.parts import is_parted, log_of

if TYPE_CHECKING:
    import polars as pl

    from tts_compare.analysis.analyse import AnalysisRows
    from tts_compare.analysis.schema import Analysis
    from tts_compare.grading.judgement import Grader

#: One run: records, grades, manifest.
RunFrames: TypeAlias = "tuple[pl.DataFrame, pl.DataFrame, Manifest]"


def frames(run: store.RunDir, manifest: Manifest) -> RunFrames:
    """Records, with texts and timelines, and grades of a run as the analysis reads them, and its manifest.

    Rows that cannot be read are skipped, and grades that cannot be read are made anew; the manifest that is returned
    has the warnings that say so.
    """
    from tts_compare.analysis.schema import grade_schema, record_schema

    asides: list[store.Aside] = []
    kept, damaged = asides.append, list[store.Aside]()
    records = store.read_frame(run.records, record_schema(optional=True), kind=RequestRecord, aside=kept)
    grades = store.read_frame(run.grades, grade_schema(), kind=Grade, aside=damaged.append)
    if asides:
        manifest = _warned(manifest, warn("rows_set_aside", store.told(asides)))
    if damaged:
        manifest = _warned(manifest, warn("grades_unreadable", f"{store.told(damaged)}; the run was graded anew"))
        grades = _graded_anew(run, manifest)
    return records, grades, manifest


def _warned(manifest: Manifest, warning: RunWarning) -> Manifest:
    return structs.replace(manifest, doubts=(*manifest.doubts, warning))


def _graded_anew(run: store.RunDir, manifest: Manifest) -> pl.DataFrame:
    """Grade a run whose grades are damaged, and replace them where the directory can be written."""
    import polars as pl

    from tts_compare.analysis.schema import grade_schema

    asked = manifest.experiment.grader
    grader: Grader = "layered" if asked == "both" else asked
    with Judge(run, manifest, policy=manifest.experiment.policy, grader=grader) as judge:
        grades = list(judge.grade_all())
    with suppress(OSError, RunError):
        write_grades(run, grades)
    return pl.DataFrame([asdict(grade) for grade in grades], schema=grade_schema())


def run_frames(run: store.RunDir) -> RunFrames:
    """Records, grades and manifest of one run, also of one that several jobs measure."""
    if is_parted(run.path):
        return parted_frames(run.path, run_frames)
    return frames(run, with_scoring(run, store.read_manifest(run)))


def with_scoring(run: store.RunDir, manifest: Manifest) -> Manifest:
    """The manifest with what ``scores.jsonl`` says of the scoring, by setting; nothing where no model was asked."""
    from tts_compare.analysis.rows.scoring import scoring_facts
    from tts_compare.rundir.scores import Score

    asked = endpoint_options(manifest) is not None
    facts = scoring_facts(store.read_rows(run.scores, Score), manifest.settings) if asked else {}
    return structs.replace(manifest, scoring=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRows:
    """Runs put together, as the analysis reads them."""

    #: Of the run, or joined of several.
    manifest: Manifest
    #: ``record_schema``, with texts and timelines.
    records: pl.DataFrame
    #: ``grade_schema``.
    grades: pl.DataFrame
    #: The directories, by what the names of their settings begin with; one run alone by an empty prefix.
    runs: Mapping[str, store.RunDir]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Runs put together: what the analysis read, and what it says."""

    #: What it says.
    analysis: Analysis
    #: What it read.
    rows: RunRows


def analyse_runs(runs: Sequence[store.RunDir], *, slo: Sequence[str] = (), prices: Prices | None = None) -> Judged:
    """The analysis of one run or several, from their files; ``prices`` in place of those of the runs.

    Raises RunError where nothing was measured, UsageError where a run is named twice or a priced setting is unknown.
    """
    return analyse_frames(read_runs(runs, prices=prices), slo=slo)


def read_runs(runs: Sequence[store.RunDir], *, prices: Prices | None = None) -> RunRows:
    """The rows of one run or several, settings of several under ``<run>:<setting>``; prices: in place of the runs' own.

    Raises RunError where nothing was sent, UsageError where a run is named twice or a priced setting is unknown.
    """
    import polars as pl

    names = run_names([run.path for run in runs])
    read = [run_frames(run) for run in runs]
    manifests, parts = [part[2] for part in read], [part[:2] for part in read]
    manifest = manifests[0] if len(runs) == 1 else joined_manifest(list(zip(names, manifests, strict=True)))
    manifest = prices.over(manifest) if prices else manifest
    if len(runs) > 1:
        parts = [(_renamed(r, name), _renamed(g, name)) for name, (r, g) in zip(names, parts, strict=True)]
    records, grades = (pl.concat(frames_of) for frames_of in zip(*parts, strict=True))
    if not records.height:
        raise RunError(f"{runs[0].path} holds no request yet: run it, or resume it with --resume {runs[0].path}")
    where = {"": runs[0]} if len(runs) == 1 else {f"{name}:": run for name, run in zip(names, runs, strict=True)}
    return RunRows(manifest=manifest, records=records, grades=grades, runs=where)


def analyse_frames(rows: RunRows, *, slo: Sequence[str] = (), prepared: AnalysisRows | None = None) -> Judged:
    """The analysis of rows that were read, with the bounds of the machines and the run of each warning.

    prepared: what ``analysis.analyse.prepare`` made of the same rows. Raises RunError where nothing was measured,
    UsageError where an objective cannot be read.
    """
    from tts_compare.analysis.analyse import analyse
    from tts_compare.analysis.findings.slo import parse_slo

    objectives = [parse_slo(text) for text in slo]
    to_limit = partial(with_bounds, manifest=rows.manifest)
    analysis = analyse(rows.records, rows.grades, rows.manifest, slo=objectives, rows=prepared, to_limit=to_limit)
    analysis = replace(analysis, doubts=tuple(_placed(warning, rows.runs) for warning in analysis.doubts))
    return Judged(analysis=analysis, rows=rows)


def _placed(warning: RunWarning, runs: Mapping[str, store.RunDir]) -> RunWarning:
    """The warning with the directory of the run that it is of, where that is known.

    runs: by what the settings' names begin with; one for all where the prefix is empty.
    """
    prefix = next((prefix for prefix in runs if (warning.setting or "").startswith(prefix)), None)
    if prefix is None:
        return warning
    run, setting = runs[prefix], warning.setting
    log = None if setting is None else str(log_of(run, setting.removeprefix(prefix)))
    return placed(warning, str(run.path), log=log)


def run_names(paths: Sequence[Path]) -> list[str]:
    """A name a run: its directory's, after as many of those above it as tell it from the others.

    Raises UsageError where a run is named twice.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError(f"a run is named twice: {' '.join(map(str, paths))}")
    parts = [Path(os.path.abspath(path)).parts[1:] for path in paths]  # noqa: PTH100 - a link keeps its own name
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["-".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _renamed(frame: pl.DataFrame, run: str) -> pl.DataFrame:
    """Settings of one run under names that another run's cannot have."""
    import polars as pl

    return frame.with_columns(setting=pl.lit(f"{run}:") + pl.col("setting"))


def joined_manifest(manifests: Sequence[tuple[str, Manifest]]) -> Manifest:
    """One manifest for several runs, settings under ``<run>:<setting>``; the rest is the first run's.

    A setting takes the device-hour price, time limits and retry rules of its own run along. One id for two problems
    is a warning.
    """
    parts = [_under(name, manifest) for name, manifest in manifests]
    problems = {row.id: row for part in parts for row in part.dataset.problems}
    doubts = [warning for part in parts for warning in part.doubts]
    # An import that was given no data set has problems without a text.
    texts = {(row.id, row.problem) for part in parts for row in part.dataset.problems if row.problem}
    if others := len(texts) - len({ident for ident, _ in texts}):
        message = f"{others} ids of problems name other problems in another run: what is compared is not the same"
        doubts.append(warn("problems_differ", message))
    first = parts[0]
    return structs.replace(
        first,
        experiment=structs.replace(first.experiment, gpu_hour_usd=None, limits=None, retry=None),
        settings={setting: facts for part in parts for setting, facts in part.settings.items()},
        server_metrics={setting: rows for part in parts for setting, rows in part.server_metrics.items()},
        scoring={setting: facts for part in parts for setting, facts in part.scoring.items()},
        left_out=tuple(row for part in parts for row in part.left_out),
        failed=tuple(row for part in parts for row in part.failed),
        deaths=tuple(row for part in parts for row in part.deaths),
        doubts=tuple(doubts),
        models={model: facts for part in parts for model, facts in part.models.items()},
        dataset=structs.replace(first.dataset, problems=tuple(problems.values())),
    )


def _under(run: str, manifest: Manifest) -> Manifest:
    """A manifest whose settings have the run before their names, and the rules of the run among their facts."""
    own = manifest.experiment

    def named(setting: str) -> str:
        return f"{run}:{setting}"

    def ruled(facts: SettingFacts) -> SettingFacts:
        return structs.replace(facts, gpu_hour_usd=own.gpu_hour_usd, limits=own.limits, retry=own.retry)

    return structs.replace(
        manifest,
        settings={named(setting): ruled(facts) for setting, facts in manifest.settings.items()},
        server_metrics={named(setting): rows for setting, rows in manifest.server_metrics.items()},
        scoring={named(setting): facts for setting, facts in manifest.scoring.items()},
        left_out=tuple(structs.replace(row, setting=named(row.setting)) for row in manifest.left_out),
        failed=tuple(structs.replace(row, setting=named(row.setting)) for row in manifest.failed),
        deaths=tuple(structs.replace(row, setting=named(row.setting)) for row in manifest.deaths),
        doubts=tuple(replace(row, setting=named(row.setting)) if row.setting else row for row in manifest.doubts),
    )


def judge_run(run: store.RunDir, manifest: Manifest) -> Judged | None:
    """Analyse a run that has been graded, and replace ``points.json``; None where no request was measured.

    manifest: the run's, as it will be on disk.
    """
    records, grades, known = frames(run, with_scoring(run, manifest))
    if not records.filter(phase="measured").height:
        return None
    judged = analyse_frames(RunRows(manifest=known, records=records, grades=grades, runs={"": run}))
    store.write_json(run.points, judged.analysis.points.to_dicts(), private=run.private)
    return judged


def write_points(run: store.RunDir, manifest: Manifest) -> None:
    """Replace ``points.json`` where nothing else of the analysis is wanted; nothing where no request was measured."""
    from tts_compare.analysis.analyse import points

    records, grades, known = frames(run, with_scoring(run, manifest))
    if records.filter(phase="measured").height:
        found = points(records, grades, known, to_limit=partial(with_bounds, manifest=known))
        store.write_json(run.points, found.to_dicts(), private=run.private)
