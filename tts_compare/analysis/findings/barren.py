"""Runs in which nothing was right, or everything was cut: there is no accuracy to compare anything against."""

from __future__ import annotations

from typing import Literal

import polars as pl

from tts_compare.analysis.metrics import AXES

Barren = Literal["nothing was right", "everything was cut"]


def barren(points: pl.DataFrame) -> dict[tuple[str, str], Barren]:
    """(load, policy) of the points that have no frontier, and why. points: the points frame."""
    found: dict[tuple[str, str], Barren] = {}
    groups = points.group_by("load", "policy", maintain_order=True).agg(
        right=pl.col("accuracy").max(), cut=pl.col("truncated_share").min()
    )
    for load, policy, right, cut in groups.iter_rows():
        if cut == 1.0:
            found[load, policy] = "everything was cut"
        elif right == 0.0:
            found[load, policy] = "nothing was right"
    return found


def without_barren(frame: pl.DataFrame, points: pl.DataFrame) -> pl.DataFrame:
    """Points with no mark, or rows of frontiers and bands without those, of the loads and policies that are barren."""
    keys = list(barren(points))
    told = pl.any_horizontal(
        pl.lit(value=False), *((pl.col("load") == load) & (pl.col("policy") == policy) for load, policy in keys)
    )
    flags = [name for axis in AXES for name in (axis.mark, axis.share) if name in frame.columns]
    return frame.with_columns(pl.when(~told).then(pl.col(flags))) if flags else frame.filter(~told)
