"""What the readers of foreign files share: the values they return, and the warnings such files deserve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tts_compare.codes import warn
from tts_compare.domain import Problem, RequestRecord, RunWarning
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest

Json: TypeAlias = Mapping[str, Any]
MAX_MESSAGE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file held. ``source`` names the tool; ``setting`` is the id all its records carry."""

    source: str
    setting: str
    model: str
    records: tuple[RequestRecord, ...]
    doubts: tuple[RunWarning, ...]

    @property
    def manifest(self) -> Manifest:
        """What a manifest says of such a run: no devices, so no cost; the warnings as rows."""
        facts = SettingFacts(backend=self.source, model=self.model)
        return Manifest(settings={self.setting: facts}, doubts=self.doubts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the file does not say and the user may: the problems in the order sent, the cap on generated tokens."""

    problems: tuple[Problem, ...] = ()
    budget: int | None = None


def coded_warnings(setting: str, *codes: str) -> tuple[RunWarning, ...]:
    return tuple(warn(code, setting=setting) for code in dict.fromkeys(codes))


def blank_record(setting: str, load: str, budget: int, index: int, problem: str) -> RequestRecord:
    return RequestRecord(
        setting=setting,
        method="truncate",
        budget=budget,
        load=load,
        problem=problem,
        sample=0,
        call=0,
        repeat=0,
        attempt=0,
        phase="measured",
        request_id=str(index),
    )


def nanoseconds(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * 1e9)


def finish_reason(tokens: int | None, given: Given) -> str:
    """``length`` where the response is as long as the cap that the user named; else taken for ``stop``."""
    return "length" if given.budget is not None and tokens is not None and tokens >= given.budget else "stop"


def budget_of(tokens: Sequence[int | None], given: Given) -> int:
    return given.budget if given.budget is not None else max((t for t in tokens if t is not None), default=0)


def problems_by_order(count: int, given: Given) -> tuple[list[str], tuple[str, ...]]:
    if given.problems and len(given.problems) >= count:
        return [problem.id for problem in given.problems[:count]], ("order_on_trust",)
    return [f"request-{index}" for index in range(count)], ("problems_unknown",)


def common_warnings(given: Given) -> tuple[str, ...]:
    return ("imported", "devices_unknown", *(() if given.budget is not None else ("finish_reason_unknown",)))
