"""Headline figures of a run summed row by row, with nothing of the product but the format of its files.

For single answers to each problem (no votes, one call an answer) in a closed loop of one request at a time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

_NS = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer to one problem. Seconds and tokens; what a stream that came in one piece does not tell is None.

    latency_s: from the first attempt's sent to the end, also of an answer that failed. request_s: of the attempt that
    was answered alone.
    """

    failed: bool
    right: bool
    cut: bool
    attempts: int
    tokens: int
    latency_s: float | None
    request_s: float | None
    ttft_s: float | None
    tpot_s: float | None


def manifest_of(run: Path) -> dict[str, Any]:
    """The manifest as it stands in the file."""
    manifest: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return manifest


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, a JSON object a line."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def measured(run: Path, setting: str) -> list[dict[str, Any]]:
    """A setting's rows, in the order they were written, without its warm-up."""
    rows = lines_of(run / "records.jsonl")
    return [row for row in rows if row["setting"] == setting and row["phase"] == "measured"]


def answers_of(run: Path, setting: str, budget: int) -> dict[str, Answer]:
    """Each problem's answer within a budget, of requests that were sent with this budget or a larger one.

    Where streams were held back, nobody knows when they had reached a smaller budget.
    """
    attempts: dict[str, list[dict[str, Any]]] = {}
    for row in measured(run, setting):
        attempts.setdefault(row["problem"], []).append(row)
    right = {
        grade["problem"]: grade["status"] == "correct"
        for grade in lines_of(run / "grades.jsonl")
        if grade["setting"] == setting and (grade["cut_tokens"] or grade["budget"]) == budget
    }
    held_back = any("stream_buffered" in row["doubts"] for rows in attempts.values() for row in rows)
    return {
        problem: _answer(rows, budget, right=right.get(problem, False), held_back=held_back)
        for problem, rows in attempts.items()
    }


def _answer(rows: list[dict[str, Any]], budget: int, *, right: bool, held_back: bool) -> Answer:
    """The first attempt that was answered, or whose tokens reach a smaller budget; else the last one, which failed."""
    assert all(not row["limit_wait_ns"] for row in rows), "a wait for limits of ours is no latency"
    asked = rows[0]["budget"]
    found = next((row for row in rows if _answered(row) or (budget < asked and _tokens(row) >= budget)), None)
    first = next((row["sent_ns"] for row in rows if row["sent_ns"] is not None), None)
    last = found or rows[-1]
    buffered = "stream_buffered" in last["doubts"]
    if found is None:
        waited = (last["end_ns"] - first) * _NS if first is not None else 0.0
        made = last["completion_tokens"] or 0
        return Answer(failed=True, right=False, cut=False, attempts=len(rows), tokens=made, latency_s=waited,
                      request_s=None, ttft_s=None, tpot_s=None)  # fmt: skip
    tokens = min(budget, _tokens(found))
    end = found["last_token_ns"] if budget == asked else found["sent_ns"] + _reached_us(found, tokens) * 1000
    known = not (held_back and budget < asked)
    request = (end - found["sent_ns"]) * _NS if known else None
    ttft = None if buffered else (found["first_token_ns"] - found["sent_ns"]) * _NS
    return Answer(
        failed=False,
        right=right,
        cut=_tokens(found) > budget or found["finish_reason"] != "stop",
        attempts=len(rows),
        tokens=tokens,
        latency_s=(end - first) * _NS if known else None,
        request_s=request,
        ttft_s=ttft,
        tpot_s=None if ttft is None or request is None or tokens < 2 else (request - ttft) / (tokens - 1),
    )


def _answered(row: Mapping[str, Any]) -> bool:
    return row["error"] is None and row["finish_reason"] in ("stop", "length")


def _tokens(row: Mapping[str, Any]) -> int:
    return sum(map(int, row["timeline"]["tokens"])) if row["timeline"] else 0


def _reached_us(row: Mapping[str, Any], tokens: int) -> int:
    """Microseconds from sent to the entry of the timeline at which the count of tokens is reached."""
    counted = accumulate(row["timeline"]["tokens"])
    times = accumulate(row["timeline"]["us"])
    return next(us for count, us in zip(counted, map(int, times), strict=True) if count >= tokens)


def mean(values: list[float | None]) -> float | None:
    """The mean of those that are known, None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def headline(run: Path, setting: str, budget: int, others: tuple[str, ...]) -> dict[str, Any]:
    """The headline figures of one point. others: the settings that it is compared with."""
    manifest, rows = manifest_of(run), measured(run, setting)
    facts = manifest["settings"][setting]
    mine = answers_of(run, setting, budget)
    all_, answered = list(mine.values()), [answer for answer in mine.values() if not answer.failed]
    latency = mean([answer.latency_s for answer in all_]) if all(a.latency_s is not None for a in all_) else None
    return {
        "n": len(mine),
        "outcomes": len(mine),
        "answered": len(answered),
        "failed": len(mine) - len(answered),
        "failed_share": (len(mine) - len(answered)) / len(mine),
        "truncated_share": sum(answer.cut for answer in answered) / len(mine),
        "accuracy": sum(answer.right for answer in all_) / len(mine),
        "latency_mean_s": latency,
        "latency_is_lower_bound": len(answered) < len(mine),
        "request_latency_mean_s": mean([answer.request_s for answer in answered]),
        "ttft_mean_s": mean([answer.ttft_s for answer in answered]),
        "tpot_mean_s": mean([answer.tpot_s for answer in answered]),
        "tokens_mean": sum(answer.tokens for answer in all_) / len(mine),
        "attempts_mean": sum(answer.attempts for answer in all_) / len(mine),
        "gpu_s_per_problem": _cost(facts["devices"], rows, budget, latency),
        "usd_per_problem": _dollars(facts["price"], rows, budget, len(mine)),
        "compared_latency_s": _charged(run, mine, budget, others, manifest["experiment"]["limits"]["total_s"]),
    }


def _cost(devices: int | None, rows: list[dict[str, Any]], budget: int, latency: float | None) -> float | None:
    """Devices x wall time a problem; below the budget that was asked for, devices x latency."""
    if devices is None:
        return None
    if budget < rows[0]["budget"]:
        return None if latency is None else devices * latency
    sent = [row for row in rows if row["sent_ns"] is not None]
    wall = float(max(row["end_ns"] for row in sent) - min(row["sent_ns"] for row in sent)) * _NS
    return devices * wall / len({row["problem"] for row in rows})


def _dollars(price: Mapping[str, float] | None, rows: list[dict[str, Any]], budget: int, n: int) -> float | None:
    """What the provider bills for every attempt, of a smaller budget as if it had been asked for; a problem."""
    if price is None:
        return None
    spent: list[float] = [
        price["input"] * (row["prompt_tokens"] or 0) + price["output"] * min(budget, row["completion_tokens"] or 0)
        for row in rows
    ]
    return sum(spent) / 1e6 / n


def _charged(
    run: Path, mine: Mapping[str, Answer], budget: int, others: tuple[str, ...], total_s: float
) -> float | None:
    """The mean latency over problems that all were measured on; a failed answer takes the most that one took."""
    theirs = [answers_of(run, other, budget) for other in others]
    charged: list[float] = []
    for problem in set(mine).intersection(*theirs):
        own = mine[problem]
        if own.latency_s is None:
            return None
        took = [found.latency_s for other in theirs if not (found := other[problem]).failed and found.latency_s]
        charged.append(max(own.latency_s, max(took, default=total_s)) if own.failed else own.latency_s)
    return sum(charged) / len(charged)
