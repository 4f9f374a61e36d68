"""Another tool's result file as a run of ours, with its warnings, graded where texts and reference answers are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from tts_compare import __version__
from tts_compare.backends import HOSTED
from tts_compare.dataset import Dataset
from tts_compare.domain import Problem, Sampling, Setting, Work
from tts_compare.judge.join import Judged, judge_run
from tts_compare.judge.judge import Judge
from tts_compare.plan.manifest import setting_facts
from tts_compare.rundir import store
from tts_compare.rundir.facts import DatasetFacts, ExperimentFacts, ModelRow, PromptFacts
from tts_compare.rundir.interchange import Given, Imported, read_foreign
from tts_compare.rundir.manifest import Clock, Manifest


def import_file(
    file: Path, out: Path, *, dataset: Dataset | None, budget: int | None, command: Sequence[str]
) -> tuple[store.RunDir, Imported, Judged | None]:
    """Write the run directory of a foreign file; returns it with what was read and what the analysis says of it.

    dataset: the problems in the order they were sent, for grading. budget: the cap on generated tokens where the
    file does not say it. Raises UsageError where the file is of no kind that is known.
    """
    problems = dataset.problems if dataset else ()
    imported = read_foreign(file.read_bytes(), Given(problems=problems, budget=budget))
    run = store.create(out)
    with store.Lock(run), store.RowLog(run.records) as rows:
        rows.append(imported.records)
        manifest = foreign_manifest(imported, dataset, name=out.name, command=command)
        store.write_manifest(run, manifest)
        with Judge(run, manifest, policy="any") as judge:
            judge.write()
        judged = judge_run(run, manifest)
    return run, imported, judged


def foreign_manifest(imported: Imported, dataset: Dataset | None, *, name: str, command: Sequence[str]) -> Manifest:
    """A manifest that says what is known, and of the rest that it is not."""
    sent = {row.problem for row in imported.records}
    problems = [problem for problem in dataset.problems if problem.id in sent] if dataset else []
    if not any(row.full_text for row in imported.records):  # without texts no answer is wrong: nothing can be graded
        problems = [replace(problem, answer="") for problem in problems]
    known = {problem.id for problem in problems}
    problems += [Problem(id=name, problem="", answer="") for name in sorted(sent - known)]
    setting = Setting(backend=HOSTED, model=imported.model, hosted=True)
    loads = sorted({row.load for row in imported.records})
    budgets = sorted({row.budget for row in imported.records})
    work = [
        Work(method="truncate", budget=budget, load=load, samples=1, sampling=Sampling())
        for budget in budgets
        for load in loads
    ]
    return Manifest(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tts_compare_version=__version__,
        command=tuple(command),
        state="imported",
        experiment=ExperimentFacts(
            budgets=tuple(budgets),
            curve="per-budget",
            work=tuple(work),
            methods=("truncate",),
            loads=tuple(loads),
        ),
        settings={imported.setting: structs.replace(setting_facts(setting), backend=imported.source)},
        models={imported.model: ModelRow()},
        dataset=DatasetFacts(
            name=dataset.name if dataset else "unknown",
            path=dataset.path if dataset else None,
            sha256=dataset.sha256 if dataset else "",
            problems=tuple(problems),
        ),
        prompt=PromptFacts(name="unknown"),
        clock=Clock(wall_ns=time.time_ns(), monotonic_ns=time.monotonic_ns()),
        doubts=imported.doubts,
    )
