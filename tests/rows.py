"""Runs written row by row, where the truth can be worked out by hand."""

from __future__ import annotations

from typing import Any

import polars as pl

from tests.synthetic import Run
from tts_compare.analysis.analyse import points
from tts_compare.analysis.schema import grade_schema, record_schema

S = 10**9


def row(problem: str, sent_s: float, ttft_s: float, e2e_s: float, tokens: int, **more: Any) -> dict[str, Any]:
    """One successful request of the setting ``s``; instants in seconds."""
    sent = int(sent_s * S)
    base: dict[str, Any] = {
        "setting": "s",
        "method": "truncate",
        "budget": 1024,
        "load": "c1",
        "problem": problem,
        **dict.fromkeys(("sample", "call", "repeat", "attempt"), 0),
        "phase": "measured",
        "request_id": f"{problem}-{sent_s}",
        "sent_ns": sent,
        "first_token_ns": sent + int(ttft_s * S),
        "last_token_ns": sent + int(e2e_s * S),
        "end_ns": sent + int(e2e_s * S),
        "prompt_tokens": 100,
        "completion_tokens": tokens,
        "tokens_source": "usage",
        "finish_reason": "stop",
    }
    return base | more


def grade(problem: str, status: str, **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "setting": "s",
        "method": "truncate",
        "budget": 1024,
        "load": "c1",
        "problem": problem,
        **dict.fromkeys(("sample", "call", "repeat", "attempt"), 0),
        "policy": "any",
        "status": status,
    }
    return base | more


def run_of(rows: list[dict[str, Any]], grades: list[dict[str, Any]], **manifest: Any) -> Run:
    facts = {"s": {"backend": "vllm", "model": "m", "devices": 2, "tensor_parallel": 2}}
    return Run(
        records=pl.DataFrame(rows, schema=record_schema(optional="timeline_us" in rows[0])),
        grades=pl.DataFrame(grades, schema=grade_schema()),
        manifest={"settings": facts, "experiment": {"policy": "any"}} | manifest,
    )


def table(run: Run) -> pl.DataFrame:
    return points(run.records, run.grades, run.manifest, resamples=200)


def only(run: Run) -> dict[str, Any]:
    found = table(run)
    assert found.height == 1
    return found.row(0, named=True)
