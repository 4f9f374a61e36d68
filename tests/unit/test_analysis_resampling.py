"""The studentised bootstrap and the part that server starts add."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from benchmarks import coverage_repeats as repeats
from benchmarks.claim_worlds import CLAIM_WORLDS
from benchmarks.coverage import (
    COVERED,
    FAILING_WORLDS,
    INTERVALS,
    NULL_WORLDS,
    Two,
    claim_cell,
    coverage_cell,
    true_figures,
    verdict_cell,
)
from tests.synthetic import World, engines_grid, make_run
from tts_compare.analysis.analyse import analyse
from tts_compare.analysis.statistics import resampling
from tts_compare.analysis.statistics.resampling import Term, draw_weights, log_contrast, log_contrasts


def columns(seed: int, repeats: int = 1, problems: int = 100) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).lognormal(0, 0.8, (repeats, problems))


def test_every_resample_draws_as_many_problems_as_there_are() -> None:
    weights = draw_weights(37, 200, 5)
    assert weights.shape == (200, 37)
    assert (weights.sum(axis=1) == 37).all()
    assert weights.mean() == 1.0


def test_the_draw_is_the_same_for_the_same_seed_only() -> None:
    assert (draw_weights(10, 20, 1) == draw_weights(10, 20, 1)).all()
    assert (draw_weights(10, 20, 1) != draw_weights(10, 20, 2)).any()


def test_a_ratio_of_proportional_columns_is_exact() -> None:
    x = columns(1)
    found = log_contrast(
        [Term(values=1.5 * x, sign=1, setting="a"), Term(values=x, sign=-1, setting="b")], draw_weights(100, 500, 0)
    )
    assert (found.value, found.lo, found.hi) == pytest.approx((1.5, 1.5, 1.5))
    assert found.p == 0.0


def test_many_terms_are_resampled_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = [Term(values=columns(i, 2), sign=s, setting="ab"[i % 2]) for i, s in enumerate((1.0, -1.0, 0.5, -0.5))]
    weights = draw_weights(100, 800, 3)
    narrow = log_contrast(terms, weights)
    monkeypatch.setattr(resampling, "_NARROW", 1)
    wide = log_contrast(terms, weights)
    assert (wide.lo, wide.value, wide.hi, wide.p) == pytest.approx((narrow.lo, narrow.value, narrow.hi, narrow.p))


def test_contrasts_in_one_batch_are_those_of_one_by_one() -> None:
    weights = draw_weights(100, 300, 3)
    contrasts = [[Term(values=columns(i), sign=1)] for i in range(150)]
    batch = log_contrasts(contrasts, weights)
    assert [e.lo for e in batch] == pytest.approx([log_contrast(c, weights).lo for c in contrasts])


def test_one_start_has_the_interval_of_problems_alone_and_says_one() -> None:
    found = log_contrast([Term(values=columns(1), sign=1, setting="a")], draw_weights(100, 500, 0))
    assert found.starts == 1
    assert found.lo < found.value < found.hi


def test_starts_that_differ_widen_the_interval() -> None:
    x = columns(2)
    weights = draw_weights(100, 500, 0)
    steady = np.concatenate([x, x, x])
    shaken = np.concatenate([0.9 * x, x, 1.1 * x])
    other = Term(values=steady, sign=-1, setting="b")
    calm = log_contrast([Term(values=steady, sign=1, setting="a"), other], weights)
    wide = log_contrast([Term(values=shaken, sign=1, setting="a"), other], weights)
    assert calm.hi / calm.lo == pytest.approx(1.0)
    assert wide.hi / wide.lo > math.exp(2 * 1.96 * 0.1 / math.sqrt(3))


def test_a_figure_that_is_not_known_gives_no_interval() -> None:
    found = log_contrast([Term(values=np.full((1, 10), np.nan), sign=1)], draw_weights(10, 20, 0))
    assert math.isnan(found.value)
    assert math.isnan(found.p)


@pytest.mark.parametrize("world", COVERED)
def test_intervals_cover_a_known_truth(world: str) -> None:
    """A small seeded part of benchmarks/coverage.py: 200 runs, 0.95 within three standard errors."""
    truth = true_figures(COVERED[world], 100_000)
    covered = coverage_cell(COVERED[world], 200, 5, runs=200, seed=0, truth=truth)
    assert dict(zip(INTERVALS, covered, strict=True)) == {name: pytest.approx(0.95, abs=0.046) for name in INTERVALS}


@pytest.mark.parametrize("world", NULL_WORLDS)
def test_a_setting_is_rarely_called_faster_than_itself(world: str) -> None:
    said = verdict_cell(NULL_WORLDS[world], 200, 5, runs=200, seed=0)
    for wrong in (said.faster + said.slower, said.cheaper + said.dearer, said.accuracy):
        assert wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize("world", FAILING_WORLDS)
def test_a_setting_that_fails_what_is_hard_never_wins(world: str) -> None:
    said = verdict_cell(FAILING_WORLDS[world], 500, 5, runs=100, seed=0)
    assert (said.faster, said.cheaper) == (0.0, 0.0)


@pytest.mark.parametrize("world", CLAIM_WORLDS)
def test_a_claim_at_its_exact_boundary_rarely_holds(world: str) -> None:
    holds, _ = claim_cell(world, 100, max(5, CLAIM_WORLDS[world].least_rounds), runs=50, seed=0)
    assert holds < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 50)


def test_a_twentieth_is_found_by_ten_rounds() -> None:
    said = verdict_cell(Two(ratio=1.05, noise=0.05), 500, 10, runs=200, seed=0)
    assert said.faster > 0.85 - 3 * math.sqrt(0.85 * 0.15 / 200)


@pytest.mark.parametrize("starts", [(0.0, 1), (0.04, 3)])
def test_intervals_of_repeats_cover_a_known_truth(starts: tuple[float, int]) -> None:
    """A small seeded part of benchmarks/coverage_repeats.py: 300 runs, 0.95 within three standard errors."""
    covered = repeats.coverage_cell(200, 0.5, starts, runs=300, resamples=400)
    assert dict(zip(repeats.FIGURES, covered, strict=True)) == {
        name: pytest.approx(0.95, abs=0.038) for name in repeats.FIGURES
    }


def test_a_setting_with_repeats_is_rarely_called_faster_than_itself() -> None:
    for starts in ((0.04, 2), (0.04, 3)):
        said, _ = repeats.false_faster(200, starts, 200, 300)
        assert said <= 0.08


def test_one_start_is_never_called_faster() -> None:
    said, left_out = repeats.false_faster(200, (0.04, 1), 60, 300)
    assert said == 0.0
    assert left_out > 0.2  # the interval over problems alone does not know what starts differ by


@pytest.mark.parametrize("problems", [1, 2, 3, 5])
def test_limits_that_few_problems_do_not_give_are_null_in_every_table(problems: int) -> None:
    """Neither nan nor a factor of a million; a limit that is there is of the size of its figure."""
    run = make_run(
        World(problems=problems, budgets=(256, 1024), engines=engines_grid(("vllm",), tensor_parallels=(1,)))
    )
    found = analyse(run.records, run.grades, run.manifest, resamples=300)
    assert found.points.height == 4
    assert found.pairs.height == 2
    for frame in (found.points, found.pairs, found.optimal):
        for name in frame.select(pl.selectors.float()).columns:
            values = frame[name].drop_nulls()
            assert values.is_finite().all(), name
        for name in [column for column in frame.columns if column.endswith("_ratio_hi")]:
            assert (frame[name].drop_nulls() < 1e5).all(), name
    if problems == 1:
        for name in ("latency_ratio", "cost_ratio", "paper_cost_ratio"):
            assert found.pairs[f"{name}_lo"].null_count() == found.pairs.height
            assert found.pairs[name].null_count() == 0
