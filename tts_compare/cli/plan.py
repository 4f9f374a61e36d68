"""``tts-compare plan``: every server command and the work, with no effects."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tts_compare.cli.overrides import asked_by

if TYPE_CHECKING:
    from tts_compare.domain import Setting
    from tts_compare.experiment.prepare import Prepared


def plan_command(arguments: Namespace) -> int:
    """Print the plan."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client: a plan asks nobody
    from tts_compare.experiment.estimate import estimate
    from tts_compare.experiment.prepare import prepare

    prepared = prepare(asked_by(arguments).experiment(), fetch=False)
    for line in plan_lines(prepared):
        print(line)
    guess = estimate(prepared, Path("runs"))
    prepared.require_settings()
    print(f"\nat most {guess.tokens:,} generated tokens; about {guess.hours:.1f} hours ({guess.source})")
    return 0


def plan_lines(prepared: Prepared) -> Iterator[str]:
    """The plan in words: machine, data, settings with their commands, work."""
    experiment, machine = prepared.experiment, prepared.machine
    yield f"machine    {machine.devices} x {machine.device} ({', '.join(machine.gpu_names) or machine.cpu_model})"
    sampled = f", a sample stratified by level (seed {experiment.sampling.seed})" if experiment.problems else ""
    unread = "" if prepared.dataset.problems else " (not at hand; its published size)"
    yield f"problems   {prepared.problem_count} of {prepared.dataset.name}{sampled}{unread}"
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
    starts = len(prepared.blocks)
    requests = starts * sum(
        min(work.problem_limit or prepared.problem_count, prepared.problem_count) * work.samples
        for work in prepared.work
    )
    yield f"\n{len(prepared.settings)} settings, {starts} server starts, {requests:,} requests"


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count} samples"


def _command(setting: Setting, prepared: Prepared) -> str:
    """As it will be run, but for the interpreter's path and the port, which are chosen when it starts."""
    from tts_compare.launchers import example

    if setting.base_url is not None:
        return f"attach to {setting.base_url}"
    environment, argv = example(setting, prepared.machine, prepared.facts[setting.model])
    return " ".join([*(f"{key}={shlex.quote(value)}" for key, value in environment.items()), shlex.join(argv)])
