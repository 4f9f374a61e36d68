"""``manifest.json``: what was run, on what, with what, as one typed value."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Struct

from tts_compare.domain import Doubt
from tts_compare.rundir.facts import (
    DatasetFacts,
    Death,
    ExperimentFacts,
    FailedSetting,
    MachineRow,
    ModelRow,
    PromptFacts,
    SamplingFacts,
    SettingFacts,
    Skipped,
    _is,
)
from tts_compare.rundir.metrics import PointMetrics

#: What is written. Rows of format 1 lack ``round``, ``session`` and ``limit_wait_ns``, all of which are then 0.
FORMAT = 2
READABLE = (1, 2)
State = Literal["running", "interrupted", "stopped", "done", "imported"]


class Asked(Struct, frozen=True, kw_only=True):
    """What the command asked for, so that ``--resume`` needs no flags."""

    config: Annotated[str | None, _is("the configuration's name or file")] = None
    flags: Annotated[dict[str, Any], _is("the flags over it, as they were typed")] = {}


class Clock(Struct, frozen=True, kw_only=True):
    """One instant on two clocks: monotonic instants of the rows are anchored to the wall clock by it."""

    wall_ns: Annotated[int, _is("nanoseconds since 1970")] = 0
    monotonic_ns: Annotated[int, _is("`time.monotonic_ns()` at that moment")] = 0


class Manifest(Struct, frozen=True, kw_only=True):
    """One run. Replaced as a whole while the run goes on; what is not known has its default."""

    format: Annotated[int, _is("2; 1 is read too")] = FORMAT
    name: Annotated[str, _is("the run's name")] = ""
    created: Annotated[str, _is("when the run began, ISO 8601")] = ""
    tts_compare_version: Annotated[str, _is("the version that measured")] = ""
    command: Annotated[tuple[str, ...] | str, _is("the command line")] = ()
    asked: Annotated[Asked, _is("the configuration and the flags")] = Asked()
    state: Annotated[State, _is("how far the run is")] = "done"
    experiment: Annotated[ExperimentFacts, _is("what was asked, with defaults filled in")] = ExperimentFacts()
    settings: Annotated[dict[str, SettingFacts], _is("by setting id")] = {}
    left_out: Annotated[tuple[Skipped, ...], _is("settings that cannot run here")] = ()
    failed: Annotated[tuple[FailedSetting, ...], _is("settings whose server did not start or kept dying")] = ()
    deaths: Annotated[tuple[Death, ...], _is("servers that ended while requests were running")] = ()
    models: Annotated[dict[str, ModelRow], _is("by the model's name")] = {}
    dataset: Annotated[DatasetFacts, _is("the problems")] = DatasetFacts()
    prompt: Annotated[PromptFacts, _is("how problems were put")] = PromptFacts()
    chat_templates: Annotated[dict[str, str], _is("templates that were rendered here, by model")] = {}
    sampling: Annotated[SamplingFacts, _is("sampling parameters of every request")] = SamplingFacts()
    seeds: Annotated[dict[str, int], _is("seeds by their use")] = {}
    clock: Annotated[Clock, _is("anchor of the rows' instants")] = Clock()
    machine: Annotated[MachineRow, _is("what the servers ran on")] = MachineRow()
    software: Annotated[dict[str, str], _is("versions by package")] = {}
    environment: Annotated[dict[str, str], _is("variables that change what an engine does, secrets masked")] = {}
    server_metrics: Annotated[dict[str, tuple[PointMetrics, ...]], _is("by setting id")] = {}
    doubts: Annotated[tuple[Doubt, ...], _is("warnings found while measuring")] = ()
