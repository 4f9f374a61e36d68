"""Which failure it was, and what its row may tell."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.client.limits import Stamps
from tts_compare.client.outcome import Attempt, retry_after_s, rows
from tts_compare.client.reducer import Reducer
from tts_compare.domain import RequestError, RequestRecord, RowKey

KEY = RowKey(setting="s", method="m", budget=0, load="c1", problem="p", sample=3)
SECRET = "a-secret-nobody-knows-1234"
GOOD = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def answer(
    body: bytes,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    broken: RequestError | None = None,
    n: int = 1,
    max_tokens: int | None = None,
    stream: bool = True,
) -> tuple[RequestRecord, ...]:
    """The rows of an answer."""
    headers = headers or {}
    reducer = Reducer(status=status, encoding=headers.get("content-encoding", ""), max_tokens=max_tokens)
    reducer.put([(5, body)])
    reducer.drain()
    attempt = Attempt(
        key=KEY,
        phase="measured",
        request_id="r",
        scheduled_ns=None,
        choices=n,
        stream=stream,
        max_tokens=max_tokens,
        secrets=(SECRET,),
    )
    stamps = Stamps(sent_ns=1, end_ns=9, on_arrival=True)
    return rows(attempt, stamps, reducer, headers=headers, status=status, broken=broken)


def error_of(body: bytes, **more: object) -> RequestError:
    """The error of an answer that must be a failure."""
    (row,) = answer(body, **more)  # type: ignore[arg-type]
    assert not row.ok
    assert row.error is not None
    return row.error


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "http_4xx"), (401, "http_4xx"), (404, "http_4xx"), (429, "http_429"), (500, "http_5xx"), (503, "http_5xx"),
     (307, "malformed"), (204, "malformed")],
)  # fmt: skip
def test_a_status_that_is_not_200_is_its_kind(status: int, kind: str) -> None:
    error = error_of(b'{"error": {"message": "no", "type": "x"}}', status=status)
    assert (error.kind, error.status) == (kind, status)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "too long", "code": 400}}', "too long"),
        (b'{"object": "error", "message": "too long"}', "too long"),
        (b'{"detail": "too long"}', "too long"),
        (b'{"detail": [{"loc": ["body"], "msg": "too long"}]}', "too long"),
        (b'{"message": "too long"}', "too long"),
        (b'{"error": "too long"}', "too long"),
        (b"too long", "too long"),
        (b"<html>too long</html>", "too long"),
        (b"\xff\xfe too long", "too long"),
        (b'{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"]}]}}', '"seed"'),
        (
            b'{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"no max_tokens"}}}',
            "max_tokens",
        ),
        (b'["too long"]', "too long"),
    ],
)
def test_the_servers_own_words_are_kept(body: bytes, said: str) -> None:
    assert said in error_of(body, status=400).message


@pytest.mark.parametrize(
    "form", [SECRET, base64.b64encode(SECRET.encode()).decode(), "Bearer abcdefgh12345", "sk-abcdef123456"]
)
def test_secrets_in_a_servers_words_are_masked(form: str) -> None:
    message = error_of(json.dumps({"error": {"message": f"the key {form} is wrong"}}).encode(), status=401).message
    assert form not in message
    assert "***" in message
    assert "is wrong" in message


def test_a_redirect_is_not_followed_and_says_where_to() -> None:
    error = error_of(b"", status=302, headers={"location": f"https://other.example/path?key={SECRET}"})
    assert "https://other.example" in error.message
    assert SECRET not in error.message


def test_an_error_in_a_list_of_one_is_read_to_its_end() -> None:
    error = {"code": 400, "message": "Invalid JSON payload received. " * 5 + 'Unknown name "seed"', "status": "INVALID"}
    assert error_of(json.dumps([{"error": error}], indent=2).encode(), status=400).message == error["message"]


def test_a_redirect_to_another_path_of_the_host_names_no_empty_address() -> None:
    error = error_of(b"", status=307, headers={"location": "/v1/chat/completions/"})
    assert "another path of this host" in error.message


@pytest.mark.parametrize("reason", ["eos", "eos_token"])
def test_another_name_for_the_end_of_the_sequence_is_a_stop(reason: str) -> None:
    (row,) = answer(GOOD.replace(b'"stop"', f'"{reason}"'.encode()))
    assert (row.ok, row.finish_reason) == (True, "stop")


def test_an_error_anywhere_fails_every_choice() -> None:
    body = GOOD.replace(b"data: [DONE]", b'data: {"error": {"message": "died", "code": 500}}\n\ndata: [DONE]')
    made = answer(body, n=2)
    assert [row.error.kind if row.error else None for row in made] == ["in_band", "in_band"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "empty"),
        (b"data: [DONE]\n\n", "empty"),
        (b": only a comment\n\n", "empty"),
        (b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n', "truncated_stream"),
        (b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"abort"}]}\n\n', "in_band"),
        (b"data: {not json\n\n", "malformed"),
        (b'data: "a text"\n\n', "malformed"),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', "malformed"),
        (b"<html><title>502</title></html>", "malformed"),
        (b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}', "malformed"),
        (b'{"error":{"message":"x"}}', "in_band"),
        (b"[1, 2]", "malformed"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "malformed"),
    ],
)
def test_a_200_that_is_no_answer_has_its_kind(body: bytes, kind: str) -> None:
    assert error_of(body).kind == kind


def test_what_came_of_a_broken_answer_is_kept() -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"half an ans"}}]}\n\ndata: {"choi'
    broken = RequestError(kind="truncated_stream", status=200, message="connection lost")
    (row,) = answer(body, broken=broken)
    assert row.error == broken
    assert row.text == "half an ans"


def test_a_connection_lost_behind_a_whole_answer_costs_a_warning_only() -> None:
    (row,) = answer(GOOD, broken=RequestError(kind="truncated_stream", status=200, message="connection lost"))
    assert row.ok
    assert "unclean_end" in row.doubts


def test_a_loss_before_any_token_is_an_empty_answer_and_a_limit_stays_a_limit() -> None:
    lost = RequestError(kind="truncated_stream", status=200, message="connection lost")
    late = RequestError(kind="timeout_idle", status=200, message="nothing more")
    assert error_of(b"", broken=lost).kind == "empty"
    assert error_of(b"", broken=late).kind == "timeout_idle"


def test_more_tokens_than_asked_for_are_a_warning_and_many_more_a_failure() -> None:
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
    (row,) = answer(chunk * 5 + GOOD, max_tokens=5)
    assert row.ok
    assert "past_max_tokens" in row.doubts
    assert error_of(chunk * 30 + GOOD, max_tokens=5).kind == "malformed"


def test_an_encoding_nobody_asked_for_and_we_cannot_read_is_malformed() -> None:
    assert error_of(b"\x00\x01", headers={"content-encoding": "br"}).kind == "malformed"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Fri, 01 Jan 2027 00:00:30 GMT", "date": "Fri, 01 Jan 2027 00:00:00 GMT"}, 30.0),
        ({"retry-after": "Fri, 01 Jan 2027 00:00:00 GMT", "date": "Fri, 01 Jan 2027 00:00:30 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "never"}, None),
    ],
)
def test_the_wait_a_server_asks_for_is_read_in_every_form(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers) == wait_s
    assert error_of(b"{}", status=429, headers=headers).retry_after_s == wait_s


events = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([GOOD, b"data: [DONE]\n\n", b"\r\n", b"data: ", b": c\n\n", b'data: {"choices":[]}\n\n']),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    ["choices", "delta", "message", "index", "content", "text", "finish_reason", "usage", "error",
                     "token_ids", "completion_tokens", "prompt_tokens_details", "metrics", "object", "reasoning"]
                ),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=12,
    ).map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n"),
)  # fmt: skip


@given(st.lists(events, max_size=8), st.integers(1, 3), st.booleans(), st.sampled_from([200, 200, 404, 500]))
def test_any_answer_ends_in_one_row_a_choice(parts: list[bytes], n: int, stream: bool, status: int) -> None:
    made = answer(b"".join(parts), n=n, stream=stream, status=status, max_tokens=50)
    assert [row.sample for row in made] == list(range(3, 3 + n))
    for row in made:
        assert row.ok == (row.error is None)
        assert len(row.timeline.us) == len(row.timeline.tokens) == len(row.timeline.chars)
        assert sum(row.timeline.chars) == len(row.full_text)
