"""The machine that an allocation is: Slurm says what is ours, a short step on every node says what it is made of."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from tts_compare.backends import Machine, Node
from tts_compare.children import command, import_path
from tts_compare.errors import UsageError
from tts_compare.launchers.allocation import Allocation, Share
from tts_compare.launchers.machine import probe_machine
from tts_compare.launchers.step import short_step, step_environment

ANSWER_S = 180.0
#: Processors that are left to the client on its own node, where there are others.
CLIENT_PROCESSORS = 1


def cluster_machine(
    allocation: Allocation, device: Literal["auto", "cpu", "cuda"], told: Sequence[Mapping[str, Any]]
) -> Machine:
    """The allocation as one machine. told: what ``main`` printed on each node.

    Sizes are those of the smallest node. The client's own node comes first, with processors left to the client.
    """
    by_name = {row["node"]: row["machine"] for row in told}
    missing = [share.node for share in allocation.shares if share.node not in by_name]
    if missing:
        raise UsageError(
            f"no answer from {', '.join(missing)}: see whether its nodes run and share a file system with this one"
        )
    shares = sorted(allocation.shares, key=lambda share: share.node != allocation.own)
    on_gpus = device != "cpu" and all(share.gpus for share in shares)
    if device == "auto":
        on_gpus = on_gpus and all(by_name[share.node]["gpu_names"] for share in shares)
    if device == "cuda" and not on_gpus:
        without = [share.node for share in shares if not share.gpus]
        raise UsageError(f"the job holds no GPU on {', '.join(without)}: ask for some, as with --gpus-per-node")
    nodes = tuple(_node(share, by_name[share.node], allocation, on_gpus=on_gpus) for share in shares)
    first = by_name[shares[0].node]
    cores = sum(node.cores for node in nodes)
    return Machine(
        device="cuda" if on_gpus else "cpu",
        devices=sum(node.devices for node in nodes) if on_gpus else cores,
        memory_bytes=min(node.memory_bytes for node in nodes),
        cores=tuple(range(cores)),
        cpu_model=first["cpu_model"],
        features=tuple(first["features"]),
        gpu_names=tuple(name for node in nodes for name in node.gpu_names),
        gpu_memory_bytes=min((node.gpu_memory_bytes for node in nodes if node.gpu_memory_bytes), default=None),
        driver=", ".join(sorted({node.driver for node in nodes if node.driver})) or None,
        nodes=nodes,
        partition=allocation.partition,
        job=allocation.job,
    )


def _node(share: Share, told: Mapping[str, Any], allocation: Allocation, *, on_gpus: bool) -> Node:
    held = share.processors
    clients = min(CLIENT_PROCESSORS, held - 1) if share.node == allocation.own else 0
    return Node(
        name=share.node,
        cores=held - clients,
        devices=share.gpus if on_gpus else 0,
        memory_bytes=min(told["memory_bytes"], share.memory_bytes or told["memory_bytes"]),
        cpu_model=told["cpu_model"],
        features=tuple(told["features"]),
        gpu_names=tuple(told["gpu_names"]) if on_gpus else (),
        gpu_memory_bytes=told["gpu_memory_bytes"] if on_gpus else None,
        driver=told["driver"] if on_gpus else None,
    )


def ask_nodes(allocation: Allocation, device: str, environ: Mapping[str, str] = os.environ) -> list[dict[str, Any]]:
    """What every node of the allocation says of itself. Raises UsageError with srun's words where that fails."""
    nodes = tuple(share.node for share in allocation.shares)
    program = command("tts_compare.launchers.cluster", "cpu" if device == "cpu" else "auto")
    argv = short_step(allocation, nodes, program)
    try:
        done = subprocess.run(
            argv,
            env=step_environment(environ) | import_path(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"the nodes of job {allocation.job} do not answer: {error}") from None
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode and not rows:
        words = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        raise UsageError(f"no step can be started in job {allocation.job}: {words[0].strip()}")
    return rows


def main(device: str) -> None:
    """Print one line about this node."""
    found = probe_machine("cpu" if device == "cpu" else "auto")
    row = {"node": os.environ.get("SLURMD_NODENAME", ""), "machine": asdict(found)}
    os.write(1, json.dumps(row).encode() + b"\n")  # in one piece: srun mixes what the nodes say


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
