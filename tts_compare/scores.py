"""A reward model's word on a response: the row of ``scores.jsonl``."""

from __future__ import annotations

from dataclasses import dataclass

from tts_compare.domain import RequestError, RowKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """What a score depends on besides the response: the reward model, and how it is asked and read.

    api: the wire form; reduce: how the rewards of several steps become one; step: what is written after each
    step; activation: whether the engine's own activation was left on.
    """

    model: str
    api: str
    reduce: str
    step: str
    activation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One response that a reward model was asked about, under the key of its record.

    ``score`` is None where it failed, and ``error`` says why. The instants are those of the last attempt, in
    nanoseconds of the wall clock, because scoring may go on in another process or after the machine was started
    again; their difference is measured on the monotonic clock.
    """

    setting: str
    method: str
    budget: int
    load: str
    problem: str
    sample: int
    call: int
    repeat: int
    attempt: int
    score: float | None
    by: Scorer
    sent_unix_ns: int
    end_unix_ns: int
    prompt_tokens: int | None = None
    error: RequestError | None = None

    @property
    def key(self) -> RowKey:
        """The key of the record that was scored."""
        return RowKey.of(self)
