"""Chunks of a choice become a timeline whose tokens are the server's."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.client.limits import Stamps
from tts_compare.client.outcome import Attempt, rows
from tts_compare.client.reducer import Reducer
from tts_compare.domain import RequestRecord, RowKey

KEY = RowKey(setting="s", method="m", budget=0, load="c1", problem="p")
MS = 1_000_000


def reduce(
    events: list[tuple[int, bytes]], *, n: int = 1, max_tokens: int | None = None, stream: bool = True
) -> tuple[RequestRecord, ...]:
    """The rows of an answer whose bytes came at these milliseconds after sending."""
    reducer = Reducer(status=200, max_tokens=max_tokens)
    reducer.put([(MS * at, data) for at, data in events])
    reducer.drain()
    attempt = Attempt(
        key=KEY, phase="measured", request_id="r", scheduled_ns=None, choices=n, stream=stream, max_tokens=max_tokens
    )
    end = MS * events[-1][0] if events else 0
    stamps = Stamps(sent_ns=0, first_byte_ns=0, end_ns=end, on_arrival=True)
    return rows(attempt, stamps, reducer, headers={}, status=200, broken=None)


def sse(value: object) -> bytes:
    """One event."""
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chat(
    content: str | None = None, *, index: int = 0, finish: str | None = None, used: int | None = None, **more: Any
) -> dict[str, Any]:
    """One chunk of a chat."""
    ids = more.pop("token_ids", None)
    delta = {"content": content, **more}
    choice: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish}
    if ids is not None:
        choice["token_ids"] = ids
    usage = {"usage": {"prompt_tokens": 3, "completion_tokens": used}} if used is not None else {}
    return {"choices": [choice], **usage}


def last(used: int, **more: Any) -> dict[str, Any]:
    """The final usage chunk."""
    return {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": used, **more}}


DONE = sse(b"[DONE]")


def one(*events: tuple[int, object], n: int = 1, **more: Any) -> RequestRecord:
    """The one row of a stream of these events."""
    made = reduce([(at, e if isinstance(e, bytes) else sse(e)) for at, e in events], n=n, **more)
    assert len(made) == 1
    return made[0]


def test_a_role_chunk_is_no_token() -> None:
    row = one(
        (5, chat("", role="assistant")), (200, chat("Hi")), (210, chat("", finish="stop")), (210, last(2)), (211, DONE)
    )
    assert row.first_token_ns == 200 * MS
    assert row.timeline.us == (200_000, 10_000)
    assert row.timeline.tokens == (1, 1)
    assert row.ok


def test_running_usage_says_how_many_tokens_a_chunk_holds() -> None:
    row = one(
        (0, chat("", used=0)),
        (10, chat("abc", used=3)),
        (20, chat("de", used=5)),
        (30, chat("", finish="stop", used=6)),
        (30, last(6)),
    )
    assert row.timeline.tokens == (3, 2, 1)
    assert row.timeline.chars == (3, 2, 0)
    assert (row.completion_tokens, row.tokens_source, row.last_token_ns) == (6, "usage", 30 * MS)


def test_token_ids_count_where_usage_does_not_and_are_kept_where_a_chunk_held_several() -> None:
    row = one((10, chat("ab", token_ids=[7, 8])), (20, chat("c", token_ids=[9], finish="length")))
    assert row.timeline.tokens == (2, 1)
    assert row.token_ids == (7, 8, 9)
    assert row.tokens_source == "token_ids"
    single = one((10, chat("a", token_ids=[7])), (20, chat("c", token_ids=[9], finish="length")))
    assert single.token_ids is None


def test_sglang_counts_no_token_on_its_finish_chunk_and_the_total_still_fits() -> None:
    row = one(
        (0, chat("", role="assistant")),
        (10, chat("a", used=1)),
        (20, chat("b", used=2)),
        (30, chat(None, finish="stop")),
        (30, last(3)),
    )
    assert row.timeline.tokens == (1, 1, 1)
    assert row.last_token_ns == 30 * MS


def test_a_count_in_the_last_chunk_alone_is_spread_over_the_chunks_and_warned_of() -> None:
    row = one((10, chat("aaaa")), (20, chat("bbbb")), (30, chat("cc", finish="length")), (30, last(10)))
    assert sum(row.timeline.tokens) == row.completion_tokens == 10
    assert row.timeline.tokens == (4, 4, 2)
    assert "timeline_estimated" in row.doubts


def test_usage_on_the_finish_chunk_is_a_total_not_a_burst() -> None:
    row = one((10, chat("a")), (20, chat("b")), (30, chat("", finish="stop", used=3)))
    assert row.timeline.tokens == (1, 1, 1)
    assert row.doubts == ("no_done",)


def test_a_usage_beside_an_empty_choice_behind_the_end_is_no_token_of_its_own() -> None:
    row = one(
        (10, chat("a")),
        (20, chat("b")),
        (30, chat("", finish="stop")),
        (900, chat("", role="assistant", used=3)),
        (900, DONE),
    )
    assert (row.completion_tokens, row.tokens_source) == (3, "usage")
    assert row.timeline.tokens == (1, 1, 1)
    assert row.last_token_ns == 30 * MS
    assert row.doubts == ()


def test_a_usage_of_zero_beside_text_counts_nothing() -> None:
    row = one(*((i, chat("0", used=0)) for i in range(1, 5)), (5, chat("", finish="stop", used=5)), (5, DONE))
    assert row.ok
    assert row.timeline.tokens == (1, 1, 1, 1, 1)
    assert row.first_token_ns == 1 * MS


def test_without_any_count_a_chunk_of_text_is_one_estimated_token() -> None:
    row = one((10, chat("a")), (15, chat("")), (20, chat("b", finish="stop")))
    assert (row.completion_tokens, row.tokens_source) == (2, "estimated")
    assert row.ok


# What llama-cpp-python 0.3.36 streamed where the model ended at once: no usage, though it was asked for.
ENDED_AT_ONCE = b"""\
data: {"id": "cmpl-1", "object": "text_completion", "created": 1795633601, "model": "m", "choices": [{"text": "", \
"index": 0, "logprobs": null, "finish_reason": "stop"}]}

data: [DONE]

"""


def test_an_answer_that_ended_at_once_and_uncounted_is_its_end_token_and_has_a_latency() -> None:
    (row,) = reduce([(10, ENDED_AT_ONCE)])
    assert (row.ok, row.text, row.completion_tokens, row.tokens_source) == (True, "", 1, "estimated")
    assert row.last_token_ns == 10 * MS


# What llama.cpp's llama-server (of llama-cpp-python 0.3.36) streamed for a chat of two choices, other fields left out.
TWO_CHOICES = b"""\
data: {"choices":[{"finish_reason":null,"index":1,"delta":{"role":"assistant","content":null}}]}

data: {"choices":[{"finish_reason":null,"index":1,"delta":{"content":"Hello"}}]}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}]}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hello"}}]}

data: {"choices":[{"finish_reason":null,"index":1,"delta":{"content":" there"}}]}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" there"}}]}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"!"}}]}

data: {"choices":[{"finish_reason":"length","index":1,"delta":{}}]}

data: {"choices":[],"usage":{"completion_tokens":2,"prompt_tokens":33,"total_tokens":35,\
"prompt_tokens_details":{"cached_tokens":26}}}

data: {"choices":[{"finish_reason":"stop","index":0,"delta":{}}]}

data: {"choices":[],"usage":{"completion_tokens":4,"prompt_tokens":33,"total_tokens":37,\
"prompt_tokens_details":{"cached_tokens":26}}}

data: [DONE]

"""


def test_a_usage_behind_each_choice_is_that_choices_own() -> None:
    first, second = reduce([(10, TWO_CHOICES)], n=2)
    assert (first.completion_tokens, second.completion_tokens) == (4, 2)
    assert (first.text, second.text) == ("Hello there!", "Hello there")
    assert {first.tokens_source, second.tokens_source} == {"usage"}
    assert (first.prompt_tokens, first.cached_tokens) == (33, 26)


def test_reasoning_under_both_names_is_one_text() -> None:
    row = one((10, chat(None, reasoning="ab", reasoning_content="ab")), (20, chat("c", finish="stop")), (20, last(2)))
    assert (row.reasoning, row.text) == ("ab", "c")
    assert row.timeline.chars == (2, 1)
    assert (row.first_token_ns, row.first_answer_ns) == (10 * MS, 20 * MS)


# What Mistral's reasoning models stream, other fields left out.
TYPED_PARTS = b"""\
data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]}]}}]}

data: {"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"4"}]}}]}

data: {"choices":[{"index":0,"delta":{"content":"2"},"finish_reason":"stop"}],"usage":{"completion_tokens":3}}

data: [DONE]

"""


def test_content_in_typed_parts_is_reasoning_and_answer() -> None:
    (row,) = reduce([(10 + i, event + b"\n\n") for i, event in enumerate(TYPED_PARTS.split(b"\n\n")[:-1])])
    assert (row.reasoning, row.text) == ("Hm", "42")
    assert row.timeline.tokens == (1, 1, 1)
    assert (row.first_token_ns, row.first_answer_ns) == (11 * MS, 12 * MS)


def test_hidden_reasoning_is_counted_and_on_no_timeline() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 40}}
    row = one((10, chat("a")), (20, chat("b", finish="stop")), (20, last(43, **details)))
    assert row.completion_tokens == 43
    assert row.reasoning_tokens == 40
    assert sum(row.timeline.tokens) == 3
    assert "hidden_reasoning" in row.doubts


def test_reasoning_that_is_counted_apart_is_part_of_what_was_generated() -> None:
    used = {"total_tokens": 45, "completion_tokens_details": {"reasoning_tokens": 40}}
    hidden = one((10, chat("a")), (20, chat("b", finish="stop")), (20, last(2, **used)), (20, DONE))
    assert (hidden.completion_tokens, hidden.reasoning_tokens) == (42, 40)
    assert hidden.timeline.tokens == (1, 1)
    assert (hidden.first_token_ns, hidden.last_token_ns) == (10 * MS, 20 * MS)
    assert hidden.doubts == ("hidden_reasoning",)
    thought = chat(None, reasoning_content="x" * 40)
    shown = one((10, thought), (20, chat("ab", finish="stop")), (20, last(2, **used)), (20, DONE))
    assert shown.completion_tokens == sum(shown.timeline.tokens) == 42


@pytest.mark.parametrize(
    ("texts", "answer_at"),
    [
        (["<think>", "a", "</think>", "\n\n", "b"], 4),
        (["<think>a</th", "ink>\n", "b"], 2),
        (["a", "b"], 0),
        (["<think>", "never closed"], None),
        (["x</think>y", "</think>", " ", "z"], 3),
        (["a</think>", "  "], None),
    ],
)
def test_the_answer_begins_behind_the_last_end_of_thought(texts: list[str], answer_at: int | None) -> None:
    events = [(i, chat(text, used=i + 1)) for i, text in enumerate(texts)]
    row = one(*events, (len(texts), chat("", finish="length", used=len(texts))))
    assert row.first_answer_ns == (None if answer_at is None else answer_at * MS)


def test_each_choice_has_its_own_timeline_and_the_usage_is_shared_once() -> None:
    made = reduce(
        [
            (10, sse(chat("a", index=0, used=1))),
            (11, sse(chat("xy", index=1, used=2))),
            (20, sse(chat("", index=0, finish="stop", used=2))),
            (21, sse(chat("z", index=1, finish="length", used=3))),
            (22, sse(last(5))),
            (22, DONE),
        ],
        n=2,
    )
    assert [row.completion_tokens for row in made] == [2, 3]
    assert [row.timeline.tokens for row in made] == [(1, 1), (2, 1)]
    assert [row.sample for row in made] == [0, 1]
    assert len({row.request_id for row in made}) == 1
    assert all(row.ok for row in made)


def test_one_usage_for_several_uncounted_choices_is_shared_without_loss() -> None:
    events = [(i, sse(chat("ab" * (1 + k), index=k))) for i in range(4) for k in (0, 1)]
    ends = [(9, sse(chat("", index=k, finish="stop"))) for k in (0, 1)]
    made = reduce([*events, *ends, (9, sse(last(37)))], n=2)
    assert sum(row.completion_tokens or 0 for row in made) == 37
    assert all(sum(row.timeline.tokens) == row.completion_tokens for row in made)


def test_vllms_per_request_metrics_are_kept_flat() -> None:
    spec = {"mean_acceptance_length": 2.5, "acceptance_histogram": [1, 2], "per_step_accepted": None}
    metrics = {"time_to_first_token_ms": 12.5, "mean_itl_ms": None, "speculative_decoding": spec}
    row = one((10, chat("a", finish="stop")), (10, {**last(1), "metrics": metrics}))
    assert row.server == {
        "time_to_first_token_ms": 12.5,
        "spec_mean_acceptance_length": 2.5,
        "spec_accepted_0": 1.0,
        "spec_accepted_1": 2.0,
    }


def test_fields_of_unexpected_types_do_not_hide_the_rest() -> None:
    odd = {"choices": [{"index": 0, "delta": {"content": "a", "reasoning": 5}, "finish_reason": 0}], "usage": {"x": 1}}
    row = one((10, odd), (20, chat("b", finish="stop")), (20, {"choices": [], "usage": {"completion_tokens": 2.0}}))
    assert (row.text, row.completion_tokens, row.ok) == ("ab", 2, True)


def test_a_whole_answer_is_read_where_no_stream_was_asked() -> None:
    answer = {"choices": [{"index": 0, "message": {"content": "hi", "reasoning": "so"}, "finish_reason": "stop"}]}
    row = one(
        (30, json.dumps({**answer, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()), stream=False
    )
    assert (row.text, row.reasoning, row.completion_tokens, row.ok) == ("hi", "so", 4, True)
    assert row.last_token_ns == 30 * MS
    assert "not_streamed" in row.doubts


chunks = st.lists(
    st.tuples(st.text(max_size=6), st.one_of(st.none(), st.integers(0, 4)), st.integers(0, 50)), min_size=1, max_size=30
)


@given(chunks, st.integers(0, 40))
def test_a_timelines_tokens_add_up_to_the_usage(parts: list[tuple[str, int | None, int]], extra: int) -> None:
    at = count = 0
    events: list[tuple[int, bytes]] = []
    for text, gained, after in parts:
        at, count = at + after, count + (gained or 0)
        events.append((at, sse(chat(text, used=count if gained is not None else None))))
    total = count + extra
    row = reduce([*events, (at, sse(chat("", finish="stop"))), (at, sse(last(total))), (at, DONE)])[0]
    assert row.completion_tokens == sum(row.timeline.tokens) == total
    assert all(gain >= 0 for gain in row.timeline.tokens)
    assert sum(row.timeline.chars) == len(row.full_text)
    assert sum(row.timeline.us) <= at * 1000


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=40))
def test_rounding_to_microseconds_never_adds_up(gaps_ns: list[int]) -> None:
    at, instants = 0, []
    for gap in gaps_ns:
        at += gap
        instants.append(at)
    reducer = Reducer(status=200)
    reducer.put([(ns, sse(chat("a", used=i + 1))) for i, ns in enumerate(instants)])
    reducer.drain()
    attempt = Attempt(
        key=KEY, phase="measured", request_id="r", scheduled_ns=None, choices=1, stream=True, max_tokens=None
    )
    stamps = Stamps(sent_ns=0, end_ns=at)
    row = rows(attempt, stamps, reducer, headers={}, status=200, broken=None)[0]
    reached = 0
    for us, ns in zip(row.timeline.us, instants, strict=True):
        reached += us
        assert reached == ns // 1000
    assert all(a <= b for a, b in pairwise(instants))


def recorded(path: Path) -> list[tuple[int, bytes]]:
    """A recorded stream: ``seconds data: ...`` lines, or bare ``data: ...`` lines."""
    events = []
    for i, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        found = re.match(r"(?:(\d+\.\d+) )?(data: .*)", line)
        if found:
            events.append((round(float(found[1]) * 1000) if found[1] else i, found[2].encode() + b"\n\n"))
    return events


@pytest.mark.parametrize(
    ("name", "tokens", "finish"),
    [
        ("vllm/chat-basic.txt", 8, "stop"),
        ("vllm/compl-all.txt", 16, "length"),
        ("vllm/compl-basic.txt", None, None),
        ("vllm/spec-ngram-chat.txt", 40, "length"),
        ("sglang/chat_stream.sse", 19, "stop"),
        ("sglang/completions_stream.sse", 16, "length"),
    ],
)
def test_real_engines_streams_add_up(shared_data: Path, name: str, tokens: int | None, finish: str | None) -> None:
    row = reduce(recorded(shared_data / "wire" / name))[0]
    assert row.ok
    assert row.completion_tokens == sum(row.timeline.tokens) > 0
    assert not {"counts_disagree", "timeline_estimated"} & set(row.doubts)
    if tokens is not None:
        assert (row.completion_tokens, row.finish_reason) == (tokens, finish)


def test_a_real_engines_death_is_an_error_inside_a_200(shared_data: Path) -> None:
    row = reduce(recorded(shared_data / "wire" / "vllm" / "engine-death-stream.txt"))[0]
    assert row.error is not None
    assert (row.error.kind, row.error.status) == ("in_band", 500)
    assert "EngineCore" in row.error.message


def test_a_long_stream_stays_small_while_it_runs_and_so_does_its_row() -> None:
    import tracemalloc

    import msgspec

    tokens = 16_000
    usage = '"usage":{{"prompt_tokens":10,"total_tokens":{n},"completion_tokens":{n}}}'
    template = (
        f'data: {{{{"id":"{"x" * 100}","choices":[{{{{"index":0,"delta":{{{{"content":" tok"}}}}}}}}],{usage}}}}}\n\n'
    )
    pieces = [template.format(n=i + 1).encode() for i in range(tokens)]
    assert 230 < len(pieces[0]) < 320
    tracemalloc.start()
    begun = tracemalloc.get_traced_memory()[0]
    reducer = Reducer(status=200, max_tokens=tokens)
    batch: list[tuple[int, bytes]] = []
    highest = 0
    for i, piece in enumerate(pieces):
        batch.append((i * 12_345_678, bytes(bytearray(piece))))  # a copy of its own, as a read has
        if len(batch) * len(piece) > 256 * 1024:
            reducer.put(batch)
            batch = []
            reducer.drain()
            highest = max(highest, tracemalloc.get_traced_memory()[0] - begun)
    peak = tracemalloc.get_traced_memory()[1] - begun
    tracemalloc.stop()
    reducer.put([*batch, (10**12, sse(chat("", finish="length", used=tokens))), (10**12, sse(last(tokens)) + DONE)])
    reducer.drain()
    attempt = Attempt(
        key=KEY, phase="measured", request_id="r", scheduled_ns=None, choices=1, stream=True, max_tokens=tokens
    )
    row = rows(attempt, Stamps(sent_ns=0, end_ns=10**12), reducer, headers={}, status=200, broken=None)[0]
    assert row.completion_tokens == sum(row.timeline.tokens) == tokens
    assert highest < 1_000_000
    assert peak < 2_000_000
    assert len(msgspec.json.encode(row)) < 250_000
