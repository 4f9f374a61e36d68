"""Reasons not to trust a figure, found in the rows themselves; each names what it touches and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from tts_compare.analysis.cache_hits import cache_hits
from tts_compare.analysis.labels import place_label
from tts_compare.analysis.samples import call_rows, measured_rows, walls
from tts_compare.analysis.schema import POINT_KEY
from tts_compare.analysis.scoring import scoring_doubts
from tts_compare.analysis.spot import TOLERANCE
from tts_compare.domain import Doubt

#: More than this share of problems left out of a comparison is a doubt.
LEFT_OUT = 0.01
_COLD_TIMES = 3.0
_DRIFT = 0.05
_SPREAD = 0.05
_LATE_S = 0.05
_TRUNCATED = 0.2
_SHORT = 0.1


def find_doubts(
    points: pl.DataFrame, records: pl.DataFrame, spot: pl.DataFrame, pairs: pl.DataFrame, manifest: Mapping[str, Any]
) -> tuple[Doubt, ...]:
    """Every doubt of a run, those of the manifest first."""
    calls = call_rows(measured_rows(records)).filter("ok")
    stated = tuple(
        Doubt(**{name: row.get(name) for name in ("code", "message", "setting")}, advice=row.get("advice") or "")
        for row in manifest.get("doubts") or []
    )
    priced = frozenset(name for name, facts in (manifest.get("settings") or {}).items() if facts.get("price"))
    return (
        *stated,
        *_of_points(points, priced),
        *scoring_doubts(points, records, manifest),
        *_cold_start(calls),
        *_drift(calls),
        *_late_client(calls, records),
        *cache_hits(calls, manifest),
        *_interrupted(records),
        *_spread(calls),
        *_spot_checks(spot, points),
        *_too_few(pairs),
    )


def with_codes(points: pl.DataFrame, doubts: tuple[Doubt, ...]) -> pl.DataFrame:
    """The points frame with the codes of the doubts that touch each point; run-wide doubts stay off the rows."""
    codes = []
    for row in points.select(POINT_KEY).iter_rows(named=True):
        label = place_label(row)
        codes.append(
            list(
                dict.fromkeys(
                    d.code for d in doubts if (label in d.points if d.points else d.setting == row["setting"])
                )
            )
        )
    return points.with_columns(pl.Series("doubts", codes, dtype=pl.List(pl.String)))


def _of_points(points: pl.DataFrame, priced: frozenset[str]) -> list[Doubt]:
    """Doubts that a point's own row shows, one a kind; ``setting`` is told where it is only one."""
    tests: tuple[tuple[str, Callable[[dict[str, Any]], bool], str, str], ...] = (
        (
            "one_server_start",
            lambda r: r["repeats"] < 2,
            "one server start: the intervals do not know how much two starts of one setting differ",
            "run again with --repeats 3",
        ),
        (
            "failed_requests",
            lambda r: (r["failed"] or 0) > 0,
            "some requests failed; accuracy counts them as wrong and shows its bounds",
            "look at the errors in records.jsonl; run again with --resume",
        ),
        (
            "ungraded",
            lambda r: (r["ungraded"] or 0) > 0,
            "some answers could not be graded; accuracy counts them as wrong and shows its bounds",
            "grade again, or read them with `grade --explain`",
        ),
        (
            "left_out",
            lambda r: r["n_compared"] < (1.0 - LEFT_OUT) * r["n"],
            "more than 1 % of the problems are left out of the comparison, as not every setting was measured on them",
            "resume the run until all problems are measured",
        ),
        (
            "derived_biased",
            lambda r: bool(r["biased"]),
            "latency derived from longer responses at concurrency above 1 is biased: short budgets would free the "
            "batch sooner",
            'measure each budget with curve = "per-budget", or use concurrency 1',
        ),
        (
            "derived_short",
            lambda r: (r["prefix_short_share"] or 0.0) > _SHORT,
            "derived from chunks of many tokens: prefixes end more than a tenth short of the budget",
            'measure each budget with curve = "per-budget"',
        ),
        (
            "truncated",
            lambda r: (r["truncated_share"] or 0.0) > _TRUNCATED,
            "more than a fifth of the responses were cut by the budget",
            "compare accuracy at a larger budget",
        ),
        (
            "price_missing",
            lambda r: _costless(r) and r["setting"] not in priced,
            "no price and no devices are known, so nothing can be said of cost",
            "give --price IN/OUT",
        ),
        (
            "cost_unknown",
            lambda r: _costless(r) and r["setting"] in priced and (r["failed"] or 0) < r["outcomes"],
            "the endpoint does not count the tokens of prompts, so its price says nothing of cost",
            "compare its cost by an endpoint that sends usage",
        ),
        (
            "few_problems",
            lambda r: r["n"] < 100,
            "fewer than 100 problems: the accuracy interval is wide",
            "run more problems",
        ),
    )
    found = []
    for code, touches, message, advice in tests:
        touched = [row for row in points.iter_rows(named=True) if touches(row)]
        if touched:
            settings = {row["setting"] for row in touched}
            labels = dict.fromkeys(place_label(row) for row in touched)
            setting = settings.pop() if len(settings) == 1 else None
            found.append(Doubt(code=code, message=message, advice=advice, setting=setting, points=tuple(labels)))
    return found


def _costless(row: dict[str, Any]) -> bool:
    return row["usd_per_problem"] is None and row["gpu_s_per_problem"] is None and row["devices"] is None


def _per_setting(frame: pl.DataFrame, code: str, message: str, advice: str) -> list[Doubt]:
    """One doubt a row of (setting, figure); the message has a place for the figure."""
    return [
        Doubt(code=code, message=message.format(row["figure"]), advice=advice, setting=row["setting"])
        for row in frame.sort("setting").iter_rows(named=True)
    ]


def _cold_start(calls: pl.DataFrame) -> list[Doubt]:
    """The first request of a start took over three times the median time to its first token."""
    first = (
        calls.sort("sent_ns")
        .group_by("setting", "repeat", maintain_order=True)
        .agg(figure=pl.col("ttft_s").first() / pl.col("ttft_s").median(), n=pl.len())
        .filter((pl.col("n") >= 10) & (pl.col("figure") > _COLD_TIMES))
        .group_by("setting")
        .agg(pl.col("figure").max())
    )
    return _per_setting(
        first,
        "cold_first_request",
        "the first request after a start waited {:.1f} times as long as the median for its first token",
        "send more warm-up requests",
    )


def _drift(calls: pl.DataFrame) -> list[Doubt]:
    """Seconds per token, last third of a point's requests against the first: over 5 % and 3 standard errors."""
    key = ("setting", "method", "budget", "load", "repeat")
    log_tpot = pl.col("tpot_s").log()
    halves = (
        calls.filter(pl.col("tpot_s") > 0)
        .sort("sent_ns")
        .with_columns(third=(pl.int_range(pl.len()).over(key) * 3) // pl.len().over(key))
        .group_by(key)
        .agg(
            n=pl.len(),
            first=log_tpot.filter(pl.col("third") == 0).mean(),
            last=log_tpot.filter(pl.col("third") == 2).mean(),
            error=(
                log_tpot.filter(pl.col("third") == 0).var() / (pl.col("third") == 0).sum()
                + log_tpot.filter(pl.col("third") == 2).var() / (pl.col("third") == 2).sum()
            ).sqrt(),
        )
        .with_columns(change=pl.col("last") - pl.col("first"))
        .filter(
            (pl.col("n") >= 15)
            & (pl.col("change").abs() > math.log1p(_DRIFT))
            & (pl.col("change").abs() > 3.0 * pl.col("error"))
        )
        .group_by("setting")
        .agg(figure=100.0 * ((pl.col("change")).sort_by(pl.col("change").abs()).last().exp() - 1.0))
    )
    return _per_setting(
        halves,
        "drift",
        "the last third of the requests took {:+.0f} % time per token against the first third",
        "look for heat, other load on the machine, or a growing cache; run again",
    )


def _late_client(calls: pl.DataFrame, records: pl.DataFrame) -> list[Doubt]:
    """Requests sent over 50 ms after their time in an open loop, or that the client itself marked."""
    late = (
        calls.filter(pl.col("load").str.starts_with("r"))
        .group_by("setting")
        .agg(figure=100.0 * ((pl.col("sent_ns") - pl.col("scheduled_ns")) * 1e-9 > _LATE_S).mean())
        .filter(pl.col("figure") > 1.0)
    )
    found = _per_setting(
        late,
        "client_bottleneck",
        "{:.0f} % of the requests went out more than 50 ms late: the client was what was timed",
        "use --workers, a lower rate, or a machine of its own for the client",
    )
    marked = (
        records.select("setting", pl.col("doubts"))
        .explode("doubts")
        .drop_nulls("doubts")
        .group_by("setting", "doubts")
        .agg(figure=pl.len())
        .sort("setting", "doubts")
    )
    found += [
        Doubt(
            code=row["doubts"],
            message=f"{row['figure']} requests are marked {row['doubts'].replace('_', ' ')}",
            advice="see docs/metrics.md",
            setting=row["setting"],
        )
        for row in marked.iter_rows(named=True)
    ]
    estimated = calls.filter("estimated").group_by("setting").agg(figure=pl.len()).select("setting", "figure")
    return found + _per_setting(
        estimated,
        "tokens_estimated",
        "{} responses came without token counts; a text chunk was counted as one token",
        "ask the server for usage (stream_options.include_usage)",
    )


def _interrupted(records: pl.DataFrame) -> list[Doubt]:
    stopped = walls(measured_rows(records)).filter("interrupted").group_by("setting").agg(figure=pl.len())
    return _per_setting(
        stopped,
        "interrupted",
        "{} points were measured in parts; the pause between them is not in their wall time",
        "run the point again where its bill matters",
    )


def _spread(calls: pl.DataFrame) -> list[Doubt]:
    """Standard deviation over starts of log seconds per token, over 5 %."""
    spread = (
        calls.filter(pl.col("tpot_s") > 0)
        .group_by("setting", "method", "budget", "load", "repeat")
        .agg(pl.col("tpot_s").log().mean())
        .group_by("setting", "method", "budget", "load")
        .agg(pl.col("tpot_s").std().alias("sd"), n=pl.len())
        .filter((pl.col("n") > 1) & (pl.col("sd") > _SPREAD))
        .group_by("setting")
        .agg(figure=100.0 * pl.col("sd").max())
    )
    return _per_setting(
        spread,
        "spread_between_repeats",
        "starts of this setting differ by {:.0f} % (standard deviation of time per token)",
        "run more repeats, and look at what else ran on the machine",
    )


def _spot_checks(spot: pl.DataFrame, points: pl.DataFrame) -> list[Doubt]:
    """Derived points that real requests contradict."""
    found = []
    for row in spot.iter_rows(named=True):
        checked = points.filter(**{name: row[name] for name in ("setting", "method", "budget", "load")})
        labels = tuple(dict.fromkeys(map(place_label, checked.iter_rows(named=True))))
        ratio, equal = row["latency_ratio_p50"], row["prefix_equal_share"]
        if ratio is not None and abs(ratio - 1.0) > TOLERANCE:
            cause = "" if row["load"] == "c1" else "; at concurrency above 1 this is expected"
            found.append(
                Doubt(
                    code="spot_check_latency",
                    message=f"derived latency is {ratio:.2f} times that of {row['n']} real requests{cause}",
                    advice='measure each budget with curve = "per-budget"',
                    setting=row["setting"],
                    points=labels,
                )
            )
        if equal is not None and equal < 1.0:
            found.append(
                Doubt(
                    code="spot_check_prefix",
                    message=f"{100 * (1 - equal):.0f} % of {row['n']} real responses differ from the derived prefix",
                    advice="speculation and batching change greedy text; measure each budget instead",
                    setting=row["setting"],
                    points=labels,
                )
            )
    return found


def _too_few(pairs: pl.DataFrame) -> list[Doubt]:
    """Accuracy differences that the problems at hand cannot separate, told once with the largest need."""
    short = pairs.filter(pl.col("required_n") > pl.col("n"))
    if short.height == 0:
        return []
    return [
        Doubt(
            code="too_few_problems",
            message=f"{short.height} of {pairs.height} accuracy differences cannot be told with the problems run",
            advice="the comparisons say how many each would need",
        )
    ]
