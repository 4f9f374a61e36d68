"""Warnings about requests that waited for limits of ours: request and token rates, concurrency, the spending limit."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from tts_compare.analysis.findings.withheld import TOLERATED_HELD
from tts_compare.analysis.rows.samples import last_attempts
from tts_compare.codes import warn
from tts_compare.domain import RunWarning


def limit_warnings(measured: pl.DataFrame) -> Iterator[RunWarning]:
    """One warning a setting and load of which over 1 % of the requests waited for a limit.

    A closed loop waits with the limit and sends later; an open loop then does not offer the load that was asked for.
    measured: ``samples.measured_rows``.
    """
    held = (
        last_attempts(measured)
        .filter(pl.col("sent_ns").is_not_null())
        .group_by("setting", "load")
        .agg(
            sent=pl.len(),
            held=(pl.col("limited_ns") > 0).sum(),
            mean_s=pl.col("limited_ns").filter(pl.col("limited_ns") > 0).mean() * 1e-9,
        )
        .filter(pl.col("held") > TOLERATED_HELD * pl.col("sent"))
        .sort("setting", "load")
    )
    for setting, load, sent, waited, mean_s in held.rows():
        told = f"{waited} of {sent} requests waited {mean_s:.3g} s on average for limits of ours at load {load}"
        if load.startswith("r"):
            yield warn("load_not_reached", f"{told}: it was not reached, and gets no verdict", setting=setting)
        else:
            yield warn("bound_by_limits", f"{told}: these waits are in no latency", setting=setting)
