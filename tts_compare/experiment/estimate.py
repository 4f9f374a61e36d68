"""How long a run may take: from what earlier runs on this machine measured, else a guess that says it is one."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.domain import Work
from tts_compare.experiment.prepare import Prepared
from tts_compare.launchers import manifest_facts
from tts_compare.methods import METHODS
from tts_compare.pacing import Concurrent, parse_load

GUESSED_TOKENS_PER_S = {"cpu": 15.0, "cuda": 60.0}
GUESSED_STARTUP_S = {"cpu": 45.0, "cuda": 90.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Tokens at most, hours at that many tokens, and what the figures rest on."""

    tokens: int
    hours: float
    source: str


def estimate(prepared: Prepared, runs: Path) -> Estimate:
    """Upper bound on the tokens; hours by the token rate and start-up time of runs under ``runs``."""
    tokens = [_most_tokens(work, prepared.problem_count) for work in prepared.work]
    starts = len(prepared.blocks)
    passes = len(prepared.settings) * prepared.experiment.repeats  # rounds share the problems between their starts
    models = {setting.model for setting in prepared.settings}
    measured = list(_measured(runs, manifest_facts(prepared.machine), models))
    device = prepared.machine.device
    if measured:
        rate = statistics.median(rate for rate, _ in measured)
        startup_s = statistics.median(startup for _, startup in measured)
        source = f"the median of {len(measured)} settings measured on this machine with the same model"
    else:
        rate, startup_s = GUESSED_TOKENS_PER_S[device], GUESSED_STARTUP_S[device]
        source = f"a guess: {rate:g} tokens/s a stream, {startup_s:g} s a start; nothing here has measured it yet"
    loads = [parse_load(work.load) for work in prepared.work]
    streams = [load.n if isinstance(load, Concurrent) else 1 for load in loads]
    work_s = sum(made / (rate * width) for made, width in zip(tokens, streams, strict=True))
    hours = (starts * startup_s + passes * work_s) / 3600
    return Estimate(tokens=sum(tokens) * passes, hours=hours, source=source)


def _most_tokens(work: Work, problems: int) -> int:
    most = METHODS[work.method].most_generated(work.budget, dict(work.options))
    return most * work.samples * min(work.problem_limit or problems, problems)


def _measured(runs: Path, machine: Mapping[str, Any], models: set[str]) -> Iterator[tuple[float, float]]:
    """(tokens per second of one stream, seconds to start) of each setting of earlier runs here."""
    for path in sorted(runs.glob("*/manifest.json"))[-20:]:
        try:
            manifest = json.loads(path.read_bytes())
            points = json.loads((path.parent / "points.json").read_bytes())
        except (OSError, ValueError):
            continue
        if manifest.get("machine") != machine:
            continue
        for setting, facts in manifest["settings"].items():
            tpot = [p["tpot_mean_s"] for p in points if p["setting"] == setting and p.get("tpot_mean_s")]
            if facts["model"] in models and tpot and facts["startup_s"]:
                yield 1 / statistics.median(tpot), statistics.median(facts["startup_s"])
