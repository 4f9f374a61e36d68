"""``manifest.json``: what was run, on what, with what, as one typed value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct

from tts_compare.codes import stated
from tts_compare.domain import RunWarning
from tts_compare.domain.about import about
from tts_compare.rundir.facts import (
    DatasetFacts,
    Death,
    ExperimentFacts,
    FailedSetting,
    MachineRow,
    ModelRow,
    PromptFacts,
    SamplingFacts,
    ScoringFacts,
    SettingFacts,
    SkippedFacts,
)
from tts_compare.rundir.metrics import PointMetrics

#: What is written. Rows of format 1 lack ``round``, ``session`` and ``limit_wait_ns``, all of which are then 0.
FORMAT = 2
READABLE = (1, 2)
State = Literal["running", "interrupted", "stopped", "done", "imported"]


class Asked(Struct, frozen=True, kw_only=True):
    """What the command asked for, so that ``--resume`` needs no flags."""

    config: Annotated[str | None, about("the configuration's name or file")] = None
    flags: Annotated[dict[str, Any], about("the flags over it, as they were typed")] = {}


class Clock(Struct, frozen=True, kw_only=True):
    """One instant on two clocks: monotonic instants of the rows are anchored to the wall clock by it."""

    wall_ns: Annotated[int, about("nanoseconds since 1970")] = 0
    monotonic_ns: Annotated[int, about("`time.monotonic_ns()` at that moment")] = 0


class Session(Struct, frozen=True, kw_only=True):
    """One process that measured a part of a run."""

    clock: Annotated[Clock, about("anchor of the instants of its rows")] = Clock()
    command: Annotated[tuple[str, ...], about("its command line")] = ()


class Manifest(Struct, frozen=True, kw_only=True):
    """One run. Replaced as a whole while the run goes on; what is not known has its default."""

    format: Annotated[int, about("2; 1 is read too")] = FORMAT
    name: Annotated[str, about("the run's name")] = ""
    created: Annotated[str, about("when the run began, ISO 8601")] = ""
    tts_compare_version: Annotated[str, about("the version that measured")] = ""
    command: Annotated[tuple[str, ...], about("the command line")] = ()
    asked: Annotated[Asked, about("the configuration and the flags")] = Asked()
    state: Annotated[State, about("how far the run is")] = "done"
    experiment: Annotated[ExperimentFacts, about("what was asked, with defaults filled in")] = ExperimentFacts()
    settings: Annotated[dict[str, SettingFacts], about("by setting id")] = {}
    left_out: Annotated[tuple[SkippedFacts, ...], about("settings that cannot run here")] = ()
    failed: Annotated[tuple[FailedSetting, ...], about("settings whose server did not start or kept dying")] = ()
    deaths: Annotated[tuple[Death, ...], about("servers that ended while requests were running")] = ()
    models: Annotated[dict[str, ModelRow], about("by the model's name")] = {}
    dataset: Annotated[DatasetFacts, about("the problems")] = DatasetFacts()
    prompt: Annotated[PromptFacts, about("how problems were put")] = PromptFacts()
    chat_templates: Annotated[dict[str, str], about("templates that were rendered here, by model")] = {}
    sampling: Annotated[SamplingFacts, about("sampling parameters of every request")] = SamplingFacts()
    seeds: Annotated[dict[str, int], about("seeds by their use")] = {}
    clock: Annotated[Clock, about("anchor of the rows' instants")] = Clock()
    sessions: Annotated[tuple[Session, ...], about("the processes that measured, in order; format 2")] = ()
    machine: Annotated[MachineRow, about("what the servers ran on")] = MachineRow()
    software: Annotated[dict[str, str], about("versions by package")] = {}
    environment: Annotated[dict[str, str], about("variables that change what an engine does, secrets masked")] = {}
    server_metrics: Annotated[dict[str, tuple[PointMetrics, ...]], about("by setting id")] = {}
    doubts: Annotated[tuple[RunWarning, ...], about("warnings found while measuring")] = ()
    scoring: Annotated[
        dict[str, ScoringFacts],
        about("by setting id; worked out from `scores.jsonl` when a run is read, and not in the file"),
    ] = {}


def manifest_of(found: object) -> Manifest:
    """The manifest that a JSON value holds. Keys that this version does not know are ignored.

    Warnings take severity and fix from the table of codes. Raises msgspec.ValidationError where a value is none of its
    field's.
    """
    if isinstance(found, Mapping) and isinstance(warnings := found.get("doubts"), list):
        known = [asdict(stated(row)) if isinstance(row, Mapping) else row for row in warnings]
        found = {**found, "doubts": known}
    return msgspec.convert(found, Manifest)


def plain(manifest: Manifest) -> dict[str, Any]:
    """The manifest as the JSON object that is written."""
    found: dict[str, Any] = msgspec.to_builtins(manifest)
    del found["scoring"]
    return found
