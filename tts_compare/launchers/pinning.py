"""Which cores a server and the client are bound to where the machine has several NUMA nodes. Pure.

A server's processes get the cores of the nodes that its GPUs are on, so that what they copy to a GPU does not cross
between sockets. The client gets cores of its own, on a node without GPUs where there is one, so that neither takes
the other's time. Memory follows: Linux gives a process pages of the node that it runs on.
"""

from __future__ import annotations

from collections.abc import Sequence

from tts_compare.backends import Machine

#: Cores that the client gets at most: one of them reads, the others are its workers' and its graders'.
CLIENT_CORES = 4
#: A client takes at most one in so many cores of its node.
_SHARE = 4


def client_cores(machine: Machine | None) -> tuple[int, ...]:
    """The client's cores; empty where nothing is to be bound: one node, no GPU, or a node without cores to spare.

    They are the last ones of the node with the fewest GPUs, of the last such node.
    """
    if machine is None or machine.device != "cuda" or len(machine.numa) < 2 or None in machine.gpu_nodes:
        return ()
    node = min(machine.numa, key=lambda one: (machine.gpu_nodes.count(one), -one))
    cores = machine.numa[node]
    return cores[-min(CLIENT_CORES, len(cores) // _SHARE) :] if len(cores) >= _SHARE else ()


def server_cores(machine: Machine | None, gpus: Sequence[int]) -> tuple[int, ...]:
    """The cores of a server; empty where nothing is to be bound. gpus: places of its GPUs among the visible ones."""
    client = client_cores(machine)
    if machine is None or not client or not gpus or max(gpus) >= len(machine.gpu_nodes):
        return ()
    near = [cores for node, cores in machine.numa.items() if node in {machine.gpu_nodes[gpu] for gpu in gpus}]
    return tuple(sorted(core for cores in near for core in cores if core not in client))


def not_bound(machine: Machine) -> str | None:
    """Why nothing is bound on a machine with GPUs and several nodes; None where it is, or need not be."""
    if machine.device != "cuda" or len(machine.numa) < 2 or client_cores(machine):
        return None
    if None in machine.gpu_nodes:
        return "neither the driver nor the kernel tells which node a GPU is on"
    return "a node has too few cores to give the client some of its own"
