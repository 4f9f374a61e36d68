"""Thinking and answer tokens told apart by ids, parser, marks and server; and what is marked on a row."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tts_compare.client.delta import ChunkChoice, Delta
from tts_compare.client.limits import Stamps
from tts_compare.client.outcome import Attempt, rows
from tts_compare.client.reducer import Reducer
from tts_compare.client.thinking import Thought, thought_of
from tts_compare.client.timeline import ChoiceStream, resolve
from tts_compare.domain import Marks, RequestRecord, RowKey, Thinking

MARKS = Marks(open_ids=(90,), close_ids=(91,))
BUDGET = Thinking(budget=3, marks=MARKS)
KEY = RowKey(setting="s", method="thinking_budget", budget=3, load="c1", problem="1")


def choice(*chunks: tuple[str, str, list[int] | None], finish: str | None = "stop") -> ChoiceStream:
    """One of (answer, reasoning, ids) a chunk; without ids each chunk is counted as one token."""
    made = ChoiceStream()
    for number, (answer, thought, ids) in enumerate(chunks, 1):
        part = ChunkChoice(delta=Delta(content=answer or None, reasoning=thought or None), token_ids=ids)
        made.add(number, part, None if ids is not None else number)
    made.finish_reason = finish
    made.close()
    return made


def thought(of: ChoiceStream, asked: Thinking | None = BUDGET, reasoned: int | None = None) -> Thought:
    return thought_of(of, resolve(of, None), asked=asked, reasoned=reasoned)


@given(before=st.lists(st.integers(0, 50), max_size=9), after=st.lists(st.integers(0, 50), min_size=1, max_size=9))
def test_ids_tell_exactly_whether_the_prompt_or_the_answer_opens_the_block(before: list[int], after: list[int]) -> None:
    opened_in_prompt = choice(("x", "", [*before, 91, *after]))
    opened_here = choice(("x", "", [90, *before, 91, *after]))
    expected = Thought(tokens=len(before), least=len(before), source="token_ids", closings=1)
    assert thought(opened_in_prompt) == thought(opened_here) == expected


def test_a_thinking_that_begins_again_is_counted_whole_and_its_ends_too() -> None:
    again = thought(choice(("x", "", [1, 2, 91, 5, 90, 3, 91, 6])))
    assert (again.tokens, again.closings) == (3, 2)


def test_a_thinking_that_never_ended_is_all_of_the_answer() -> None:
    assert thought(choice(("", "a", [1]), ("", "b", [2]))).tokens == 2


def test_without_ids_the_parser_tells_and_a_chunk_of_several_tokens_gives_bounds() -> None:
    plain = choice(("", "ab", None), ("", "c", None), ("d", "", None))
    assert thought(plain, None) == Thought(tokens=2, least=2, source="parser", closings=1)
    coarse = ChoiceStream()
    coarse.add(1, ChunkChoice(delta=Delta(reasoning="ab")), 4)
    coarse.add(2, ChunkChoice(delta=Delta(content="c"), finish_reason="stop"), 5)
    coarse.close()
    assert thought(coarse, None) == Thought(tokens=4, least=1, source="parser", closings=1)


def test_without_a_parser_the_marks_in_the_text_tell() -> None:
    pieces = [("<think>", "", None), ("a", "", None), ("b", "", None), ("</think>", "", None), ("c", "", None)]
    assert thought(choice(*pieces), None).tokens == 2
    assert thought(choice(*pieces[1:]), None).tokens == 2
    assert thought(choice(*pieces[:3]), None) == Thought(tokens=2, least=2, source="marks")


def test_hidden_thinking_is_the_servers_word_and_else_nothing_tells() -> None:
    assert thought(choice(("c", "", None)), None, reasoned=7) == Thought(tokens=7, least=7, source="server")
    assert thought(choice(("c", "", None)), None) == Thought()


def row(asked: Thinking, *chunks: tuple[str, str, list[int] | None]) -> RequestRecord:
    reducer = Reducer(status=200)
    reducer.choices[0] = choice(*chunks)
    reducer.done = True
    attempt = Attempt(
        key=KEY,
        phase="measured",
        request_id="r",
        scheduled_ns=None,
        choices=1,
        stream=True,
        max_tokens=99,
        thinking=asked,
    )
    (made,) = rows(attempt, Stamps(), reducer, headers={}, status=200, broken=None)
    return made


def test_an_answer_within_budget_and_slack_is_not_marked_and_beyond_it_is() -> None:
    within = row(BUDGET, ("x", "", [1, 2, 3, 91, 4]))
    assert (within.thinking_tokens, within.thinking_source) == (3, "token_ids")
    assert not [code for code in within.doubts if code.startswith("thinking")]
    beyond = ("x", "", [1, 2, 3, 4, 91, 4])
    assert "thinking_over_budget" in row(BUDGET, beyond).doubts
    assert "thinking_over_budget" not in row(replace(BUDGET, slack=1), beyond).doubts


def test_overlap_scheduling_is_seen_by_its_overshoot_and_its_second_mark() -> None:
    """Four thoughts and two line ends for a budget of three, and the mark twice."""
    seen = row(replace(BUDGET, slack=1), ("x", "", [1, 2, 3, 4, 13, 13, 91, 91, 5])).doubts
    assert {"thinking_over_budget", "thinking_reopened"} <= set(seen)


def test_a_budget_on_an_answer_without_thinking_and_thinking_that_was_switched_off_are_marked() -> None:
    assert "thinking_not_seen" in row(BUDGET, ("x", "", [1, 2, 3])).doubts
    off = Thinking(enabled=False)
    assert "thinking_not_off" in row(off, ("", "hm", None), ("4", "", None)).doubts
    assert "thinking_not_off" in row(Thinking(effort="none"), ("", "hm", None), ("4", "", None)).doubts
    assert not [code for code in row(off, ("4", "", None)).doubts if code.startswith("thinking")]
