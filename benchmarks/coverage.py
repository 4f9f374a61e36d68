"""How often the intervals hold a known truth, and how often verdicts and claims are false or miss what is there.

    python -m benchmarks.coverage [--runs 4000] [--seed 0] [--only intervals,verdicts,failures,claims,power,shares]

Every run is drawn as outcomes and goes through the product's own functions: the cube, the pairs with their verdicts,
the claims. The grid was fixed beforehand: 200 and 500 problems in 3 to 10 rounds; lengths lognormal with sigma 1.2;
server starts that differ by 3 %, requests by 10 %.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from benchmarks.claim_worlds import CLAIM_WORLDS
from benchmarks.worlds import (
    BUDGET,
    SIGMA,
    TOTAL_S,
    Side,
    cubes_of,
    lengths,
    manifest_of,
    seconds,
    setting,
    starts,
)
from tts_compare.analysis.findings.claims import judge_claims
from tts_compare.analysis.findings.compare import cube_pairs, judge_pairs
from tts_compare.analysis.findings.frontier import on_frontier
from tts_compare.analysis.points import Weights
from tts_compare.analysis.statistics.resampling import Term, draw_weights, log_contrasts
from tts_compare.rundir.facts import Death, ModelRow
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tts_compare.analysis.statistics.cube import Cube

    Floats = NDArray[np.float64]
    Rng = np.random.Generator

START_SD, NOISE, RATIO = 0.03, 0.1, 1.3
#: Problems and rounds; a round has at least 25 problems.
DESIGNS = ((200, 3), (200, 8), (500, 5), (500, 10))
INTERVALS = ("latency ratio", "cost ratio", "accuracy difference", "mean latency")
PARTS = ("intervals", "verdicts", "failures", "claims", "power", "shares")
#: Runs that go through the product at once.
_BATCH = 100
_NO_WEIGHTS = Weights(1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Two:
    """Two settings, a without and b with speculation. ratio: how many times as long a takes."""

    ratio: float = 1.0
    correlation: float = 1.0
    bimodal: bool = False
    failures: float = 0.0
    concurrency: int = 1
    noise: float = NOISE
    start_sd: float = START_SD
    start_kind: str = "normal"
    crash: float = 0.0
    refuses: float = 0.0
    times_out: float = 0.0
    short_limit: bool = False
    sigma: float = SIGMA

    def draw(self, rng: Rng, problems: int, rounds: int) -> list[Side]:
        """Both sides of one run."""
        wants = lengths(rng, problems, correlation=self.correlation, sigma=self.sigma)
        tokens = [np.minimum(own, BUDGET) for own in wants]
        chance = rng.beta(0.5, 0.5, problems)
        found = []
        for name, own, drafts in (("a", tokens[0], False), ("b", tokens[1], True)):
            effects = starts(rng, rounds, self.start_sd, kind=self.start_kind)
            took = seconds(rng, own, effects, noise=self.noise, concurrency=self.concurrency)
            took = took * (1.0 if drafts else self.ratio)
            if self.bimodal and drafts:
                took = took * np.where(rng.random(problems) < 0.5, 1.0, 1.0 / 3.0)
            failed = rng.random(problems) < self.failures
            died = False
            if self.crash:
                # The server dies in some rounds, at some point of the share, and is not started again.
                done = rng.random(rounds)
                dies = rng.random(rounds) < self.crash
                number, place = np.arange(problems) % rounds, np.arange(problems) / problems
                failed |= dies[number] & (place > done[number])
                died = bool(dies.any())
            limits = '{"total_s": 600}'
            if drafts:
                failed, took, limits = self._fail_hard(rng, own, took, failed)
            correct = (rng.random(problems) < chance).astype(np.float64)
            found.append(
                Side(
                    name=name,
                    latency_s=took,
                    tokens=own,
                    correct=correct,
                    failed=failed,
                    limits=limits,
                    facts=setting(drafts=drafts),
                    died=died,
                )
            )
        return found

    def _fail_hard(self, rng: Rng, tokens: Floats, took: Floats, failed: Any) -> tuple[Any, Floats, str]:
        """b refuses, or gives up on, the problems with the longest answers."""
        hard = np.argsort(np.argsort(-tokens, kind="stable")) / tokens.size
        if self.refuses:
            return failed | (hard < self.refuses), np.where(hard < self.refuses, 0.001, took), '{"total_s": 600}'
        if self.times_out:
            hardest = rng.permutation(np.flatnonzero(hard < 0.2))
            lost = np.isin(np.arange(tokens.size), hardest[: round(self.times_out * hardest.size)])
            return failed | lost, np.where(lost, TOTAL_S, took), '{"total_s": 600}'
        if self.short_limit:
            limit = float(np.quantile(took, 0.8))
            return failed | (took > limit), np.minimum(took, limit), '{"total_s": 20}'
        return failed, took, '{"total_s": 600}'

    @property
    def load(self) -> str:
        """As the grid names it."""
        return f"c{self.concurrency}"


def judged(
    draw: Callable[[], list[Side]], rounds: int, runs: int, load: str = "c1"
) -> Iterator[tuple[dict[str, Any], Cube]]:
    """The row of the one pair of two sides, and the cube, of every run."""
    for cube, manifest in drawn_cubes(draw, rounds, runs, load):
        (row,) = judge_pairs([(cube, cube_pairs(cube, manifest))], _NO_WEIGHTS)
        yield row, cube


def drawn_cubes(
    draw: Callable[[], list[Side]], rounds: int, runs: int, load: str = "c1"
) -> Iterator[tuple[Cube, Manifest]]:
    """The cube of every run, and what pairs and claims read of its manifest."""
    while runs > 0:
        batch = [draw() for _ in range(min(runs, _BATCH))]
        runs -= len(batch)
        manifest = manifest_of(batch[0])
        for sides, cube in zip(batch, cubes_of(batch, rounds, load=load), strict=True):
            dead = tuple(Death(setting=side.name) for side in sides if side.died)
            yield cube, structs.replace(manifest, deaths=dead)


COVERED: dict[str, Two] = {
    "equal lengths": Two(ratio=RATIO),
    "lengths correlated 0.9": Two(ratio=RATIO, correlation=0.9),
    "bimodal speculation": Two(ratio=RATIO, bimodal=True),
    "1 % random failures": Two(ratio=RATIO, failures=0.01),
    "concurrency 8": Two(ratio=RATIO, concurrency=8),
}


def true_figures(world: Two, problems: int = 400_000) -> tuple[float, float, float, float]:
    """Latency ratio, cost ratio, accuracy difference and mean latency of a, from a run too large to be wrong."""
    still = Two(**{name: getattr(world, name) for name in Two.__slots__} | {"start_sd": 0.0})
    rng = np.random.default_rng(1)
    ((row, cube),) = judged(lambda: still.draw(rng, problems, 3), 3, 1, world.load)
    return row["latency_ratio"], row["cost_ratio"], 0.0, float(cube.values(0, "latency_s").mean())


def coverage_cell(
    world: Two, problems: int, rounds: int, *, runs: int, seed: int, truth: tuple[float, float, float, float]
) -> Floats:
    """(INTERVALS,) share of runs whose interval covers the truth."""
    rng = np.random.default_rng([seed, problems, rounds, 1])
    hits = np.zeros(len(INTERVALS))
    for row, cube in judged(lambda: world.draw(rng, problems, rounds), rounds, runs, world.load):
        mean = Term(values=cube.values(0, "latency_s"), sign=1, setting="a", rounds=cube.rounds[cube.compared])
        (latency,) = log_contrasts([[mean]], np.empty((0, problems)))
        limits = [(row[f"{name}_lo"], row[f"{name}_hi"]) for name in ("latency_ratio", "cost_ratio", "accuracy_diff")]
        limits.append((latency.lo, latency.hi))
        hits += [low - 1e-12 <= true <= high + 1e-12 for (low, high), true in zip(limits, truth, strict=True)]
    return hits / runs


#: Worlds in which neither setting is faster: a verdict is false.
NULL_WORLDS: dict[str, Two] = {
    "equal lengths": Two(),
    "lengths correlated 0.9": Two(correlation=0.9),
    "1 % random failures": Two(failures=0.01),
    "5 % random failures": Two(failures=0.05),
    "one start in 20 slow": Two(start_kind="slow"),
    "starts of two kinds": Two(start_kind="modes"),
    "a server dies in a tenth of the rounds": Two(crash=0.1),
    "concurrency 8": Two(concurrency=8),
}
#: Worlds in which b fails what is hard for it: it must not win, even where it is as fast or faster on the rest.
FAILING_WORLDS: dict[str, Two] = {
    "refuses the hardest 25 % at once": Two(refuses=0.25),
    "refuses the hardest 25 %, 1.3x faster": Two(ratio=RATIO, refuses=0.25),
    "refuses the hardest 3 %, 1.3x faster": Two(ratio=RATIO, refuses=0.03),
    "times out on 15 % of the hardest fifth": Two(times_out=0.15),
    "times out on 15 % of the hardest fifth, 1.3x faster": Two(ratio=RATIO, times_out=0.15),
    "a shorter limit": Two(ratio=RATIO, short_limit=True),
}
_WON = ("faster", "cheaper")
_LOST = ("slower", "dearer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Shares of runs in which b is called faster, slower, cheaper, dearer, or its accuracy different."""

    faster: float
    slower: float
    cheaper: float
    dearer: float
    accuracy: float


def verdict_cell(world: Two, problems: int, rounds: int, *, runs: int, seed: int) -> Said:
    """What is said of b in runs of a world."""
    rng = np.random.default_rng([seed, problems, rounds, 2])
    counts = dict.fromkeys(("faster", "slower", "cheaper", "dearer", "accuracy"), 0)
    for row, _ in judged(lambda: world.draw(rng, problems, rounds), rounds, runs, world.load):
        for figure, words in (("latency", ("faster", "slower")), ("cost", ("cheaper", "dearer"))):
            for word in words:
                counts[word] += row[f"{figure}_verdict"].startswith(word)
            # That a is slower, failures counted, is in favour of b.
            counts[words[0]] += row[f"{figure}_verdict"].startswith(f"the first is {words[1]}")
        counts["accuracy"] += row["accuracy_verdict"].startswith(("more", "less"))
    return Said(**{name: count / runs for name, count in counts.items()})


def claim_cell(name: str, problems: int, rounds: int, *, runs: int, seed: int) -> tuple[float, float]:
    """Shares of runs in which the claim of a world holds, and does not hold."""
    world = CLAIM_WORLDS[name]
    rng = np.random.default_rng([seed, problems, rounds, 3])
    said = []
    sizes = {model: ModelRow(parameters=round(count)) for model, count in world.parameters.items()}
    for cube, manifest in drawn_cubes(lambda: world.draw(rng, problems, rounds), rounds, runs):
        sized = structs.replace(manifest, models=sizes)
        claims = judge_claims([cube], [np.empty((0, problems))], sized, only=world.letter)
        said += [claim.verdict for claim in claims]
    return said.count("holds") / runs, said.count("does not hold") / runs


def share_reliability(worlds: int, resamples: int, seed: int = 2) -> list[tuple[str, int, float, float]]:
    """Bins of the bootstrap share on the latency frontier: (bin, points, mean share, share truly on the frontier).

    Worlds of 8 points whose true accuracies (.3 to .9) and mean lengths (times .5 to 2) are drawn evenly, 200 problems.
    """
    rng = np.random.default_rng(seed)
    shares, truths = [], []
    for _ in range(worlds):
        accuracy, times = rng.uniform(0.3, 0.9, 8), np.exp(rng.uniform(math.log(0.5), math.log(2.0), 8))
        hardness, tokens = rng.random((200, 1)), np.minimum(lengths(rng, 200, sides=1)[0], BUDGET)[:, None]
        mixed = np.where(rng.random((200, 8)) < 0.7, hardness, rng.random((200, 8)))
        correct = (mixed < accuracy).astype(np.float64)
        latency = tokens * times * 0.01 * np.exp(rng.normal(0, 0.3, (200, 8)))
        weights = draw_weights(200, resamples, int(rng.integers(2**31)))
        on = on_frontier(weights @ latency / 200, weights @ correct / 200)
        shares.append(on.mean(axis=0))
        truths.append(on_frontier(times[None, :], accuracy[None, :])[0])
    share, truth = np.concatenate(shares), np.concatenate(truths)
    edges = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
    rows = []
    for low, high in pairwise(edges):
        own = (share >= low) & ((share < high) | (high == 1.0))
        if own.any():
            rows.append(
                (f"{low:.2f} to {high:.2f}", int(own.sum()), float(share[own].mean()), float(truth[own].mean()))
            )
    return rows


def print_intervals(runs: int, seed: int) -> None:
    """Coverage of every interval, by world and design."""
    print(f"| world | n | rounds | {' | '.join(INTERVALS)} |\n|{'---|' * (3 + len(INTERVALS))}")
    for name, world in COVERED.items():
        truth = true_figures(world)
        for problems, rounds in DESIGNS:
            cell = coverage_cell(world, problems, rounds, runs=runs, seed=seed, truth=truth)
            shown = " | ".join(f"{100 * share:.1f}" for share in cell)
            print(f"| {name} | {problems} | {rounds} | {shown} |", flush=True)


def _print_verdicts(worlds: dict[str, Two], runs: int, seed: int, designs: Sequence[tuple[int, int]]) -> None:
    heads = ("faster", "slower", "cheaper", "dearer", "accuracy")
    print(f"\n| world | n | rounds | {' | '.join(heads)} |\n|{'---|' * (3 + len(heads))}")
    for name, world in worlds.items():
        for problems, rounds in designs:
            said = verdict_cell(world, problems, rounds, runs=runs, seed=seed)
            shown = " | ".join(f"{100 * getattr(said, head):.1f}" for head in heads)
            print(f"| {name} | {problems} | {rounds} | {shown} |", flush=True)


def print_verdicts(runs: int, seed: int) -> None:
    """False verdicts of settings that do not differ."""
    _print_verdicts(NULL_WORLDS, runs, seed, DESIGNS)


def print_failures(runs: int, seed: int) -> None:
    """What is said of a setting that fails what is hard."""
    _print_verdicts(FAILING_WORLDS, runs, seed, ((100, 4), (500, 3), (500, 10)))


def print_claims(runs: int, seed: int) -> None:
    """Each claim at its exact boundary."""
    print("\n| claim | world | n | rounds | holds | does not hold |\n|---|---|---|---|---|---|")
    for name, world in CLAIM_WORLDS.items():
        for problems, rounds in ((200, 3), (500, 10)):
            if rounds < world.least_rounds:
                continue
            holds, fails = claim_cell(name, problems, rounds, runs=runs, seed=seed)
            shown = f"{100 * holds:.1f} | {100 * fails:.1f}"
            print(f"| {world.letter} | {name} | {problems} | {rounds} | {shown} |", flush=True)


def print_power(runs: int, seed: int) -> None:
    """How often a true 1.05x is found between settings that give the same texts, requests differing by 5 %."""
    print("\n| true ratio | sigma of lengths | n | rounds | found |\n|---|---|---|---|---|")
    for sigma, problems, rounds in ((0.9, 500, 10), (1.2, 500, 10), (1.2, 500, 5), (1.2, 501, 3)):
        said = verdict_cell(Two(ratio=1.05, noise=0.05, sigma=sigma), problems, rounds, runs=runs, seed=seed)
        print(f"| 1.05 | {sigma} | {problems} | {rounds} | {100 * said.faster:.1f} |", flush=True)


def print_shares(runs: int, seed: int) -> None:
    """What the bootstrap share of a point on the frontier is worth."""
    print("\n| bootstrap share | points | mean share | truly on the frontier |\n|---|---|---|---|")
    for name, count, share, truth in share_reliability(max(1, runs // 4), 1000, seed + 2):
        print(f"| {name} | {count} | {share:.2f} | {truth:.2f} |", flush=True)


_PRINTERS: dict[str, Callable[[int, int], None]] = {
    "intervals": print_intervals,
    "verdicts": print_verdicts,
    "failures": print_failures,
    "claims": print_claims,
    "power": print_power,
    "shares": print_shares,
}


def main() -> None:
    """Print the tables as Markdown, in per cent of runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    for part in options.only.split(","):
        begun = time.monotonic()
        print(f"\n{part}:", flush=True)
        _PRINTERS[part](options.runs, options.seed)
        print(f"\n{part}: {options.runs} runs a cell, {(time.monotonic() - begun) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
