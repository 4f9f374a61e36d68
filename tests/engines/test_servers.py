"""The two running servers that the tests share: each serves the tiny model in chunks that hold several tokens."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tts_compare.backends import BACKENDS
from tts_compare.domain import Call, Sampling
from tts_compare.launchers import Server

TOKENS = 128


def stream(server: Server, backend: str) -> list[dict[str, Any]]:
    """The events of one greedy chat answer."""
    call = Call(max_tokens=TOKENS, sampling=Sampling(), messages=(("user", "What is 2 + 3?"),))
    path, body = BACKENDS[backend].request(call, server.endpoint.model)
    key = server.endpoint.api_key
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = server.endpoint.base_url.rstrip("/") + "/" + path.lstrip("/")
    with httpx.stream("POST", url, json=body | {"ignore_eos": True}, headers=headers, timeout=120) as response:
        assert response.status_code == 200, response.read()
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_one_chunk_holds_several_tokens(backend: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{backend}_server")
    events = stream(server, backend)
    with_text = [e for e in events if e["choices"] and e["choices"][0]["delta"].get("content")]
    assert events[-1]["usage"]["completion_tokens"] == TOKENS
    assert 0 < len(with_text) < 0.75 * TOKENS, "a chunk a token: the case that the other tests need is not there"


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_the_same_request_gives_the_same_text_again(backend: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{backend}_server")
    texts = {
        "".join(e["choices"][0]["delta"].get("content") or "" for e in stream(server, backend) if e["choices"])
        for _ in range(2)
    }
    assert len(texts) == 1
    assert len(texts.pop()) > TOKENS
