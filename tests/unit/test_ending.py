"""What is a failure of the setting, and what was not measured."""

from __future__ import annotations

import pytest

from tts_compare.domain import ErrorKind, RequestError
from tts_compare.domain.ending import Ending, ending


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_an_answer_and_a_cut_answer_are_answers(finish_reason: str) -> None:
    assert ending(None, finish_reason, hosted=False) == "answered"


def test_another_finish_reason_is_a_failure() -> None:
    assert ending(None, "abort", hosted=False) == "failed"


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("timeout_total", None, "failed"),
        ("server_died", None, "failed"),
        ("connect", None, "failed"),
        ("http_5xx", 503, "failed"),
        ("http_4xx", 400, "failed"),
        ("http_4xx", 401, "not_measured"),
        ("http_4xx", 403, "not_measured"),
        ("http_4xx", 404, "not_measured"),
        ("cancelled", None, "not_measured"),
    ],
)
def test_an_error_is_a_failure_unless_we_interrupted_or_were_refused(
    kind: ErrorKind, status: int | None, expected: Ending
) -> None:
    assert ending(RequestError(kind=kind, status=status), None, hosted=False) == expected


@pytest.mark.parametrize(
    ("message", "hosted", "expected"),
    [
        ("You exceeded your current quota", True, "not_measured"),
        ("Rate limit reached for requests per minute", True, "not_measured"),
        ("Rate limit reached", False, "failed"),
        ("The engine is overloaded, rate limit applied", True, "failed"),
        ("Too many requests", True, "failed"),
    ],
)
def test_a_429_counts_against_a_server_of_ours_and_an_overloaded_one(
    message: str, *, hosted: bool, expected: Ending
) -> None:
    assert ending(RequestError(kind="http_429", status=429, message=message), None, hosted=hosted) == expected
