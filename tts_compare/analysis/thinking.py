"""Thinking and answer tokens of each point, and effort levels that the lengths of answers cannot tell apart."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tts_compare.analysis.findings.labels import place_label
from tts_compare.analysis.statistics.distributions import t_cdf, t_quantile, t_two_sided_p
from tts_compare.codes import warn
from tts_compare.domain import RunWarning, base_method, effort_level, effort_method, effort_rank

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Levels whose mean lengths differ by less, either way, are the same to whoever pays for them.
ALIKE = 1.1
#: The error of saying "the same" of levels that differ by that much, over all pairs of a setting and load.
_ALPHA = 0.05
_LEAST_PROBLEMS = 5
_WORK = ("setting", "method", "budget", "load")


def thinking_figures(calls: pl.DataFrame) -> pl.DataFrame:
    """Mean thinking and answer tokens of the answered requests of a work; null where one of them does not tell.

    calls: ``samples.call_rows``. Columns: setting, method, record_budget, load, thinking_tokens_mean and
    answer_tokens_mean.
    """
    known = pl.col("thinking_tokens").null_count() == 0
    rest = (pl.col("completion_tokens") - pl.col("thinking_tokens")).mean()
    return (
        calls.filter("ok")
        .group_by(_WORK, maintain_order=True)
        .agg(
            thinking_tokens_mean=pl.when(known).then(pl.col("thinking_tokens").mean()),
            answer_tokens_mean=pl.when(known).then(rest),
        )
        .rename({"budget": "record_budget"})
    )


def effort_warnings(calls: pl.DataFrame, points: pl.DataFrame) -> list[RunWarning]:
    """Pairs of effort levels of a setting and load whose answers are as long as each other, with the certainty."""
    levels = calls.filter(pl.col("ok") & pl.col("method").str.starts_with(effort_method("")))
    found: list[RunWarning] = []
    for (setting, load), part in levels.group_by("setting", "load", maintain_order=True):
        methods = sorted(part["method"].unique().to_list(), key=effort_rank)
        pairs = list(combinations(methods, 2))
        for a, b in pairs:
            told = _compared(part, a, b, tests=len(pairs))
            if told is not None:
                of = points.filter(setting=setting, load=load).filter(pl.col("method").is_in([a, b]))
                labels = tuple(dict.fromkeys(map(place_label, of.iter_rows(named=True))))
                found.append(warn(told[0], told[1], setting=str(setting), points=labels))
    return found


def _compared(part: pl.DataFrame, a: str, b: str, *, tests: int) -> tuple[str, str] | None:
    """Code and message for a pair of levels; None where their lengths differ, or too few problems are there."""
    means = [
        part.filter(method=method).group_by("problem").agg(tokens=pl.col("completion_tokens").mean())
        for method in (a, b)
    ]
    both = means[0].join(means[1], on="problem", suffix="_b").filter((pl.col("tokens") > 0) & (pl.col("tokens_b") > 0))
    if both.height < _LEAST_PROBLEMS:
        return None
    names = f"the efforts {effort_level(a)} and {effort_level(b)}"
    ratios = np.log(both["tokens_b"].to_numpy()) - np.log(both["tokens"].to_numpy())
    if not ratios.any():
        return "effort_collapsed", f"{names} gave the same number of tokens on each of {both.height} problems"
    return _tested(ratios, names, tests=tests)


def _tested(ratios: NDArray[np.float64], names: str, *, tests: int) -> tuple[str, str] | None:
    """Two one-sided t tests against a ratio of 1.1 either way, then one against equality, Bonferroni over pairs."""
    n = ratios.size
    mean, se = float(ratios.mean()), float(ratios.std(ddof=1)) / math.sqrt(n)
    if se == 0.0:
        return None
    margin = math.log(ALIKE)
    p_alike = max(t_cdf(-(mean + margin) / se, n - 1), t_cdf((mean - margin) / se, n - 1))
    p_equal = t_two_sided_p(mean / se, n - 1)
    half = t_quantile(0.975, n - 1) * se
    low, middle, high = (math.exp(value) for value in (mean - half, mean, mean + half))
    interval = f"the ratio of their tokens is {middle:.3f} ({low:.3f} to {high:.3f}, 95 %) over {n} problems"
    if p_alike * tests < _ALPHA:
        certainty = 100.0 * (1.0 - p_alike * tests)
        within = f"within {100 * (ALIKE - 1):.0f} % of each other with a certainty of {certainty:.1f} %"
        return "effort_collapsed", f"{names} give answers of the same length, {within}: {interval}"
    if p_equal * tests < _ALPHA:
        return None
    return "effort_not_told_apart", f"{names} cannot be distinguished by the lengths of their answers: {interval}"


def in_order() -> tuple[pl.Expr, pl.Expr]:
    """What sorts methods: by name, with the levels of ``effort`` in their own order."""
    method = pl.col("method")
    return (
        method.map_elements(base_method, return_dtype=pl.String),
        method.map_elements(effort_rank, return_dtype=pl.Int64),
    )


def level_of() -> pl.Expr:
    """The level in a method's name, null for methods without one."""
    is_level = pl.col("method").str.starts_with(effort_method(""))
    return pl.when(is_level).then(pl.col("method").str.strip_prefix(effort_method("")))
