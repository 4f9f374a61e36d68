"""Over how many nodes of an allocation a setting's ranks are dealt, and whether its engine can do that. Pure."""

from __future__ import annotations

from dataclasses import replace

from tts_compare.backends import BACKENDS, Machine, Spanning
from tts_compare.backends.limits import threads_per_rank
from tts_compare.domain import Setting


def spread(setting: Setting, machine: Machine, *, asked: int | None) -> Setting:
    """The setting with its number of nodes: as asked, else the least that have room for its ranks, evenly dealt.

    Where none has room it stays on one, and cannot run. A server that is not ours is left as it is.
    """
    if setting.base_url is not None or setting.hosted:
        return setting
    if asked is not None:
        return replace(setting, nodes=asked)
    counts = range(1, len(machine.nodes) + 1 if setting.data_parallel == 1 else 1)
    return replace(setting, nodes=next((count for count in counts if _fits(setting, machine, count)), 1))


def cannot_span(setting: Setting) -> str | None:
    """Why the engine cannot serve over the setting's nodes, or None."""
    backend = BACKENDS[setting.backend]
    if setting.nodes == 1 or isinstance(backend, Spanning):
        return None
    return f"{backend.name} serves on one node, and this setting needs {setting.nodes}"


def _fits(setting: Setting, machine: Machine, count: int) -> bool:
    ranks, on_cpu = setting.devices or 1, machine.device == "cpu"
    needed = ranks // count * (threads_per_rank(setting) if on_cpu else 1)
    room = [node.cores if on_cpu else node.devices for node in machine.nodes]
    return ranks % count == 0 and sum(one >= needed for one in room) >= count
