"""Runs -> their analysis, from their files alone; several runs are put on one frontier."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_compare import store
from tts_compare.codes import placed, warn
from tts_compare.domain import Doubt, Grade, RequestRecord
from tts_compare.errors import RunError, UsageError
from tts_compare.experiment.bounds import analysis_with_bounds, with_bounds
from tts_compare.experiment.judge import Judge, endpoint_options, write_grades

if TYPE_CHECKING:
    import polars as pl

    from tts_compare.analysis.schema import Analysis
    from tts_compare.grading.judgement import Grader


def frames(run: store.RunDir, manifest: dict[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records, with texts and timelines, and grades of a run as the analysis reads them.

    Rows that cannot be read are set aside, and grades that cannot be read are made anew; the manifest is given the
    warnings that say so.
    """
    from tts_compare.analysis.schema import grade_schema, record_schema

    asides: list[store.Aside] = []
    kept, damaged = asides.append, list[store.Aside]()
    records = store.read_frame(run.records, record_schema(optional=True), kind=RequestRecord, aside=kept)
    grades = store.read_frame(run.grades, grade_schema(), kind=Grade, aside=damaged.append)
    if asides:
        advice = "--resume sends again what these rows were of; mend or delete the lines to be rid of the warning"
        _warn(manifest, "rows_set_aside", store.told(asides), advice)
    if damaged:
        _warn(manifest, "grades_unreadable", f"{store.told(damaged)}; the run was graded anew", "")
        grades = _graded_anew(run, manifest)
    return records, grades


def _warn(manifest: dict[str, Any], code: str, message: str, advice: str) -> None:
    warning: dict[str, Any] = {"code": code, "message": message, "advice": advice, "setting": None, "points": []}
    manifest["doubts"] = [*(manifest.get("doubts") or ()), warning]


def _graded_anew(run: store.RunDir, manifest: Mapping[str, Any]) -> pl.DataFrame:
    """Grade a run whose grades are damaged, and replace them where the directory can be written."""
    import polars as pl

    from tts_compare.analysis.schema import grade_schema

    asked = manifest["experiment"]["grader"]
    grader: Grader = "layered" if asked == "both" else asked
    with Judge(run, manifest, policy=manifest["experiment"]["policy"], grader=grader) as judge:
        grades = list(judge.grade_all())
    with suppress(OSError, RunError):
        write_grades(run, grades)
    return pl.DataFrame([asdict(grade) for grade in grades], schema=grade_schema())


def run_frames(run: store.RunDir) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Records, grades and manifest of one run."""
    manifest = with_scoring(run, store.read_manifest(run))
    return (*frames(run, manifest), manifest)


def with_scoring(run: store.RunDir, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with what ``scores.jsonl`` says of the scoring, by setting; nothing where no model was asked."""
    from tts_compare.analysis.scoring import scoring_facts
    from tts_compare.scores import Score

    asked = endpoint_options(manifest) is not None
    facts = scoring_facts(store.read_rows(run.scores, Score), manifest["settings"]) if asked else {}
    return {**manifest, "scoring": facts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Runs put together: what the analysis read, and what it says."""

    analysis: Analysis
    manifest: dict[str, Any]
    records: pl.DataFrame
    grades: pl.DataFrame


def analyse_runs(runs: Sequence[store.RunDir], *, slo: Sequence[str] = ()) -> Judged:
    """The analysis of one run or several, from their files.

    Raises RunError where nothing was measured, UsageError where a run is named twice.
    """
    import polars as pl

    from tts_compare.analysis.analyse import analyse
    from tts_compare.analysis.slo import parse_slo

    names = run_names([run.path for run in runs])
    manifests = [with_scoring(run, store.read_manifest(run)) for run in runs]
    parts = [frames(run, manifest) for run, manifest in zip(runs, manifests, strict=True)]
    manifest = manifests[0] if len(runs) == 1 else joined_manifest(list(zip(names, manifests, strict=True)))
    if len(runs) > 1:
        parts = [(_renamed(r, name), _renamed(g, name)) for name, (r, g) in zip(names, parts, strict=True)]
    records, grades = (pl.concat(frames_of) for frames_of in zip(*parts, strict=True))
    if not records.height:
        raise RunError(f"{runs[0].path} holds no request yet: run it, or take it up with --resume {runs[0].path}")
    analysis = analyse(records, grades, manifest, slo=[parse_slo(text) for text in slo])
    analysis = analysis_with_bounds(analysis, manifest)
    where = {"": runs[0]} if len(runs) == 1 else {f"{name}:": run for name, run in zip(names, runs, strict=True)}
    analysis = replace(analysis, doubts=tuple(_placed(warning, where) for warning in analysis.doubts))
    return Judged(analysis=analysis, manifest=manifest, records=records, grades=grades)


def _placed(warning: Doubt, runs: Mapping[str, store.RunDir]) -> Doubt:
    """The warning with the directory of the run that it is of, where that is known.

    runs: by what the settings' names begin with; one for all where the prefix is empty.
    """
    prefix = next((prefix for prefix in runs if (warning.setting or "").startswith(prefix)), None)
    if prefix is None:
        return warning
    run, setting = runs[prefix], warning.setting
    log = None if setting is None else str(run.server_log(setting.removeprefix(prefix)))
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


def joined_manifest(manifests: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """One manifest for several runs, settings under ``<run>:<setting>``; the rest is the first run's.

    A setting takes the device-hour price, time limits and retry rules of its own run along. One id for two problems
    is a doubt.
    """
    first = dict(manifests[0][1])
    problems = {row["id"]: row for _, manifest in manifests for row in manifest["dataset"]["problems"]}
    by_setting, lists = ("settings", "server_metrics", "scoring"), ("left_out", "failed", "doubts")
    renamed: dict[str, Any] = {key: {} for key in by_setting} | {key: [] for key in lists}
    for name, manifest in manifests:
        for key in by_setting:
            renamed[key].update({f"{name}:{setting}": value for setting, value in manifest.get(key, {}).items()})
        for key in lists:
            renamed[key] += [
                {**row, "setting": f"{name}:{row['setting']}"} if row.get("setting") else dict(row)
                for row in manifest[key]
            ]
        experiment = manifest.get("experiment") or {}
        rules = {name: experiment.get(name) for name in ("gpu_hour_usd", "limits", "retry")}
        for setting in manifest["settings"]:
            facts = renamed["settings"][f"{name}:{setting}"]
            renamed["settings"][f"{name}:{setting}"] = {**rules, **facts}
    # An import that was given no data set has problems without a text.
    known = (row for _, manifest in manifests for row in manifest["dataset"]["problems"] if row["problem"])
    texts = {(row["id"], row["problem"]) for row in known}
    if others := len(texts) - len({ident for ident, _ in texts}):
        renamed["doubts"].append(
            asdict(
                warn(
                    "problems_differ",
                    f"{others} ids of problems name other problems in another run: what is compared is not the same",
                )
            )
        )
    models = {model: facts for _, manifest in manifests for model, facts in manifest["models"].items()}
    dataset = {**first["dataset"], "problems": list(problems.values())}
    return {**first, **renamed, "models": models, "dataset": dataset}


def write_points(run: store.RunDir, manifest: Mapping[str, Any]) -> None:
    """Replace ``points.json``; nothing where no request was measured."""
    from tts_compare.analysis.analyse import points

    known = with_scoring(run, manifest)
    records, grades = frames(run, known)
    if records.filter(phase="measured").height:
        found = points(records, grades, known)
        store.write_json(run.points, with_bounds(found, known)[0].to_dicts(), private=run.private)
