"""Runs of known truth for ``benchmarks.coverage``: outcomes drawn from a small model, as the product's cube takes them.

Lengths are lognormal (median 2,000 tokens, sigma 1.2: the longest tenth about 100 times the shortest) and cut at the
budget. A server start multiplies all latencies of its round, a request its own; both have mean 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tts_compare.analysis.statistics.cube import TIMED, Cube, cubes
from tts_compare.domain import Speculation
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

MEDIAN, SIGMA = 2000.0, 1.2
BUDGET = 16_384
TTFT_S, TPOT_S = 0.05, 0.01
TOTAL_S = 600.0
#: The quantiles of the standard normal distribution.
_GRID = (np.arange(20_000) + 0.5) / 20_000
_NORMAL = (_GRID, np.array([NormalDist().inv_cdf(q) for q in _GRID]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One point: what each problem took. All arrays are (problems,).

    facts: of the setting in the manifest. failed: the outcome is a failure, and latency_s what it took until then.
    died: its server did, in some round.
    """

    name: str
    latency_s: Floats
    tokens: Floats
    correct: Floats
    failed: Flags | None = None
    budget: int = BUDGET
    limits: str = '{"total_s": 600}'
    facts: SettingFacts | None = None
    died: bool = False


def lengths(
    rng: np.random.Generator, problems: int, *, correlation: float = 1.0, sides: int = 2, sigma: float = SIGMA
) -> list[Floats]:
    """What each side's responses want to be long, (problems,), with this correlation of their logarithms.

    Problems come of five levels of equal size and are laid out by level, as a stratified sample that is dealt to rounds
    is. A level says a quarter of the variance of what two sides share of the logarithm.
    """
    level = np.arange(problems) * 5 // problems
    score = np.interp((level + rng.random(problems)) / 5.0, *_NORMAL)
    shared = 0.5 * score + math.sqrt(0.75) * rng.normal(size=problems)
    found = []
    for _ in range(sides):
        logs = shared
        if correlation < 1.0:
            logs = math.sqrt(correlation) * shared + math.sqrt(1.0 - correlation) * rng.normal(size=problems)
        found.append(np.maximum(1.0, np.round(MEDIAN * np.exp(sigma * logs))))
    return found


def starts(rng: np.random.Generator, rounds: int, deviation: float, *, kind: str = "normal") -> Floats:
    """(rounds,) effects of the starts of one setting.

    kind: normal; slow, where one in 20 takes half as long again; modes, where every other one takes a tenth longer.
    """
    effects = np.exp(rng.normal(-(deviation**2) / 2, deviation, rounds))
    if kind == "slow":
        effects = effects * np.where(rng.random(rounds) < 0.05, 1.5, 1.0)
    if kind == "modes":
        effects = effects * np.where(rng.random(rounds) < 0.5, 1.1, 1.0)
    return np.asarray(effects, dtype=np.float64)


def seconds(rng: np.random.Generator, tokens: Floats, effects: Floats, *, noise: float, concurrency: int = 1) -> Floats:
    """(problems,) latencies; at a concurrency above 1 the requests of a batch, of one round, share their noise."""
    number = round_of(tokens.size, effects.size)
    # The place of a problem in its round says its batch.
    batch = np.arange(tokens.size) // effects.size // concurrency * effects.size + number
    shaken = np.exp(rng.normal(-(noise**2) / 2, noise, int(batch.max()) + 1))[batch]
    return np.asarray((TTFT_S + (tokens - 1) * TPOT_S) * effects[number] * shaken, dtype=np.float64)


def round_of(problems: int, rounds: int) -> NDArray[np.int64]:
    """(problems,) the round of each, shares equal but for one."""
    return np.arange(problems) % rounds


def cubes_of(runs: Sequence[Sequence[Side]], rounds: int, *, load: str = "c1") -> list[Cube]:
    """The product's cube of each run.

    All runs go through the product as one whose problems are those of all, which is what they would give one by one
    (cells, and what failures are charged, are a matter of single problems) and many times as fast.
    """
    problems = runs[0][0].tokens.size
    number = np.tile(round_of(problems, rounds), len(runs))
    names = [f"{i:07d}" for i in range(number.size)]
    whole = [_joined([run[point] for run in runs]) for point in range(len(runs[0]))]
    (cube,) = cubes(pl.concat([_outcomes(side, names, number, load) for side in whole]))
    return [_part(cube, slice(run * problems, (run + 1) * problems)) for run in range(len(runs))]


def _joined(sides: Sequence[Side]) -> Side:
    """One point of several runs as one."""
    failed = [np.zeros(side.tokens.size, dtype=bool) if side.failed is None else side.failed for side in sides]
    return replace(
        sides[0],
        latency_s=np.concatenate([side.latency_s for side in sides]),
        tokens=np.concatenate([side.tokens for side in sides]),
        correct=np.concatenate([side.correct for side in sides]),
        failed=np.concatenate(failed),
    )


def _part(cube: Cube, own: slice) -> Cube:
    """The problems of one run."""

    def cells(figures: Mapping[str, Floats]) -> dict[str, Floats]:
        return {name: values[..., own] for name, values in figures.items()}

    return replace(
        cube,
        problems=cube.problems[own],
        rounds=cube.rounds[own],
        figures=cells(cube.figures),
        answered=cells(cube.answered),
        own=cells(cube.own),
        sent=cube.sent[..., own],
        failed=cube.failed[..., own],
        ungraded=cube.ungraded[..., own],
        failed_samples=cube.failed_samples[..., own],
        compared=cube.compared[own],
        answers=(),
    )


def _outcomes(side: Side, names: list[str], number: NDArray[np.int64], load: str) -> pl.DataFrame:
    facts = side.facts or SettingFacts(model="m", devices=1)
    failed = np.zeros(len(names), dtype=bool) if side.failed is None else side.failed
    devices = facts.devices or 1
    bill = side.latency_s * devices / (int(load[1:]) if load != "c1" else 1)
    figures = {
        "latency_s": side.latency_s,
        "request_s": side.latency_s,
        "tokens": np.where(failed, 0.0, side.tokens),
        "bill_gpu_s": bill,
        "usd": bill,
        "flops": side.tokens,
    }
    caps = {"latency_s": TOTAL_S, "request_s": TOTAL_S, "tokens": float(side.budget)}
    caps |= {"bill_gpu_s": TOTAL_S * devices, "usd": TOTAL_S * devices, "flops": float(side.budget)}
    return pl.DataFrame(
        {
            "problem": names,
            "round": number,
            "failed": failed,
            "ok": ~failed,
            "ending": np.where(failed, "failed", "answered"),
            "failed_samples": failed.astype(np.float64),
            "correct": np.where(failed, 0.0, side.correct),
            **figures,
        }
    ).with_columns(
        setting=pl.lit(side.name),
        method=pl.lit("truncate"),
        budget=pl.lit(side.budget, dtype=pl.Int64),
        load=pl.lit(load),
        samples=pl.lit(1, dtype=pl.Int64),
        policy=pl.lit("any"),
        provenance=pl.lit("measured"),
        **{name: pl.lit(None, dtype=pl.Float64) for name in TIMED},
        devices=pl.lit(devices, dtype=pl.Int64),
        model=pl.lit(facts.model or "m"),
        limits=pl.lit(side.limits),
        hosted=pl.lit(value=False),
        repeat=pl.lit(0, dtype=pl.Int64),
        ungraded=pl.lit(value=False),
        limit_wait_s=pl.lit(0.0),
        **{f"cap_{name}": pl.lit(cap) for name, cap in caps.items()},
    )


def setting(*, model: str = "m", drafts: bool = False, ranks: int = 1) -> SettingFacts:
    """The manifest's entry of a setting."""
    speculation = Speculation(kind="ngram" if drafts else "none")
    return SettingFacts(backend="vllm", model=model, tensor_parallel=ranks, devices=ranks, speculation=speculation)


def manifest_of(sides: Sequence[Side]) -> Manifest:
    """A manifest with what pairs read."""
    return Manifest(settings={side.name: side.facts or SettingFacts() for side in sides})
