"""Which nodes of an allocation each server gets, and how many servers fit side by side. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tts_compare.backends import Machine, Node
from tts_compare.backends.limits import threads_per_rank
from tts_compare.domain import Setting
from tts_compare.launchers.step import Shape


def slots(settings: Sequence[Setting], machine: Machine) -> tuple[tuple[Node, ...], ...]:
    """For each server that fits beside the others its nodes: room for the widest setting, in the machine's order.

    Servers share nodes as far as these have devices for all. Empty where not even one fits.
    """
    ours = [setting for setting in settings if setting.base_url is None]
    width = max((setting.nodes for setting in ours), default=1)
    needed = max((_needed(setting, machine) for setting in ours), default=1)
    groups = [machine.nodes[first : first + width] for first in range(0, len(machine.nodes) - width + 1, width)]
    return tuple(group for group in groups for _ in range(min(_room(node, machine) for node in group) // needed))


def shape_of(setting: Setting, nodes: Sequence[Node], machine: Machine) -> Shape:
    """What a setting's step asks for on the first of ``nodes``.

    On GPUs also the share of the processors that goes with them; on a CPU as many as its threads.
    """
    mine, ranks = nodes[: setting.nodes], _needed(setting, machine)
    names = tuple(node.name for node in mine)
    if machine.device == "cpu":
        return Shape(nodes=names, processors=ranks)
    processors = min(node.cores * ranks // max(1, node.devices) for node in mine)
    return Shape(nodes=names, processors=max(1, processors), gpus=ranks)


def _needed(setting: Setting, machine: Machine) -> int:
    """GPUs of one of the setting's nodes; on a CPU processors."""
    ranks = -(-(setting.devices or 1) // setting.nodes)
    return ranks * threads_per_rank(setting) if machine.device == "cpu" else ranks


def _room(node: Node, machine: Machine) -> int:
    return node.cores if machine.device == "cpu" else node.devices
