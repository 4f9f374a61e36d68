"""Runs whose truth is known: records, grades and a manifest drawn from a small model of an engine.

A response is as long as its problem wants (lognormal), cut at the budget; it is right where its problem is solved and
the response was not cut; its latency is (ttft + (tokens - 1) x tpot) x (effect of the start) x (noise of the request).
With rounds every setting starts once a round and answers that round's share of the problems: problem i is of round
i mod rounds, so that shares are equal within one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from tts_compare.analysis.schema import grade_schema, record_schema
from tts_compare.domain import Grade, RequestError, RequestRecord, Setting, Speculation, Timeline

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One setting and how fast it truly is. rewrites: share of responses whose text it changes (and redraws)."""

    backend: str = "vllm"
    model: str = "tiny"
    tensor_parallel: int = 1
    speculation: str = "none"
    ttft_s: float = 0.05
    tpot_s: float = 0.01
    failure_share: float = 0.0
    rewrites: float = 0.0

    @property
    def setting(self) -> Setting:
        """The setting it plays."""
        return Setting(
            backend=self.backend,
            model=self.model,
            tensor_parallel=self.tensor_parallel,
            speculation=Speculation(kind=self.speculation),  # type: ignore[arg-type]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is drawn. accuracy: share of problems solved without a cap; start_sd, noise_sd: of log latency.

    rounds: shares the problems are split into, each with a start (and a start's effect) of its own.
    """

    engines: tuple[Engine, ...] = (Engine(),)
    budgets: tuple[int, ...] = (1024,)
    problems: int = 50
    samples: int = 1
    repeats: int = 1
    rounds: int = 1
    load: str = "c1"
    method: str = "truncate"
    accuracy: float = 0.6
    mixed: float = 0.0
    median_tokens: float = 300.0
    sigma: float = 0.9
    start_sd: float = 0.0
    noise_sd: float = 0.02
    timelines: bool = False
    chunk_tokens: int = 1
    single_pass: bool = False
    vote_sizes: tuple[int, ...] = ()
    policy: str = "any"
    parameters: dict[str, int] = field(default_factory=lambda: {"tiny": 100_000_000})
    gpu_hour_usd: float | None = 2.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """The three inputs of ``analyse``."""

    records: pl.DataFrame
    grades: pl.DataFrame
    manifest: dict[str, Any]


def problem_ids(count: int) -> list[str]:
    """Names of the problems."""
    return [f"p{i:04d}" for i in range(count)]


def share_of(world: World, number: int) -> Any:
    """Indices of the problems of one round."""
    return np.arange(number, world.problems, world.rounds)


def make_run(world: World) -> Run:
    """Draw a whole run. Deterministic in ``world.seed``; the problems are the same in every setting."""
    lengths, solved = _problems(world)
    record_parts: list[dict[str, Any]] = []
    clock = 10**9
    rng = np.random.default_rng([world.seed, 1])
    for engine, repeat, number in product(world.engines, range(world.repeats), range(world.rounds)):
        start = math.exp(rng.normal(0.0, world.start_sd) - world.start_sd**2 / 2)
        share = share_of(world, number)
        for budget in (max(world.budgets),) if world.single_pass else world.budgets:
            wants, right = (drawn[share] for drawn in _answers(world, engine, lengths, solved, rng))
            part = _requests(
                world,
                engine,
                repeat=repeat,
                number=number,
                budget=budget,
                wants=wants,
                start=start,
                rng=rng,
                clock=clock,
            )
            part["right"] = right.ravel() & (wants.ravel() <= budget)
            part["wants"] = wants.ravel()
            clock = int(np.max(part["end_ns"])) + 10**9
            record_parts.append(part)
    columns = [name for name in record_parts[0] if name not in ("right", "wants")]
    schema = record_schema(optional=world.timelines)
    records = pl.concat([_frame({c: part[c] for c in columns}, schema) for part in record_parts])
    grades = pl.concat([_grades(world, part) for part in record_parts])
    if world.vote_sizes:
        grades = pl.concat([grades, _votes(world, grades)])
    return Run(records=records, grades=grades, manifest=make_manifest(world))


def _problems(world: World) -> tuple[dict[str, FloatArray], dict[str, Any]]:
    """Per model: wanted lengths and whether solved, (problems, samples); a model's accuracy is the world's.

    mixed = 0: every sample of a problem has one fate; above it, a problem's chance is Beta distributed with that
    much of the variance left to the samples.
    """
    lengths, solved = {}, {}
    for number, model in enumerate(dict.fromkeys(engine.model for engine in world.engines)):
        rng = np.random.default_rng([world.seed, 2, number])
        shape = (world.problems, world.samples)
        own = rng.normal(0.0, world.sigma, (world.problems, 1))
        within = rng.normal(0.0, 0.3, shape) if world.samples > 1 else 0.0
        lengths[model] = np.maximum(4.0, np.round(world.median_tokens * np.exp(own + within)))
        if world.mixed > 0.0:
            weight = world.mixed / (1.0 - world.mixed)
            chance = rng.beta(world.accuracy * weight, (1 - world.accuracy) * weight, (world.problems, 1))
            solved[model] = rng.random(shape) < chance
        else:
            solved[model] = np.broadcast_to(rng.random((world.problems, 1)) < world.accuracy, shape).copy()
    return lengths, solved


def _answers(
    world: World, engine: Engine, lengths: dict[str, FloatArray], solved: dict[str, Any], rng: np.random.Generator
) -> tuple[FloatArray, Any]:
    wants, right = lengths[engine.model], solved[engine.model]
    if engine.rewrites:
        redrawn = rng.random(wants.shape) < engine.rewrites
        wants = np.where(redrawn, np.maximum(4.0, np.round(wants * np.exp(rng.normal(0, 0.3, wants.shape)))), wants)
        right = np.where(redrawn, rng.random(wants.shape) < world.accuracy, right)
    return wants, right


def _requests(
    world: World,
    engine: Engine,
    *,
    repeat: int,
    number: int,
    budget: int,
    wants: FloatArray,
    start: float,
    rng: np.random.Generator,
    clock: int,
) -> dict[str, Any]:
    tokens = np.minimum(wants, budget).ravel().astype(np.int64)
    count = tokens.size
    noise = np.exp(rng.normal(0.0, world.noise_sd, count) - world.noise_sd**2 / 2) * start
    ttft, gap = engine.ttft_s * noise, engine.tpot_s * noise
    latency_ns = ((ttft + (tokens - 1) * gap) * 1e9).astype(np.int64)
    width = int(world.load[1:]) if world.load.startswith("c") else 1
    sent = np.empty(count, dtype=np.int64)
    for slot in range(width):
        busy = latency_ns[slot::width] + 10**6
        sent[slot::width] = clock + np.cumsum(busy) - busy
    failed = rng.random(count) < engine.failure_share
    setting = engine.setting.id
    ids = [problem_ids(world.problems)[i] for i in share_of(world, number)]
    last = sent + latency_ns
    part: dict[str, Any] = {
        "setting": [setting] * count,
        "method": [world.method] * count,
        "budget": np.full(count, budget),
        "load": [world.load] * count,
        "problem": np.repeat(ids, world.samples),
        "sample": np.tile(np.arange(world.samples), len(ids)),
        "call": np.zeros(count, dtype=np.int64),
        "repeat": np.full(count, repeat),
        "round": np.full(count, number),
        "session": np.zeros(count, dtype=np.int64),
        "limit_wait_ns": np.zeros(count, dtype=np.int64),
        "attempt": np.zeros(count, dtype=np.int64),
        "phase": ["measured"] * count,
        "request_id": [f"{setting}-{repeat}-{number}-{budget}-{i}" for i in range(count)],
        "scheduled_ns": sent - 1000,
        "sent_ns": sent,
        "first_byte_ns": sent + (ttft * 0.9e9).astype(np.int64),
        "first_token_ns": sent + (ttft * 1e9).astype(np.int64),
        "first_answer_ns": sent + (ttft * 1e9).astype(np.int64),
        "last_token_ns": last,
        "end_ns": last + 200_000,
        "prompt_tokens": np.full(count, 80),
        "completion_tokens": tokens,
        "tokens_source": ["usage"] * count,
        "finish_reason": np.where(failed, None, np.where(wants.ravel() > budget, "length", "stop")),  # type: ignore[call-overload]
        "error_kind": np.where(failed, "timeout_total", None),  # type: ignore[call-overload]
    }
    if world.timelines:
        part |= _streams(world, tokens, ttft, gap, wants.ravel())
    return part


def _streams(world: World, tokens: Any, ttft: FloatArray, gap: FloatArray, wants: FloatArray) -> dict[str, Any]:
    """Timelines of chunks of ``chunk_tokens`` and a text of 4 characters a token that its length determines."""
    us, gained, chars, texts = [], [], [], []
    for count, first, each, want in zip(tokens.tolist(), ttft, gap, wants.tolist(), strict=True):
        steps = [world.chunk_tokens] * (count // world.chunk_tokens)
        if count % world.chunk_tokens:
            steps.append(count % world.chunk_tokens)
        ends = np.cumsum(steps) - 1
        instants = np.round((first + ends * each) * 1e6).astype(np.int64)
        us.append(np.diff(instants, prepend=0).tolist())
        gained.append(steps)
        chars.append([4 * step for step in steps])
        texts.append("".join(f"{(i * 7 + int(want)) % 1000:03d} " for i in range(count)))
    return {
        "text": texts,
        "reasoning": [""] * len(texts),
        "timeline_us": us,
        "timeline_tokens": gained,
        "timeline_chars": chars,
    }


def _frame(columns: dict[str, Any], schema: dict[str, Any]) -> pl.DataFrame:
    """Columns cast to the schema, missing ones null."""
    count = len(columns["setting"])
    series = []
    for name, kind in schema.items():
        values = columns.get(name)
        values = values.tolist() if isinstance(values, np.ndarray) and values.dtype == object else values
        series.append(pl.Series(name, values if values is not None else [None] * count, dtype=kind, strict=False))
    return pl.DataFrame(series)


def _grades(world: World, part: dict[str, Any]) -> pl.DataFrame:
    fine = np.array([kind is None for kind in part["error_kind"].tolist()])
    key = ("setting", "method", "budget", "load", "problem", "sample", "call", "repeat", "attempt")
    columns = {name: np.asarray(part[name])[fine] for name in key}
    count = int(fine.sum())
    columns |= {"policy": [world.policy] * count, "layer": ["synthetic"] * count, "grader_version": ["1"] * count}
    right, wants = np.asarray(part["right"])[fine], part["wants"][fine]
    smaller = [b for b in world.budgets if b < max(world.budgets)] if world.single_pass else []
    frames = [columns | {"status": np.where(right, "correct", "incorrect").tolist(), "cut_tokens": [None] * count}]
    for budget in smaller:
        status = np.where(right & (wants <= budget), "correct", "no_answer").tolist()
        frames.append(columns | {"status": status, "cut_tokens": np.full(count, budget)})
    return pl.concat([_frame(frame, grade_schema()) for frame in frames])


def _votes(world: World, grades: pl.DataFrame) -> pl.DataFrame:
    """Votes of m samples where wrong answers all differ and two right ones win: right when at least two are right,
    or the first voter is. Scores are exact expectations over subsets.
    """
    key = ["setting", "method", "budget", "load", "problem", "repeat", "policy", "call", "attempt"]
    rows = []
    for group, own in grades.group_by(key, maintain_order=True):
        right = int((own["status"] == "correct").sum())
        k = own.height
        for m in world.vote_sizes:
            total = math.comb(k, m)
            none = math.comb(k - right, m) / total
            one = right * math.comb(k - right, m - 1) / total
            score = (1.0 - none - one) + one / m
            row = dict(zip(key, group, strict=True)) | {"samples": m, "score": score}
            rows.append(row | {"status": "correct", "layer": "vote", "grader_version": "1"})
    return pl.DataFrame(rows, schema=grade_schema())


def make_manifest(world: World) -> dict[str, Any]:
    """A manifest with all that the analysis reads."""
    settings = {}
    for engine in world.engines:
        setting = engine.setting
        settings[setting.id] = {
            "backend": setting.backend,
            "version": None,
            "engine_version": {"vllm": "0.32.0", "sglang": "0.5.23"}.get(setting.backend, "1"),
            "model": setting.model,
            "revision": None,
            "tensor_parallel": setting.tensor_parallel,
            "pipeline_parallel": 1,
            "data_parallel": 1,
            "devices": setting.devices,
            "device": "cuda",
            "speculation": {"kind": setting.speculation.kind, "num_tokens": 5, "lookup_min": 1, "lookup_max": 4},
            "dtype": "auto",
            "prefix_caching": False,
            "max_num_seqs": 16,
            "engine_args": [],
            "argv": [setting.backend, "serve", setting.model],
            "env": {},
            "base_url": None,
            "price": None,
            "startup_s": [12.5] * world.repeats * world.rounds,
        }
    return {
        "format": 1,
        "name": "synthetic",
        "created": "2026-01-01T00:00:00Z",
        "tts_compare_version": "0.1.0",
        "command": "tts-compare run",
        "experiment": {
            "budgets": list(world.budgets),
            "curve": "single-pass" if world.single_pass else "per-budget",
            "methods": [world.method],
            "samples": world.samples,
            "policy": world.policy,
            "repeats": world.repeats,
            "rounds": world.rounds,
            "shares": {i: n % world.rounds for n, i in enumerate(problem_ids(world.problems))},
            "gpu_hour_usd": world.gpu_hour_usd,
        },
        "settings": settings,
        "left_out": [],
        "failed": [],
        "models": {
            name: {"parameters": count, "hidden_size": 512, "num_layers": 12, "num_heads": 8, "head_dim": 64}
            for name, count in world.parameters.items()
        },
        "dataset": {
            "name": "synthetic",
            "path": None,
            "sha256": "0" * 64,
            "problems": [
                {
                    "id": i,
                    "problem": f"What is {i}?",
                    "answer": i,
                    "subject": "Algebra",
                    "level": 1 + n % 5,
                    "kind": "math",
                }
                for n, i in enumerate(problem_ids(world.problems))
            ],
        },
        "prompt": "plain",
        "sampling": {"temperature": 0.0 if world.samples == 1 else 0.6, "top_p": 1.0, "seed": 0},
        "clock": {"wall_ns": 0, "monotonic_ns": 0},
        "machine": {"cpu": "synthetic"},
        "seeds": {"sampling": 0},
        "doubts": [],
        "server_metrics": {},
    }


def engines_grid(
    backends: Sequence[str] = ("vllm", "sglang"),
    models: Sequence[str] = ("tiny",),
    tensor_parallels: Sequence[int] = (1, 2),
    speculations: Sequence[str] = ("none", "ngram"),
) -> tuple[Engine, ...]:
    """The paper's shape: n-gram drafts make decoding 1.4x faster, two ranks 1.3x, sglang 1.1x."""
    return tuple(
        Engine(
            backend=backend,
            model=model,
            tensor_parallel=ranks,
            speculation=drafts,
            tpot_s=0.01
            / (1.3 ** math.log2(ranks))
            / (1.4 if drafts != "none" else 1.0)
            / (1.1 if backend == "sglang" else 1.0),
        )
        for backend in backends
        for model in models
        for ranks in tensor_parallels
        for drafts in speculations
    )


def record_rows(run: Run) -> list[RequestRecord]:
    """The records as the domain's values, to be written to a run directory."""
    timeline = ("timeline_us", "timeline_tokens", "timeline_chars")
    found = []
    for row in run.records.iter_rows(named=True):
        us, tokens, chars = (tuple(row.pop(name, None) or ()) for name in timeline)
        kind, status, message = (row.pop(f"error_{name}") for name in ("kind", "status", "message"))
        row |= {name: row[name] or 0 for name in ("round", "session", "limit_wait_ns")}
        plain = {k: v for k, v in row.items() if k not in ("doubts", "token_ids", "text", "reasoning")}
        found.append(
            replace(
                RequestRecord(**plain, text=row.get("text") or "", reasoning=row.get("reasoning") or ""),
                timeline=Timeline(us=us, tokens=tokens, chars=chars),
                doubts=tuple(row["doubts"] or ()),
                error=RequestError(kind=kind, status=status, message=message or "") if kind else None,
            )
        )
    return found


def grade_rows(run: Run) -> list[Grade]:
    """The grades as the domain's values."""
    return [Grade(**row) for row in run.grades.iter_rows(named=True)]
