"""Parts of an experiment: methods with their options, and bounds on waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tts_compare.config.knob import knob
from tts_compare.config.values import OptionValue, positive
from tts_compare.domain import AnswerKind, Policy

Curve = Literal["single-pass", "per-budget"]
Grader = Literal["layered", "math-verify", "both"]

CURVES, GRADERS = get_args(Curve), get_args(Grader)
POLICIES, ANSWER_KINDS = get_args(Policy), get_args(AnswerKind)


def _limit(help_: str, *, default: float) -> float:
    return knob(positive, "limit", help_, flag=False, default=default)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSpec:
    """A method asked for, and the options stated for it; the method itself fills in and checks them."""

    #: The method's name.
    name: str
    #: Names and values, sorted by name.
    options: tuple[tuple[str, OptionValue | tuple[OptionValue, ...]], ...] = ()
    #: Further fields of its requests, ``(name, JSON)`` pairs.
    extra_body: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLimits:
    """Bounds on waiting, in seconds."""

    connect_s: float = _limit("a request's connection", default=10.0)
    first_byte_s: float = _limit("from a request's start to the first byte of its answer", default=600.0)
    idle_s: float = _limit("between two pieces of an answer", default=120.0)
    total_s: float = _limit("a whole request", default=3600.0)
    start_s: float = _limit("from a server's start until it is ready", default=1800.0)
