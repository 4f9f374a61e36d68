"""What each setting of a run has under it: its model's shape and its device, and whether it fits. Kept in the manifest.

A report computes the share of the bound from what is kept: it may run on another machine, whose memory it must not
measure, and whose user may have another catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from tts_compare.domain import Setting
from tts_compare.experiment.prepare import LeftOut, Prepared
from tts_compare.machine.catalogue import Accelerator, catalogue, recognise
from tts_compare.model_shape import ModelShape
from tts_compare.models.known import hub_name, known_shapes
from tts_compare.planning.design import Design
from tts_compare.planning.fitting import fit_of

#: Figures of a device that its bound is computed from.
_FIGURES = ("name", "memory_bytes", "bandwidth_bytes_s", "bf16_flops", "fp8_flops")


def that_fit(prepared: Prepared, design: Design) -> Prepared:
    """The same without the settings whose weights, draft model and one sequence exceed what their engine may take.

    Such a server dies at its start, after it has loaded the weights. Of a model of unknown shape, of an unknown
    machine and of a server that is not ours nothing is refused.
    """
    reasons = {s: _misfit(s, prepared, design) for s in prepared.settings}
    return replace(
        prepared,
        settings=tuple(s for s, reason in reasons.items() if reason is None),
        left_out=(*prepared.left_out, *(LeftOut(setting=s, reason=r) for s, r in reasons.items() if r is not None)),
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


def keep_hardware(manifest: dict[str, Any], design: Design) -> None:
    """Write down shapes and devices: ``models[name].shape``, ``settings[id].accelerator`` (one rank's part of a CPU).

    What an earlier session of a resumed run wrote of a setting stays.
    """
    for setting in design.settings:
        device = None if setting.devices is None or setting.base_url else design.device_of(setting)
        facts = manifest["settings"][setting.id]
        if device is not None and not facts.get("accelerator"):
            facts["accelerator"] = {name: getattr(device, name) for name in _FIGURES}
        shape = design.shapes.get(setting.model)
        if shape is not None and not setting.hosted:
            manifest["models"][setting.model] = {**manifest["models"].get(setting.model, {}), "shape": asdict(shape)}


def shapes_in(manifest: Mapping[str, Any]) -> dict[str, ModelShape]:
    """The shape of each model, as the manifest has it; of one written before it did, as the table of published ones."""
    found = {}
    for model, facts in (manifest.get("models") or {}).items():
        stated, name = (facts or {}).get("shape"), hub_name(model)
        if stated:
            known = {field.name for field in fields(ModelShape)}
            found[model] = ModelShape(**{key: value for key, value in stated.items() if key in known})
        elif name:
            found[model] = known_shapes()[name]
    return found


def devices_in(manifest: Mapping[str, Any]) -> dict[str, Accelerator]:
    """The device of each setting, as the manifest has it; of GPUs in an older one, by what the driver called them.

    The bandwidth of a CPU that nobody measured then is not known now.
    """
    machine = manifest.get("machine") or {}
    gpus = set(machine.get("gpus") or ()) if machine.get("device") == "cuda" else set()
    known = recognise(gpus.pop(), machine.get("gpu_memory_bytes"), catalogue()) if len(gpus) == 1 else None
    found = {}
    for setting, facts in manifest["settings"].items():
        stated = facts.get("accelerator")
        ours = facts.get("devices") is not None and not facts.get("base_url")
        device = Accelerator(**{name: stated.get(name) for name in _FIGURES}) if stated else known if ours else None
        if device is not None:
            found[setting] = device
    return found
