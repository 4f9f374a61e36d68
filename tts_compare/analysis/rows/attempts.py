"""Attempts: how each ended, which of them is the answer, and what a user waited for before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from tts_compare.backends.registry import HOSTED
from tts_compare.domain import RequestError
from tts_compare.domain.ending import ending
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest

_NS = 1e-9
_SAMPLE = ("setting", "method", "budget", "load", "problem", "repeat", "sample")
_CALL = (*_SAMPLE, "call")
_HOW = ("error_kind", "error_status", "error_message", "finish_reason")
#: Rows of format 1 do not say which process wrote them. In a closed loop, so long without a request in flight means
#: that the run was stopped and resumed.
LONGEST_GAP_S = 60.0


def hosted_settings(manifest: Manifest) -> frozenset[str]:
    """Settings whose server is somebody else's: a 429 that names a quota says nothing about how they serve."""
    return frozenset(name for name, facts in manifest.settings.items() if is_hosted(facts))


def is_hosted(facts: SettingFacts) -> bool:
    """What the manifest says. In format 1, which has no such field, one backend was for hosted endpoints alone."""
    return facts.backend == HOSTED if facts.hosted is None else facts.hosted


def with_endings(rows: pl.DataFrame, hosted: Collection[str] = ()) -> pl.DataFrame:
    """Rows with ``ending`` (answered | failed | not_measured) and ``ok`` (answered).

    Reasoning that ended without answer text is an answer that was cut, whatever its row calls it: such a row has its
    finish_reason and a first token.
    """
    thought = (
        (pl.col("error_kind") == "empty")
        & pl.col("finish_reason").is_in(["stop", "length"])
        & pl.col("first_token_ns").is_not_null()
    ).fill_null(value=False)
    rows = rows.with_columns(
        pl.when(thought).then(None).otherwise("error_kind").alias("error_kind"),
        pl.when(thought).then(pl.lit("length")).otherwise("finish_reason").alias("finish_reason"),
        _hosted=pl.col("setting").is_in(list(hosted)),
    )
    if "error_message" not in rows.columns:
        rows = rows.with_columns(error_message=pl.lit("", dtype=pl.String))
    how = rows.select("_hosted", *_HOW).unique(maintain_order=True)
    endings = [_ending(row) for row in how.iter_rows(named=True)]
    found = how.with_columns(pl.Series("ending", endings, dtype=pl.String))
    return (
        rows.join(found, on=["_hosted", *_HOW], how="left", nulls_equal=True, maintain_order="left")
        .with_columns(ok=pl.col("ending") == "answered")
        .drop("_hosted")
    )


def _ending(row: Mapping[str, Any]) -> str:
    kind = row["error_kind"]
    error = kind and RequestError(kind=kind, status=row["error_status"], message=row["error_message"] or "")
    return ending(error or None, row["finish_reason"], hosted=row["_hosted"])


def with_sessions(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with ``session`` and ``limit_wait_ns`` filled in.

    Where a setting's rows do not say their session (format 1), a new one begins after a gap of LONGEST_GAP_S in a
    closed loop; sessions are then counted within a start of a load.
    """
    stated = pl.col("session").is_not_null().any().over("setting")
    if "session" not in rows.columns:
        rows = rows.with_columns(session=pl.lit(None, dtype=pl.Int64), limit_wait_ns=pl.lit(0, dtype=pl.Int64))
    key = ["setting", "method", "budget", "load", "repeat"]
    begun = pl.coalesce("sent_ns", "end_ns")
    gap = (pl.col("_begun") - pl.col("end_ns").cum_max().shift(1).over(key)) * _NS
    opens = (pl.col("load").str.starts_with("c") & (gap > LONGEST_GAP_S)).fill_null(value=False)
    if rows["session"].null_count():
        rows = (
            rows.with_row_index("_row")
            .with_columns(_begun=begun)
            .sort("_begun")
            .with_columns(_inferred=opens.cast(pl.Int64).cum_sum().over(key))
            .sort("_row")
            .with_columns(session=pl.when(stated).then(pl.col("session").fill_null(0)).otherwise("_inferred"))
            .drop("_row", "_begun", "_inferred")
        )
    return rows.with_columns(pl.col("limit_wait_ns").fill_null(0), pl.col("round").fill_null(0))


def with_waits(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with ``start_ns``, ``before_ns``, ``attempts`` and ``limited_ns``. rows: with endings and sessions.

    before_ns: what a user waited for between the first attempt at the sample and this one: attempts that failed, the
    back-off after them, and the calls before. Left out are the gap between two sessions, attempts that were not
    measured with the wait after them, and, in a closed loop, waits for limits of ours. In an open loop the wait begins
    at the instant the request was meant for. attempts: those that were measured, a call. limited_ns: all waits for
    limits of the sample.
    """
    is_open = pl.col("load").str.starts_with("r")
    began = pl.coalesce("sent_ns", "connect_ns", "scheduled_ns", "end_ns")
    rows = rows.with_columns(start_ns=began)
    late = pl.when(is_open).then((pl.col("start_ns") - pl.col("scheduled_ns")).clip(0)).fill_null(0)
    if rows.height == 0 or not ((rows["attempt"].max() or 0) or (rows["call"].max() or 0)):
        return rows.with_columns(before_ns=late, attempts=pl.lit(1.0), limited_ns=pl.col("limit_wait_ns"))
    order = ["call", "attempt"]

    def following(column: str) -> pl.Expr:
        return pl.col(column).shift(-1).over(_SAMPLE, order_by=order)

    end = pl.max_horizontal(pl.coalesce("end_ns", "last_token_ns", "start_ns"), "start_ns")
    gap = (pl.col("_next") - end).clip(0)
    own_limits = pl.when(is_open).then(0).otherwise(pl.min_horizontal(pl.col("_limit"), gap)).fill_null(0)
    same = (pl.col("_session") == pl.col("session")).fill_null(value=False) & pl.col("_next").is_not_null()
    spent = (
        pl.when(pl.col("ending") == "not_measured")
        .then(0)
        .when(same)
        .then(pl.col("_next") - pl.col("start_ns") - own_limits)
        .otherwise(end - pl.col("start_ns"))
    )
    first = pl.col("start_ns").cum_count().over(_SAMPLE, order_by=order) == 1
    rows = rows.with_columns(
        _next=following("start_ns"), _session=following("session"), _limit=following("limit_wait_ns")
    ).with_columns(_spent=spent.fill_null(0), _late=pl.when(first).then(late).otherwise(0))
    counted = (pl.col("ending") != "not_measured").sum().over(_SAMPLE)
    return rows.with_columns(
        before_ns=pl.col("_spent").cum_sum().over(_SAMPLE, order_by=order)
        - pl.col("_spent")
        + pl.col("_late").sum().over(_SAMPLE),
        attempts=counted / pl.col("call").n_unique().over(_SAMPLE),
        limited_ns=pl.col("limit_wait_ns").sum().over(_SAMPLE),
    ).drop("_next", "_session", "_limit", "_spent", "_late")


def last_attempts(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a call: the first attempt that was answered, else the last one."""
    if rows.height == 0 or not (rows["attempt"].max() or 0):
        return rows
    rank = pl.when("ok").then(-pl.col("attempt")).otherwise(pl.col("attempt"))
    return (
        rows.with_columns(_rank=rank)
        .sort("ok", "_rank", maintain_order=True)
        .unique(subset=_CALL, keep="last", maintain_order=True)
        .drop("_rank")
    )
