"""What earlier runs measured, read from their manifests and points."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.domain import Work
from tts_compare.errors import RunError
from tts_compare.plan.arguments import stated
from tts_compare.rundir import store
from tts_compare.rundir.manifest import Manifest

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
    """``--kv-cache-dtype`` of its engine arguments, or the setting's."""
    quantization: str = "none"
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
        manifest = store.read_manifest(store.RunDir(path.parent))
        points = json.loads((path.parent / "points.json").read_bytes())
        yield from points_in(manifest, points)
    except (OSError, RunError, ValueError, KeyError, TypeError, AttributeError):
        return


def points_in(manifest: Manifest, points: Iterable[Mapping[str, Any]]) -> list[EarlierPoint]:
    """The points of one run whose setting is one of an engine of ours."""
    machine = manifest.machine
    device = machine.device or "cpu"
    hardware = tuple(machine.gpus) if device == "cuda" else (machine.cpu_model,)
    found = []
    for point in points:
        facts = manifest.settings.get(point["setting"])
        if facts is None or facts.devices is None or point.get("failed"):
            continue
        starts = sorted(facts.startup_s)
        found.append(
            EarlierPoint(
                model=facts.model,
                backend=facts.backend,
                device=facts.device or device,
                hardware=hardware,
                gpu_memory_bytes=machine.gpu_memory_bytes,
                dataset=manifest.dataset.name,
                method=point["method"],
                budget=point["budget"],
                load=point["load"],
                speculation=facts.speculation.id,
                draft_tokens=0 if facts.speculation.kind == "none" else facts.speculation.num_tokens,
                tensor_parallel=facts.tensor_parallel,
                pipeline_parallel=facts.pipeline_parallel,
                dtype=facts.dtype,
                threads=facts.threads_per_rank or 1,
                setting=point["setting"],
                data_parallel=facts.data_parallel,
                kv_dtype=stated(facts.engine_args, "--kv-cache-dtype") or facts.kv_dtype,
                quantization=facts.quantization,
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


def _samples_sent(manifest: Manifest, point: Mapping[str, Any]) -> int:
    """Samples of a problem that the run sent for the point's method."""
    return max([point.get("samples") or 1, *(work.samples for work in _works(manifest, point))])


def _prompt(manifest: Manifest, point: Mapping[str, Any]) -> float | None:
    """Mean tokens of one prompt: a point sums those of its samples, unless they were choices of one request."""
    tokens = point.get("prompt_tokens_mean")
    if tokens is None:
        return None
    separate = any(("requests", "separate") in work.options for work in _works(manifest, point))
    return float(tokens / (point.get("samples") or 1)) if separate else float(tokens)


def _works(manifest: Manifest, point: Mapping[str, Any]) -> list[Work]:
    return [work for work in manifest.experiment.work if work.method == point["method"]]
