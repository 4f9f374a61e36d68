"""GuideLLM's ``benchmarks.json`` (report schema 2, GuideLLM 0.8)."""

from __future__ import annotations

import json
from dataclasses import replace

from tts_compare.domain import ErrorKind, RequestError, RequestRecord, model_slug
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
)


def read_guidellm(report: Json, given: Given) -> Imported:
    model = _model(report)
    setting = f"guidellm/{model_slug(model)}"
    records: list[RequestRecord] = []
    matched: set[str] = set()
    for repeat, bench in enumerate(report["benchmarks"]):
        load = _load(bench)
        rows = [
            (status, row)
            for status in ("successful", "errored", "incomplete")
            for row in bench["requests"].get(status) or []
        ]
        rows.sort(key=lambda pair: (pair[1].get("info") or {}).get("timings", {}).get("request_start") or 0)
        tokens = [(row.get("output_metrics") or {}).get("text_tokens") for _, row in rows]
        budget = budget_of(tokens, given)
        before = [r for r in records if r.load == load]
        for i, (status, row) in enumerate(rows):
            problem, how = _problem(row, i, given)
            matched.add(how)
            blank = replace(blank_record(setting, load, budget, i, problem), repeat=repeat if before else 0)
            records.append(_record(blank, status, row, given))
    codes = [*common_warnings(given), "wall_clock", "timeline_missing", *sorted(matched - {""})]
    codes += [] if any(record.text or record.reasoning for record in records) else ["texts_missing"]
    return Imported(
        source="GuideLLM", setting=setting, model=model, records=tuple(records), doubts=coded_warnings(setting, *codes)
    )


def _model(report: Json) -> str:
    """The model the requests named; the report's own configuration has it in places that change between versions."""
    for bench in report["benchmarks"]:
        for row in (bench["requests"].get("successful") or [])[:1]:
            body = _body(row)
            if isinstance(body.get("model"), str):
                return str(body["model"])
    backend = (report.get("config") or {}).get("backend")
    named = backend.get("model") if isinstance(backend, dict) else None
    return str(named or "unknown")


def _body(row: Json) -> Json:
    """The request GuideLLM sent, kept as a JSON string; empty where it is not."""
    try:
        arguments = json.loads(row.get("request_args") or "{}")
    except ValueError:
        return {}
    body = arguments.get("body", arguments) if isinstance(arguments, dict) else {}
    return body if isinstance(body, dict) else {}


def _load(bench: Json) -> str:
    strategy = (bench.get("config") or {}).get("strategy") or {}
    kind = strategy.get("type_")
    if kind in ("constant", "poisson") and strategy.get("rate"):
        return f"r{float(strategy['rate']):g}"
    streams = strategy.get("streams") or strategy.get("max_concurrency")
    return f"c{streams or (1 if kind == 'synchronous' else 0)}"


def _problem(row: Json, index: int, given: Given) -> tuple[str, str]:
    """By the problem's text inside the request where it is there, else by the order."""
    sent = json.dumps(_body(row), ensure_ascii=False)
    for problem in given.problems:
        if json.dumps(problem.problem, ensure_ascii=False)[1:-1] in sent:
            return problem.id, ""
    if index < len(given.problems):
        return given.problems[index].id, "order_on_trust"
    return f"request-{index}", "problems_unknown"


def _record(blank: RequestRecord, status: str, row: Json, given: Given) -> RequestRecord:
    info = row.get("info") or {}
    timings = info.get("timings") or {}
    start = timings.get("request_start")

    def instant(name: str) -> int | None:
        at = timings.get(name)
        return None if start is None or at is None else nanoseconds(at)

    asked, got = row.get("input_metrics") or {}, row.get("output_metrics") or {}
    tokens, end = got.get("text_tokens"), instant("request_end")
    last = instant("last_token_iteration")
    record = replace(
        blank,
        request_id=str(row.get("request_id", blank.request_id)),
        sent_ns=instant("request_start"),
        first_token_ns=instant("first_token_iteration"),
        first_answer_ns=instant("first_output_token_iteration"),
        last_token_ns=end if last is None else last,
        end_ns=end,
        prompt_tokens=asked.get("text_tokens"),
        cached_tokens=asked.get("cached_tokens"),
        completion_tokens=tokens,
        tokens_source=None if tokens is None else "usage",
        text=str(row.get("output") or ""),
        reasoning=str(row.get("reasoning_output") or ""),
    )
    if status == "successful":
        return replace(record, finish_reason=finish_reason(tokens, given))
    kind: ErrorKind = "cancelled" if status == "incomplete" else "http_5xx"
    return replace(record, error=RequestError(kind=kind, message=str(info.get("error") or status)[:MAX_MESSAGE]))
