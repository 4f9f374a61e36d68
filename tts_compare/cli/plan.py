"""``tts-compare plan``: every server command and the work, with no effects."""

from __future__ import annotations

import json
import os
import shlex
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_compare.cli.overrides import asked_by

if TYPE_CHECKING:
    from tts_compare.analysis.proof import Provable
    from tts_compare.analysis.tolerance import Tolerance
    from tts_compare.domain import Setting
    from tts_compare.experiment.estimate import Estimate
    from tts_compare.experiment.foresight import Foresight
    from tts_compare.experiment.prepare import Prepared


def plan_command(arguments: Namespace) -> int:
    """Print the plan."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client: a plan asks nobody
    from tts_compare.analysis.tolerance import parse_tolerance
    from tts_compare.experiment.estimate import estimate
    from tts_compare.experiment.foresight import foresee, foresight_lines
    from tts_compare.experiment.prepare import prepare

    tolerances = [parse_tolerance(text) for text in arguments.fail_on]
    prepared = prepare(asked_by(arguments).experiment(), fetch=False)
    guess, seen = estimate(prepared, Path("runs")), foresee(prepared)
    proofs = find_proofs(tolerances, prepared)
    if arguments.format == "json":
        prepared.require_settings()
        facts = plan_facts(prepared, guess, seen) | {"fail_on": [asdict(proof) for proof in proofs]}
        print(json.dumps(facts, indent=1, ensure_ascii=False))
        return 0
    for line in plan_lines(prepared):
        print(line)
    prepared.require_settings()
    print(f"\nat most {guess.tokens:,} generated tokens; about {guess.hours:.1f} hours ({guess.source})")
    print("\n".join(["", *foresight_lines(seen)]))
    for proof in proofs:
        print(f"--fail-on {proof.sentence}")
    return 0


def find_proofs(tolerances: Sequence[Tolerance], prepared: Prepared) -> list[Provable]:
    """What the planned run can show of each tolerance of ``diff --fail-on``, if nothing truly changes."""
    from tts_compare.analysis.proof import provable

    starts = prepared.experiment.rounds * prepared.experiment.repeats
    return [provable(tolerance, problems=prepared.problem_count, starts=starts) for tolerance in tolerances]


def plan_facts(prepared: Prepared, guess: Estimate, seen: Foresight | None) -> dict[str, Any]:
    """The plan as JSON values."""
    experiment = prepared.experiment
    return {
        "machine": asdict(prepared.machine),
        "dataset": prepared.dataset.name,
        "problems": prepared.problem_count,
        "rounds": experiment.rounds,
        "repeats": experiment.repeats,
        "prompt": prepared.prompt.name,
        "work": [asdict(item) for item in prepared.work],
        "settings": [{"setting": s.id, "command": _command(s, prepared)} for s in prepared.settings],
        "left_out": [{"setting": item.setting.id, "reason": item.reason} for item in prepared.left_out],
        "server_starts": len(prepared.blocks),
        "requests": _requests(prepared),
        "tokens_at_most": guess.tokens,
        "hours": guess.hours,
        "hours_source": guess.source,
        "power": seen.to_json() if seen else None,
        "doubts": [asdict(doubt) for doubt in prepared.doubts],
    }


def plan_lines(prepared: Prepared) -> Iterator[str]:
    """The plan in words: machine, data, settings with their commands, work."""
    experiment, machine = prepared.experiment, prepared.machine
    yield f"machine    {machine.devices} x {machine.device} ({', '.join(machine.gpu_names) or machine.cpu_model})"
    sampled = f", a sample stratified by level (seed {experiment.sampling.seed})" if experiment.problems else ""
    unread = "" if prepared.dataset.problems else " (not at hand; its published size)"
    yield f"problems   {prepared.problem_count} of {prepared.dataset.name}{sampled}{unread}"
    if experiment.rounds > 1:
        share = prepared.problem_count // experiment.rounds
        yield f"rounds     {experiment.rounds}, {share} problems or one more in each"
    yield f"prompt     {prepared.prompt.name} ({prepared.prompt.kind})"
    for work in prepared.work:
        derived = f", {', '.join(map(str, work.derived_budgets))} cut from it" if work.derived_budgets else ""
        check = f", a spot check of {work.problem_limit} problems" if work.spot_check else ""
        what = f"{work.method}, budget {work.budget}{derived}{check}"
        yield f"work       {what}, load {work.load}, {_samples(work.samples)}"
    for setting in prepared.settings:
        yield f"\n{setting.id}"
        yield f"  {_command(setting, prepared)}"
    for item in prepared.left_out:
        yield f"\n{item.setting.id}\n  left out: {item.reason}"
        yield f"  {_command(item.setting, prepared)}"
    for doubt in prepared.doubts:
        yield f"\ndoubt: {doubt.message}" + (f" ({doubt.advice})" if doubt.advice else "")
    yield f"\n{len(prepared.settings)} settings, {len(prepared.blocks)} server starts, {_requests(prepared):,} requests"


def _requests(prepared: Prepared) -> int:
    """Requests at least: a method may make several of one sample."""
    count = prepared.problem_count
    of_a_setting = sum(min(work.problem_limit or count, count) * work.samples for work in prepared.work)
    return len(prepared.settings) * prepared.experiment.repeats * of_a_setting


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count} samples"


def _command(setting: Setting, prepared: Prepared) -> str:
    """As it will be run, but for the interpreter's path and the port, which are chosen when it starts."""
    from tts_compare.launchers import example

    if setting.base_url is not None:
        return f"attach to {setting.base_url}"
    environment, argv = example(setting, prepared.machine, prepared.facts[setting.model])
    return " ".join([*(f"{key}={shlex.quote(value)}" for key, value in environment.items()), shlex.join(argv)])
