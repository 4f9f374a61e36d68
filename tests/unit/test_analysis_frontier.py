"""Frontiers: dominance, ties, shares, bands, the table of optima, and objectives."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import Engine, World, engines_grid, make_run
from tts_compare.analysis.analyse import analyse
from tts_compare.analysis.findings.frontier import on_frontier
from tts_compare.analysis.findings.slo import parse_slo
from tts_compare.analysis.metrics import BAND_COLUMNS, FRONTIER_COLUMNS, OPTIMAL_COLUMNS, PAIR_COLUMNS
from tts_compare.analysis.schema import Analysis
from tts_compare.errors import UsageError

POINTS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), min_size=1, max_size=9)


def naive(points: list[tuple[int, int]]) -> list[bool]:
    return [not any(u <= x and b >= a and (u < x or b > a) for u, b in points) for x, a in points]


@given(POINTS)
def test_a_point_is_on_the_frontier_unless_another_dominates_it(points: list[tuple[int, int]]) -> None:
    x, accuracy = (np.array([[float(p[i]) for p in points]]) for i in (0, 1))
    assert on_frontier(x, accuracy / 10)[0].tolist() == naive(points)


@given(POINTS)
def test_each_resample_is_judged_by_itself(points: list[tuple[int, int]]) -> None:
    x, accuracy = (np.array([float(p[i]) for p in points]) for i in (0, 1))
    both = on_frontier(np.stack([x, x[::-1]]), np.stack([accuracy, accuracy[::-1]]) / 10)
    assert both[1].tolist() == both[0][::-1].tolist()


def test_a_point_without_the_figure_is_on_no_frontier() -> None:
    assert on_frontier(np.array([[1.0, np.nan]]), np.array([[0.1, 0.9]]))[0].tolist() == [True, False]


def analysed(world: World, resamples: int = 400, slo: tuple[str, ...] = ()) -> Analysis:
    run = make_run(world)
    return analyse(run.records, run.grades, run.manifest, resamples=resamples, slo=[parse_slo(text) for text in slo])


@pytest.fixture(scope="module")
def grid() -> Analysis:
    return analysed(
        World(engines=engines_grid(), budgets=(128, 512, 2048), problems=120, repeats=3, start_sd=0.01),
        slo=("p90_latency=8", "accuracy>=0.1"),
    )


def test_frames_have_the_stated_columns(grid: Analysis) -> None:
    assert tuple(grid.frontiers.columns) == FRONTIER_COLUMNS
    assert tuple(grid.bands.columns) == BAND_COLUMNS
    assert tuple(grid.optimal.columns) == OPTIMAL_COLUMNS
    assert tuple(grid.pairs.columns) == PAIR_COLUMNS


def test_the_analysis_is_the_same_for_the_same_seed() -> None:
    world = World(engines=engines_grid(backends=("vllm",)), budgets=(256,), problems=30)
    first, second = analysed(world), analysed(world)
    assert first.points.equals(second.points)
    assert first.pairs.equals(second.pairs)
    assert first.claims == second.claims


def test_settings_with_the_same_text_tie_on_tokens_and_not_on_latency(grid: Analysis) -> None:
    whole = grid.points.filter(pl.col("budget") == 2048)
    assert whole["on_compute_frontier"].all()
    assert whole.filter(pl.col("on_latency_frontier"))["setting"].to_list() == ["sglang/tiny/tp2-pp1-dp1/ngram"]
    tokens = grid.frontiers.filter((pl.col("axis") == "tokens") & (pl.col("budget") == 2048))
    assert tokens["tie"].all()


def test_the_cheapest_bill_is_that_of_fewer_devices(grid: Analysis) -> None:
    whole = grid.points.filter((pl.col("budget") == 2048) & pl.col("on_cost_frontier"))
    assert whole["setting"].to_list() == ["sglang/tiny/tp1-pp1-dp1/ngram"]
    assert whole["share_on_cost_frontier"][0] > 0.95


def test_a_clear_winner_has_all_the_shares_and_equals_share_them(grid: Analysis) -> None:
    sure = grid.points.filter(pl.col("setting") == "sglang/tiny/tp2-pp1-dp1/ngram")
    assert (sure["share_on_latency_frontier"] > 0.95).all()
    twins = (Engine(), Engine(backend="sglang"))
    even = analysed(World(engines=twins, problems=200, repeats=3, start_sd=0.03)).points["share_on_latency_frontier"]
    assert even.sum() == pytest.approx(1.0, abs=0.01)
    assert not (even == 1.0).any()


def test_the_band_holds_the_frontier_and_rises_with_cost(grid: Analysis) -> None:
    for own in grid.bands.partition_by("axis"):
        assert own["accuracy"].is_sorted()
        assert (own["accuracy_lo"] <= own["accuracy"] + 1e-9).all()
        assert (own["accuracy_hi"] >= own["accuracy"] - 1e-9).all()


def test_choosing_by_tokens_is_priced_on_the_other_two_axes(grid: Analysis) -> None:
    top = grid.optimal.sort("accuracy_target").row(-1, named=True)
    assert top["by_latency"] == "sglang/tiny/tp2-pp1-dp1/ngram truncate@2k"
    assert top["by_cost"] == "sglang/tiny/tp1-pp1-dp1/ngram truncate@2k"
    assert " = " in top["by_tokens"]
    assert 1.0 < top["latency_penalty_lo"] < top["latency_penalty"] < top["latency_penalty_hi"]
    assert top["differs_share"] > 0.95


def test_an_objective_chooses_the_most_accurate_point_that_keeps_it(grid: Analysis) -> None:
    (choice,) = grid.slo
    kept = grid.points.filter((pl.col("latency_p90_s") <= 8) & (pl.col("accuracy") >= 0.1))
    assert choice.accuracy == kept["accuracy"].max()
    assert choice.share is not None
    assert choice.best_share is not None
    assert choice.best_share <= choice.share <= 1.0


def test_an_objective_nobody_keeps_has_no_point() -> None:
    (choice,) = analysed(World(problems=20), slo=("latency<=1ms",)).slo
    assert choice.point is None
    assert choice.share is None


@pytest.mark.parametrize(
    ("text", "column", "at_most", "bound"),
    [
        ("p90_latency=10", "latency_p90_s", True, 10.0),
        ("accuracy>=0.8", "accuracy", False, 0.8),
        ("accuracy=80%", "accuracy", False, 0.8),
        ("cost<=2.5", "gpu_s_per_problem", True, 2.5),
        ("p90_ttft<=200ms", "ttft_p90_s", True, 0.2),
    ],
)
def test_objectives_are_read_as_people_write_them(text: str, column: str, at_most: bool, bound: float) -> None:
    found = parse_slo(text)
    assert (found.column, found.at_most) == (column, at_most)
    assert found.bound == pytest.approx(bound)


@pytest.mark.parametrize("text", ["speed=1", "latency", "latency=fast", "latency=1.2.3", ""])
def test_an_objective_that_cannot_be_read_is_bad_usage(text: str) -> None:
    with pytest.raises(UsageError, match="--slo"):
        parse_slo(text)
