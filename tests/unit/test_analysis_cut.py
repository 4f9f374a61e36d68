"""A cut is the entry at which the count reaches the budget, for one timeline and for a frame of them alike."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.analysis.rows.cut import cut, cut_only_at
from tts_compare.analysis.rows.cuts import cut_frame
from tts_compare.analysis.schema import record_schema
from tts_compare.domain import Timeline

ENTRIES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), st.integers(0, 9)), max_size=12)


def line(entries: list[tuple[int, int, int]]) -> Timeline:
    us, tokens, chars = (tuple(e[i] for e in entries) for i in range(3))
    return Timeline(us=us, tokens=tokens, chars=chars)


def test_a_budget_on_a_chunk_boundary_is_met_exactly() -> None:
    found = cut(line([(100, 2, 8), (10, 2, 7), (10, 2, 6)]), 4)
    assert (found.tokens, found.chars, found.us, found.inside_chunk) == (4, 15, 110, False)


def test_a_budget_inside_a_chunk_is_met_when_the_chunk_came_and_says_so() -> None:
    found = cut(line([(100, 2, 8), (10, 3, 7)]), 4)
    assert (found.tokens, found.us, found.inside_chunk) == (4, 110, True)
    assert (found.whole_tokens, found.chars, found.chunk_chars) == (2, 8, 7)


def test_chunks_of_a_speculating_engine_are_cut_where_the_budget_is_reached() -> None:
    """One token at 100 ms, then six every 60 ms: 16 tokens are there with the third chunk of six."""
    chunks = line([(100_000, 1, 4), *[(60_000, 6, 24)] * 10])
    at = {budget: cut(chunks, budget) for budget in (1, 13, 16, 32, 10**6)}
    assert [(found.us / 1e6, found.tokens) for found in at.values()] == [
        (0.10, 1),
        (0.22, 13),
        (0.28, 16),
        (0.46, 32),
        (0.70, 61),
    ]
    assert [found.inside_chunk for found in at.values()] == [False, False, True, True, False]


def test_a_budget_beyond_the_response_is_the_whole_response() -> None:
    found = cut(line([(100, 2, 8), (10, 3, 7)]), 50)
    assert (found.tokens, found.us, found.inside_chunk) == (5, 110, False)


def test_text_without_a_token_counts_its_characters_but_not_its_instant() -> None:
    found = cut(line([(100, 2, 8), (40, 0, 3), (10, 1, 1)]), 2)
    assert (found.tokens, found.chars, found.us) == (2, 11, 100)


@given(ENTRIES, st.integers(0, 40))
def test_a_cut_never_holds_more_than_the_budget_and_grows_with_it(
    entries: list[tuple[int, int, int]], budget: int
) -> None:
    smaller, larger = cut(line(entries), budget), cut(line(entries), budget + 1)
    assert smaller.tokens <= min(budget, sum(e[1] for e in entries))
    assert (smaller.tokens, smaller.chars, smaller.us) <= (larger.tokens, larger.chars, larger.us)


@given(ENTRIES, st.lists(st.integers(0, 40), max_size=4))
def test_entries_joined_between_budgets_are_cut_alike_at_them(
    entries: list[tuple[int, int, int]], budgets: list[int]
) -> None:
    joined = cut_only_at(line(entries), budgets)
    assert len(joined.tokens) <= min(len(entries), len(set(budgets)) + 1)
    for budget in (*budgets, 10**6):
        own, whole = cut(joined, budget), cut(line(entries), budget)
        assert (own.tokens, own.chars, own.inside_chunk) == (whole.tokens, whole.chars, whole.inside_chunk)


@given(
    st.lists(ENTRIES.filter(bool), min_size=1, max_size=4),
    st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True),
)
def test_the_frame_cuts_as_the_single_cut_does(lines: list[list[tuple[int, int, int]]], budgets: list[int]) -> None:
    schema = record_schema(optional=True)
    rows = [
        dict.fromkeys(schema)
        | {"setting": f"s{i % 2}", "method": "m", "budget": 99, "load": "c1", "problem": f"p{i}"}
        | {"sample": 0, "call": 0, "repeat": 0, "attempt": 0}
        | {f"timeline_{n}": [e[j] for e in own] for j, n in enumerate(("us", "tokens", "chars"))}
        for i, own in enumerate(lines)
    ]
    found = cut_frame(pl.DataFrame(rows, schema=schema), budgets)
    assert found.height == len(lines) * len(budgets)
    for row in found.iter_rows(named=True):
        wanted = cut(line(lines[int(row["problem"][1:])]), row["cut_tokens"])
        got = (row["cut_length"], row["whole_length"], row["cut_chars"], row["cut_us"], row["inside_chunk"])
        assert got == (wanted.tokens, wanted.whole_tokens, wanted.chars, wanted.us, wanted.inside_chunk)
