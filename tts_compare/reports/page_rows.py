"""What the page shows of single requests: distributions, and a bounded number of responses with their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tts_compare.domain import Problem, RequestRecord
from tts_compare.reports.labels import Labels
from tts_compare.reports.numbers import budget
from tts_compare.reports.plain import one_line, plain
from tts_compare.reports.view import RunView

if TYPE_CHECKING:
    import polars as pl

MAX_RESPONSES = 1_200
MAX_CHARS_EACH = 20_000
MAX_CHARS = 6_000_000
_QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}

Row = dict[str, Any]
Outcomes = Mapping[tuple[Any, ...], Mapping[str, tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses:
    """Rows of the problem table; ``shown`` of ``total`` responses, to the same problems for every setting.

    first_only: of several samples and repeats the first, so that more problems have room.
    """

    problems: tuple[Row, ...]
    rows: tuple[Row, ...]
    shown: int
    total: int
    problems_total: int
    first_only: bool = False


def distributions(run: RunView, labels: Labels) -> list[Row]:
    """Quantiles of latency (s) and of decoding rate (tokens/s) by load, setting, method and budget.

    Over successful measured requests; rate is (completion_tokens - 1) / (last token - first token), 1 / tpot.
    """
    if run.records is None or run.records.is_empty():
        return []
    import polars as pl

    keys = ("load", "setting", "method", "budget")
    ok = run.records.filter(
        pl.col("phase") == "measured", pl.col("error_kind").is_null(), pl.col("finish_reason").is_in(["stop", "length"])
    )
    latency = (pl.col("last_token_ns") - pl.col("sent_ns")) / 1e9
    decoding = pl.col("last_token_ns") - pl.col("first_token_ns")
    rate = pl.when(decoding > 0).then((pl.col("completion_tokens") - 1) / (decoding / 1e9))
    found: list[Row] = []
    for name, value in (("latency", latency), ("rate", rate)):
        table = (
            ok.select(*keys, value.alias("value"))
            .drop_nulls("value")
            .group_by(keys)
            .agg(
                *(pl.col("value").quantile(q, "linear").alias(head) for head, q in _QUANTILES.items()),
                pl.len().alias("requests"),
            )
            .sort(keys)
        )
        several = table["method"].n_unique() > 1
        found += [
            {"what": name, "series": _series(row, labels, several=several), "budget_said": budget(row["budget"])} | row
            for row in table.to_dicts()
        ]
    return found


def responses(run: RunView, labels: Labels, *, most: int = MAX_RESPONSES) -> Responses:
    """The responses to a spread of problems, few enough for a page.

    The same problems for every setting, evenly spread over the data set; longer texts are cut and say so.
    """
    if run.records is None or run.records.is_empty():
        return Responses(problems=(), rows=(), shown=0, total=0, problems_total=0)
    import polars as pl

    measured = run.records.filter(pl.col("phase") == "measured")
    every = measured["problem"].unique(maintain_order=True).to_list()
    first_only = measured.height > most
    first = pl.col("sample") == 0, pl.col("repeat") == 0
    count = measured.filter(first).height if first_only else measured.height
    chosen = _spread(every, max(1, most * len(every) // max(1, count)))
    outcomes = _outcomes(run.grades, chosen)
    several = measured["method"].n_unique() > 1
    rows: list[Row] = []
    room = MAX_CHARS
    place = {problem: i for i, problem in enumerate(chosen)}
    for record in run.read_responses():
        if record.phase != "measured" or record.problem not in place:
            continue
        if first_only and (record.sample or record.repeat):
            continue
        row = _response_row(record, place[record.problem], outcomes, labels, several=several, room=room)
        room -= len(row["text"])
        rows.append(row)
        if len(rows) == most:
            break
    rows.sort(key=lambda row: (row["problem"], row["series"], row["budget"], row["sample"], row["repeat"]))
    return Responses(
        problems=_problems(run, chosen),
        rows=tuple(rows),
        shown=len(rows),
        total=measured.height,
        problems_total=len(every),
        first_only=first_only,
    )


def _spread(items: list[str], count: int) -> list[str]:
    if count >= len(items):
        return items
    return [items[i * len(items) // count] for i in range(count)]


def _series(row: Mapping[str, Any], labels: Labels, *, several: bool) -> str:
    name = one_line(labels.of.get(row["setting"], row["setting"]), 80)
    return f"{name} {row['method']}" if several else name


_KEY = ("setting", "method", "budget", "load", "problem", "sample", "call", "repeat", "attempt")


def _outcomes(grades: pl.DataFrame | None, problems: list[str]) -> Outcomes:
    """Record key -> policy -> (status, answer) of the whole response, or of the longest cut graded."""
    if grades is None or grades.is_empty():
        return {}
    import polars as pl

    whole = (
        grades.filter(pl.col("problem").is_in(problems), pl.col("sample").is_not_null())
        .sort("cut_tokens", nulls_last=True)
        .unique([*_KEY, "policy"], keep="last", maintain_order=True)
    )
    found: dict[tuple[Any, ...], dict[str, tuple[str, str]]] = {}
    for *key, policy, status, answer in whole.select(*_KEY, "policy", "status", "answer").iter_rows():
        found.setdefault(tuple(key), {})[policy] = (status, one_line(answer or "", 120))
    return found


def _response_row(
    record: RequestRecord, problem: int, outcomes: Outcomes, labels: Labels, *, several: bool, room: int
) -> Row:
    graded = outcomes.get(tuple(getattr(record, name) for name in _KEY), {})
    text = plain(record.full_text)
    limit = max(0, min(MAX_CHARS_EACH, room))
    sent, last = record.sent_ns, record.last_token_ns
    latency = None if sent is None or last is None else round((last - sent) / 1e9, 3)
    error = record.error
    return {
        "problem": problem,
        "series": _series({"setting": record.setting, "method": record.method}, labels, several=several),
        "budget": record.budget,
        "budgetSaid": budget(record.budget),
        "load": record.load,
        "sample": record.sample,
        "repeat": record.repeat,
        "ok": record.ok,
        "finish": one_line(record.finish_reason or ""),
        "tokens": record.completion_tokens,
        "latency": latency,
        "graded": {policy: {"status": status, "answer": answer} for policy, (status, answer) in graded.items()},
        "error": "" if error is None else one_line(f"{error.kind} {error.status or ''} {error.message}", 400),
        "text": text[:limit],
        "cut": max(0, len(text) - limit),
    }


def _problems(run: RunView, chosen: list[str]) -> tuple[Row, ...]:
    known = {problem.id: problem for problem in run.problems or run.manifest.dataset.problems}
    found = ((name, known.get(name, Problem(id=name, problem="", answer=""))) for name in chosen)
    return tuple(
        {
            "id": one_line(name, 120),
            "subject": one_line(problem.subject or "", 80),
            "level": problem.level,
            "text": plain(problem.problem)[:4000],
            "gold": one_line(problem.answer, 200),
        }
        for name, problem in found
    )
