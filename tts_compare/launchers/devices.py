"""Which GPUs each server sees, and how many servers fit side by side. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tts_compare.backends import Machine
from tts_compare.domain import Setting
from tts_compare.machine.gpus import VISIBLE


def lane_count(settings: Sequence[Setting], machine: Machine, *, asked: int) -> int:
    """Servers at once: as many as asked for, and on GPUs no more than find room for the largest setting each."""
    if machine.device == "cpu":
        return asked
    return max(1, min(asked, machine.devices // _widest(settings)))


def visible_devices(
    setting: Setting, settings: Sequence[Setting], machine: Machine, *, lane: int, environ: Mapping[str, str]
) -> str | None:
    """CUDA_VISIBLE_DEVICES of a setting's server: as many GPUs as it has ranks, from its lane's own.

    They are taken from those that our own CUDA_VISIBLE_DEVICES leaves. None on a CPU, and for a server that is not
    ours to start.
    """
    if machine.device == "cpu" or setting.base_url is not None or setting.devices is None:
        return None
    stated = [name.strip() for name in environ.get(VISIBLE, "").split(",") if name.strip()]
    names = stated or [str(index) for index in range(machine.devices)]
    return ",".join(names[index] for index in own_gpus(setting, settings, lane=lane) if index < len(names))


def own_gpus(setting: Setting, settings: Sequence[Setting], *, lane: int) -> range:
    """The places of a server's GPUs among those that we may use."""
    first = lane * _widest(settings)
    return range(first, first + (setting.devices or 0))


def _widest(settings: Sequence[Setting]) -> int:
    return max((setting.devices or 1 for setting in settings if setting.base_url is None), default=1)
