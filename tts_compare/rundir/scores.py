"""A reward model's word on a response: the row of ``scores.jsonl``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tts_compare.domain import RequestError, RowKey
from tts_compare.domain.about import about


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """What a score depends on besides the response: the reward model, and how it is asked and read.

    api: the wire form; reduce: how the rewards of several steps become one; step: what is written after each
    step; activation: whether the engine's own activation was left on.
    """

    model: Annotated[str, about("the reward model")]
    api: Annotated[str, about("the wire form of the request")]
    reduce: Annotated[str, about("how the rewards of several steps become one")]
    step: Annotated[str, about("what is written after each step")]
    activation: Annotated[bool, about("whether the engine's own activation was left on")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One response that a reward model was asked about, under the key of its record.

    ``score`` is None where it failed, and ``error`` says why. The instants are those of the last attempt, in
    nanoseconds of the wall clock, because scoring may go on in another process or after the machine was started
    again; their difference is measured on the monotonic clock.
    """

    setting: Annotated[str, about("the setting's id")]
    method: Annotated[str, about("the method's name")]
    budget: Annotated[int, about("the cap on generated tokens")]
    load: Annotated[str, about("`c8`: 8 problems at once; `r2.5`: 2.5 a second")]
    problem: Annotated[str, about("the problem's id")]
    sample: Annotated[int, about("which sample of the problem, from 0")]
    call: Annotated[int, about("which call of the method, from 0")]
    repeat: Annotated[int, about("which repeat, from 0")]
    attempt: Annotated[int, about("which attempt of the request, from 0")]
    score: Annotated[float | None, about("the reward; null where scoring failed")]
    by: Annotated[Scorer, about("the reward model and how it was asked")]
    sent_unix_ns: Annotated[int, about("when the last attempt was sent, nanoseconds since 1970")]
    end_unix_ns: Annotated[int, about("when it ended; the difference is monotonic")]
    prompt_tokens: Annotated[int | None, about("tokens that the reward model read")] = None
    error: Annotated[RequestError | None, about("why scoring failed")] = None

    @property
    def key(self) -> RowKey:
        """The key of the record that was scored."""
        return RowKey.of(self)
