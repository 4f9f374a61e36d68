"""The self-test passes, and a client with a planted fault fails it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tts_compare.client import outcome, timeline
from tts_compare.client.delta import ChunkChoice
from tts_compare.client.limits import Stamps
from tts_compare.client.outcome import Attempt
from tts_compare.client.timeline import ChoiceStream
from tts_compare.domain import RequestError, RowKey
from tts_compare.selftest import run_cases
from tts_compare.selftest.cases import CASES, Seen

original_add = ChoiceStream.add
original_judge_choice = outcome.judge_choice


def failed() -> set[str]:
    """The cases that fail."""
    return {result.case for result in asyncio.run(run_cases()) if not result.passed}


def test_every_case_passes() -> None:
    results = asyncio.run(run_cases())
    assert [(r.case, r.truth, r.measured) for r in results if not r.passed] == []
    assert [r.case for r in results] == [case.name for case in CASES]
    assert len({case.name for case in CASES}) == len(CASES) >= 40


def count_chunks_as_tokens(self: ChoiceStream, now: int, chunk: ChunkChoice, running_count: int | None) -> None:
    chunk.token_ids = None
    original_add(self, now, chunk, self.count + 1 if chunk.texts() != ("", "") else None)


def take_the_role_chunk_as_a_token(self: ChoiceStream, now: int, chunk: ChunkChoice, running_count: int | None) -> None:
    if not self.at:
        self.at.append(now)
        self.counts.append(1)
        self.chars.append(0)
        self.count = 1
    original_add(self, now, chunk, running_count)


def accept_no_finish_reason(attempt: Attempt, choice: ChoiceStream) -> RequestError | None:
    return None if choice.finish_reason is None and choice.at else original_judge_choice(attempt, choice)


def ignore_reasoning(self: ChunkChoice) -> tuple[str, str]:
    body = self.delta or self.message
    return (body.content if body else self.text) or "", ""


def every_token_when_the_answer_ended(self: timeline.ResolvedTimeline) -> int | None:
    return self.at[-1] if self.at else None


@pytest.mark.parametrize(
    ("where", "name", "fault", "caught_by"),
    [
        (ChoiceStream, "add", count_chunks_as_tokens, "5 tokens a chunk, usage on each"),
        (ChoiceStream, "add", take_the_role_chunk_as_a_token, "role chunk early, first token late"),
        (outcome, "judge_choice", accept_no_finish_reason, "every token, and no finish_reason"),
        (ChunkChoice, "texts", ignore_reasoning, "reasoning, then answer"),
        (timeline.ResolvedTimeline, "first_token_ns", property(every_token_when_the_answer_ended), "slow first token"),
    ],
    ids=["chunks as tokens", "role chunk as token", "no finish_reason", "no reasoning", "late first token"],
)
def test_a_planted_fault_makes_it_fail(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, fault: Callable[..., Any], caught_by: str
) -> None:
    monkeypatch.setattr(where, name, fault)
    assert caught_by in failed()


def test_an_error_that_is_passed_over_makes_it_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    original = outcome.judge

    def passed_over(attempt: Attempt, reducer: Any, **more: Any) -> RequestError | None:
        reducer.in_band = None
        for choice in reducer.choices.values():
            choice.finish_reason = choice.finish_reason or "stop"
        return original(attempt, reducer, **more)

    monkeypatch.setattr(outcome, "judge", passed_over)
    assert {"error inside a 200", "stream cut in the middle"} <= failed()


def test_a_case_has_no_verdict_of_its_own() -> None:
    # A case that would pass whatever is measured: none may. An attempt that never happened fails every one of them.
    nothing = Attempt(
        key=RowKey(setting="s", method="m", budget=0, load="c1", problem="p"),
        phase="measured",
        request_id="r",
        scheduled_ns=None,
        choices=1,
        stream=True,
        max_tokens=None,
    )
    error = RequestError(kind="cancelled", message="never sent")
    rows = outcome.rows(nothing, Stamps(), None, headers={}, status=None, broken=error)
    seen = Seen(rows=(rows[0], replace(rows[0], attempt=1)), sent_ns=(1, 2), tokens=(1, 1), first_answer_ns=1)
    assert [case.name for case in CASES if case.check(seen)[2]] == []
