"""Another tool's result file as a run of ours, with the doubts that belong to it, graded where texts and golds are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tts_compare import __version__, store
from tts_compare.backends import HOSTED
from tts_compare.dataset import Dataset
from tts_compare.domain import Problem, Sampling, Setting, Work
from tts_compare.experiment.join import write_points
from tts_compare.experiment.judge import Judge
from tts_compare.interchange import Given, Imported, read_foreign


def import_file(
    file: Path, out: Path, *, dataset: Dataset | None, budget: int | None, command: Sequence[str]
) -> tuple[store.RunDir, Imported]:
    """Write the run directory of a foreign file.

    dataset: the problems in the order they were sent, for grading. budget: the cap on generated tokens where the
    file does not say it. Raises UsageError where the file is of no kind that is known.
    """
    problems = dataset.problems if dataset else ()
    imported = read_foreign(file.read_bytes(), Given(problems=problems, budget=budget))
    run = store.create(out)
    with store.Lock(run), store.RowLog(run.records) as rows:
        rows.append(imported.records)
        manifest = foreign_manifest(imported, dataset, name=out.name, command=command)
        store.write_json(run.manifest, manifest)
        with Judge(run, manifest, policy="any") as judge:
            judge.write()
        write_points(run, manifest)
    return run, imported


def foreign_manifest(
    imported: Imported, dataset: Dataset | None, *, name: str, command: Sequence[str]
) -> dict[str, Any]:
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
    return {
        "format": store.FORMAT,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tts_compare_version": __version__,
        "command": list(command),
        "state": "imported",
        "experiment": {
            "budgets": budgets,
            "curve": "per-budget",
            "work": [asdict(item) for item in work],
            "methods": ["truncate"],
            "samples": 1,
            "repeats": 1,
            "loads": loads,
            "policy": "any",
            "grader": "layered",
            "gpu_hour_usd": None,
        },
        "settings": {
            imported.setting: {
                **asdict(setting),
                "backend": imported.source,
                "devices": None,
                "device": None,
                "engine_version": None,
                "argv": [],
                "env": {},
                "startup_s": [],
            }
        },
        "left_out": [],
        "failed": [],
        "deaths": [],
        "models": {imported.model: {}},
        "dataset": {
            "name": dataset.name if dataset else "unknown",
            "path": dataset.path if dataset else None,
            "sha256": dataset.sha256 if dataset else "",
            "problems": [asdict(problem) for problem in problems],
        },
        "prompt": {"name": "unknown", "stop_at": None, "sha256": ""},
        "sampling": {},
        "seeds": {},
        "clock": {"wall_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()},
        "machine": {},
        "server_metrics": {},
        "doubts": [asdict(doubt) for doubt in imported.doubts],
    }
