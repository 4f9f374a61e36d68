"""The columns of points that tell how near each is to what its machine could do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tts_compare.analysis.columns.server import LIMIT
from tts_compare.domain import RunWarning
from tts_compare.plan.bound_shares import PointShare, shares
from tts_compare.plan.earlier import points_in
from tts_compare.plan.hardware import devices_in, shapes_in
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    import polars as pl


_KEY = ("setting", "method", "budget", "load", "samples")


def with_bounds(points: pl.DataFrame, manifest: Manifest) -> tuple[pl.DataFrame, tuple[RunWarning, ...]]:
    """The points frame with ``bound_tpot_s``, ``bound_share``, ``prefill_bound_share`` and ``step_overhead_s``.

    Null of points without a measured time per token, with a failed answer (their batch was another), of an open loop,
    and where the manifest does not tell the model's shape or the device. A share above 1 is a warning, one a setting,
    that names the points.
    """
    import polars as pl

    from tts_compare.analysis.findings.labels import place_label

    known = points_in(manifest, points.iter_rows(named=True))
    found = {_key_of(share): share for share in shares(known, shapes_in(manifest), devices_in(manifest))}
    rows = [_row(found.get(key)) for key in points.select(_KEY).iter_rows()]
    columns = [pl.Series(name, [row[name] for row in rows], dtype=pl.Float64) for name in _row(None)]
    above: dict[str, list[tuple[float, RunWarning, str]]] = {}
    for key, row in zip(points.select(_KEY).iter_rows(), points.iter_rows(named=True), strict=True):
        share = found.get(key)
        if share and share.warning:
            above.setdefault(row["setting"], []).append((share.decode.share, share.warning, place_label(row)))
    return points.with_columns(*columns), tuple(_worst(points_above) for points_above in above.values())


def _worst(above: Sequence[tuple[float, RunWarning, str]]) -> RunWarning:
    """The warning of the largest share, with the labels of all points that have one."""
    _, warning, _ = max(above, key=lambda one: one[0])
    return replace(warning, points=tuple(label for _, _, label in above))


def _key_of(share: PointShare) -> tuple[object, ...]:
    point = share.point
    return (point.setting, point.method, point.budget, point.load, point.samples)


def _row(share: PointShare | None) -> dict[str, float | None]:
    if share is None:
        return dict.fromkeys(metric.name for metric in LIMIT)
    return {
        "bound_tpot_s": share.decode.bound_s,
        "bound_share": share.decode.share,
        "prefill_bound_share": share.prefill,
        "step_overhead_s": share.overhead.fixed_s if share.overhead else None,
    }
