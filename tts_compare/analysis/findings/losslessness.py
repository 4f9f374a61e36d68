"""Settings that should give the same text: how often they do, where they part, and what that does to the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tts_compare.analysis.findings.compare import SETTING_AXES, setting_pairs
from tts_compare.analysis.metrics import LOSSLESS, schema_of
from tts_compare.analysis.rows.outcomes import last_grades
from tts_compare.analysis.rows.samples import last_attempts
from tts_compare.analysis.statistics.distributions import t_quantile
from tts_compare.analysis.statistics.intervals import clustered_wilson, paired_difference, wilson
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_WORK = ("method", "budget", "load")
_ANSWER = ("problem", "sample", "call", "repeat")
_GRADED = ("problem", "sample", "repeat")
Judged = Mapping[tuple[str, str, int, str], pl.DataFrame]
"""Grades of a setting, method, budget and load."""


def losslessness_frame(measured: pl.DataFrame, grades: pl.DataFrame, manifest: Manifest) -> pl.DataFrame:
    """The columns of ``metrics.LOSSLESS`` of every pair of settings whose difference should not change the text.

    measured: ``samples.measured_rows``, with ``text`` and ``reasoning`` (no rows otherwise), and best with timelines or
    token ids, without which the first difference is not known in tokens. Only pairs of complete responses are compared.
    """
    schema = schema_of(LOSSLESS)
    if "text" not in measured.columns:
        return pl.DataFrame(schema=schema)
    rows = last_attempts(measured).filter("ok")
    by_setting = {str(key[0]): part for key, part in rows.partition_by("setting", as_dict=True).items()}
    judged = _judged(grades)
    found = []
    for axis, a, b in setting_pairs(manifest.settings):
        if SETTING_AXES[axis] and a in by_setting and b in by_setting:
            both = by_setting[a].join(by_setting[b], on=[*_WORK, *_ANSWER], suffix="_b")
            for key, part in both.partition_by(_WORK, as_dict=True).items():
                base = {"axis": axis, "a": a, "b": b} | dict(zip(_WORK, key, strict=True))
                found += _pair_rows(base, part, judged)
    return pl.DataFrame(found, schema=schema, strict=False).with_columns(pl.selectors.float().fill_nan(None))


def _judged(grades: pl.DataFrame) -> Judged:
    """Answers of whole responses that could be graded, by the work they belong to."""
    known = last_grades(grades.filter(pl.col("samples").is_null() & pl.col("cut_tokens").is_null())).filter(
        pl.col("correct").is_not_null()
    )
    return {
        (str(setting), str(method), int(budget), str(load)): part.select("policy", *_GRADED, "correct")
        for (setting, method, budget, load), part in known.partition_by(
            "setting", "method", "record_budget", "load", as_dict=True
        ).items()
    }


def _pair_rows(base: dict[str, Any], part: pl.DataFrame, judged: Judged) -> list[dict[str, Any]]:
    same = _identical(part)
    differing = part.filter(pl.Series(~same))
    firsts = [first for first in map(first_difference, differing.iter_rows(named=True)) if first is not None]
    codes = part["problem"].rank("dense").to_numpy().astype(np.int64) - 1
    clusters = np.bincount(codes, weights=same.astype(np.float64)) / np.bincount(codes)
    single = clusters.size == part.height
    low, high = wilson(float(clusters.mean()), clusters.size) if single else clustered_wilson(clusters)
    length = _mean_interval(
        _by_problem(codes, (part["completion_tokens_b"] - part["completion_tokens"]).cast(pl.Float64).to_numpy())
    )
    row = base | {
        "n": part.height,
        "identical_share": float(same.mean()),
        "identical_lo": low,
        "identical_hi": high,
        "first_difference_tokens_p50": float(np.median(firsts)) if firsts else None,
        "length_diff_tokens": length[0],
        "length_diff_lo_tokens": length[1],
        "length_diff_hi_tokens": length[2],
    }
    return [row | accuracy for accuracy in _accuracies(base, part, judged)] or [row]


def _identical(part: pl.DataFrame) -> NDArray[np.bool_]:
    text = pl.col("reasoning").fill_null("") + pl.col("text").fill_null("")
    other = pl.col("reasoning_b").fill_null("") + pl.col("text_b").fill_null("")
    return part.select(same=text == other)["same"].to_numpy()


def first_difference(row: Mapping[str, Any]) -> int | None:
    """Tokens two responses (``name`` and ``name_b``) share from the start; None where tokens are not known.

    By token ids where both have them, else the token of the first response in which the texts part.
    """
    ids, other_ids = row.get("token_ids"), row.get("token_ids_b")
    if ids and other_ids:
        return _shared(ids, other_ids)
    text = (row["reasoning"] or "") + (row["text"] or "")
    other = (row["reasoning_b"] or "") + (row["text_b"] or "")
    at = _shared(text, other)
    tokens = chars = 0
    for gained, grown in zip(row.get("timeline_tokens") or (), row.get("timeline_chars") or (), strict=True):
        if chars + grown > at:
            return tokens
        tokens += gained
        chars += grown
    return tokens or None


def _shared(a: Any, b: Any) -> int:
    shortest = min(len(a), len(b))
    return next((i for i in range(shortest) if a[i] != b[i]), shortest)


def _by_problem(codes: NDArray[np.int64], values: Floats) -> Floats:
    return np.asarray(np.bincount(codes, weights=values) / np.bincount(codes), dtype=np.float64)


def _mean_interval(values: Floats) -> tuple[float, float, float]:
    """Mean of per-problem differences with Student's interval; nan limits for a single problem."""
    mean = float(values.mean())
    if values.size < 2:
        return (mean, math.nan, math.nan)
    width = t_quantile(0.975, values.size - 1) * float(values.std(ddof=1)) / math.sqrt(values.size)
    return (mean, mean - width, mean + width)


def _accuracies(base: Mapping[str, Any], part: pl.DataFrame, judged: Judged) -> list[dict[str, Any]]:
    """One row a policy: the paired accuracy difference over the same pairs of responses."""
    sides = [judged.get((base[name], base["method"], base["budget"], base["load"])) for name in ("a", "b")]
    if sides[0] is None or sides[1] is None:
        return []
    both = (
        part.select(_GRADED)
        .unique()
        .join(sides[0], on=_GRADED)
        .join(sides[1], on=["policy", *_GRADED], suffix="_b")
        .group_by("policy", "problem")
        .agg(pl.col("correct", "correct_b").mean(), count=pl.len())
    )
    found = []
    for (policy,), means in sorted(both.partition_by("policy", as_dict=True).items()):
        a, b = means["correct"].to_numpy(), means["correct_b"].to_numpy()
        difference, low, high = paired_difference(a, b, single=means["count"].max() == 1)
        found.append(
            {
                "policy": policy,
                "accuracy_diff": difference,
                "accuracy_diff_lo": low,
                "accuracy_diff_hi": high,
            }
        )
    return found
