"""What the rows and the manifest say of a point's server: queue, requests in flight, errors, starts."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tts_compare.analysis.rows.samples import occupancy
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.metrics import PointMetrics

_WORK = ("setting", "method", "record_budget", "load")


def server_facts(manifest: Manifest, measured: pl.DataFrame) -> pl.DataFrame:
    """One row a (setting, method, record_budget, load) that was measured.

    in_flight_s: seconds for which its requests were in flight, attempts one by one, summed. errors_by_kind: attempts
    that failed, as ``http_429 3``, the most frequent first; a request of several choices counts once. queue_mean_s and
    acceptance_by_position: as the server counted; null where it did not, or where a stretch that was killed left
    attempts that no counter covers. startup_mean_s: mean seconds from a server's start to ready.
    measured: ``samples.measured_rows``.
    """
    sent = measured.group_by(*_WORK[:2], pl.col("budget").alias("record_budget"), "load").agg(
        sent=pl.col("sent_ns").is_not_null().sum()
    )
    held = occupancy(measured).group_by(_WORK).agg(in_flight_s=pl.col("occupied_s").sum())
    return (
        sent.join(held, on=list(_WORK), how="left")
        .join(_errors(measured), on=list(_WORK), how="left")
        .join(_counted(manifest), on=list(_WORK), how="left")
        .join(_starts(manifest), on="setting", how="left")
        .with_columns(
            pl.when((pl.col("attempts") < pl.col("sent")).fill_null(value=False).not_()).then(name).alias(name)
            for name in ("queue_mean_s", "acceptance_by_position")
        )
        .drop("sent", "attempts")
    )


def _errors(measured: pl.DataFrame) -> pl.DataFrame:
    return (
        measured.filter(pl.col("ending") == "failed")
        .select(
            *_WORK[:2],
            pl.col("budget").alias("record_budget"),
            "load",
            "request_id",
            "attempt",
            kind=pl.col("error_kind").fill_null("finish_reason"),
        )
        .unique()
        .group_by(*_WORK, "kind")
        .agg(count=pl.len())
        .sort("count", "kind", descending=[True, False])
        .group_by(_WORK, maintain_order=True)
        .agg(errors_by_kind=pl.col("kind") + " " + pl.col("count").cast(pl.String))
    )


def _starts(manifest: Manifest) -> pl.DataFrame:
    means = {name: sum(f.startup_s) / len(f.startup_s) for name, f in manifest.settings.items() if f.startup_s}
    schema = {"setting": pl.String, "startup_mean_s": pl.Float64}
    return pl.DataFrame({"setting": list(means), "startup_mean_s": list(means.values())}, schema=schema)


def _counted(manifest: Manifest) -> pl.DataFrame:
    """What the servers' counters say of each point over all its stretches, and how many attempts they cover."""
    stretches: dict[tuple[str, str, int | None, str], list[PointMetrics]] = {}
    for setting, rows in manifest.server_metrics.items():
        for row in rows:
            if row.phase == "measured":
                stretches.setdefault((setting, row.method, row.budget, row.load), []).append(row)
    rows_of = [
        (*work, _sum([row.attempts for row in own]), _queue(own), _by_position(own)) for work, own in stretches.items()
    ]
    figures: dict[str, pl.DataType | type[pl.DataType]] = {
        "attempts": pl.Int64,
        "queue_mean_s": pl.Float64,
        "acceptance_by_position": pl.List(pl.Float64),
    }
    work = {"setting": pl.String, "method": pl.String, "record_budget": pl.Int64, "load": pl.String}
    return pl.DataFrame(rows_of, schema={**work, **figures}, orient="row")


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _queue(stretches: Sequence[PointMetrics]) -> float | None:
    """Mean wait before a request ran, each stretch by the requests that ended in it; None where one has no figure."""
    waits = [(row.server.queue_mean_s, row.server.requests) for row in stretches]
    known = [(wait, requests) for wait, requests in waits if wait is not None and requests is not None]
    requests = sum(count for _, count in known)
    if len(known) < len(waits) or requests <= 0:
        return None
    return sum(wait * count for wait, count in known) / requests


def _by_position(stretches: Sequence[PointMetrics]) -> list[float] | None:
    """Share of draft steps whose token at each position was accepted; None without drafts or without such counts."""
    known = [(row.server.drafts, row.server.accepted_per_position) for row in stretches]
    drafts = sum(count for count, shares in known if count and shares)
    if drafts <= 0 or any(count and not shares for count, shares in known):
        return None
    places = sorted({place for _, shares in known for place in shares}, key=lambda place: (len(place), place))
    return [sum(count * shares.get(place, 0.0) for count, shares in known if count) / drafts for place in places]
