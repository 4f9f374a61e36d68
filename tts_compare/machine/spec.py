"""The machine that a plan is for: ``4xH100-SXM``, ``2x(8xH200)``, a file, or the one at hand."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tts_compare.backends import Machine, Node
from tts_compare.errors import UsageError
from tts_compare.machine.catalogue import Accelerator, accelerators_in, catalogue, find, recognise, user_catalogue

_ONE_NODE = re.compile(r"(?:(\d+)\s*x\s*)?([^\s()][^()]*)", re.IGNORECASE)
_NODES = re.compile(r"(\d+)\s*x\s*\((.+)\)", re.IGNORECASE)
_KEYS = {"machine", "nodes", "devices", "usd_hour", "overhead_ms", "all_reduce_us", "accelerator", "sources"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMachine:
    """Nodes of equal devices. A GPU each, or for a CPU the machine as one device."""

    accelerator: Accelerator
    """What each device is."""
    devices: int
    """Devices of one node."""
    nodes: int = 1
    """Nodes."""
    at_hand: bool = False
    """Whether it is this machine."""
    usd_hour: float | None = None
    """The price of one device for an hour as the user states it."""
    overhead_s: float | None = None
    """Time of a decode step beyond the bound, as measured on such a machine; None where nobody did."""
    all_reduce_s: float | None = None
    """Time of one all-reduce between the devices of a node, as measured; None where nobody did."""

    @property
    def total(self) -> int:
        """Devices of all nodes."""
        return self.devices * self.nodes

    @property
    def price(self) -> tuple[float, float] | None:
        """Dollars of one device for an hour, from and to."""
        if self.usd_hour is not None:
            return self.usd_hour, self.usd_hour
        low, high = self.accelerator.usd_hour_low, self.accelerator.usd_hour_high
        return None if low is None or high is None else (low, high)

    def __str__(self) -> str:
        one = f"{self.devices} x {self.accelerator.name}"
        return one if self.nodes == 1 else f"{self.nodes} nodes of {one}"

    def probed(self) -> Machine:
        """It as the probe would have found it, for the checks that every run makes."""
        return Machine(
            device="cuda",
            devices=self.total,
            memory_bytes=0,
            gpu_names=(self.accelerator.name,) * self.total,
            gpu_memory_bytes=int(self.accelerator.memory_bytes),
            nodes=tuple(
                Node(name=f"node {index + 1}", cores=0, devices=self.devices, memory_bytes=0)
                for index in range(self.nodes if self.nodes > 1 else 0)
            ),
        )


def machine_from(text: str) -> PlannedMachine:
    """What ``--machine`` names: ``[N x] NAME``, ``M x (N x NAME)``, or a TOML file (docs/planning.md).

    Raises UsageError for an unknown accelerator, a count of 0, or a file that cannot be read.
    """
    path = Path(text)
    if path.suffix == ".toml" or path.is_file():
        return _from_file(path)
    return _parsed(text, catalogue(*user_catalogue()))


def machine_at_hand(machine: Machine, *, cpu: Accelerator | None = None) -> PlannedMachine | None:
    """This machine as the planner sees it; None where its GPUs are of several kinds, in no catalogue, or parts of one.

    cpu: what was measured of this machine's processor and memory, which a CPU plan needs.
    """
    if machine.device == "cpu":
        return None if cpu is None else PlannedMachine(accelerator=cpu, devices=machine.devices, at_hand=True)
    names = set(machine.gpu_names)
    if len(names) != 1 or any("MIG" in name for name in names):
        return None
    known = recognise(names.pop(), machine.gpu_memory_bytes, catalogue(*user_catalogue()))
    if known is None:
        return None
    exact = replace(known, memory_bytes=float(machine.gpu_memory_bytes or known.memory_bytes))
    return PlannedMachine(accelerator=exact, devices=machine.devices, at_hand=True)


def _parsed(text: str, known: Mapping[str, Accelerator]) -> PlannedMachine:
    nodes, inner = 1, text.strip()
    if match := _NODES.fullmatch(inner):
        nodes, inner = int(match[1]), match[2].strip()
    found = _ONE_NODE.fullmatch(inner)
    if found is None:
        raise UsageError(f"--machine {text!r}: write 4xH100-SXM, 2x(8xH200) or a file; known: {', '.join(known)}")
    devices = int(found[1] or 1)
    if not nodes or not devices:
        raise UsageError(f"--machine {text!r}: a machine has at least one device")
    return PlannedMachine(accelerator=find(found[2].strip(), known), devices=devices, nodes=nodes)


def _from_file(path: Path) -> PlannedMachine:
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--machine: cannot read {path}: {error}") from error
    if unknown := sorted(set(stated) - _KEYS):
        raise UsageError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}")
    own = accelerators_in(stated, where=str(path))
    known = catalogue(*user_catalogue()) | own
    name = stated.get("machine", next(iter(own)) if len(own) == 1 else None)
    if not isinstance(name, str):
        raise UsageError(f'{path}: say which machine it is, for instance machine = "4xH100-SXM"')
    parsed = _parsed(name, known)
    overhead, reduce = _amount(stated, "overhead_ms", path), _amount(stated, "all_reduce_us", path)
    return replace(
        parsed,
        devices=_counted(stated, "devices", path) or parsed.devices,
        nodes=_counted(stated, "nodes", path) or parsed.nodes,
        usd_hour=_amount(stated, "usd_hour", path),
        overhead_s=None if overhead is None else overhead / 1e3,
        all_reduce_s=None if reduce is None else reduce / 1e6,
    )


def _amount(stated: Mapping[str, Any], key: str, path: Path) -> float | None:
    value = stated.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise UsageError(f"{path}: {key}: {value!r} is not a number of at least 0")
    return float(value)


def _counted(stated: Mapping[str, Any], key: str, path: Path) -> int | None:
    value = stated.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{path}: {key}: {value!r} is not a whole number of at least 1")
    return value
