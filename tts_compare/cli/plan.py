"""``tts-compare plan``: what an experiment would take on a machine, and every server command; it starts nothing."""

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
from tts_compare.machine.gpus import amd_gpus

if TYPE_CHECKING:
    from tts_compare.analysis.findings.proof import Provable
    from tts_compare.analysis.findings.tolerance import Tolerance
    from tts_compare.domain import Setting
    from tts_compare.machine import PlannedMachine
    from tts_compare.plan.prepare import Prepared

RUNS = Path("runs")


def plan_command(arguments: Namespace) -> int:
    """Print the plan."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client: a plan asks nobody
    from tts_compare.analysis.findings.tolerance import parse_tolerance
    from tts_compare.errors import UsageError
    from tts_compare.machine import machine_from
    from tts_compare.plan.cheaper import cheaper_designs, cheaper_lines
    from tts_compare.plan.estimate import plan
    from tts_compare.plan.foresight import foresee, foresight_lines
    from tts_compare.plan.inputs import design_of
    from tts_compare.plan.prepare import prepare
    from tts_compare.plan.summary import as_json, summary

    tolerances = [parse_tolerance(text) for text in arguments.fail_on]
    experiment = asked_by(arguments).experiment()
    planned = machine_from(arguments.machine) if arguments.machine else None
    if planned and experiment.device == "cpu":
        raise UsageError("--machine plans for GPUs: give it without --device cpu")
    prepared = prepare(experiment, fetch=False, machine=planned.probed() if planned else None)
    design, seen = design_of(prepared, planned, runs=RUNS), foresee(prepared)
    made, less = plan(design), cheaper_designs(seen, design)
    proofs = find_proofs(tolerances, prepared)
    findings = [
        *foresight_lines(seen),
        *cheaper_lines(less, seen),
        *(f"--fail-on {proof.sentence}" for proof in proofs),
    ]
    if arguments.format == "json":
        judged = {"power": seen.to_json() if seen else None, "fail_on": [asdict(proof) for proof in proofs]}
        judged["cheaper"] = [one.to_json() for one in less]
        facts = as_json(made, findings=findings) | _design_facts(prepared) | judged
        print(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        for line in (
            *head_lines(prepared, planned),
            *summary(made, findings=findings),
            *(command_lines(prepared) if arguments.commands else ()),
        ):
            print(line)
    prepared.require_settings()
    if not any(one.fits for one in made.settings):
        raise UsageError("no setting fits: " + "; ".join(f"{one.id}: {one.reason}" for one in made.settings))
    return 0


def find_proofs(tolerances: Sequence[Tolerance], prepared: Prepared) -> list[Provable]:
    """What the planned run can show of each tolerance of ``diff --fail-on``, if nothing truly changes."""
    from tts_compare.analysis.findings.proof import provable

    starts = prepared.experiment.rounds * prepared.experiment.repeats
    return [provable(tolerance, problems=prepared.problem_count, starts=starts) for tolerance in tolerances]


def head_lines(prepared: Prepared, planned: PlannedMachine | None) -> Iterator[str]:
    """The machine, the data, the work and what weakens the comparison; planned: a machine that is not this one."""
    experiment, machine = prepared.experiment, prepared.machine
    names = ", ".join(dict.fromkeys(machine.gpu_names)) or machine.cpu_model
    yield "machine    " + (str(planned) if planned else f"{machine.devices} x {machine.device} ({names})")
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
    if planned is None and machine.device == "cpu" and (count := amd_gpus()):
        yield f"warning    this machine has {count} AMD GPUs, which are not supported: the plan is for its processor"
    for warning in prepared.doubts:
        yield f"warning    {warning.message}" + (f" ({warning.advice})" if warning.advice else "")


def _design_facts(prepared: Prepared) -> dict[str, Any]:
    """What ``--format json`` says of the design beside the plan of it."""
    return {
        "dataset": prepared.dataset.name,
        "problems": prepared.problem_count,
        "rounds": prepared.experiment.rounds,
        "repeats": prepared.experiment.repeats,
        "work": [asdict(work) for work in prepared.work],
        "warnings": [asdict(warning) for warning in prepared.doubts],
    }


def command_lines(prepared: Prepared) -> Iterator[str]:
    """The command of every setting that can run."""
    for setting in prepared.settings:
        yield f"\n{setting.id}"
        yield f"  {_command(setting, prepared)}"


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count} samples"


def _command(setting: Setting, prepared: Prepared) -> str:
    """As it will be run, but for the interpreter's path and the port, which are chosen when it starts."""
    from tts_compare.launchers import example

    if setting.base_url is not None:
        return f"attach to {setting.base_url}"
    environment, argv = example(setting, prepared.machine, prepared.facts[setting.model])
    return " ".join([*(f"{key}={shlex.quote(value)}" for key, value in environment.items()), shlex.join(argv)])
