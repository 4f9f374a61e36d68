"""The runs of known truth are what they say they are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.synthetic import Engine, World, make_run, record_rows


def test_rounds_split_the_problems_into_equal_shares_and_keep_everything_else() -> None:
    whole = make_run(World(problems=52, noise_sd=0.0)).records
    split = make_run(World(problems=52, noise_sd=0.0, rounds=5)).records
    shares = split.group_by("round").len().sort("round")
    assert shares["len"].to_list() == [11, 11, 10, 10, 10]
    key = ["problem", "completion_tokens"]
    assert split.select(key).sort("problem").equals(whole.select(key).sort("problem"))


def test_every_round_has_a_start_effect_of_its_own() -> None:
    world = World(problems=40, rounds=4, repeats=2, noise_sd=0.0, start_sd=0.2, engines=(Engine(ttft_s=0.0),))
    records = make_run(world).records.with_columns(
        pace=(pl.col("last_token_ns") - pl.col("sent_ns")) / (pl.col("completion_tokens") - 1)
    )
    starts = records.group_by("repeat", "round").agg(pl.col("pace").mean(), spread=pl.col("pace").std())
    assert starts.height == 8
    assert starts["spread"].to_numpy() == pytest.approx(0.0, abs=1.0)
    assert np.unique(np.round(starts["pace"].to_numpy())).size == 8


def test_rows_keep_their_round_when_they_are_written_as_records() -> None:
    rows = record_rows(make_run(World(problems=6, rounds=3)))
    assert {row.problem: row.round for row in rows} == {f"p{i:04d}": i % 3 for i in range(6)}
