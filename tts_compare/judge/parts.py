"""A run that several jobs measure, read as one: the same rows, and the same names, as one process would have left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from tts_compare.codes import warn
from tts_compare.domain import RunWarning
from tts_compare.errors import RunError
from tts_compare.judge.alike import differences
from tts_compare.judge.held import held_warning
from tts_compare.rundir import store
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest, State
from tts_compare.rundir.metrics import PointMetrics
from tts_compare.rundir.parts import Parts, Task, part_of, read_parts, unknown_parts

if TYPE_CHECKING:
    import polars as pl

_NAMED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What was read of one task. aside: rows in its files that are not its own."""

    task: Task
    records: pl.DataFrame
    grades: pl.DataFrame
    manifest: Manifest
    aside: int = 0


def parted_frames(
    path: Path, read: Callable[[store.RunDir], tuple[pl.DataFrame, pl.DataFrame, Manifest]]
) -> tuple[pl.DataFrame, pl.DataFrame, Manifest]:
    """Records, grades and manifest of a run of several jobs, also while they are running.

    read: reads one run directory. Raises RunError where no part can be read.
    """
    import polars as pl

    parts = read_parts(path)
    found: list[Part] = []
    missing: dict[str, str] = {}
    for task in parts.tasks:
        run = part_of(path, task.name)
        if not run.manifest.is_file():
            missing[task.name] = "not begun"
            continue
        try:
            found.append(_own(task, *read(run)))
        except RunError as error:
            missing[task.name] = str(error)
    if not found:
        raise RunError(f"none of the {len(parts.tasks)} tasks of {path} has begun: see tts-compare status {path}")
    found = _numbered(found)
    records, grades = (pl.concat([getattr(part, name) for part in found]) for name in ("records", "grades"))
    manifest = _one_manifest(path, parts, found, missing)
    warnings = [
        *_missing_warnings(parts, found, missing),
        *_aside_warnings(found, unknown_parts(path, parts)),
        *differences([(part.task, part.manifest) for part in found]),
        *held_warning(path, parts, records, manifest),
    ]
    return records, grades, structs.replace(manifest, doubts=(*manifest.doubts, *warnings))


def _own(task: Task, records: pl.DataFrame, grades: pl.DataFrame, manifest: Manifest) -> Part:
    """The rows that are the task's: of its settings, which its manifest has too, and of its round."""
    import polars as pl

    settings = [setting for setting in task.settings if setting in manifest.settings]
    of_settings = pl.col("setting").is_in(settings)
    mine = records.filter(of_settings & (pl.col("round").fill_null(0) == task.round))
    problems = {problem for problem, number in manifest.experiment.shares.items() if number == task.round}
    judged = grades.filter(of_settings & (pl.col("problem").is_in(problems) if problems else pl.lit(value=True)))
    kept = {setting: facts for setting, facts in manifest.settings.items() if setting in settings}
    lies = sum(setting not in task.settings for setting in manifest.settings)
    return Part(
        task=task,
        records=mine,
        grades=judged,
        manifest=structs.replace(manifest, settings=kept),
        aside=records.height - mine.height + lies,
    )


def _numbered(parts: Sequence[Part]) -> list[Part]:
    """Sessions of the rows counted through all parts, as the sessions of the joined manifest are."""
    import polars as pl

    before, found = 0, []
    for part in parts:
        records = part.records.with_columns(session=pl.col("session").fill_null(0) + before)
        found.append(replace(part, records=records))
        before += max(1, len(part.manifest.sessions))
    return found


def _one_manifest(path: Path, parts: Parts, found: Sequence[Part], missing: Mapping[str, str]) -> Manifest:
    """The manifest as one process would have written it; what is of a machine is that of the first part."""
    manifests = [part.manifest for part in found]
    first = manifests[0]
    left_out = {row.setting: row for one in manifests for row in one.left_out} | {
        row.setting: row for row in parts.left_out
    }
    return structs.replace(
        first,
        name=parts.name or path.resolve().name,
        created=parts.created or first.created,
        asked=parts.asked,
        state=_state(manifests, missing),
        settings=_settings(manifests),
        left_out=tuple(left_out.values()),
        failed=tuple(row for one in manifests for row in one.failed),
        deaths=tuple(row for one in manifests for row in one.deaths),
        models={name: row for one in reversed(manifests) for name, row in one.models.items()},
        chat_templates={name: row for one in reversed(manifests) for name, row in one.chat_templates.items()},
        sessions=tuple(session for one in manifests for session in one.sessions),
        server_metrics=_server_metrics(manifests),
        scoring={name: row for one in manifests for name, row in one.scoring.items()},
        doubts=tuple(dict.fromkeys(warning for one in manifests for warning in one.doubts)),
    )


def _state(manifests: Sequence[Manifest], missing: Mapping[str, str]) -> State:
    if not missing and all(one.state == "done" for one in manifests):
        return "done"
    return "running" if any(one.state == "running" for one in manifests) else "interrupted"


def _settings(manifests: Iterable[Manifest]) -> dict[str, SettingFacts]:
    """The settings of all parts; starts of one setting in several rounds are counted together."""
    found: dict[str, SettingFacts] = {}
    for manifest in manifests:
        for name, facts in manifest.settings.items():
            known = found.get(name)
            if known is None:
                found[name] = facts
                continue
            told = known if known.argv else facts  # a part whose server never started knows neither
            found[name] = structs.replace(told, startup_s=(*known.startup_s, *facts.startup_s))
    return found


def _server_metrics(manifests: Iterable[Manifest]) -> dict[str, tuple[PointMetrics, ...]]:
    found: dict[str, tuple[PointMetrics, ...]] = {}
    for manifest in manifests:
        for name, rows in manifest.server_metrics.items():
            found[name] = (*found.get(name, ()), *rows)
    return found


def _missing_warnings(parts: Parts, found: Sequence[Part], missing: Mapping[str, str]) -> Iterator[RunWarning]:
    total = len(parts.tasks)
    empty = [part.task.name for part in found if not part.records.height and part.manifest.state != "done"]
    if missing or empty:
        told = [*(f"{name} ({why})" for name, why in missing.items()), *empty]
        yield warn("parts_missing", f"{len(told)} of {total} tasks have measured nothing: {_listed(told)}")
    unfinished = [
        f"{part.task.name} ({_measured(part)} of {part.task.requests} requests)"
        if part.task.requests
        else part.task.name
        for part in found
        if part.manifest.state != "done" and part.task.name not in empty
    ]
    if unfinished:
        yield warn("parts_unfinished", f"{len(unfinished)} of {total} tasks are not finished: {_listed(unfinished)}")


def _measured(part: Part) -> int:
    """Requests that have their outcome."""
    import polars as pl

    key = ["setting", "method", "budget", "load", "problem", "sample", "call", "repeat"]
    return part.records.filter(pl.col("phase") != "warmup").select(key).n_unique()


def _aside_warnings(found: Sequence[Part], unknown: Sequence[str]) -> Iterator[RunWarning]:
    if foreign := [f"{part.task.name} ({part.aside})" for part in found if part.aside]:
        yield warn(
            "parts_set_aside",
            f"rows or settings that are not of their task are not counted: {_listed(foreign)}",
        )
    if unknown:
        yield warn("parts_set_aside", f"directories under parts/ that are no task's are not read: {_listed(unknown)}")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
