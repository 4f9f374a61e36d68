"""Runs an engine's server as a step of the Slurm allocation that we are in, over one node or several.

Each node's part runs below ``node.py`` and is followed over a connection to us (``control.py``): none outlives another,
nor us. Slurm chooses the GPUs; ports are chosen on the nodes. Where the head of a server is not on our own node, it
listens on that node's address and asks for a key.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tts_compare.backends import BACKENDS, Machine, StartupCause
from tts_compare.client.untimed import open_client
from tts_compare.domain import Endpoint, RunWarning, Setting
from tts_compare.errors import LostError, StartError
from tts_compare.launchers import probe, supervisor
from tts_compare.launchers.allocation import Allocation, node_address, read_allocation
from tts_compare.launchers.client_cores import ClientCores
from tts_compare.launchers.cluster import ask_nodes, cluster_machine
from tts_compare.launchers.control import Ended, Hello
from tts_compare.launchers.devices import lane_count
from tts_compare.launchers.energy import Reading
from tts_compare.launchers.logs import describe_status, read_tail, signal_of
from tts_compare.launchers.node import boot_id
from tts_compare.launchers.orders import Order, orders_for
from tts_compare.launchers.placement import shape_of, slots
from tts_compare.launchers.protocol import Place
from tts_compare.launchers.running_step import POLL_S, RunningStep, address_towards, start_step
from tts_compare.launchers.step import Shape, step_environment
from tts_compare.launchers.verdict import taken_away

if TYPE_CHECKING:
    import httpx

#: How long srun may take to explain an end that no task could tell.
WORDS_S = 2.0
#: Ends in which what kept a part alive was killed from outside.
_KILLED = ("parent", "supervisor")
_CLIENT = ClientCores()


@dataclass(slots=True, kw_only=True)
class SlurmServer:
    """A server that we started as a step. Fields as in ``Server``."""

    setting: Setting
    endpoint: Endpoint
    orders: tuple[Order, ...]
    startup_s: float | None = None
    engine_version: str | None = None
    doubts: tuple[RunWarning, ...] = ()
    _step: RunningStep = field(repr=False)
    _stopped: bool = False

    @property
    def pid(self) -> int | None:
        """The head's engine, on its own node."""
        return self._step.control.started[0][0]

    @property
    def logs(self) -> tuple[Path, ...]:
        """One a node."""
        return tuple(order.log for order in self.orders)

    @property
    def argv(self) -> tuple[str, ...]:
        """The head's."""
        return self.orders[0].argv

    @property
    def env(self) -> Mapping[str, str]:
        """The head's."""
        return self.orders[0].env

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its nodes."""
        return tuple(hello.node for hello in _by_rank(self._step))

    def processes(self) -> tuple[int, ...]:
        """Those of its parts that run on the machine we are on."""
        started, hellos, boot = self._step.control.started, self._step.control.hellos, boot_id()
        here = [pids[1] for rank, pids in started.items() if hellos[rank].boot == boot]
        return tuple(pid for above in here for pid in supervisor.below(above))

    def energy(self) -> Reading:
        """Nothing: which of a node's devices Slurm chose is not told in the numbers that the driver counts by."""
        return {}

    def died(self, *, by_ns: int | None = None) -> str | None:
        """Which part ended first, its exit status and its log's cause."""
        ended = self._ended()
        if ended is None or (by_ns is not None and ended.at_ns > by_ns):
            return None
        if self._undecided(ended) or taken_away(ended, self._step.words) is not None:
            return None
        return _told(self.setting, self.orders, _by_rank(self._step), ended).line

    def lost(self) -> str | None:
        """What the tasks and srun say."""
        ended = self._ended()
        return None if ended is None or self._undecided(ended) else taken_away(ended, self._step.words)

    async def stop(self) -> None:
        """SIGTERM to the head's server; SIGKILL of everything on every node when it is gone or its grace is over."""
        if self._stopped:
            return
        self._stopped = True
        control, deadline = self._step.control, time.monotonic() + BACKENDS[self.setting.backend].stop_grace_s
        try:
            control.terminate()
            while control.first_end is None and time.monotonic() < deadline:  # noqa: ASYNC110 - threads hear of it
                await asyncio.sleep(POLL_S)
        finally:
            self._step.control.kill()
            await asyncio.shield(_end(self._step))

    def _ended(self) -> Ended | None:
        return None if self._stopped else self._step.control.first_end

    def _undecided(self, ended: Ended) -> bool:
        """Whether srun may still say what no task could."""
        waits = ended.why == "lost" and self._step.process.poll() is None
        return waits and time.monotonic_ns() - ended.at_ns < WORDS_S * 1e9


@dataclass(frozen=True, slots=True)
class SlurmLauncher:
    """Starts servers as steps of the allocation that SLURM_JOB_ID names."""

    name: str = "slurm"

    def machine(self, device: Literal["auto", "cpu", "cuda"] = "auto") -> Machine:
        """All nodes of the allocation as one. Raises UsageError outside of an allocation."""
        allocation = read_allocation()
        return cluster_machine(allocation, device, ask_nodes(allocation, device))

    def lanes(self, settings: Sequence[Setting], machine: Machine, *, asked: int) -> int:
        """As many as asked for and have devices of their own; one where steps would be given the same GPUs."""
        if not machine.nodes:  # a plan for another machine
            return lane_count(settings, machine, asked=asked)
        return max(1, min(asked, len(slots(settings, machine))))

    async def start(self, setting: Setting, place: Place) -> SlurmServer:
        """Ready is: the head's /v1/models names the model, a process of its own listens, and every part runs."""
        allocation = await asyncio.to_thread(read_allocation)
        machine = place.machine
        if machine is None:
            machine = await asyncio.to_thread(self.machine, setting.device)
        shape = _shape(setting, place, machine)
        step = start_step(
            allocation,
            shape,
            log_path=place.log_path,
            environ=step_environment(os.environ),
            address=await asyncio.to_thread(_our_address, allocation, shape),
            shm=BACKENDS[setting.backend].shm_prefixes,
        )
        try:
            return await _started(setting, place, allocation, step)
        except BaseException:
            step.control.kill()  # now, not when a task gets its turn: the loop may be closing
            await asyncio.shield(_end(step))
            raise


def _shape(setting: Setting, place: Place, machine: Machine) -> Shape:
    room = slots(place.beside or (setting,), machine)
    if place.lane >= len(room):
        raise StartError("no nodes of the allocation are free for it", log=str(place.log_path))
    return shape_of(setting, room[place.lane], machine)


def _our_address(allocation: Allocation, shape: Shape) -> str:
    others = [name for name in shape.nodes if name != allocation.own]
    return address_towards(node_address(others[0]) if others else None)


async def _started(setting: Setting, place: Place, allocation: Allocation, step: RunningStep) -> SlurmServer:
    deadline = time.monotonic() + place.deadline_s
    await _greeted(place, step, deadline)
    hellos = _by_rank(step)
    began, ours = time.monotonic(), hellos[0].node == allocation.own
    orders = orders_for(setting, place, hellos, reachable=not ours, path=os.environ.get("PATH", os.defpath))
    for log in {order.log for order in orders}:
        log.unlink(missing_ok=True)
    for rank, order in enumerate(orders):
        step.control.order(rank, order.told())
    _CLIENT.take(id(step), (core for hello in hellos if hello.node == allocation.own for core in hello.cores))
    head, backend = orders[0], BACKENDS[setting.backend]
    key = step.api_key if head.has_key else None
    root = f"http://{head.host}:{head.port}"
    async with open_client(root, api_key=key, timeout=probe.TIMEOUT_S) as client:
        while not await _is_ready(root, client, step):
            _check_alive(setting, place, step, orders, deadline)
            await asyncio.sleep(POLL_S * 4)
        models = await probe.models_of(client, f"{root}/v1") if backend.wire.lists_models else None
        info = await probe.json_of(client, root + backend.version_path) if backend.version_path else {}
    name = backend.served_name(setting)
    if backend.wire.lists_models and (models is None or name not in models.names):
        served = ", ".join(models.names) if models and models.names else "nothing"
        raise StartError(f"it serves {served}, not {name}", log=str(head.log))
    version = info.get("version")
    return SlurmServer(
        setting=setting,
        endpoint=Endpoint(base_url=f"{root}/v1", model=name, api_key=key),
        orders=orders,
        startup_s=time.monotonic() - began,
        engine_version=version if isinstance(version, str) else None,
        _step=step,
    )


async def _greeted(place: Place, step: RunningStep, deadline: float) -> None:
    """Return when every task waits for its order; the keys' file is then removed."""
    while len(step.control.hellos) < step.control.count:
        if step.process.poll() is not None or step.control.first_end or time.monotonic() > deadline:
            taken = taken_away(step.control.first_end, step.words)
            if taken:
                raise LostError(taken)
            words = [line for line in step.words.splitlines() if line.strip()]
            cause = words[-1].strip() if words else f"no task started in {place.deadline_s:.0f} s"
            raise StartError(cause, log=str(step.said), advice="see what `squeue --steps` and `sinfo` say")
        await asyncio.sleep(POLL_S)
    step.forget_key()


async def _is_ready(root: str, client: httpx.AsyncClient, step: RunningStep) -> bool:
    control = step.control
    if control.first_end or len(control.started) < control.count:
        return False
    if await probe.status_of(client, f"{root}/v1/models") != 200:
        return False
    control.ask_listening()
    return control.listens is True


def _check_alive(setting: Setting, place: Place, step: RunningStep, orders: Sequence[Order], deadline: float) -> None:
    """Raises StartError where a part ended or the time is over, LostError where the cluster ended it."""
    ended = step.control.first_end
    if ended is not None:
        taken = taken_away(ended, step.words)
        if taken:
            raise LostError(taken)
        told = _told(setting, orders, _by_rank(step), ended)
        raise StartError(told.line, log=str(orders[ended.rank].log), advice=told.advice)
    if time.monotonic() > deadline:
        cause = BACKENDS[setting.backend].startup_cause(read_tail(orders[0].log))
        raise StartError(
            f"not ready after {place.deadline_s:.0f} s; its log says: {cause.line}",
            log=str(orders[0].log),
            advice="see its logs; where it is still loading or downloading, raise start_s under [limits]",
        )


def _by_rank(step: RunningStep) -> tuple[Hello, ...]:
    return tuple(hello for _, hello in sorted(step.control.hellos.items()))


def _told(setting: Setting, orders: Sequence[Order], hellos: Sequence[Hello], ended: Ended) -> StartupCause:
    """The end of a part: which one where there are several, its status, and its log's cause unless it was killed."""
    where = f"node {ended.rank} ({hellos[ended.rank].node}) of the server" if len(orders) > 1 else "server"
    how = "was killed with its supervisor" if ended.status is None else f"ended with {describe_status(ended.status)}"
    if ended.why in _KILLED or (ended.status is not None and signal_of(ended.status) == signal.SIGKILL):
        line = f"{where} {how}: its log cannot say why; the kernel does so when memory runs out"
        return StartupCause(line, "see what the node's kernel log and `sacct` say of its memory")
    cause = BACKENDS[setting.backend].startup_cause(read_tail(orders[ended.rank].log))
    return StartupCause(f"{where} {how}: {cause.line}", cause.advice)


async def _end(step: RunningStep) -> None:
    try:
        await step.end()
    finally:
        _CLIENT.give_back(id(step))
