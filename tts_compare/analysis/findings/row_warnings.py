"""Warnings found in the rows themselves, and all of a run together."""

from __future__ import annotations

import math

import polars as pl

from tts_compare.analysis.findings.cache_hits import cache_hits
from tts_compare.analysis.findings.cut_warnings import cut_warnings
from tts_compare.analysis.findings.labels import place_label
from tts_compare.analysis.findings.limit_warnings import limit_warnings
from tts_compare.analysis.findings.point_warnings import point_warnings
from tts_compare.analysis.findings.request_warnings import mark_warnings, request_warnings
from tts_compare.analysis.findings.round_warnings import round_warnings
from tts_compare.analysis.findings.spot import TOLERANCE
from tts_compare.analysis.rows.samples import call_rows, walls
from tts_compare.analysis.rows.scoring import scoring_warnings
from tts_compare.analysis.schema import POINT_KEY
from tts_compare.analysis.thinking import effort_warnings
from tts_compare.codes import warn
from tts_compare.domain import RunWarning
from tts_compare.rundir.manifest import Manifest

_COLD_TIMES = 3.0
_DRIFT = 0.05
_SPREAD = 0.05
_LATE_S = 0.05


def find_warnings(
    points: pl.DataFrame,
    records: pl.DataFrame,
    measured: pl.DataFrame,
    grades: pl.DataFrame,
    manifest: Manifest,
    *,
    cuts: pl.DataFrame,
    spot: pl.DataFrame,
    pairs: pl.DataFrame,
) -> tuple[RunWarning, ...]:
    """Every warning of a run, those of the manifest first.

    measured: ``samples.measured_rows`` of the records. cuts: ``cuts.cut_frame`` of the budgets graded as prefixes.
    """
    calls = call_rows(measured).filter("ok")
    priced = frozenset(name for name, facts in manifest.settings.items() if facts.price)
    return (
        *manifest.doubts,
        *request_warnings(measured, points, manifest),
        *limit_warnings(measured),
        *round_warnings(measured, points, manifest),
        *point_warnings(points, priced),
        *cut_warnings(measured, grades, cuts, points),
        *scoring_warnings(points, measured, manifest),
        *_cold_start(calls),
        *_drift(calls),
        *_late_client(calls),
        *mark_warnings(records),
        *_estimated(calls),
        *effort_warnings(calls, points),
        *cache_hits(calls, manifest),
        *_interrupted(measured),
        *_spread(calls),
        *_spot_checks(spot, points),
        *_too_few(pairs),
    )


def with_codes(points: pl.DataFrame, doubts: tuple[RunWarning, ...]) -> pl.DataFrame:
    """The points frame with the codes of the warnings that touch each point; run-wide warnings stay off the rows."""
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


def _per_setting(frame: pl.DataFrame, code: str, message: str) -> list[RunWarning]:
    """One warning a row of (setting, figure); the message has a place for the figure."""
    return [
        warn(code, message.format(row["figure"]), setting=row["setting"])
        for row in frame.sort("setting").iter_rows(named=True)
    ]


def _cold_start(calls: pl.DataFrame) -> list[RunWarning]:
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
    )


def _drift(calls: pl.DataFrame) -> list[RunWarning]:
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
    )


def _late_client(calls: pl.DataFrame) -> list[RunWarning]:
    """Requests sent over 50 ms after their time in an open loop."""
    late = (
        calls.filter(pl.col("load").str.starts_with("r"))
        .group_by("setting")
        .agg(figure=100.0 * ((pl.col("sent_ns") - pl.col("scheduled_ns")) * 1e-9 > _LATE_S).mean())
        .filter(pl.col("figure") > 1.0)
    )
    return _per_setting(
        late,
        "client_bottleneck",
        "{:.0f} % of the requests went out more than 50 ms late: the client was what was timed",
    )


def _estimated(calls: pl.DataFrame) -> list[RunWarning]:
    estimated = calls.filter("estimated").group_by("setting").agg(figure=pl.len()).select("setting", "figure")
    return _per_setting(
        estimated,
        "tokens_estimated",
        "{} responses came without token counts; a text chunk was counted as one token",
    )


def _interrupted(measured: pl.DataFrame) -> list[RunWarning]:
    stopped = walls(measured).filter("interrupted").group_by("setting").agg(figure=pl.len())
    return _per_setting(
        stopped,
        "interrupted",
        "{} points were measured in parts; the pause between them is not in their wall time",
    )


def _spread(calls: pl.DataFrame) -> list[RunWarning]:
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
    )


def _spot_checks(spot: pl.DataFrame, points: pl.DataFrame) -> list[RunWarning]:
    """Derived points that real requests contradict."""
    found = []
    for row in spot.iter_rows(named=True):
        checked = points.filter(**{name: row[name] for name in ("setting", "method", "budget", "load")})
        labels = tuple(dict.fromkeys(map(place_label, checked.iter_rows(named=True))))
        ratio, equal = row["latency_ratio_p50"], row["prefix_equal_share"]
        if ratio is not None and abs(ratio - 1.0) > TOLERANCE:
            cause = "" if row["load"] == "c1" else "; at concurrency above 1 this is expected"
            found.append(
                warn(
                    "spot_check_latency",
                    f"derived latency is {ratio:.2f} times that of {row['n']} real requests{cause}",
                    setting=row["setting"],
                    points=labels,
                )
            )
        if equal is not None and equal < 1.0:
            found.append(
                warn(
                    "spot_check_prefix",
                    f"{100 * (1 - equal):.0f} % of {row['n']} real responses differ from the derived prefix",
                    setting=row["setting"],
                    points=labels,
                )
            )
    return found


def _too_few(pairs: pl.DataFrame) -> list[RunWarning]:
    """Accuracy differences that the problems at hand cannot separate, told once with the largest need."""
    short = pairs.filter(pl.col("required_n") > pl.col("n"))
    if short.height == 0:
        return []
    return [
        warn(
            "too_few_problems",
            f"{short.height} of {pairs.height} accuracy differences cannot be told with the problems run",
        )
    ]
