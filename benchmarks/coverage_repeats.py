"""How often the intervals of a run with repeats in place of rounds cover a known truth, and separate equal settings.

    python -m benchmarks.coverage_repeats [--runs 1000] [--resamples 1000] [--only n50,n200,n500,faster]

The grid was fixed beforehand: problems 50, 200, 500; accuracy .2, .5, .9; lengths lognormal (median 2,000 tokens, sigma
0.9: the longest tenth about 25 times the shortest) cut at 16,384; server starts that differ by 0 or 4 %; requests that
differ by 10 %. The functions called are those the reports use.
"""

from __future__ import annotations

import argparse
import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from tts_compare.analysis.statistics.families import LEVEL
from tts_compare.analysis.statistics.intervals import accuracy_interval, paired_difference
from tts_compare.analysis.statistics.resampling import Estimate, Term, draw_weights, log_contrasts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PROBLEMS = (50, 200, 500)
ACCURACIES = (0.2, 0.5, 0.9)
#: (standard deviation between starts, starts of each setting)
STARTS = ((0.0, 1), (0.04, 3), (0.04, 5))
MEDIAN, SIGMA, CAP = 2000.0, 0.9, 16_384.0
TTFT_S, TPOT_S, RATIO, NOISE = 0.05, 0.01, 1.3, 0.1
FIGURES = ("accuracy", "accuracy x4", "accuracy diff", "latency ratio", "cost ratio", "cost/token", "bill/problem")


def draw_lengths(rng: np.random.Generator, problems: int) -> Floats:
    """Completion tokens of each problem, as the budget leaves them."""
    return np.minimum(np.round(rng.lognormal(math.log(MEDIAN), SIGMA, problems)), CAP)


def true_tokens() -> float:
    """The mean of the cut lengths, by a sum over the distribution's quantiles."""
    grid = (np.arange(200_000) + 0.5) / 200_000
    normal = np.array([NormalDist().inv_cdf(q) for q in grid])
    return float(np.minimum(np.round(MEDIAN * np.exp(SIGMA * normal)), CAP).mean())


def seconds(rng: np.random.Generator, tokens: Floats, slower: float, start_sd: float, starts: int) -> Floats:
    """(starts, problems) latencies of one setting; a start's and a request's effect both have mean 1."""
    start = np.exp(rng.normal(-(start_sd**2) / 2, start_sd, (starts, 1)))
    noise = np.exp(rng.normal(-(NOISE**2) / 2, NOISE, (starts, tokens.size)))
    return np.asarray(slower * (TTFT_S + (tokens - 1) * TPOT_S) * start * noise, dtype=np.float64)


def draw_correct(rng: np.random.Generator, chance: Floats, samples: int) -> Floats:
    """(problems,) mean correctness of ``samples`` answers a problem."""
    return np.asarray((rng.random((samples, chance.size)) < chance).mean(axis=0), dtype=np.float64)


def one_run(
    rng: np.random.Generator, problems: int, accuracy: float, starts: tuple[float, int], weights: Floats
) -> list[bool]:
    """Whether each of FIGURES' intervals covers its truth in one synthetic run of two settings."""
    start_sd, repeats = starts
    chance = rng.beta(accuracy, 1 - accuracy, problems)
    tokens = draw_lengths(rng, problems)
    slow, fast = (seconds(rng, tokens, times, start_sd, repeats) for times in (RATIO, 1.0))
    one, other, several = (draw_correct(rng, chance, k) for k in (1, 1, 4))
    length = np.broadcast_to(tokens, slow.shape)
    a, b = (Term(values=v, sign=s, setting=n) for v, s, n in ((slow, 1, "a"), (fast, -1, "b")))
    a_bill, b_bill = (Term(values=t.values * 2, sign=t.sign, setting=t.setting) for t in (a, b))
    spent = Term(values=length, sign=-1, setting="a")
    ratio, bills, per_token, bill = log_contrasts([[a, b], [a_bill, b_bill], [a, spent], [a_bill]], weights)
    mean = true_tokens_cached()
    latency = RATIO * (TTFT_S + (mean - 1) * TPOT_S)
    difference = paired_difference(one, other, single=True)
    return [
        covers(accuracy_interval(one, single=True), accuracy),
        covers(accuracy_interval(several, single=False), accuracy),
        covers(difference[1:], 0.0),
        covers((ratio.lo, ratio.hi), RATIO),
        covers((bills.lo, bills.hi), RATIO),
        covers((per_token.lo, per_token.hi), latency / mean),
        covers((bill.lo, bill.hi), 2 * latency),
    ]


def covers(limits: tuple[float, float], truth: float) -> bool:
    """Whether the truth lies within the limits; floating-point equality counts."""
    return limits[0] - 1e-12 <= truth <= limits[1] + 1e-12


_TRUE: list[float] = []


def true_tokens_cached() -> float:
    """``true_tokens`` once."""
    if not _TRUE:
        _TRUE.append(true_tokens())
    return _TRUE[0]


def coverage_cell(
    problems: int, accuracy: float, starts: tuple[float, int], *, runs: int, resamples: int, seed: int = 0
) -> Floats:
    """(figures,) share of runs whose interval covers; a fresh draw of weights every 20 runs."""
    rng = np.random.default_rng([seed, problems, round(accuracy * 100), round(starts[0] * 1000), starts[1]])
    hits = np.zeros(len(FIGURES))
    weights = np.empty((0, 0))
    for run in range(runs):
        if run % 20 == 0:
            weights = draw_weights(problems, resamples, int(rng.integers(2**31)))
        hits += one_run(rng, problems, accuracy, starts, weights)
    return hits / runs


def false_faster(
    problems: int, starts: tuple[float, int], runs: int, resamples: int, seed: int = 1
) -> tuple[float, float]:
    """A setting against itself: share of runs that separate the two, and share whose interval leaves out 1."""
    rng = np.random.default_rng([seed, problems, round(starts[0] * 1000), starts[1]])
    said = left_out = 0
    for run in range(runs):
        if run % 20 == 0:
            weights = draw_weights(problems, resamples, int(rng.integers(2**31)))
        tokens = draw_lengths(rng, problems)
        sides = [seconds(rng, tokens, 1.0, *starts) for _ in "ab"]
        terms = [Term(values=v, sign=s, setting=n) for v, s, n in zip(sides, (1, -1), "ab", strict=True)]
        found: Estimate = log_contrasts([terms], weights)[0]
        outside = not covers((found.lo, found.hi), 1.0)
        said += found.confirmed and found.p < LEVEL and outside
        left_out += outside
    return said / runs, left_out / runs


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--only", default="n50,n200,n500,faster")
    options = parser.parse_args()
    parts = options.only.split(",")
    if any(part.startswith("n") for part in parts):
        print(f"| n | p | starts | {' | '.join(FIGURES)} |\n|{'---|' * (3 + len(FIGURES))}")
    for problems in PROBLEMS:
        for accuracy in ACCURACIES if f"n{problems}" in parts else ():
            for starts in STARTS:
                cell = coverage_cell(problems, accuracy, starts, runs=options.runs, resamples=options.resamples)
                name = f"{starts[1]}" + (f", differing by {starts[0]:.0%}" if starts[0] else "")
                shown = " | ".join(f"{100 * share:.1f}" for share in cell)
                print(f"| {problems} | {accuracy} | {name} | {shown} |", flush=True)
    if "faster" in parts:
        print("\n| n | starts | says faster or slower | interval leaves out 1 |\n|---|---|---|---|")
        for problems in PROBLEMS:
            for starts in ((0.0, 1), (0.04, 1), (0.04, 2), (0.04, 3), (0.04, 5)):
                said, left_out = false_faster(problems, starts, options.runs, options.resamples)
                name = f"{starts[1]}, differing by {starts[0]:.0%}"
                print(f"| {problems} | {name} | {100 * said:.1f} % | {100 * left_out:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
