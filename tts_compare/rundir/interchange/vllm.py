"""The JSON of ``vllm bench serve --save-result --save-detailed`` (keys of vLLM 0.32)."""

from __future__ import annotations

from dataclasses import replace

from tts_compare.domain import RequestError, RequestRecord, model_slug
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


def read_vllm(result: Json, given: Given) -> Imported:
    count = len(result["output_lens"])
    setting = f"vllm-bench/{model_slug(str(result['model_id']))}"
    rate, most = result.get("request_rate"), result.get("max_concurrency")
    load = f"r{float(rate):g}" if rate not in (None, "inf") else f"c{most or count}"
    budget = budget_of(result["output_lens"], given)
    names, matched = problems_by_order(count, given)
    texts = result.get("generated_texts") or [""] * count
    records = []
    for i in range(count):
        blank = blank_record(setting, load, budget, i, names[i])
        records.append(_record(blank, result, i, str(texts[i] or ""), given))
    codes = [*common_warnings(given), *matched, "timeline_missing"]
    codes += ["ttft_role_chunk"] if "chat" in str(result.get("backend", "")) else []
    codes += [] if any(texts) else ["texts_missing"]
    return Imported(
        source="vllm bench serve",
        setting=setting,
        model=str(result["model_id"]),
        records=tuple(records),
        doubts=coded_warnings(setting, *codes),
    )


def _record(blank: RequestRecord, result: Json, i: int, text: str, given: Given) -> RequestRecord:
    starts = result.get("start_times")
    sent = nanoseconds(starts[i]) if starts else 0
    error = str((result.get("errors") or [""] * (i + 1))[i] or "")
    input_len, tokens = int(result["input_lens"][i]), int(result["output_lens"][i])
    if error or not tokens:
        problem = RequestError(kind="http_5xx" if error else "empty", message=error[:MAX_MESSAGE])
        return replace(blank, sent_ns=sent, prompt_tokens=input_len, text=text, error=problem)
    ttft, gaps = float(result["ttfts"][i]), [float(gap) for gap in result["itls"][i]]
    latencies = result.get("latencies")
    latency = float(latencies[i]) if latencies else ttft + sum(gaps)
    return replace(
        blank,
        sent_ns=sent,
        first_token_ns=sent + nanoseconds(ttft),
        last_token_ns=sent + nanoseconds(latency),
        end_ns=sent + nanoseconds(latency),
        prompt_tokens=input_len,
        completion_tokens=tokens,
        tokens_source="usage",
        finish_reason=finish_reason(tokens, given),
        text=text,
    )
