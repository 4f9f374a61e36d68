"""Warnings about rounds of which a setting was not measured."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from tts_compare.codes import warn
from tts_compare.domain import RunWarning
from tts_compare.rundir.manifest import Manifest

_WORK = ("setting", "method", "budget", "load")


def round_warnings(measured: pl.DataFrame, points: pl.DataFrame, manifest: Manifest) -> Iterator[RunWarning]:
    """One warning a setting that was not measured in some round that the run was to have.

    A request that failed was measured, and so was one that was never sent because the server had died. measured:
    ``samples.measured_rows``. points: those of the run, of which the measured ones say what each round was to send.
    """
    counted = measured.filter(pl.col("ending") != "not_measured").join(
        points.filter(pl.col("provenance") == "measured").select(_WORK).unique(), on=_WORK, how="semi"
    )
    planned = manifest.experiment.rounds
    wanted = set(range(planned)) | set(counted["round"].unique().to_list())
    works = counted.group_by(_WORK).agg(pl.col("round").unique()).sort(_WORK)
    missing: dict[str, set[int]] = {}
    for setting, _, _, _, seen in works.rows():
        missing.setdefault(setting, set()).update(wanted - set(seen))
    for setting, rounds in missing.items():
        if rounds:
            told = ", ".join(str(number + 1) for number in sorted(rounds))
            which = f"round {told}" if len(rounds) == 1 else f"rounds {told}"
            message = f"{which} of {len(wanted)} not measured: pairs leave the problems of such a round out"
            yield warn("rounds_missing", message, setting=setting)
