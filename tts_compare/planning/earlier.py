"""What earlier runs measured, read from their manifests and points."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.planning.arguments import stated

_MOST_RUNS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierPoint:
    """One point of an earlier run, with what its setting was. None where the run does not say."""

    model: str
    """As the setting names it."""
    backend: str
    """The engine."""
    device: str
    """``cpu`` or ``cuda``."""
    hardware: tuple[str, ...]
    """What the driver calls the GPUs; on a CPU the processor's name alone."""
    gpu_memory_bytes: int | None
    """Memory of the smallest GPU."""
    dataset: str
    """The data set's name."""
    method: str
    """The method."""
    budget: int
    """The token budget."""
    load: str
    """``c8`` or ``r2.5``."""
    speculation: str
    """Its id."""
    draft_tokens: int
    """Tokens proposed a step; 0 without speculation."""
    tensor_parallel: int
    """Ranks of a layer."""
    pipeline_parallel: int
    """Stages."""
    dtype: str
    """As it was told to the engine."""
    threads: int
    """Threads of a rank on a CPU."""
    setting: str = ""
    """The setting's id."""
    data_parallel: int = 1
    """Replicas."""
    kv_dtype: str | None = None
    """``--kv-cache-dtype`` of its engine arguments."""
    samples: int = 1
    """Samples a vote is of."""
    side_by_side: int = 1
    """Samples of a problem that were sent at once, of which a vote may be of fewer."""
    tokens: float | None = None
    """Mean completion tokens a problem, of all its samples."""
    prompt_tokens: float | None = None
    """Mean tokens of one prompt."""
    token_s: float | None = None
    """Mean time per output token."""
    ttft_s: float | None = None
    """Mean time to first token."""
    accepted_length: float | None = None
    """Tokens a step yielded."""
    startup_s: float | None = None
    """Median of its server's starts."""


def earlier_points(runs: Path) -> tuple[EarlierPoint, ...]:
    """The measured points of the last 50 runs, by name, below a directory; runs that cannot be read are skipped."""
    return tuple(point for path in sorted(runs.glob("*/manifest.json"))[-_MOST_RUNS:] for point in _of_run(path))


def _of_run(path: Path) -> Iterator[EarlierPoint]:
    try:
        manifest = json.loads(path.read_bytes())
        points = json.loads((path.parent / "points.json").read_bytes())
        yield from points_in(manifest, points)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return


def points_in(manifest: Mapping[str, Any], points: Iterable[Mapping[str, Any]]) -> list[EarlierPoint]:
    """The points of one run whose setting is one of an engine of ours. Raises KeyError for a manifest that is none."""
    machine = manifest.get("machine") or {}
    device = machine.get("device", "cpu")
    hardware = tuple(machine.get("gpus") or ()) if device == "cuda" else (str(machine.get("cpu_model", "")),)
    found = []
    for point in points:
        facts = manifest["settings"].get(point["setting"])
        if facts is None or facts.get("devices") is None or point.get("failed"):
            continue
        speculation = facts.get("speculation") or {}
        starts = sorted(facts.get("startup_s") or ())
        kind = speculation.get("kind", "none")
        found.append(
            EarlierPoint(
                model=facts["model"],
                backend=facts["backend"],
                device=facts.get("device") or device,
                hardware=hardware,
                gpu_memory_bytes=machine.get("gpu_memory_bytes"),
                dataset=manifest["dataset"]["name"],
                method=point["method"],
                budget=point["budget"],
                load=point["load"],
                speculation=_id(speculation),
                draft_tokens=0 if kind == "none" else int(speculation.get("num_tokens", 0)),
                tensor_parallel=facts["tensor_parallel"],
                pipeline_parallel=facts["pipeline_parallel"],
                dtype=facts.get("dtype", "auto"),
                threads=facts.get("threads_per_rank") or 1,
                setting=point["setting"],
                data_parallel=facts.get("data_parallel") or 1,
                kv_dtype=stated(tuple(facts.get("engine_args") or ()), "--kv-cache-dtype"),
                samples=point.get("samples") or 1,
                side_by_side=_samples_sent(manifest, point),
                tokens=point.get("tokens_mean"),
                prompt_tokens=_prompt(manifest, point),
                token_s=point.get("tpot_mean_s"),
                ttft_s=point.get("ttft_mean_s"),
                accepted_length=point.get("acceptance_length"),
                startup_s=starts[len(starts) // 2] if starts else None,
            )
        )
    return found


def _samples_sent(manifest: Mapping[str, Any], point: Mapping[str, Any]) -> int:
    """Samples of a problem that the run sent for the point's method."""
    sent = [work.get("samples") or 1 for work in _works(manifest, point)]
    return max([point.get("samples") or 1, *sent])


def _prompt(manifest: Mapping[str, Any], point: Mapping[str, Any]) -> float | None:
    """Mean tokens of one prompt: a point sums those of its samples, unless they were choices of one request."""
    tokens = point.get("prompt_tokens_mean")
    if tokens is None:
        return None
    separate = any(
        ["requests", "separate"] in [list(o) for o in w.get("options") or ()] for w in _works(manifest, point)
    )
    return float(tokens / (point.get("samples") or 1)) if separate else float(tokens)


def _works(manifest: Mapping[str, Any], point: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    works = (manifest.get("experiment") or {}).get("work") or ()
    return [work for work in works if work.get("method") == point["method"]]


def _id(speculation: Mapping[str, Any]) -> str:
    from tts_compare.domain import Speculation

    return Speculation(**{k: v for k, v in speculation.items() if k in Speculation.__slots__}).id
