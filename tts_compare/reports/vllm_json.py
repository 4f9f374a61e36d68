"""Each point as the result JSON of ``vllm bench serve`` (keys of vLLM 0.32), which other tools read.

What vLLM calls ITL is the gap between chunks, so ``itls`` holds our chunk gaps; TTFT is to the first token.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.rows.cut import cut
from tts_compare.domain import RequestRecord
from tts_compare.reports.labels import split_setting
from tts_compare.reports.view import RunView

if TYPE_CHECKING:
    from tts_compare.analysis.schema import Analysis

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """One request as vLLM's benchmark writes it; seconds, and zeros where it failed."""

    start_s: float
    input_len: int
    output_len: int
    ttft_s: float
    itls_s: tuple[float, ...]
    latency_s: float
    text: str
    error: str

    @property
    def tpot_s(self) -> float | None:
        """None for fewer than two tokens."""
        return (self.latency_s - self.ttft_s) / (self.output_len - 1) if self.output_len > 1 else None


def export_vllm(analysis: Analysis, run: RunView) -> dict[str, bytes]:
    """File name -> JSON, one a (setting, method, budget, load); derived points are cut from the longer responses."""
    points: dict[tuple[str, str, int, str], Mapping[str, Any]] = {}
    for row in analysis.points.iter_rows(named=True):
        points.setdefault((row["setting"], row["method"], row["budget"], row["load"]), row)
    budgets: dict[tuple[str, str, str], set[int]] = {}
    for setting, method, tokens, load in points:
        budgets.setdefault((setting, method, load), set()).add(tokens)
    found: dict[tuple[str, str, int, str], list[Exchanged]] = {key: [] for key in points}
    measured = {(key[0], key[1], key[3], key[2]) for key, row in points.items() if row["provenance"] == "measured"}
    for record in run.read_responses():
        if record.phase != "measured":
            continue
        family = (record.setting, record.method, record.load)
        for tokens in budgets.get(family, ()):
            derived = (*family, tokens) not in measured
            if tokens == record.budget or (derived and tokens < record.budget):
                found[(record.setting, record.method, tokens, record.load)].append(exchange(record, tokens))
    return {
        f"{_file_name(key)}.json": json.dumps(_result(key, points[key], rows)).encode()
        for key, rows in found.items()
        if rows
    }


def exchange(record: RequestRecord, budget: int) -> Exchanged:
    """One record, cut at ``budget`` where it is longer."""
    start = (record.sent_ns or 0) / 1e9
    if not record.ok or record.sent_ns is None or record.last_token_ns is None:
        error = record.error
        why = f"{error.kind}: {error.message}" if error else f"finish_reason {record.finish_reason}"
        return Exchanged(
            start_s=start,
            input_len=record.prompt_tokens or 0,
            output_len=0,
            ttft_s=0.0,
            itls_s=(),
            latency_s=0.0,
            text="",
            error=why,
        )
    kept = cut(record.timeline, budget) if record.timeline.us and (record.completion_tokens or 0) > budget else None
    latency = kept.us / 1e6 if kept else (record.last_token_ns - record.sent_ns) / 1e9
    first = record.first_token_ns if record.first_token_ns is not None else record.last_token_ns
    return Exchanged(
        start_s=start,
        input_len=record.prompt_tokens or 0,
        output_len=kept.tokens if kept else record.completion_tokens or 0,
        ttft_s=min(latency, (first - record.sent_ns) / 1e9),
        itls_s=_gaps(record, latency),
        latency_s=latency,
        text=record.full_text[: kept.chars] if kept else record.full_text,
        error="",
    )


def _gaps(record: RequestRecord, until_s: float) -> tuple[float, ...]:
    """Seconds between the chunks that brought tokens, up to an instant."""
    gaps: list[float] = []
    now = before = 0
    started = False
    for us, tokens in zip(record.timeline.us, record.timeline.tokens, strict=True):
        now += us
        if now > until_s * 1e6 + 1:
            break
        if tokens:
            if started:
                gaps.append((now - before) / 1e6)
            started, before = True, now
    return tuple(gaps)


def _result(key: tuple[str, str, int, str], point: Mapping[str, Any], rows: Sequence[Exchanged]) -> dict[str, Any]:
    setting, method, tokens, load = key
    parts = split_setting(setting)
    good = [row for row in rows if not row.error]
    # The point's own: from the first request to the last there may be other settings, where this one was started again.
    wall = point.get("wall_s")
    total_in, total_out = sum(row.input_len for row in good), sum(row.output_len for row in good)
    result: dict[str, Any] = {
        "endpoint_type": "openai-chat",
        "backend": "openai-chat",
        "label": f"{setting} {method} {tokens}",
        "model_id": parts["model"] if parts else setting,
        "tokenizer_id": parts["model"] if parts else setting,
        "num_prompts": len(rows),
        "request_rate": float(load[1:]) if load.startswith("r") else "inf",
        "burstiness": 1.0,
        "max_concurrency": int(load[1:]) if load.startswith("c") else None,
        "duration": wall,
        "completed": len(good),
        "failed": len(rows) - len(good),
        "total_input_tokens": total_in,
        "total_output_tokens": total_out,
        "request_throughput": _over(len(good), wall),
        "output_throughput": _over(total_out, wall),
        "total_token_throughput": _over(total_in + total_out, wall),
        "input_lens": [row.input_len for row in rows],
        "output_lens": [row.output_len for row in rows],
        "ttfts": [row.ttft_s for row in rows],
        "itls": [list(row.itls_s) for row in rows],
        "latencies": [row.latency_s for row in rows],
        "start_times": [row.start_s for row in rows],
        "generated_texts": [row.text for row in rows],
        "errors": [row.error for row in rows],
    }
    result |= _statistics("ttft", [row.ttft_s for row in good])
    result |= _statistics("tpot", [tpot for row in good if (tpot := row.tpot_s) is not None])
    result |= _statistics("itl", [gap for row in good for gap in row.itls_s])
    result |= _statistics("e2el", [row.latency_s for row in good])
    if point.get("acceptance_length") is not None:
        result["spec_decode_acceptance_length"] = point["acceptance_length"]
    return result


def _over(count: float, seconds: float | None) -> float | None:
    return count / seconds if seconds else None


def _statistics(name: str, seconds: Iterable[float]) -> dict[str, float]:
    """mean, median, std (population) and percentiles (linear), in ms; zeros where there is nothing, as vLLM does."""
    ordered = sorted(1e3 * value for value in seconds)
    count = len(ordered)
    mean = sum(ordered) / count if count else 0.0
    std = math.sqrt(sum((value - mean) ** 2 for value in ordered) / count) if count else 0.0
    found = {f"mean_{name}_ms": mean, f"median_{name}_ms": _percentile(ordered, 50), f"std_{name}_ms": std}
    return found | {f"p{p}_{name}_ms": _percentile(ordered, p) for p in PERCENTILES}


def _percentile(ordered: Sequence[float], percent: float) -> float:
    if not ordered:
        return 0.0
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _file_name(key: tuple[str, str, int, str]) -> str:
    return re.sub(r"[^A-Za-z0-9._=+-]+", "_", "-".join(map(str, key))).lstrip(".")
