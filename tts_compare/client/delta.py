"""One event's JSON of an OpenAI-compatible stream (or a whole answer) as typed values.

Read by what vLLM 0.32 and SGLang 0.5.23 send and what OpenAI's reference describes. The typed decoder knows the
fields that matter and skips the rest; a server with a field of another type is read field by field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

MAX_TOKENS = 10_000_000
"""A count of more tokens is no count: no context holds so many."""
_MAX_METRICS = 256
_NO_COUNT = -1
"""Stands for a number that is no count, so that who checks counts sees that one was there."""


class Delta(msgspec.Struct, gc=False):
    """``choices[].delta`` of a chunk, or ``choices[].message`` of a whole answer."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class ChunkChoice(msgspec.Struct, gc=False):
    """One entry of ``choices``."""

    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None

    def texts(self) -> tuple[str, str]:
        """Answer text and reasoning text of the chunk.

        ``reasoning`` is today's field, ``reasoning_content`` the older one: where both are there they are one text.
        """
        body = self.delta or self.message
        if body is None:
            return self.text or "", ""
        return body.content or "", body.reasoning or body.reasoning_content or ""


class PromptDetails(msgspec.Struct, gc=False):
    """``usage.prompt_tokens_details``."""

    cached_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    """``usage.completion_tokens_details``."""

    reasoning_tokens: int | None = None


class Usage(msgspec.Struct, gc=False):
    """``usage``; SGLang puts ``reasoning_tokens`` beside the counts, OpenAI into the details."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    @property
    def cached(self) -> int | None:
        """Prompt tokens found in the prefix cache."""
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None

    @property
    def reasoned(self) -> int | None:
        """Reasoning tokens as the server counts them."""
        stated = self.completion_tokens_details.reasoning_tokens if self.completion_tokens_details else None
        return self.reasoning_tokens if stated is None else stated

    @property
    def generated(self) -> int | None:
        """Tokens generated, reasoning included; xAI counts it beside ``completion_tokens``, as its total shows."""
        prompt, completion, reasoned = self.prompt_tokens, self.completion_tokens, self.reasoned
        if not reasoned or prompt is None or completion is None:
            return completion
        return completion + reasoned if self.total_tokens == prompt + completion + reasoned else completion


def believable(usage: Usage, *, most: int) -> tuple[Usage, bool]:
    """Return the usage without counts that cannot be, and whether it held one.

    most: the largest count of generated tokens that is believed. Negative counts and more than ``MAX_TOKENS`` of any
    kind cannot be, and neither can more tokens of the prompt from the cache than it has.
    """
    told = (usage.prompt_tokens, usage.cached, usage.completion_tokens, usage.total_tokens, usage.reasoned)
    prompt, cached, completion, total, reasoned = (
        count if count is None or 0 <= count <= cap else None
        for count, cap in zip(told, (MAX_TOKENS, MAX_TOKENS, most, 2 * MAX_TOKENS, most), strict=True)
    )
    if cached is not None and prompt is not None and cached > prompt:
        cached = None
    kept = (prompt, cached, completion, total, reasoned)
    if kept == told:
        return usage, False
    checked = Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        reasoning_tokens=reasoned,
        prompt_tokens_details=PromptDetails(cached_tokens=cached),
    )
    return checked, True


class Chunk(msgspec.Struct, gc=False):
    """One event: a chunk, an error, or a whole answer.

    ``metrics`` is what vLLM's ``--enable-per-request-metrics`` adds to the last usage chunk.
    """

    choices: list[ChunkChoice] | None = None
    usage: Usage | None = None
    model: str | None = None
    error: Any = None
    object: str | None = None  # "error" in the flat form of error answers
    message: Any = None
    metrics: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(Chunk)


def parse_chunk(data: bytes) -> Chunk:
    """Decode one event. Raises: ValueError where it is no JSON object (invalid UTF-8 is no JSON).

    Half of a surrogate pair and numbers of any size are JSON (RFC 8259, sections 6 and 7): halves stay in the text of
    choices, where the other half may follow in the next event, and are replaced elsewhere.
    """
    try:
        try:
            return _decoder.decode(data)
        except msgspec.ValidationError:  # other types than expected; whether it is JSON to its end is not yet known
            return _lenient(msgspec.json.decode(data))
    except msgspec.DecodeError as error:
        return _lenient(_loosely(data, error))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _loosely(data: bytes, refused: msgspec.DecodeError) -> Any:
    """Decode what the fast decoder refuses although it is JSON. Raises: ValueError with its reason where it is not."""
    try:
        value = json.loads(data.decode(), parse_int=_whole, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError(str(refused)) from None
    if not isinstance(value, dict):
        return value
    return {name: part if name == "choices" else _scrubbed(part) for name, part in value.items()}


def _whole(digits: str) -> int:
    return int(digits) if len(digits) < 20 else _NO_COUNT


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _scrubbed(value: Any) -> Any:
    """The same without halves of surrogate pairs, which no file could hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_scrubbed(name): _scrubbed(part) for name, part in value.items()}
    return [_scrubbed(part) for part in value] if isinstance(value, list) else value


def error_of(chunk: Chunk) -> tuple[str, int | None] | None:
    """Return the message and the code of the error that an event holds, None where it holds none.

    OpenRouter keeps the words of the provider behind it in ``metadata.raw``, Mistral an object in ``message``.
    """
    error = chunk.error
    if error is None or error is False:
        return (_said(chunk.message) or "error", None) if chunk.object == "error" else None
    if isinstance(error, dict):
        code = error.get("code")
        message = _said(error.get("message")) or _said(error.get("type")) or _said(error)
        behind = error.get("metadata")
        raw = _said(behind.get("raw")) if isinstance(behind, dict) else ""
        said = f"{message}: {raw}" if raw else message
        return said, code if isinstance(code, int) and not isinstance(code, bool) and 0 < code < 10_000 else None
    return str(error), None


def _said(value: object) -> str:
    """A text as it is, anything else as JSON; nothing for nothing."""
    if isinstance(value, str) or not value:
        return value if isinstance(value, str) else ""
    return msgspec.json.encode(value).decode()


def metrics_of(metrics: dict[str, Any]) -> dict[str, float]:
    """Flatten vLLM's per-request metrics: its own names, those of speculation with ``spec_`` before them.

    ``acceptance_histogram[j]`` becomes ``spec_accepted_j``: verify steps that accepted exactly j draft tokens.
    What is no finite number is passed over, and so is what goes beyond ``_MAX_METRICS``.
    """
    flat = _numbers(metrics)
    speculation = metrics.get("speculative_decoding")
    if isinstance(speculation, dict):
        flat |= _numbers(speculation, "spec_")
        histogram = speculation.get("acceptance_histogram")
        if isinstance(histogram, list):
            steps = {str(j): count for j, count in enumerate(histogram[:_MAX_METRICS])}
            flat |= _numbers(steps, "spec_accepted_")
    return dict(list(flat.items())[:_MAX_METRICS])


def _numbers(values: Mapping[str, Any], before: str = "") -> dict[str, float]:
    named = list(values.items())[:_MAX_METRICS]
    return {f"{before}{name[:80]}": float(value) for name, value in named if _is_number(value)}


def _is_number(value: object) -> bool:
    """A number that a float holds: 2^53 is the largest whole one of which that is sure."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 2**53


def _lenient(value: object) -> Chunk:
    if not isinstance(value, dict):
        raise ValueError(f"a JSON {type(value).__name__}, not an object")
    choices = value.get("choices")
    return Chunk(
        choices=[_lenient_choice(c) for c in choices if isinstance(c, dict)] if isinstance(choices, list) else None,
        usage=_lenient_usage(value.get("usage")),
        model=_text(value.get("model")),
        error=value.get("error"),
        object=_text(value.get("object")),
        message=value.get("message"),
        metrics=value["metrics"] if isinstance(value.get("metrics"), dict) else None,
    )


def _lenient_choice(value: dict[str, Any]) -> ChunkChoice:
    bodies = [
        _lenient_delta(body) if isinstance(body := value.get(key), dict) else None for key in ("delta", "message")
    ]
    ids = value.get("token_ids")
    return ChunkChoice(
        index=_count(value.get("index")) or 0,
        delta=bodies[0],
        message=bodies[1],
        text=_text(value.get("text")),
        finish_reason=_scrubbed(_text(value.get("finish_reason"))),
        token_ids=ids if isinstance(ids, list) and all(_count(i) is not None for i in ids) else None,
    )


def _lenient_delta(body: dict[str, Any]) -> Delta:
    content = body.get("content")
    answer, thought = _parts(content) if isinstance(content, list) else (_text(content), None)
    return Delta(
        content=answer,
        reasoning=_text(body.get("reasoning")) or thought,
        reasoning_content=_text(body.get("reasoning_content")),
    )


def _parts(content: list[Any]) -> tuple[str, str]:
    """Answer and reasoning of content in typed parts, as Mistral's reasoning models send it."""
    parts = [part for part in content if isinstance(part, dict)]
    inner = [part.get("thinking") for part in parts]
    thoughts = [_parts(value)[0] if isinstance(value, list) else _text(value) or "" for value in inner]
    return "".join(_text(part.get("text")) or "" for part in parts), "".join(thoughts)


def _lenient_usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    prompt, completion = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    return Usage(
        prompt_tokens=_stated(value.get("prompt_tokens")),
        completion_tokens=_stated(value.get("completion_tokens")),
        total_tokens=_stated(value.get("total_tokens")),
        reasoning_tokens=_stated(value.get("reasoning_tokens")),
        prompt_tokens_details=PromptDetails(cached_tokens=_stated(prompt.get("cached_tokens")))
        if isinstance(prompt, dict)
        else None,
        completion_tokens_details=CompletionDetails(reasoning_tokens=_stated(completion.get("reasoning_tokens")))
        if isinstance(completion, dict)
        else None,
    )


def _stated(value: object) -> int | None:
    """A count as ``_count`` reads it; a number that is none stays in sight."""
    count = _count(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return _NO_COUNT if count is None and is_number else count


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    """Return a whole number of at least 0 (also one written 3.0), None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
