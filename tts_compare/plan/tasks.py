"""The tasks of a run that several jobs measure: a block of settings in one round each. Pure.

A block holds the settings that are paired with each other: those of one model, so that they run on one node, one after
another. ``split`` gives each setting a block of its own.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tts_compare.domain import Setting, model_slug
from tts_compare.errors import UsageError
from tts_compare.plan.prepare import Prepared
from tts_compare.rundir.parts import Task

Split = Literal["block", "setting"]
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a job asks for. nodes: nodes of equal parts; devices, cores: of each."""

    nodes: int
    devices: int
    cores: int
    device: Literal["cpu", "cuda"]


def block_name(setting: Setting) -> str:
    """The block that a setting is in where blocks are not split: its model's name, with the revision it states."""
    name = setting.model if re.fullmatch(r"[\w.-]+/[\w.-]+", setting.model) else model_slug(setting.model)
    return name if setting.revision is None else f"{name}:{setting.revision}"


def blocks_of(settings: tuple[Setting, ...]) -> Mapping[str, tuple[Setting, ...]]:
    """Settings by the block they are in. Raises UsageError where two models would have one name."""
    found: dict[str, list[Setting]] = {}
    for setting in settings:
        found.setdefault(block_name(setting), []).append(setting)
    for name, members in found.items():
        if len({setting.model for setting in members}) > 1:
            raise UsageError(f"two models are both called {name}: rename the directory of one of them")
    return {name: tuple(members) for name, members in found.items()}


def only(prepared: Prepared, asked: str) -> Prepared:
    """The part of a run that ``--only BLOCK@ROUND`` names. Raises UsageError where there is none of that name."""
    block, _, number = asked.rpartition("@")
    rounds = prepared.experiment.rounds
    if not block or not number.isascii() or not number.isdigit() or int(number) >= rounds:
        raise UsageError(f"--only {asked!r}: write BLOCK@ROUND with a round from 0 to {rounds - 1}")
    every = (*prepared.settings, *(item.setting for item in prepared.left_out))
    known = {setting.id: (setting,) for setting in every} | dict(blocks_of(every))
    if block not in known:
        raise UsageError(f"--only {asked!r}: there is no block {block!r}; known: {', '.join(blocks_of(every))}")
    ids = {setting.id for setting in known[block]}
    return replace(
        prepared,
        settings=tuple(s for s in prepared.settings if s.id in ids),
        left_out=tuple(item for item in prepared.left_out if item.setting.id in ids),
        only_round=int(number),
    )


def task_name(asked: str) -> str:
    """The directory of the part that ``--only`` names: one path component, without spaces; another for another."""
    block, _, number = asked.rpartition("@")
    parts = block.replace("/", "--")
    plain = re.sub(r"[^A-Za-z0-9._=+-]+", "_", parts).strip("._") or "block"
    if plain != parts or "--" in block or len(plain) > _LONGEST_NAME:
        plain = f"{plain[:_LONGEST_NAME]}-{zlib.crc32(block.encode()):08x}"  # what was replaced may tell two apart
    return f"{plain}.r{number}"


def tasks_of(prepared: Prepared, *, split: Split = "block", requests: Mapping[str, int] | None = None) -> list[Task]:
    """Every task, block by block and round by round. requests: by setting, those of all its rounds."""
    rounds = prepared.experiment.rounds
    blocks = blocks_of(prepared.settings)
    if split == "setting":
        blocks = {setting.id: (setting,) for setting in prepared.settings}
    return [
        Task(
            name=task_name(f"{block}@{number}"),
            block=block,
            round=number,
            settings=tuple(setting.id for setting in members),
            devices=max((setting.devices or 1 for setting in members), default=1),
            requests=sum((requests or {}).get(setting.id, 0) for setting in members) // rounds,
        )
        for block, members in blocks.items()
        for number in range(rounds)
    ]


def shape_of(members: tuple[Setting, ...], *, per_node: int, client_cores: int, cores_a_device: int) -> Shape:
    """What a job needs for settings of which it runs one after another: the devices of the largest.

    per_node: devices of one node. cores_a_device: processor cores beside each GPU; on a CPU each rank has its threads.
    """
    widest = max(setting.devices or 1 for setting in members)
    on_cpu = all(setting.device == "cpu" for setting in members)
    if on_cpu:
        cores = max((setting.devices or 1) * (setting.threads_per_rank or 1) for setting in members)
        return Shape(nodes=1, devices=0, cores=cores + client_cores, device="cpu")
    nodes = -(-widest // per_node)
    devices = widest if nodes == 1 else per_node
    return Shape(nodes=nodes, devices=devices, cores=devices * cores_a_device + client_cores, device="cuda")
