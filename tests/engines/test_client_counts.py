"""The tokens on the client's timelines are the tokens real engines say they generated, whatever their chunks hold."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.relay import buffering
from tts_compare.backends import BACKENDS
from tts_compare.client import open_client, send
from tts_compare.domain import Call, RequestRecord, RowKey, Sampling
from tts_compare.launchers import Server

REQUESTS = 100
AT_ONCE = 8


async def rows_of(
    server: Server, backend: str, change: dict[str, Any], *, requests: int = REQUESTS, through: str | None = None
) -> list[RequestRecord]:
    """The rows of requests of many lengths, chats and completions, greedy and sampled; ``change`` alters bodies.

    through: the base URL of a proxy to go through.
    """
    room = asyncio.Semaphore(AT_ONCE)
    endpoint = replace(server.endpoint, base_url=through) if through else server.endpoint
    async with open_client(endpoint) as client:

        async def one(i: int) -> tuple[RequestRecord, ...]:
            sampling = Sampling(temperature=0.0 if i % 2 else 0.8, seed=i)
            text = f"one two three one two three {i} one two"
            call = Call(max_tokens=5 + i % 60, sampling=sampling, messages=(("user", text),))
            if i % 3 == 0:
                call = Call(max_tokens=5 + i % 60, sampling=sampling, prompt=text)
            path, body = BACKENDS[backend].request(call, server.endpoint.model)
            key = RowKey(setting="s", method="m", budget=0, load="c8", problem=str(i))
            async with room:
                return await send(client, path=path, body={**body, **change}, key=key, phase="measured")

        made = await asyncio.gather(*(one(i) for i in range(requests)))
    return [row for rows in made for row in rows]


def all_add_up(rows: list[RequestRecord], *, requests: int = REQUESTS) -> None:
    """Every request succeeded, and its timeline holds the tokens of its usage, none of them guessed."""
    assert [row.error for row in rows if row.error] == []
    assert len(rows) == requests
    wrong = [(row.problem, row.completion_tokens, sum(row.timeline.tokens)) for row in rows
             if row.completion_tokens != sum(row.timeline.tokens)]  # fmt: skip
    assert wrong == []
    assert {row.tokens_source for row in rows} == {"usage"}
    # No mark of any kind, "stream_buffered" among them: chunks of a few tokens are no burst.
    assert {warning for row in rows for warning in row.doubts} == set()
    for row in rows:
        assert sum(row.timeline.chars) == len(row.full_text)
        assert row.token_ids is None or len(row.token_ids) == row.completion_tokens


@pytest.mark.parametrize("change", [{}, {"ignore_eos": True}], ids=["as asked", "to the cap"])
def test_vllm_with_n_gram_speculation_adds_up(vllm_server: Server, change: dict[str, Any]) -> None:
    all_add_up(asyncio.run(rows_of(vllm_server, "vllm", change)))


def test_long_answers_of_vllm_with_n_gram_speculation_add_up_and_are_no_bursts(vllm_server: Server) -> None:
    """Long enough for a random model to repeat itself, by which n-gram drafts are accepted.

    Whether that happens within 64 tokens depends on how the processor rounds.
    """
    longest = {"ignore_eos": True, "max_tokens": 400, "temperature": 0.0}
    rows = asyncio.run(rows_of(vllm_server, "vllm", longest, requests=20))
    all_add_up(rows, requests=20)
    assert max(max(row.timeline.tokens) for row in rows) > 1  # or else this shows nothing of many-token chunks


@pytest.mark.parametrize("change", [{}, {"ignore_eos": True}], ids=["as asked", "to the cap"])
def test_sglang_with_four_tokens_a_chunk_adds_up(sglang_server: Server, change: dict[str, Any]) -> None:
    rows = asyncio.run(rows_of(sglang_server, "sglang", change))
    all_add_up(rows)
    if change:
        assert max(max(row.timeline.tokens) for row in rows) > 1


@pytest.mark.parametrize("hold_bytes", [0, 8192], ids=["to the end", "8 KB at a time"])
def test_vllm_behind_a_buffering_proxy_is_marked(vllm_server: Server, hold_bytes: int) -> None:
    longest = {"ignore_eos": True, "max_tokens": 120}
    with buffering(vllm_server.endpoint.base_url, hold_bytes) as proxy:
        rows = asyncio.run(rows_of(vllm_server, "vllm", longest, requests=10, through=f"{proxy}/v1"))
    assert [row.error for row in rows if row.error] == []
    assert {row.completion_tokens for row in rows} == {120}
    assert [row.doubts for row in rows] == [("stream_buffered",)] * 10


def test_sglang_behind_a_buffering_proxy_is_marked(sglang_server: Server) -> None:
    longest = {"ignore_eos": True, "max_tokens": 120}
    with buffering(sglang_server.endpoint.base_url) as proxy:
        rows = asyncio.run(rows_of(sglang_server, "sglang", longest, requests=10, through=f"{proxy}/v1"))
    assert [row.error for row in rows if row.error] == []
    assert [row.doubts for row in rows] == [("stream_buffered",)] * 10
