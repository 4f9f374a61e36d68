"""Warnings about how requests ended: what failed and why, what was not measured, what was tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from tts_compare.analysis.findings.labels import place_label
from tts_compare.analysis.rows.samples import last_attempts
from tts_compare.codes import CODES, warn
from tts_compare.domain import RunWarning
from tts_compare.rundir.manifest import Manifest

#: Kinds of failure that hold the server for as long as an answer would: they do not lighten the load.
_SLOW = ("timeout_first_byte", "timeout_idle", "timeout_total")
_ONE_AT_A_TIME = "c1"
_MESSAGE_CHARS = 200
_REFUSED = 300
"""HTTP statuses from here on say why a request failed."""

Row = dict[str, Any]


def request_warnings(measured: pl.DataFrame, points: pl.DataFrame, manifest: Manifest) -> list[RunWarning]:
    """Warnings of each setting, in order: deaths, never sent, failed by kind, not measured, refused, retried.

    measured: ``samples.measured_rows``. points: those of the run. manifest: its ``deaths`` and ``failed``.
    """
    last = last_attempts(measured)
    bad = list(last.filter(~pl.col("ok")).iter_rows(named=True))
    unsent = [row for row in bad if row["ending"] == "failed" and _never_sent(row)]
    failed = [row for row in bad if row["ending"] == "failed" and not _never_sent(row)]
    missed = [row for row in bad if row["ending"] == "not_measured"]
    sent = dict(last.group_by("setting").len().sort("setting").rows())
    labels = _Labels(points)
    return [
        *_deaths(manifest),
        *_unserved(manifest),
        *_grouped("never_sent", unsent, sent, labels, "were never sent"),
        *_grouped("failed_requests", failed, sent, labels, "failed"),
        *_grouped("not_measured", missed, sent, labels, "were not measured"),
        *_refused(failed, labels),
        *_retried(measured),
    ]


def mark_warnings(records: pl.DataFrame) -> list[RunWarning]:
    """One warning a setting and mark of the client's on its rows; marks of a later version are told as they are."""
    marked = (
        records.select("setting", pl.col("doubts"))
        .explode("doubts")
        .drop_nulls("doubts")
        .group_by("setting", "doubts")
        .agg(count=pl.len())
        .sort("setting", "doubts")
    )
    return [
        warn(code, f"{count} requests are marked {code.replace('_', ' ')}: {CODES[code].text}", setting=setting)
        if code in CODES
        else RunWarning(code=code, message=f"{count} requests are marked {code.replace('_', ' ')}", setting=setting)
        for setting, code, count in marked.rows()
    ]


class _Labels:
    """Labels of the points that the rows of a work belong to, budgets derived from it included."""

    def __init__(self, points: pl.DataFrame) -> None:
        self._points = list(points.iter_rows(named=True))

    def of(self, rows: list[Row]) -> tuple[str, ...]:
        works = {(row["setting"], row["method"], row["load"]): row["budget"] for row in rows}
        budgets = {(row["setting"], row["method"], row["load"], row["budget"]) for row in rows}
        return tuple(
            dict.fromkeys(
                place_label(point)
                for point in self._points
                if (point["setting"], point["method"], point["load"]) in works
                and (point["provenance"] == "derived" or (*_work(point), point["budget"]) in budgets)
                and (point["failed"] or point["not_measured"])
            )
        )


def _work(point: Mapping[str, Any]) -> tuple[Any, ...]:
    return (point["setting"], point["method"], point["load"])


def _never_sent(row: Row) -> bool:
    return row["error_kind"] == "server_died" and row["sent_ns"] is None


def _cause(row: Row) -> str:
    """The kind of failure as it is told, with the HTTP status of a refusal."""
    kind, status = str(row["error_kind"] or "no finish_reason"), row["error_status"] or 0
    return f"{kind} {status}" if status >= _REFUSED else kind


def _grouped(code: str, rows: list[Row], sent: Mapping[str, int], labels: _Labels, what: str) -> Iterator[RunWarning]:
    """One warning a setting and kind, with the commonest message."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["setting"], _cause(row)), []).append(row)
    for (setting, cause), own in sorted(groups.items()):
        told = _commonest(own)
        message = f"{len(own)} of {sent[setting]} requests {what}: {cause}{f' ({told})' if told else ''}"
        yield warn(code, message, setting=setting, points=labels.of(own))


def _commonest(rows: list[Row]) -> str:
    messages = Counter(str(row.get("error_message") or "").removeprefix("never sent: ") for row in rows)
    message, count = messages.most_common(1)[0]
    shown = " ".join(message.split())[:_MESSAGE_CHARS]
    return f"most often: {shown}" if shown and count < len(rows) else shown


def _deaths(manifest: Manifest) -> Iterator[RunWarning]:
    counted = Counter((row.setting, row.cause) for row in manifest.deaths)
    for (setting, cause), count in counted.items():
        times = "" if count == 1 else f" {count} times"
        yield warn(
            "engine_died", f"the engine died{times} while it was measured: {cause or 'cause unknown'}", setting=setting
        )


def _unserved(manifest: Manifest) -> Iterator[RunWarning]:
    for row in manifest.failed:
        yield warn("server_failed", f"no server: {row.cause or 'cause unknown'}", setting=row.setting)


def _refused(failed: list[Row], labels: _Labels) -> Iterator[RunWarning]:
    fast = [row for row in failed if row["load"] != _ONE_AT_A_TIME and row["error_kind"] not in _SLOW]
    for setting in sorted({row["setting"] for row in fast}):
        own = [row for row in fast if row["setting"] == setting]
        loads = ", ".join(sorted({row["load"] for row in own}))
        message = f"{len(own)} requests failed early at load {loads}: the others had less load, and look faster"
        yield warn("failures_lighten_load", message, setting=setting, points=labels.of(own))


def _retried(measured: pl.DataFrame) -> Iterator[RunWarning]:
    calls = ["setting", "method", "budget", "load", "problem", "repeat", "sample", "call"]
    tried = (
        measured.filter(pl.col("sent_ns").is_not_null() & (pl.col("ending") != "not_measured"))
        .group_by("setting")
        .agg(attempts=pl.len(), calls=pl.struct(calls).n_unique())
        .filter(pl.col("attempts") > pl.col("calls"))
        .sort("setting")
    )
    for setting, attempts, count in tried.rows():
        message = f"{attempts / count:.3f} attempts per request: latency and cost include those that failed"
        yield warn("retried", message, setting=setting)
