"""Success or which failure, and the rows that say so.

A success is HTTP 200, a finish_reason of ``stop`` or ``length``, no error object anywhere, and counted tokens (or
tokens marked estimated). Everything else is an error kind, with the server's own message, secrets masked.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from tts_compare.client.bursts import is_buffered
from tts_compare.client.delta import Usage, error_of, parse_chunk
from tts_compare.client.limits import Stamps
from tts_compare.client.reducer import Reducer, preview
from tts_compare.client.thinking import Thought, thought_of
from tts_compare.client.timeline import ChoiceStream, ResolvedTimeline, first_answer_ns, resolve, shares
from tts_compare.domain import ErrorKind, Phase, RequestError, RequestRecord, RowKey, Thinking

FINISHED = ("stop", "length")
_MAX_MESSAGE_CHARS = 500
_SECRETS = re.compile(r"\b(?:sk|hf|pk|gsk|xai|rk)[-_][A-Za-z0-9_-]{8,}|(?i:bearer)\s+[^\s\"',;]{8,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What is known of an attempt before it is made; the same for every row of it."""

    key: RowKey
    phase: Phase
    request_id: str
    scheduled_ns: int | None
    choices: int
    stream: bool
    max_tokens: int | None
    secrets: tuple[str, ...] = ()
    thinking: Thinking | None = None


def rows(
    attempt: Attempt,
    stamps: Stamps,
    reducer: Reducer | None,
    *,
    headers: Mapping[str, str],
    status: int | None,
    broken: RequestError | None,
    surplus: bool = False,
) -> tuple[RequestRecord, ...]:
    """Return one row for each choice asked for, however the attempt ended.

    broken: what ended it early, None where the answer came to its end.
    """
    reducer = reducer or Reducer(status=0)
    failure = judge(attempt, reducer, headers=headers, status=status, broken=broken)
    reducer.close()
    choices = [reducer.choices.get(i, _NOTHING) for i in range(attempt.choices)]
    usage = reducer.final_usage
    if usage is None and attempt.choices == 1 and not reducer.extra_choices and reducer.running_usage is not None:
        usage = reducer.believed(reducer.running_usage)
    # The sum of an answer with choices that nobody asked for is no sum of the rows.
    totals = shares(choices, usage.generated if usage and not reducer.extra_choices else None)
    server = reducer.metrics
    doubts = _warnings(attempt, reducer, stamps, complete=failure is None and broken is None, surplus=surplus)
    if failure is None and broken is not None:
        doubts += ("unclean_end",)
    return tuple(
        _row(attempt, stamps, choice, i, total=totals[i], usage=usage, server=server, doubts=doubts, failure=failure)
        for i, choice in enumerate(choices)
    )


_NOTHING = ChoiceStream()
_CHARS_A_TOKEN = 4
"""What a chunk that nobody counted holds, to tell a whole answer in one chunk from a token; English text has 4."""


def _row(
    attempt: Attempt,
    stamps: Stamps,
    choice: ChoiceStream,
    index: int,
    *,
    total: int | None,
    usage: Usage | None,
    server: dict[str, float],
    doubts: tuple[str, ...],
    failure: RequestError | None,
) -> RequestRecord:
    reasoned = usage.reasoned if usage and attempt.choices == 1 else None
    shown = bool(choice.reasoning) or "</think>" in choice.text or "<think>" in choice.text
    hidden = min(reasoned or 0, total or 0) if not shown else 0
    resolved = resolve(choice, total, hidden_tokens=hidden)
    failure = failure or judge_choice(attempt, choice)
    key, sent = attempt.key, stamps.sent_ns
    counted = resolved.completion_tokens or total is not None
    ids = choice.ids if choice.many_a_chunk and choice.ids and len(choice.ids) == resolved.completion_tokens else None
    over = attempt.max_tokens is not None and resolved.completion_tokens > attempt.max_tokens
    asked = attempt.thinking
    thought = thought_of(choice, resolved, asked=asked, reasoned=reasoned)
    silent = failure is None and choice.finish_reason == "stop" and not choice.text
    doubted = {
        "past_max_tokens": over,
        "stream_buffered": is_buffered(resolved.at, _weights(resolved), sent or 0),
        "surrogates_replaced": choice.replaced,
        "stop_without_text": silent,
        **_ignored(asked, thought, choice),
    }
    own_warnings = (*resolved.doubts, *(name for name, holds in doubted.items() if holds), *doubts)
    return RequestRecord(
        setting=key.setting,
        method=key.method,
        budget=key.budget,
        load=key.load,
        problem=key.problem,
        sample=key.sample + index,
        call=key.call,
        repeat=key.repeat,
        attempt=key.attempt,
        phase=attempt.phase,
        request_id=attempt.request_id,
        scheduled_ns=attempt.scheduled_ns,
        connect_ns=stamps.connect_ns,
        sent_ns=sent,
        first_byte_ns=stamps.first_byte_ns,
        first_token_ns=resolved.first_token_ns,
        first_answer_ns=first_answer_ns(choice, resolved),
        last_token_ns=resolved.last_token_ns,
        end_ns=stamps.end_ns,
        prompt_tokens=usage.prompt_tokens if usage else None,
        cached_tokens=usage.cached if usage else None,
        completion_tokens=resolved.completion_tokens if counted else None,
        reasoning_tokens=reasoned,
        thinking_tokens=thought.tokens if counted else None,
        thinking_source=thought.source if counted else None,
        tokens_source=resolved.source if counted else None,
        finish_reason=choice.finish_reason,
        text=choice.text,
        reasoning=choice.reasoning,
        timeline=resolved.since(sent or 0),
        token_ids=tuple(ids) if ids else None,
        server=server or None,
        doubts=own_warnings,
        error=failure,
    )


def _ignored(asked: Thinking | None, thought: Thought, choice: ChoiceStream) -> dict[str, bool]:
    """Marks of an answer that did not think as it was asked to."""
    if asked is None or not choice.finish_reason:
        return {}
    budget, least = asked.budget, thought.least
    is_bounded = budget is not None
    return {
        "thinking_over_budget": budget is not None and least is not None and least > budget + asked.slack,
        "thinking_reopened": is_bounded and thought.closings > 1,
        "thinking_not_seen": bool(budget) and least is None,
        "thinking_not_off": (asked.enabled is False or asked.effort == "none") and bool(least),
    }


def _weights(resolved: ResolvedTimeline) -> Sequence[int]:
    """Tokens of each entry; of those that nobody counted, as many as their characters make likely."""
    if resolved.source != "estimated":
        return resolved.gains
    return [max(gain, n // _CHARS_A_TOKEN) for gain, n in zip(resolved.gains, resolved.chars, strict=True)]


def judge(
    attempt: Attempt,
    reducer: Reducer,
    *,
    headers: Mapping[str, str],
    status: int | None,
    broken: RequestError | None,
) -> RequestError | None:
    """Return what is wrong with the attempt as a whole, None where each choice is to be judged by itself."""
    error: RequestError | None = None
    if status is not None and status != 200:
        said = _message(status, headers, reducer.whole)
        wait_s = retry_after_s(headers)
        error = RequestError(kind=_kind_of(status), status=status, message=said, retry_after_s=wait_s)
    elif any(choice.repeated for choice in reducer.choices.values()):
        error = RequestError(kind="malformed", status=status, message="the stream repeats a chunk")
    elif reducer.runaway:
        message = reducer.malformed or f"the server went on past max_tokens ({attempt.max_tokens})"
        error = RequestError(kind="malformed", status=status, message=message)
    elif reducer.in_band is not None:
        message, code = reducer.in_band
        error = RequestError(kind="in_band", status=code or status, message=message)
    elif reducer.malformed is not None:
        error = RequestError(kind="malformed", status=status, message=reducer.malformed)
    elif reducer.whole:
        error = _judge_whole(attempt, reducer, broken)
    if error is None and broken is not None and not _finished(attempt, reducer):
        began = any(choice.at for choice in reducer.choices.values())
        cut = broken.kind == "truncated_stream" and not began
        error = RequestError(kind="empty", status=status, message=broken.message) if cut else broken
    return masked(error, attempt.secrets) if error else None


def judge_choice(attempt: Attempt, choice: ChoiceStream) -> RequestError | None:
    """Return what is wrong with one choice of an answer that came to its end."""
    if choice.finish_reason in FINISHED:
        return None
    if choice.finish_reason:
        message = f"finish_reason is {choice.finish_reason[:80]!r}"
        return masked(RequestError(kind="in_band", status=200, message=message), attempt.secrets)
    if not choice.at:
        return RequestError(kind="empty", status=200, message="no text, no token, no finish_reason")
    return RequestError(kind="truncated_stream", status=200, message="the stream ended without a finish_reason")


def masked(error: RequestError, secrets: tuple[str, ...]) -> RequestError:
    """Return the error with every secret in its message replaced: the given ones in any usual form, and key shapes."""
    message = error.message
    for secret in secrets:
        for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")):
            message = message.replace(form, "***")
    message = _SECRETS.sub("***", message)[:_MAX_MESSAGE_CHARS]
    return replace(error, message=message)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks to wait: ``Retry-After`` in seconds or as a date (against its own clock), or ``-ms``."""
    try:
        if (stated_ms := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(stated_ms) / 1000) if math.isfinite(float(stated_ms)) else None
        stated = headers.get("retry-after")
        if stated is None:
            return None
        if re.fullmatch(r"\s*\d{1,12}(\.\d+)?\s*", stated):
            return float(stated)
        own = headers.get("date")
        now = parsedate_to_datetime(own) if own else datetime.now(UTC)
        return max(0.0, (parsedate_to_datetime(stated) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _warnings(attempt: Attempt, reducer: Reducer, stamps: Stamps, *, complete: bool, surplus: bool) -> tuple[str, ...]:
    found = {
        "no_done": complete and attempt.stream and not reducer.done,
        "bytes_after_answer": surplus or reducer.after_done,
        "not_stamped_on_arrival": not stamps.on_arrival and stamps.sent_ns is not None,
        "not_streamed": not attempt.stream,
        "usage_absurd": reducer.absurd_usage,
        "more_choices": reducer.extra_choices,
        "other_model": reducer.other_model,
        "oversized": reducer.oversized,
    }
    return tuple(name for name, holds in found.items() if holds)


def _finished(attempt: Attempt, reducer: Reducer) -> bool:
    chosen = [reducer.choices.get(i) for i in range(attempt.choices)]
    return all(choice is not None and choice.finish_reason for choice in chosen)


def _judge_whole(attempt: Attempt, reducer: Reducer, broken: RequestError | None) -> RequestError | None:
    """Judge a body that is no event stream: an error object, a page, or the answer where no stream was asked."""
    body = reducer.whole
    try:
        chunk = parse_chunk(body)
    except ValueError:
        if broken is not None:
            return broken
        what = "an HTML page" if body.lstrip().startswith(b"<") else "a body that is not JSON"
        return RequestError(kind="malformed", status=200, message=f"{what} in place of an answer: {preview(body)}")
    if (told := error_of(chunk)) is not None:
        return RequestError(kind="in_band", status=told[1] or 200, message=told[0])
    if attempt.stream:
        message = f"a JSON body in place of the stream that was asked for: {preview(body)}"
        return RequestError(kind="malformed", status=200, message=message)
    if not reducer.choices:
        usage, chunk.usage = chunk.usage, None
        reducer.take(reducer.last_ns, chunk)
        reducer.final_usage = usage
        for choice in reducer.choices.values():
            choice.compact()
    return None


def _kind_of(status: int) -> ErrorKind:
    if status == 429:
        return "http_429"
    if 400 <= status < 500:
        return "http_4xx"
    return "http_5xx" if status >= 500 else "malformed"


def _message(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """What the server says: the error object's message, FastAPI's detail, or the beginning of the body."""
    if 300 <= status < 400:
        where = urlsplit(headers.get("location", ""))
        to = f"{where.scheme}://{where.netloc}" if where.netloc else "another path of this host"
        return f"redirected to {to}, which is not followed: a key must not travel"
    body = body.strip()
    if body.startswith(b"[") and body.endswith(b"]"):
        body = body[1:-1]  # Google's error is a list of one
    try:
        told = error_of(parse_chunk(body))
        if told is not None:
            return told[0]
        value: Any = msgspec.json.decode(body)
        said = value.get("detail") or value.get("message")
        return said if isinstance(said, str) else msgspec.json.encode(said or value).decode()
    except (ValueError, msgspec.DecodeError):
        return preview(body)
