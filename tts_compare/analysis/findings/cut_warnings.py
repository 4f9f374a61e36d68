"""Warnings about the texts of derived answers: where they end at a chunk, and who graded them."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from tts_compare.analysis.findings.labels import place_label
from tts_compare.analysis.schema import RECORD_KEY
from tts_compare.codes import warn
from tts_compare.domain import RunWarning

#: Graders whose rules have this number cut before the chunk in which a budget falls.
_FIRST_CUTS = "-1/"


def cut_warnings(
    measured: pl.DataFrame, grades: pl.DataFrame, cuts: pl.DataFrame, points: pl.DataFrame
) -> Iterator[RunWarning]:
    """Warnings of each setting whose answers are cut inside chunks: texts without token ids, grades of format 1.

    They touch the setting's derived points. measured: ``samples.measured_rows``. cuts: ``cuts.cut_frame`` of its rows.
    """
    key = [*RECORD_KEY, "cut_tokens"]
    graded = grades.filter(pl.col("cut_tokens").is_not_null() & (pl.col("cut_tokens") < pl.col("budget")))
    inside = graded.select(*key, "grader_version").join(
        cuts.filter("inside_chunk").select(key), on=key, how="semi", maintain_order="left"
    )
    if inside.height == 0:
        return
    totals = dict(graded.group_by("setting").len().rows())
    if "token_ids" in measured.columns:
        unknown = measured.filter(pl.col("token_ids").is_null()).select(RECORD_KEY)
        without = inside.join(unknown, on=list(RECORD_KEY), how="semi").group_by("setting").len().sort("setting")
        for setting, count in without.rows():
            message = (
                f"{count} of {totals[setting]} derived texts end at a chunk, not at the budget's token: the server "
                "gave no token ids"
            )
            yield warn("cut_text_approximate", message, setting=setting, points=_derived(points, setting))
    first = inside.filter(pl.col("grader_version").str.contains(_FIRST_CUTS, literal=True))
    for setting, count in first.group_by("setting").len().sort("setting").rows():
        message = f"{count} derived answers were graded by an earlier version, whose cuts end before the budget"
        yield warn("grades_of_format_1", message, setting=setting, points=_derived(points, setting))


def _derived(points: pl.DataFrame, setting: str) -> tuple[str, ...]:
    """The labels of a setting's derived points."""
    own = points.filter(setting=setting, provenance="derived")
    return tuple(dict.fromkeys(place_label(row) for row in own.iter_rows(named=True)))
