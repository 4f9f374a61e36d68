"""What a server says is believed as far as it can be: halves of characters, counts, names, compressed streams."""

from __future__ import annotations

import json
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_client_outcome import answer
from tts_compare.client.delta import Usage, believable, parse_chunk
from tts_compare.client.names import is_other_model
from tts_compare.client.reducer import Reducer
from tts_compare.domain import RequestRecord

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text("a😀𝄞é", max_size=30)


def streamed(parts: list[str], **more: object) -> RequestRecord:
    """The row of an answer in these parts, which may be halves of characters."""
    events = [json.dumps({"choices": [{"index": 0, "delta": {"content": part}}]}) for part in parts]
    events.append('{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}')
    (row,) = answer("".join(f"data: {event}\n\n" for event in events).encode() + b"data: [DONE]\n\n", **more)  # type: ignore[arg-type]
    return row


def halves(text: str, cuts: list[int]) -> list[str]:
    """A text cut between UTF-16 units, as a program that counts in them cuts it."""
    units = text.encode("utf-16-le")
    ends = sorted({0, len(units) // 2, *(cut % (len(units) // 2 + 1) for cut in cuts)})
    return [units[2 * a : 2 * b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(ends)]


@given(text=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=20))
def test_characters_cut_between_chunks_are_whole_again_and_counted_once(text: str, cuts: list[int]) -> None:
    row = streamed(halves(text, cuts))
    assert row.text == text
    assert sum(row.timeline.chars) == len(text)
    assert "surrogates_replaced" not in row.doubts


@given(parts=st.lists(st.text("a\ud83d\ude00é", max_size=6), max_size=12))
def test_halves_without_the_other_half_are_replaced_and_said(parts: list[str]) -> None:
    row = streamed(parts)
    expected = "".join(parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert row.text == expected or (not row.text and expected == "\ufffd")
    assert sum(row.timeline.chars) == len(row.text)
    assert ("surrogates_replaced" in row.doubts) == ("\ufffd" in row.text)
    assert json.loads(json.dumps(row.text)) == row.text.encode().decode()


def test_a_replacement_character_of_the_model_itself_is_no_replaced_half() -> None:
    row = streamed(["\ufffd \ud83d", "\ude00"])
    assert (row.text, "surrogates_replaced" in row.doubts) == ("\ufffd 😀", False)


@given(
    counts=st.lists(st.none() | st.integers(-5, 5) | st.integers(-(10**40), 10**40), min_size=5, max_size=5),
    most=st.integers(1, 10_000),
)
def test_no_count_that_cannot_be_is_kept_and_none_that_can_is_lost(counts: list[int | None], most: int) -> None:
    prompt, cached, completion, total, reasoning = counts
    stated = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    details = {"prompt_tokens_details": {"cached_tokens": cached}, "reasoning_tokens": reasoning}
    usage = parse_chunk(json.dumps({"usage": stated | details}).encode()).usage
    assert isinstance(usage, Usage)
    kept, was_absurd = believable(usage, most=most)
    found = (kept.prompt_tokens, kept.cached, kept.completion_tokens, kept.total_tokens, kept.reasoned)
    assert all(count is None or 0 <= count < 2**31 for count in found)
    assert was_absurd == (found != tuple(counts))
    assert kept.completion_tokens is None or kept.completion_tokens <= most
    if completion is not None and 0 <= completion <= most:
        assert kept.completion_tokens == completion


@pytest.mark.parametrize(
    ("asked", "told", "other"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", False),
        ("gpt-4o", "gpt-4o-mini", True),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", True),
        ("gemini-1.5-pro", "gemini-1.5-pro-002", False),
        ("Qwen/Qwen3-8B", "qwen3-8b", False),
        ("/models/Qwen3-8B/", "Qwen3-8B", False),
        ("re2-small", "small", False),
        ("qwen/qwen3-8b:floor", "qwen/qwen3-8b", False),
        ("qwen3-8b", "qwen3-4b", True),
        ("deepseek-r1", "deepseek-v3", True),
        ("m", "", False),
        (None, "m", False),
    ],
)
def test_another_model_is_told_from_another_spelling(asked: str | None, told: str, other: bool) -> None:
    assert is_other_model(asked, told) is other


@given(cuts=st.lists(st.integers(0, 4000), max_size=8))
def test_a_compressed_stream_is_the_plain_one_wherever_it_is_cut(cuts: list[int]) -> None:
    plain = b"".join(b'data: {"choices":[{"index":0,"delta":{"content":"word %d "}}]}\n\n' % i for i in range(3000))
    packed = zlib.compress(plain, wbits=31)
    reducer = Reducer(status=200, encoding="gzip")
    ends = sorted({0, len(packed), *(cut % len(packed) for cut in cuts)})
    reducer.put([(i, packed[a:b]) for i, (a, b) in enumerate(pairwise(ends))])
    reducer.drain()
    assert reducer.malformed is None
    assert reducer.choices[0].text == "".join(f"word {i} " for i in range(3000))


def test_reasoning_without_an_answer_is_no_empty_answer() -> None:
    thought = b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"}%s}]}\n\n'
    cut = answer(thought % b"" + thought % b',"finish_reason":"length"' + b"data: [DONE]\n\n")[0]
    assert (cut.ok, cut.finish_reason, cut.reasoning, cut.text) == (True, "length", "hmhm", "")
    assert cut.doubts == ()
    broken = answer(thought % b"")[0]
    assert broken.error is not None
    assert broken.error.kind == "truncated_stream"
    silent = answer(thought % b',"finish_reason":"stop"' + b"data: [DONE]\n\n")[0]
    assert silent.ok
    assert silent.doubts == ("stop_without_text",)
