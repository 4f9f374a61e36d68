"""From what was prepared to what a plan is computed from: shapes of models, prompts, the machine, earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from tts_compare.backends import Machine
from tts_compare.domain import Setting
from tts_compare.domain.model_shape import ModelShape
from tts_compare.launchers import launcher_named
from tts_compare.machine.catalogue import Accelerator
from tts_compare.machine.spec import PlannedMachine, machine_at_hand
from tts_compare.machine.triad import memory_bandwidth
from tts_compare.methods.lengths import TEMPLATE_TOKENS
from tts_compare.models.shape import shape_of
from tts_compare.plan.design import GUESSED_PROMPT_TOKENS, Design, Skipped, threads_of
from tts_compare.plan.earlier import earlier_points
from tts_compare.plan.model_facts import directory_of
from tts_compare.plan.prepare import Prepared

_CHARACTERS_A_TOKEN = 4.0


def design_of(prepared: Prepared, planned: PlannedMachine | None, *, runs: Path | None = None) -> Design:
    """The design of a prepared experiment. planned: the machine it is for, None for this one.

    On a CPU the bandwidth of the memory is measured, if it never was. runs: the directory of earlier runs, None where
    what they measured does not matter.
    """
    machine, settings = prepared.machine, prepared.settings
    bandwidths = _bandwidths(settings, machine) if planned is None else {}
    return Design(
        machine=planned or machine_at_hand(machine, cpu=_processor(machine, bandwidths)),
        settings=settings,
        work=prepared.work,
        problems=prepared.problem_count,
        dataset=prepared.dataset.name,
        skipped=tuple(Skipped(setting=item.setting, reason=item.reason) for item in prepared.left_out),
        starts=len(prepared.blocks) // max(1, len(settings)),
        passes=prepared.experiment.repeats,
        parallel_servers=launcher_named(prepared.experiment.launcher).lanes(
            settings, machine, asked=prepared.experiment.parallel_servers
        ),
        prompt_tokens=_prompt_tokens(prepared),
        shapes=_shapes(settings),
        bandwidths=bandwidths,
        memory_bytes=machine.memory_bytes,
        gpu_hour_usd=prepared.experiment.gpu_hour_usd,
        earlier=earlier_points(runs) if runs else (),
    )


def _shapes(settings: Sequence[Setting]) -> dict[str, ModelShape | None]:
    """By name, of models and draft models that are not somebody else's to serve."""
    local = [setting for setting in settings if setting.devices is not None]
    named = {s.model: s.revision for s in local} | {s.speculation.model: None for s in local if s.speculation.model}
    return {
        name: shape_of(name, directory=directory_of(name, revision, fetch=False)) for name, revision in named.items()
    }


def _bandwidths(settings: Sequence[Setting], machine: Machine) -> dict[int, float]:
    """Bytes a second of this CPU's memory, by the number of threads of the settings that run on it."""
    counts = {threads_of(setting) for setting in settings if setting.device == "cpu" and setting.base_url is None}
    return {
        threads: memory_bandwidth(machine.cpu_model, threads, memory_bytes=machine.memory_bytes).bytes_s
        for threads in sorted(counts)
    }


def _processor(machine: Machine, bandwidths: dict[int, float]) -> Accelerator | None:
    """This machine's processor as a device; None where nothing was measured of it."""
    if machine.device != "cpu" or not bandwidths:
        return None
    return Accelerator(
        name=machine.cpu_model or "CPU",
        memory_bytes=float(machine.memory_bytes),
        bandwidth_bytes_s=max(bandwidths.values()),
        names=(machine.cpu_model,),
    )


def _prompt_tokens(prepared: Prepared) -> float:
    """Mean tokens of a prompt, at four characters a token; a guess where the problems are not at hand."""
    problems, prompt = prepared.dataset.problems, prepared.prompt
    if not problems:
        return GUESSED_PROMPT_TOKENS
    if prompt.kind == "chat":
        texts = ["".join(content for _, content in prompt.messages_for(problem)) for problem in problems]
    else:
        texts = [prompt.text_for(problem) for problem in problems]
    return fmean(len(text) for text in texts) / _CHARACTERS_A_TOKEN + TEMPLATE_TOKENS * (prompt.kind == "chat")
