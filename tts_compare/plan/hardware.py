"""What each setting of a run has under it: its model's shape and its device, and whether it fits. Kept in the manifest.

A report computes the share of the bound from what is kept: it may run on another machine, whose memory it must not
measure, and whose user may have another catalogue.
"""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from tts_compare.domain import Setting
from tts_compare.domain.model_shape import ModelShape
from tts_compare.machine.catalogue import Accelerator, catalogue, recognise
from tts_compare.models.known import hub_name, known_shapes
from tts_compare.plan.design import Design
from tts_compare.plan.fitting import fit_of
from tts_compare.plan.prepare import Prepared, SkippedSetting
from tts_compare.rundir.facts import AcceleratorFacts, MachineRow, ModelRow
from tts_compare.rundir.manifest import Manifest


def that_fit(prepared: Prepared, design: Design) -> Prepared:
    """The same without the settings whose weights, draft model and one sequence exceed what their engine may take.

    Such a server dies at its start, after it has loaded the weights. Of a model of unknown shape, of an unknown
    machine and of a server that is not ours nothing is refused.
    """
    reasons = {s: _misfit(s, prepared, design) for s in prepared.settings}
    return replace(
        prepared,
        settings=tuple(s for s, reason in reasons.items() if reason is None),
        left_out=(
            *prepared.left_out,
            *(SkippedSetting(setting=s, reason=r) for s, r in reasons.items() if r is not None),
        ),
    )


def _misfit(setting: Setting, prepared: Prepared, design: Design) -> str | None:
    shape = None if setting.devices is None or setting.base_url else design.shapes.get(setting.model)
    device = design.device_of(setting) or _of_memory_alone(setting, prepared)
    return fit_of(setting, shape, device, design).reason if shape and device else None


def _of_memory_alone(setting: Setting, prepared: Prepared) -> Accelerator | None:
    """A GPU that no catalogue knows: its memory is all that fitting depends on."""
    memory = prepared.machine.gpu_memory_bytes
    if setting.device == "cpu" or memory is None:
        return None
    return Accelerator(name="a GPU", memory_bytes=float(memory), bandwidth_bytes_s=0.0)


def keep_hardware(manifest: Manifest, design: Design) -> Manifest:
    """The manifest with shapes and devices: ``models[name].shape``, ``settings[id].accelerator``.

    What an earlier session of a resumed run wrote of a setting stays.
    """
    settings, models = dict(manifest.settings), dict(manifest.models)
    for setting in design.settings:
        device = None if setting.devices is None or setting.base_url else design.device_of(setting)
        facts = settings[setting.id]
        if device is not None and facts.accelerator is None:
            settings[setting.id] = structs.replace(facts, accelerator=_facts_of(device))
        shape = design.shapes.get(setting.model)
        if shape is not None and not setting.hosted:
            models[setting.model] = structs.replace(models.get(setting.model, ModelRow()), shape=shape)
    return structs.replace(manifest, settings=settings, models=models)


def _facts_of(device: Accelerator) -> AcceleratorFacts:
    return AcceleratorFacts(**{name: getattr(device, name) for name in AcceleratorFacts.__struct_fields__})


def shapes_in(manifest: Manifest) -> dict[str, ModelShape]:
    """The shape of each model, as the manifest has it; of one written before it did, as the table of published ones."""
    found = {}
    for model, facts in manifest.models.items():
        name = hub_name(model)
        if facts.shape is not None:
            found[model] = facts.shape
        elif name:
            found[model] = known_shapes()[name]
    return found


def devices_in(manifest: Manifest) -> dict[str, Accelerator]:
    """The device of each setting, as the manifest has it; of GPUs in an older one, by what the driver called them.

    The bandwidth of a CPU that nobody measured then is not known now.
    """
    known = _recognised(manifest.machine)
    found = {}
    for setting, facts in manifest.settings.items():
        ours = facts.devices is not None and not facts.base_url
        device = Accelerator(**structs.asdict(facts.accelerator)) if facts.accelerator else known if ours else None
        if device is not None:
            found[setting] = device
    return found


def _recognised(machine: MachineRow) -> Accelerator | None:
    gpus = set(machine.gpus) if machine.device == "cuda" else set()
    return recognise(gpus.pop(), machine.gpu_memory_bytes, catalogue()) if len(gpus) == 1 else None
