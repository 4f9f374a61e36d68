"""Reward models over HTTP: the documented wire forms, what is retried, and what ends the asking."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from tts_compare.domain import RequestError, RowKey
from tts_compare.errors import RunError, UsageError
from tts_compare.limits.retry import RetryPolicy
from tts_compare.methods import METHODS
from tts_compare.methods.best_of_n import APIS, REDUCTIONS
from tts_compare.reward import FORMS, ResponseToScore, ask_all, discover, open_client, root_of
from tts_compare.reward.forms import REDUCE, prompt_tokens, score_of, with_steps
from tts_compare.reward.http import request
from tts_compare.rundir.scores import Score, Scorer

# Answers as the engines' documentation and their own types show them.
CLASSIFY = {
    "id": "classify-9bf17f2847b046c7b2d5495f4b4f9682",
    "object": "list",
    "created": 1745383213,
    "model": "jason9693/Qwen2.5-1.5B-apeach",
    "data": [{"index": 0, "label": "Default", "probs": [0.565970778465271, 0.4340292513370514], "num_classes": 2}],
    "usage": {"prompt_tokens": 10, "total_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": None},
}
SCORE = {
    "id": "score-request-id",
    "object": "list",
    "created": 693447,
    "model": "BAAI/bge-reranker-v2-m3",
    "data": [{"index": 0, "object": "score", "score": 0.25}],
    "usage": {},
}
SGLANG = {"embedding": [-24.375], "meta_info": {"id": "8a1c", "finish_reason": None, "prompt_tokens": 139}}


def pooling(data: Any) -> dict[str, Any]:
    row = {"index": 0, "object": "pooling", "data": data}
    usage = {"prompt_tokens": 5, "total_tokens": 5, "completion_tokens": 0}
    return {"id": "pool-1", "object": "list", "created": 1, "model": "rm", "data": [row], "usage": usage}


SCORER = Scorer(model="rm", api="pooling", reduce="last", step="", activation=True)


def question(response: str = "so 4", sample: int = 0) -> ResponseToScore:
    key = RowKey(setting="s", method="best_of_n", budget=8, load="c1", problem="p", sample=sample)
    return ResponseToScore(key=key, problem="2 + 2?", response=response)


@pytest.mark.parametrize(
    ("api", "answer", "expected"),
    [
        ("classify", CLASSIFY, 0.4340292513370514),
        ("score", SCORE, 0.25),
        ("sglang", SGLANG, -24.375),
        ("sglang", [SGLANG], -24.375),
        ("pooling", pooling([0.75]), 0.75),
        ("pooling", pooling([0.25, 0.75]), 0.75),
        ("pooling", pooling([[-3.5], [-1.25], [2.5]]), 2.5),
        ("pooling", pooling([[0.1, 0.9], [0.8, 0.2]]), 0.2),
    ],
)
def test_a_documented_answer_is_read(api: str, answer: Any, expected: float) -> None:
    assert score_of(answer, FORMS[api], "last") == expected


@pytest.mark.parametrize(("reduce", "expected"), [("last", 0.5), ("min", 0.25), ("product", 0.1), ("mean", 31 / 60)])
def test_the_rewards_of_steps_become_one_score(reduce: str, expected: float) -> None:
    steps = [[0.2, 0.8], [0.75, 0.25], [0.5, 0.5]]
    assert score_of(pooling(steps), FORMS["pooling"], reduce) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("api", "answer", "message"),
    [
        ("pooling", pooling([0.1] * 896), "896 numbers where a reward has one or two"),
        ("pooling", pooling([]), "no step was scored: set scores_step"),
        ("pooling", pooling([[]]), "0 numbers"),
        ("pooling", {"data": []}, "its shape is another"),
        ("pooling", CLASSIFY, "its shape is another .*data"),
        ("classify", pooling([0.5]), "its shape is another .*probs"),
        ("classify", {"error": {"message": "no"}}, "its shape is another"),
        ("score", None, "its shape is another"),
        ("sglang", [], "its shape is another"),
        ("sglang", {"embedding": [None]}, "its shape is another"),
        ("sglang", {"embedding": [1e999]}, "no finite number"),
    ],
)
def test_an_answer_without_a_reward_says_what_is_wrong_with_it(api: str, answer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_of(answer, FORMS[api], "last")


@pytest.mark.parametrize(
    ("answer", "expected"), [(CLASSIFY, 10), (SCORE, None), (SGLANG, 139), ([SGLANG], 139), ([], None), (3, None)]
)
def test_what_the_reward_model_read_is_taken_from_where_each_engine_says_it(answer: Any, expected: int | None) -> None:
    assert prompt_tokens(answer) == expected


def test_each_form_sends_what_is_documented() -> None:
    chat = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "so 4"}]
    assert {api: (FORMS[api].path, FORMS[api].body(question(), SCORER, None)) for api in FORMS} == {
        "pooling": ("/pooling", {"model": "rm", "messages": chat}),
        "classify": ("/classify", {"model": "rm", "messages": chat}),
        "score": ("/score", {"model": "rm", "text_1": "2 + 2?", "text_2": "so 4"}),
        "sglang": ("/classify", {"model": "rm", "text": "so 4"}),
    }
    raw = Scorer(model="rm", api="pooling", reduce="last", step="", activation=False)
    assert all(FORMS[api].body(question(), raw, None)["use_activation"] is False for api in ("pooling", "classify"))
    said = FORMS["sglang"].body(question(), SCORER, lambda chat: "".join(f"<{role}>{text}" for role, text in chat))
    assert said["text"] == "<user>2 + 2?<assistant>so 4"


def test_the_options_name_exactly_the_forms_and_reductions_there_are() -> None:
    assert set(APIS) == {"auto", *FORMS}
    assert set(REDUCTIONS) == set(REDUCE)


def test_the_mark_of_a_step_stands_after_every_paragraph() -> None:
    assert with_steps("a\n\nb\nc\n\n\n\nd\n\n", "<extra_0>") == "a<extra_0>b\nc<extra_0>d<extra_0>"
    assert with_steps("a\n\nb", "") == "a\n\nb"
    assert with_steps("", "<x>") == "<x>"


@pytest.mark.parametrize("address", ["http://h:8000", "http://h:8000/", "http://h:8000/v1", "http://h:8000/v1/"])
def test_the_forms_stand_beside_v1(address: str) -> None:
    assert root_of(address) == "http://h:8000"


def asked(
    handler: Callable[[httpx.Request], httpx.Response],
    questions: Sequence[ResponseToScore],
    *,
    known: int = 0,
    concurrency: int = 1,
    secrets: tuple[str, ...] = (),
) -> tuple[list[Score], str | None]:
    """The rows that came in, and how the asking ended early, if it did."""
    rows: list[Score] = []

    async def go() -> str | None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
            try:
                await ask_all(
                    questions,
                    client,
                    root="http://rm",
                    scorer=SCORER,
                    keep=rows.append,
                    concurrency=concurrency,
                    known=known,
                    secrets=secrets,
                    patience=RetryPolicy(first_s=0.001),
                )
            except RunError as error:
                return str(error)
        return None

    return rows, asyncio.run(go())


def said(request: httpx.Request) -> str:
    return str(json.loads(request.content)["messages"][1]["content"])


def right(_request: object) -> httpx.Response:
    return httpx.Response(200, json=pooling([0.5]))


def test_a_busy_server_is_asked_again_and_the_time_is_that_of_the_last_attempt() -> None:
    answers = [httpx.Response(503), httpx.Response(429, headers={"Retry-After": "0"}), right(None)]
    ((row,), ended) = asked(lambda _request: answers.pop(0), [question()])
    assert (row.score, row.error, row.prompt_tokens, ended) == (0.5, None, 5, None)
    assert 0 <= row.end_unix_ns - row.sent_unix_ns < 10**9


def test_a_response_that_fails_alone_is_a_row_with_its_error_and_the_others_go_on() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(400, json={"error": {"message": "too long"}}) if "long" in said(request) else right(request)
        )

    rows, ended = asked(handler, [question("a long one", sample=at) for at in range(20)] + [question("ok", sample=20)])
    assert ended is None
    assert [row.score for row in rows] == [0.5, *[None] * 20], "short responses are asked about first"
    assert rows[1].error == RequestError(kind="http_4xx", status=400, message="too long")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            httpx.Response(404, json={"detail": "Not Found"}),
            r"http://rm/pooling answers 404 \(Not Found\): .*scores_api",
        ),
        (httpx.Response(401, json={"error": "x"}), "answers 401: the key is missing; name its variable"),
        (httpx.Response(307, headers={"Location": "http://other"}), "answers 307"),
    ],
)
def test_what_is_true_of_every_response_ends_the_asking_at_once(answer: httpx.Response, message: str) -> None:
    rows, ended = asked(lambda _request: answer, [question(sample=at) for at in range(20)], known=5)
    assert rows == []
    assert ended is not None
    assert re.search(message, ended)
    assert "\n" not in ended


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(400, json={"error": {"message": "no messages here"}}), "answers 400 .no messages here."),
        (httpx.Response(200, json=pooling([0.0] * 64)), "gives no answer that can be used .64 numbers"),
        (httpx.Response(200, text="<html>hello</html>"), "a body that is not JSON: <html>"),
    ],
)
@pytest.mark.parametrize(("there", "kept"), [(3, 3), (20, 8)])
def test_a_failure_of_all_responses_ends_the_asking_and_their_rows_are_kept(
    there: int, kept: int, answer: httpx.Response, message: str
) -> None:
    rows, ended = asked(lambda _request: answer, [question(sample=at) for at in range(there)])
    assert len(rows) == kept
    assert ended is not None
    assert re.search(message, ended)


def test_what_is_left_of_a_scored_run_may_fail_without_ending_anything() -> None:
    rows, ended = asked(lambda _request: httpx.Response(400), [question(sample=at) for at in range(20)], known=1)
    assert (len(rows), ended) == (20, None)


def test_a_server_that_fails_after_scoring_some_ends_the_asking() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return right(request) if said(request) == "1" else httpx.Response(200, json={})

    rows, ended = asked(handler, [question("1"), *(question("22", sample=at) for at in range(1, 20))])
    assert (len(rows), ended is not None) == (1 + 8, True)


def test_nobody_there_is_told_with_the_address_after_a_few_attempts() -> None:
    attempts = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal attempts
        attempts += 1
        raise httpx.ConnectError("Connection refused", request=request)

    rows, ended = asked(handler, [question()])
    assert (rows, attempts) == ([], 4)
    assert ended == (
        "scores: nothing answers at http://rm (Connection refused): check the address and that the reward model runs"
    )


def test_no_more_are_under_way_than_asked_for() -> None:
    under_way = most = 0

    async def go() -> int:
        nonlocal most
        done: list[Score] = []

        async def handler(request: httpx.Request) -> httpx.Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.005)
            under_way -= 1
            return right(request)

        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
            questions = [question(sample=at) for at in range(12)]
            await ask_all(questions, client, root="http://rm", scorer=SCORER, keep=done.append, concurrency=3)
        return len(done)

    assert asyncio.run(go()) == 12
    assert most == 3


def test_a_key_that_the_server_repeats_is_masked() -> None:
    rows, _ = asked(
        lambda _request: httpx.Response(400, json={"error": {"message": "who is Bearer my-own-key?"}}),
        [question()],
        known=1,
        secrets=("my-own-key",),
    )
    assert rows[0].error
    assert "my-own-key" not in rows[0].error.message


def found(models: httpx.Response, *, model: str = "", api: str = "auto") -> tuple[str, str]:
    async def go() -> tuple[str, str]:
        transport = httpx.MockTransport(lambda _request: models)
        async with httpx.AsyncClient(transport=transport) as client:
            return await discover(client, "http://rm", model=model, api=api)

    return asyncio.run(go())


def cards(*names: str, owner: str = "vllm") -> httpx.Response:
    data = [{"id": name, "object": "model", "owned_by": owner} for name in names]
    return httpx.Response(200, json={"object": "list", "data": data})


def test_model_and_form_are_found_out_where_they_are_not_stated() -> None:
    assert found(cards("rm")) == ("rm", "pooling")
    assert found(cards("rm", owner="sglang")) == ("rm", "sglang")
    assert found(cards("rm", owner="sglang"), api="classify") == ("rm", "classify")
    assert found(cards("a", "b"), model="b") == ("b", "pooling")
    assert found(httpx.Response(404), model="mine") == ("mine", "pooling")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (cards("a", "b"), "http://rm serves a, b: name the reward model in scores_model"),
        (cards(), "does not say which model it serves"),
        (httpx.Response(404), "does not say which model it serves"),
        (httpx.Response(401), "http://rm/v1/models answers 401: the key is missing"),
    ],
)
def test_a_model_that_cannot_be_found_out_has_to_be_named(answer: httpx.Response, message: str) -> None:
    with pytest.raises(RunError, match=message):
        found(answer)


def test_a_key_is_sent_where_there_is_one_and_follows_no_redirect() -> None:
    keyed, bare = open_client("http://rm", "k"), open_client("http://rm", None)
    assert keyed.headers["Authorization"] == "Bearer k"
    assert "Authorization" not in bare.headers
    assert not keyed.follow_redirects


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    async def go() -> RequestError | None:
        async def endless() -> Any:
            while True:
                yield b" " * 2**20

        transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=endless()))
        async with httpx.AsyncClient(transport=transport) as client:
            return (await request(client, "http://rm/pooling", {})).error

    error = asyncio.run(go())
    assert error
    assert "over 32 MiB" in error.message


def options(**stated: object) -> dict[str, Any]:
    return {**METHODS["best_of_n"].options, "scores": "http://h:1", **stated}


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"scores": ""}, "scores: best_of_n needs a file of scores"),
        ({"scores": "ftp://h/x"}, "scores: that is neither a file nor a URL"),
        ({"scores": "http://"}, "scores: that is neither"),
        ({"scores": "http://h:port"}, "scores: that is neither"),
        ({"scores_api": "pool"}, "scores_api: 'pool' is none of auto, pooling"),
        ({"scores_reduce": "max"}, "scores_reduce: 'max' is none of last"),
        ({"scores_concurrency": 0}, "scores_concurrency: it must be at least 1"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(stated: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        METHODS["best_of_n"].check(options(**stated))


@pytest.mark.parametrize(
    "stated",
    [
        {"scores": "http://me:planted@h:1"},
        {"scores": "http://planted@h:1"},
        {"scores": "ftp://me:planted@h:1"},
        {"scores": "http://h:1/?key=planted"},
        {"scores_api_key_env": "sk-planted"},
    ],
)
def test_a_secret_in_an_option_is_refused_and_not_repeated(stated: dict[str, object]) -> None:
    with pytest.raises(UsageError) as refused:
        METHODS["best_of_n"].check(options(**stated))
    assert "planted" not in str(refused.value)
