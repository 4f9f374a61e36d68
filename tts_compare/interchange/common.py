"""What the readers of foreign files share: the values they return, and the doubts such files deserve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from tts_compare.domain import Doubt, Problem, RequestRecord

Json: TypeAlias = Mapping[str, Any]
MAX_MESSAGE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file held. ``source`` names the tool; ``setting`` is the id all its records carry."""

    source: str
    setting: str
    model: str
    records: tuple[RequestRecord, ...]
    doubts: tuple[Doubt, ...]

    @property
    def manifest(self) -> dict[str, Any]:
        """What a manifest says of such a run: no devices, so no cost; the doubts as rows."""
        facts = {"backend": self.source, "model": self.model, "devices": None, "device": None, "price": None}
        return {"settings": {self.setting: facts}, "doubts": [asdict(doubt) for doubt in self.doubts]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the file does not say and the user may: the problems in the order sent, the cap on generated tokens."""

    problems: tuple[Problem, ...] = ()
    budget: int | None = None


DOUBTS = {
    "imported": (
        "measured by another tool, whose rules for tokens and instants are its own",
        "compare it with settings measured here only where the difference is large",
    ),
    "devices_unknown": (
        "the file does not say how many devices served the requests: no cost is computed",
        "measure the setting with tts-compare to have its cost",
    ),
    "finish_reason_unknown": (
        "the file does not say why generation ended: a truncated response counts as a whole one",
        "pass --budget with the max_tokens of the run",
    ),
    "order_on_trust": (
        "responses are matched to problems by their order",
        "make sure that the tool neither shuffled nor sampled the problems",
    ),
    "problems_unknown": (
        "no response could be matched to a problem: nothing can be graded",
        "pass --dataset with the problems in the order sent",
    ),
    "texts_missing": ("the file holds no response texts: nothing can be graded", "export the raw records of that tool"),
    "timeline_missing": ("no instants of single tokens: smaller budgets cannot be derived", "measure them here"),
    "wall_clock": ("instants are of the wall clock, which may have been set while the run went on", ""),
    "ttft_role_chunk": (
        "vLLM's benchmark takes a role-only chunk for the first token: time to first token is too short",
        "compare mean latency, not time to first token",
    ),
    "tokens_estimated": (
        "token counts come from the tool's own tokenizer, not from the server",
        "have the tool ask the server for usage",
    ),
}


def doubts_of(setting: str, *codes: str) -> tuple[Doubt, ...]:
    return tuple(
        Doubt(code=code, message=DOUBTS[code][0], advice=DOUBTS[code][1], setting=setting)
        for code in dict.fromkeys(codes)
    )


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


def common_doubts(given: Given) -> tuple[str, ...]:
    return ("imported", "devices_unknown", *(() if given.budget is not None else ("finish_reason_unknown",)))
