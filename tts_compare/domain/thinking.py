"""What a request asks of the model's thinking, and how points of effort levels are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tts_compare.domain.about import about

ThinkingSource = Literal["token_ids", "parser", "marks", "server"]

#: Effort levels in their order, as far as any endpoint knows them.
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")
_EFFORT = "effort-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What begins and ends a model's thinking, as text and as token ids; ids are empty where no tokenizer is at hand.

    ``line_ids`` is a line end, which SGLang's processor puts before the end.
    """

    open: str = "<think>"
    close: str = "</think>"
    open_ids: tuple[int, ...] = ()
    close_ids: tuple[int, ...] = ()
    line_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """One control of thinking: a budget in tokens, an effort level, or on and off.

    end: what the engine writes when the budget is reached, ``marks.close`` where it is empty. slack: tokens past the
    budget that an engine that obeys may still think.
    """

    budget: int | None = None
    effort: str | None = None
    enabled: bool | None = None
    marks: Marks = Marks()
    end: str = ""
    slack: int = 0

    @property
    def name(self) -> str:
        """The control in words, for messages."""
        if self.budget is not None:
            return f"a thinking budget of {self.budget} tokens"
        return f"effort {self.effort}" if self.effort is not None else f"thinking {'on' if self.enabled else 'off'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """What a server is told at its start where methods control the thinking."""

    open: Annotated[str, about("what begins the thinking")] = "<think>"
    close: Annotated[str, about("what ends it")] = "</think>"
    end: Annotated[str, about("what the engine writes at a budget, with `close` in it; empty without budgets")] = ""
    parser: Annotated[str | None, about("the engine's parser that tells thinking and answer apart")] = None


def effort_method(level: str) -> str:
    """The method of a level's rows and points: ``effort-low``. Levels are points of their own, and budgets are caps."""
    return _EFFORT + level


def effort_level(method: str) -> str | None:
    """The level in a method's name; None for every other method."""
    return method.removeprefix(_EFFORT) if method.startswith(_EFFORT) else None


def effort_rank(method: str) -> int:
    """Where the level stands in the order; unknown levels last, other methods first."""
    level = effort_level(method)
    if level is None:
        return -1
    return EFFORTS.index(level) if level in EFFORTS else len(EFFORTS)


def base_method(method: str) -> str:
    """The method as it is asked for: ``effort`` of ``effort-low``."""
    return method if effort_level(method) is None else _EFFORT.rstrip("-")
