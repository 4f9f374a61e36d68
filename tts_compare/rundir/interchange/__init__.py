"""Results of other benchmarks -> our records, with the warnings that belong to them. Pure: bytes in, values out.

Read: the JSON of ``vllm bench serve --save-detailed`` (keys of vLLM 0.32), GuideLLM's ``benchmarks.json``
(schema 2, GuideLLM 0.8), and AIPerf's ``profile_export.jsonl`` and ``profile_export_raw.jsonl`` (AIPerf 0.13).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tts_compare.errors import UsageError
from tts_compare.rundir.interchange.aiperf import read_aiperf, read_aiperf_raw
from tts_compare.rundir.interchange.common import Given, Imported
from tts_compare.rundir.interchange.guidellm import read_guidellm
from tts_compare.rundir.interchange.vllm import read_vllm

__all__ = ["Given", "Imported", "read_foreign"]


def read_foreign(data: bytes, given: Given | None = None) -> Imported:
    """Records from another tool's file, whichever of the four it is. Raises UsageError for any other."""
    known = given or Given()
    reader, parsed = _recognise(data)
    try:
        imported = reader(parsed, known)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UsageError(f"the file looks like a known export but cannot be read: {error!r}") from error
    if not imported.records:
        raise UsageError("the file holds no requests: export it with details (vLLM: --save-detailed)")
    return imported


def _recognise(data: bytes) -> tuple[Callable[[Any, Given], Imported], Any]:
    try:
        parsed = json.loads(data)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict) and isinstance(parsed.get("benchmarks"), list):
        return read_guidellm, parsed
    if isinstance(parsed, dict) and "output_lens" in parsed and "ttfts" in parsed:
        return read_vllm, parsed
    if isinstance(parsed, dict) and "request_throughput" in parsed and "model_id" in parsed:
        raise UsageError("the file holds vLLM's summary only: run vllm bench serve with --save-detailed")
    rows = [parsed] if isinstance(parsed, dict) else _lines(data)
    if rows and all(isinstance(row, dict) and "metadata" in row for row in rows):
        return (read_aiperf_raw, rows) if "responses" in rows[0] else (read_aiperf, rows)
    raise UsageError(
        "not a result of vllm bench serve (--save-detailed), of GuideLLM (benchmarks.json) "
        "or of AIPerf (profile_export*.jsonl)"
    )


def _lines(data: bytes) -> list[Any]:
    try:
        return [json.loads(line) for line in data.splitlines() if line.strip()]
    except ValueError:
        return []
