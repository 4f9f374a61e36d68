"""What a prefix cache may serve is what earlier prompts of the point hold; where that is not known it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_store import record
from tts_compare.backends import BACKENDS
from tts_compare.client.scrape import parse
from tts_compare.domain import Call, RequestRecord, Sampling
from tts_compare.measure.prefix import Sent, block_told, expected_tokens, prefix_figures
from tts_compare.methods import Tokens
from tts_compare.methods.tokenization import Tokenization
from tts_compare.rundir.metrics import PrefixFigures


def one(text: str, thread: object = None, **more: int) -> Sent:
    """A request whose tokens are the letters of a text; a thread of its own unless one is named."""
    return Sent(ids=[ord(letter) for letter in text], thread=object() if thread is None else thread, **more)


def test_the_first_request_finds_nothing_and_a_repeated_prompt_all_but_its_last_token() -> None:
    assert expected_tokens([one("abcdefgh"), one("abcdefgh")], 1) == (0, 7)


def test_what_is_shared_counts_in_whole_blocks() -> None:
    prompts = [one("abcdefghij"), one("abcdefgXYZ"), one("abX")]
    assert expected_tokens(prompts, 1) == (0, 7, 2)
    assert expected_tokens(prompts, 4) == (0, 4, 0)
    assert expected_tokens([one("abcdefgh")] * 2, 4) == (0, 4)


def test_the_longest_prefix_of_any_earlier_prompt_counts_and_no_later_one() -> None:
    assert expected_tokens([one("abcX"), one("abZ"), one("abcdY"), one("abcdefg")], 1) == (0, 2, 3, 4)


def test_a_thread_finds_what_was_generated_in_it_and_no_other_thread_does() -> None:
    asked, on = one("ask", "a", generated=4), "ask....more"
    assert expected_tokens([asked, one(on, "a")], 1) == (0, 7)
    assert expected_tokens([asked, one(on, "b")], 1) == (0, 3)
    assert expected_tokens([asked, one(on, "a", generated=2), one("askX", "a")], 1) == (0, 7, 3)


def test_each_of_several_choices_may_find_the_prompt_they_share() -> None:
    assert expected_tokens([one("abcdefghi", choices=3)], 4) == (3 * 8,)


def test_an_empty_prompt_finds_nothing() -> None:
    assert expected_tokens([one(""), one("a"), one("")], 1) == (0, 0, 0)


requests = st.lists(
    st.builds(
        Sent,
        ids=st.lists(st.integers(0, 2) | st.just(2**40), max_size=9),
        generated=st.integers(0, 4),
        thread=st.integers(0, 4),
        choices=st.sampled_from([1, 1, 1, 2]),
    ),
    max_size=12,
)


def by_brute_force(sent: Sequence[Sent], block_tokens: int) -> tuple[int, ...]:
    """The definition, request by request and token by token."""
    found = []
    for number, request in enumerate(sent):
        best = len(request.ids) if request.choices > 1 else 0
        for other in sent[:number]:
            equal = 0
            while equal < min(len(request.ids), len(other.ids)) and request.ids[equal] == other.ids[equal]:
                equal += 1
            reach = len(other.ids) + other.generated if other.thread == request.thread else 0
            best = max(best, equal, reach)
        best = max(0, min(best, len(request.ids) - 1))
        found.append(request.choices * (best - best % block_tokens))
    return tuple(found)


@given(sent=requests, block_tokens=st.integers(1, 5))
def test_it_is_what_brute_force_finds(sent: list[Sent], block_tokens: int) -> None:
    assert expected_tokens(sent, block_tokens) == by_brute_force(sent, block_tokens)


@given(sent=requests.map(lambda sent: [replace(a, thread=n, choices=1) for n, a in enumerate(sent)]), data=st.data())
def test_prompts_of_one_length_may_come_in_any_order_and_explain_as_much(sent: list[Sent], data: st.DataObject) -> None:
    alike = [replace(one, ids=(*one.ids, *[7] * (9 - len(one.ids)))) for one in sent]
    shuffled = data.draw(st.permutations(alike))
    assert sum(expected_tokens(shuffled, 1)) == sum(expected_tokens(alike, 1))


def test_each_engines_metrics_tell_the_block_that_it_runs_with(shared_data: Path) -> None:
    vllm = parse((shared_data / "wire/vllm/metrics-ngram.txt").read_text())
    sglang = parse((shared_data / "wire/sglang/metrics_after.txt").read_text())
    assert block_told(vllm, BACKENDS["vllm"].metrics) == 128
    assert block_told(sglang, BACKENDS["sglang"].metrics) == 1


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ('vllm:cache_config_info{block_size="64",hash_block_size="16"} 1\n', 16),
        ('vllm:cache_config_info{block_size="64",hash_block_size="None"} 1\n', 64),
        ('vllm:cache_config_info{block_size="64",cache_hit_alignment_tokens="32",hash_block_size="16"} 1\n', 32),
        ('vllm:cache_config_info{block_size="None"} 1\n', None),
        ("other 1\n", None),
    ],
)
def test_a_hit_may_end_where_a_hash_does_and_what_metrics_leave_open_stays_open(text: str, block: int | None) -> None:
    assert block_told(parse(text), BACKENDS["vllm"].metrics) == block
    assert block_told(None, BACKENDS["vllm"].metrics) is None
    assert block_told(parse(text), BACKENDS["openai"].metrics) is None


LETTERS = Tokens(
    encode=lambda text: tuple(ord(letter) for letter in text),
    decode=lambda ids: "".join(chr(i) for i in ids),
    encode_prompt=lambda text: (0, *(ord(letter) for letter in text)),
)


def asked(prompt: str, name: str, at: int, **row: object) -> tuple[RequestRecord, Call]:
    """A request sent at an instant and its row, counted as LETTERS does it."""
    made = replace(record(name), request_id=name, sent_ns=at, prompt_tokens=len(prompt), cached_tokens=None, error=None)
    made = replace(replace(made, finish_reason="stop"), **row)  # type: ignore[arg-type]
    return made, Call(max_tokens=1, sampling=Sampling(), prompt=prompt)


def figures_of(
    made: Sequence[tuple[RequestRecord, Call]],
    *,
    tokenization: Tokenization | None = Tokenization(tokens=LETTERS),  # noqa: B008 - a frozen value
    block_tokens: int | None = 1,
    hit_tokens: float | None = None,
    before: Sequence[Call] = (),
    caching: bool = True,
) -> PrefixFigures:
    return prefix_figures(
        [row for row, _ in made],
        {row.request_id: call for row, call in made},
        caching=caching,
        tokenization=tokenization,
        block_tokens=block_tokens,
        hit_tokens=hit_tokens,
        before=before,
    )


def test_requests_are_taken_in_the_order_of_sending_not_of_ending() -> None:
    long, short = asked("abcdef", "long", 2), asked("abc", "short", 1)
    assert figures_of([long, short]).expected_tokens == 3
    assert figures_of([asked("abc", "short", 3), long]).expected_tokens == 2


def test_the_usage_of_requests_goes_before_the_servers_counter_and_no_figure_in_it_is_zero() -> None:
    rows = [asked("ab", "a", 1, cached_tokens=5), asked("cd", "b", 2)]
    seen = figures_of(rows, hit_tokens=9.0)
    assert (seen.observed_tokens, seen.observed_from) == (5, "usage")
    seen = figures_of(rows[1:], hit_tokens=9.0)
    assert (seen.observed_tokens, seen.observed_from) == (9, "metrics")
    seen = figures_of(rows[1:])
    assert (seen.observed_tokens, seen.observed_from) == (None, None)


def test_choices_of_one_request_are_one_prompt_and_its_usage_is_taken_once() -> None:
    row, call = asked("abcd", "a", 1, cached_tokens=3)
    seen = figures_of([(row, call), (replace(row, sample=1), call)])
    assert (seen.expected_tokens, seen.observed_tokens) == (2 * 3, 3)


def test_prompts_of_before_the_point_are_found_and_find_nothing_themselves() -> None:
    warm = [Call(max_tokens=1, sampling=Sampling(), prompt="abcX")] * 2
    assert figures_of([asked("abcdef", "a", 1)], before=warm).expected_tokens == 3


def test_a_request_that_was_never_sent_fills_no_cache() -> None:
    rows = [asked("abc", "a", 1, sent_ns=None), asked("abc", "b", 2)]
    assert figures_of(rows).expected_tokens == 0


def test_a_failed_request_may_have_filled_the_cache() -> None:
    rows = [asked("abc", "a", 1, prompt_tokens=None, finish_reason=None), asked("abc", "b", 2)]
    assert figures_of(rows).expected_tokens == 2


def test_with_the_cache_off_nothing_is_expected_and_nothing_need_be_known() -> None:
    rows = [asked("abc", "a", 1, cached_tokens=2)]
    seen = figures_of(rows, caching=False, tokenization=None, block_tokens=None)
    assert (seen.expected_tokens, seen.observed_tokens, seen.unknown) == (0, 2, None)


@pytest.mark.parametrize(
    ("row", "more", "reason"),
    [
        ({}, {"tokenization": None}, "is not known"),
        ({}, {"block_tokens": None}, "is not known"),
        ({}, {"tokenization": Tokenization()}, "tokenizer.json is not at hand"),
        ({"prompt_tokens": None}, {}, "did not count"),
        ({"prompt_tokens": 7}, {}, "counts 7 tokens in a prompt in which the model's tokenizer finds"),
    ],
)
def test_what_cannot_be_known_is_null_with_its_reason(
    row: dict[str, object], more: dict[str, object], reason: str
) -> None:
    seen = figures_of([asked("abc", "a", 1, cached_tokens=1, **row)], **more)  # type: ignore[arg-type]
    assert seen.expected_tokens is None
    assert seen.observed_tokens == 1
    assert reason in (seen.unknown or "")
