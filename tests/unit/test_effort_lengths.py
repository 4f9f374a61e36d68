"""Effort levels told apart, or found the same, by the lengths of their answers: how often that is wrong."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from tts_compare.analysis.metrics import point_schema
from tts_compare.analysis.thinking import ALIKE, effort_warnings, in_order, level_of, thinking_figures

RUNS = 300
NO_POINTS = pl.DataFrame(schema=point_schema())


def calls(levels: dict[str, np.ndarray], *, load: str = "c1") -> pl.DataFrame:
    rows = [
        {"setting": "s", "method": f"effort-{level}", "budget": 9, "load": load, "problem": str(n), "ok": True,
         "completion_tokens": int(tokens), "thinking_tokens": None if n == 0 else 1}
        for level, values in levels.items()
        for n, tokens in enumerate(values)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"thinking_tokens": pl.Int64})


def said(levels: dict[str, np.ndarray]) -> list[str]:
    return [warning.code for warning in effort_warnings(calls(levels), NO_POINTS)]


def drawn(rng: np.random.Generator, ratio: float, *, problems: int, spread: float) -> dict[str, np.ndarray]:
    """Two levels whose mean log lengths differ by log ``ratio``; problems differ far more."""
    length = np.exp(rng.normal(math.log(4_000), 0.8, problems))
    noise = rng.normal(0.0, spread, (2, problems))
    return {"low": length * np.exp(noise[0]), "high": length * ratio * np.exp(noise[1])}


def test_levels_that_differ_by_the_margin_are_called_the_same_in_few_runs() -> None:
    rng = np.random.default_rng(5)
    false = [said(drawn(rng, ALIKE, problems=40, spread=0.05)).count("effort_collapsed") for _ in range(RUNS)]
    assert np.mean(false) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


def test_levels_that_are_the_same_are_found_with_enough_problems_and_not_called_so_with_few() -> None:
    rng = np.random.default_rng(6)
    enough = [said(drawn(rng, 1.0, problems=60, spread=0.1)) for _ in range(RUNS)]
    assert np.mean([found == ["effort_collapsed"] for found in enough]) > 0.9
    few = [said(drawn(rng, 1.0, problems=6, spread=0.5)) for _ in range(RUNS)]
    assert np.mean([found == ["effort_not_told_apart"] for found in few]) > 0.9


def test_levels_that_differ_say_nothing() -> None:
    rng = np.random.default_rng(7)
    silent = [said(drawn(rng, 1.6, problems=40, spread=0.2)) == [] for _ in range(RUNS)]
    assert np.mean(silent) > 0.99


def test_equal_lengths_problem_by_problem_are_said_as_what_they_are() -> None:
    same = np.array([10, 20, 30, 40, 50])
    (warning,) = effort_warnings(calls({"low": same, "high": same}), NO_POINTS)
    assert warning.code == "effort_collapsed"
    assert "the same number of tokens on each of 5 problems" in warning.message
    assert said({"low": same[:4], "high": same[:4]}) == [], "four problems tell nothing"


def test_three_levels_are_three_pairs_judged_together_in_the_order_of_the_levels() -> None:
    rng = np.random.default_rng(8)
    levels = drawn(rng, 1.0, problems=80, spread=0.05)
    levels["medium"] = levels["low"] * 3
    (warning,) = effort_warnings(calls(levels), NO_POINTS)
    assert "the efforts low and high give answers of the same length" in warning.message


def test_thinking_means_are_there_only_where_every_answer_tells() -> None:
    frame = calls({"low": np.array([10, 20, 30])})
    assert thinking_figures(frame)["thinking_tokens_mean"].to_list() == [None]
    known = frame.with_columns(pl.col("thinking_tokens").fill_null(4))
    (row,) = thinking_figures(known).to_dicts()
    assert row["thinking_tokens_mean"] == pytest.approx(2.0)
    assert row["answer_tokens_mean"] == pytest.approx(18.0)


def test_levels_stand_in_their_order_and_other_methods_by_their_names() -> None:
    names = ["truncate", "effort-high", "effort-none", "effort-own", "effort-low", "force"]
    frame = pl.DataFrame({"method": names}).sort(*in_order()).with_columns(level=level_of())
    assert frame["method"].to_list() == ["effort-none", "effort-low", "effort-high", "effort-own", "force", "truncate"]
    assert frame["level"].to_list() == ["none", "low", "high", "own", None, None]
