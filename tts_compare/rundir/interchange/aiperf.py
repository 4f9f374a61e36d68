"""AIPerf's ``profile_export.jsonl`` (figures) and ``profile_export_raw.jsonl`` (every chunk), AIPerf 0.13."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tts_compare.domain import ErrorKind, RequestError, RequestRecord, Timeline, model_slug
from tts_compare.rundir.interchange.common import (
    MAX_MESSAGE,
    Given,
    Imported,
    Json,
    blank_record,
    budget_of,
    coded_warnings,
    common_warnings,
    finish_reason,
    nanoseconds,
    problems_by_order,
)


def read_aiperf(rows: Sequence[Json], given: Given) -> Imported:
    """``profile_export.jsonl``: figures only, in the units that each states."""
    setting = "aiperf/unknown"
    profiled = _profiled(rows)
    names, matched = problems_by_order(len(profiled), given)
    tokens = [_metric(row, "output_sequence_length") for row in profiled]
    budget = budget_of([None if t is None else round(t) for t in tokens], given)
    records = tuple(
        _record(blank_record(setting, f"c{len(profiled)}", budget, i, names[i]), row, given)
        for i, row in enumerate(profiled)
    )
    codes = (*common_warnings(given), "wall_clock", "timeline_missing", "texts_missing", "tokens_estimated", *matched)
    load = f"c{_overlap(records)}"
    return Imported(
        source="AIPerf",
        setting=setting,
        model="unknown",
        records=tuple(replace(record, load=load) for record in records),
        doubts=coded_warnings(setting, *codes),
    )


def _profiled(rows: Sequence[Json]) -> list[Json]:
    kept = [row for row in rows if row["metadata"].get("benchmark_phase", "profiling") != "warmup"]
    return sorted(kept, key=lambda row: (row["metadata"].get("session_num") or 0, row["metadata"]["request_start_ns"]))


_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0}


def _metric(row: Json, name: str) -> float | None:
    """A metric's value; a duration in seconds."""
    metric = (row.get("metrics") or {}).get(name)
    if not isinstance(metric, dict) or not isinstance(metric.get("value"), int | float):
        return None
    return float(metric["value"]) * _UNITS.get(str(metric.get("unit")), 1.0)


def _error(row: Json) -> RequestError | None:
    error, metadata = row.get("error"), row["metadata"]
    if metadata.get("was_cancelled"):
        return RequestError(kind="cancelled", message="cancelled")
    if not isinstance(error, dict):
        return None
    code = error.get("code")
    status = code if isinstance(code, int) and 100 <= code < 600 else None
    kind: ErrorKind = "http_429" if status == 429 else "http_4xx" if status is not None and status < 500 else "http_5xx"
    return RequestError(kind=kind, status=status, message=str(error.get("message", ""))[:MAX_MESSAGE])


def _record(blank: RequestRecord, row: Json, given: Given) -> RequestRecord:
    metadata = row["metadata"]
    sent = int(metadata["request_start_ns"])
    record = replace(
        blank, request_id=str(metadata.get("x_request_id") or blank.request_id), sent_ns=sent, error=_error(row)
    )
    if record.error is not None:
        return replace(record, end_ns=int(metadata["request_end_ns"]))
    ttft, latency = _metric(row, "time_to_first_token"), _metric(row, "request_latency")
    answer = _metric(row, "time_to_first_output_token")
    end = int(metadata["request_end_ns"]) if latency is None else sent + nanoseconds(latency)
    asked, got = _metric(row, "input_sequence_length"), _metric(row, "output_sequence_length")
    tokens = None if got is None else round(got)
    return replace(
        record,
        first_token_ns=None if ttft is None else sent + nanoseconds(ttft),
        first_answer_ns=None if answer is None else sent + nanoseconds(answer),
        last_token_ns=end,
        end_ns=end,
        prompt_tokens=None if asked is None else round(asked),
        completion_tokens=tokens,
        tokens_source="estimated",
        finish_reason=finish_reason(tokens, given),
    )


def _overlap(records: Sequence[RequestRecord]) -> int:
    """The most requests in flight at once: what the load was, where the file does not say."""
    changes = sorted(
        change for r in records if r.sent_ns is not None for change in ((r.sent_ns, 1), (r.end_ns or r.sent_ns, -1))
    )
    now = most = 0
    for _, step in changes:
        now += step
        most = max(most, now)
    return max(1, most)


def read_aiperf_raw(rows: Sequence[Json], given: Given) -> Imported:
    """``profile_export_raw.jsonl``: the payload and every chunk of each request, so texts, counts and a timeline."""
    profiled = _profiled(rows)
    models = {str((row.get("payload") or {}).get("model")) for row in profiled}
    model = models.pop() if len(models) == 1 else "unknown"
    setting = f"aiperf/{model_slug(model)}"
    caps = {cap for row in profiled if isinstance(cap := _cap(row.get("payload") or {}), int)}
    known = given if given.budget is not None or len(caps) != 1 else Given(problems=given.problems, budget=caps.pop())
    names, matched = _problems(profiled, known)
    records = [_raw_record(blank_record(setting, "c1", 0, i, names[i]), row) for i, row in enumerate(profiled)]
    budget = budget_of([record.completion_tokens for record in records], known)
    load = f"c{_overlap(records)}"
    codes = ["imported", "devices_unknown", *matched]
    codes += ["tokens_estimated"] if any(record.tokens_source == "estimated" for record in records) else []
    return Imported(
        source="AIPerf (raw)",
        setting=setting,
        model=model,
        records=tuple(replace(record, load=load, budget=budget) for record in records),
        doubts=coded_warnings(setting, *codes),
    )


def _cap(payload: Json) -> object:
    return payload.get("max_completion_tokens", payload.get("max_tokens"))


def _problems(rows: Sequence[Json], given: Given) -> tuple[list[str], tuple[str, ...]]:
    """By the problem's text inside the payload, or all by order where one is not found."""
    found = []
    for row in rows:
        sent = json.dumps(row.get("payload") or {}, ensure_ascii=False)
        held = (p.id for p in given.problems if json.dumps(p.problem, ensure_ascii=False)[1:-1] in sent)
        found.append(next(held, None))
    named = [name for name in found if name is not None]
    return (named, ()) if len(named) == len(rows) else problems_by_order(len(rows), given)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """What one chunk brought. ``counted``: completion tokens of its usage, None without."""

    at_ns: int
    text: str
    reasoning: str
    finish: str | None
    counted: int | None
    prompt_tokens: int | None
    has_choice: bool


def _raw_record(blank: RequestRecord, row: Json) -> RequestRecord:
    """Chunks in the order they came; a chunk's tokens are what it adds to usage, else one where it brings text."""
    start = int(row["start_perf_ns"])
    chunks = _chunks(row)
    gains = _gains(chunks)
    kept = [(c, gained) for c, gained in zip(chunks, gains, strict=True) if gained or c.text or c.reasoning]
    total = next((c.counted for c in reversed(chunks) if c.counted is not None), None)
    befores = [start, *(c.at_ns for c, _ in kept)]
    timeline = Timeline(
        us=tuple(round((c.at_ns - before) / 1e3) for (c, _), before in zip(kept, befores, strict=False)),
        tokens=tuple(gained for _, gained in kept),
        chars=tuple(len(c.text) + len(c.reasoning) for c, _ in kept),
    )
    finish = next((c.finish for c in reversed(chunks) if c.finish), None)
    text, reasoning = "".join(c.text for c in chunks), "".join(c.reasoning for c in chunks)
    return replace(
        blank,
        request_id=str(row["metadata"].get("x_request_id") or blank.request_id),
        sent_ns=start,
        first_token_ns=kept[0][0].at_ns if kept else None,
        first_answer_ns=next((c.at_ns for c, _ in kept if c.text.strip()), None),
        last_token_ns=kept[-1][0].at_ns if kept else None,
        end_ns=chunks[-1].at_ns if chunks else start,
        prompt_tokens=next((c.prompt_tokens for c in reversed(chunks) if c.prompt_tokens is not None), None),
        completion_tokens=sum(gains) if total is None else total,
        tokens_source="estimated" if total is None else "usage",
        finish_reason=finish,
        text=text,
        reasoning=reasoning,
        timeline=timeline if total in (None, sum(gains)) else Timeline(),
        error=_error(row) or _ending(finish, reasoning + text),
    )


def _gains(chunks: Sequence[_Chunk]) -> list[int]:
    """Tokens of each chunk. A usage that comes with text is a running count; one that comes alone is only the sum."""
    running = any(c.counted is not None and c.has_choice for c in chunks)
    gains, counted = [], 0
    for chunk in chunks:
        gained = max(0, (chunk.counted or 0) - counted) if running else int(bool(chunk.text or chunk.reasoning))
        counted += gained
        gains.append(gained)
    return gains


def _ending(finish: str | None, text: str) -> RequestError | None:
    if finish is not None:
        return None
    kind: ErrorKind = "truncated_stream" if text else "empty"
    return RequestError(kind=kind, message="the stream ended without a finish_reason")


def _chunks(row: Json) -> list[_Chunk]:
    """Every JSON message; ``[DONE]`` and comments are none."""
    found: list[_Chunk] = []
    for message in row.get("responses") or []:
        packets = message.get("packets")
        values = [p.get("value") for p in packets if p.get("name") == "data"] if packets else [message.get("text")]
        for value in values:
            try:
                chunk = json.loads(value or "")
            except ValueError:
                continue
            if isinstance(chunk, dict):
                found.append(_chunk(int(message["perf_ns"]), chunk))
    return sorted(found, key=lambda chunk: chunk.at_ns)


def _chunk(at_ns: int, chunk: Json) -> _Chunk:
    """The first choice, streamed or whole."""
    choices = chunk.get("choices") or []
    choice = choices[0] if choices else {}
    part = choice.get("delta") or choice.get("message") or {}
    usage = chunk.get("usage") or {}
    return _Chunk(
        at_ns=at_ns,
        text=str(part.get("content") or choice.get("text") or ""),
        reasoning=str(part.get("reasoning_content") or part.get("reasoning") or ""),
        finish=choice.get("finish_reason"),
        counted=usage.get("completion_tokens"),
        prompt_tokens=usage.get("prompt_tokens"),
        has_choice=bool(choices),
    )
