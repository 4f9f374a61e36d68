"""The head's end of a step: one connection from each node's task (``node.py``), served by threads of its own.

Whatever the event loop does meanwhile, the first end of any task is the end of all: ``K`` goes to the others at once.
When the head is killed its connections end, and the tasks end with them.
"""

from __future__ import annotations

import hmac
import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tts_compare.launchers.node import keep_alive, proof

HANDSHAKE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a task says of itself.

    boot: its machine's boot. address: its node's, on the way to us. cores: ids of those it may use. port, rendezvous:
    free there; from the second on eight in a row. devices: CUDA_VISIBLE_DEVICES as Slurm set it, None where unset.
    """

    rank: int
    node: str
    step: str
    boot: str
    address: str
    cores: tuple[int, ...]
    port: int
    rendezvous: int
    devices: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a task: why as ``node.py`` says it, ``lost`` where the connection ended without a word.

    status: the server's exit status, None where it is unknown. at_ns: when we heard of it, on the monotonic clock.
    """

    rank: int
    why: str
    status: int | None
    at_ns: int


@dataclass(slots=True, kw_only=True)
class Control:
    """Listens for the tasks of one step. key: what proves them; count: how many there are."""

    address: str
    key: bytes
    count: int
    hellos: dict[int, Hello] = field(default_factory=dict)
    #: Process ids of each rank's engine and supervisor, on its own node.
    started: dict[int, tuple[int, int]] = field(default_factory=dict)
    listens: bool | None = None
    ends: list[Ended] = field(default_factory=list)
    _listener: socket.socket = field(init=False, repr=False)
    _socks: dict[int, socket.socket] = field(default_factory=dict, repr=False)
    _killed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        """Listen, on a port of the kernel's choice."""
        self._listener = socket.create_server((self.address, 0))
        threading.Thread(target=self._accept, name="step-control", daemon=True).start()

    @property
    def port(self) -> int:
        """Where tasks connect."""
        return int(self._listener.getsockname()[1])

    @property
    def first_end(self) -> Ended | None:
        """The end that came first, which explains the others; None while all live."""
        return self.ends[0] if self.ends else None

    def order(self, rank: int, order: Mapping[str, Any]) -> None:
        """Send a rank what it is to run."""
        self._say(rank, json.dumps(order).encode() + b"\n")

    def ask_listening(self) -> None:
        """Ask the head node whether its server listens; the answer comes to ``listens``."""
        self._say(0, b"L")

    def terminate(self) -> None:
        """SIGTERM to the head node's server: the others of it know what to do, or are killed with it."""
        self._say(0, b"T")

    def kill(self) -> None:
        """End everything on every node, and whatever still connects."""
        with self._lock:
            self._killed = True
        for rank in tuple(self._socks):
            self._say(rank, b"K")

    def close(self) -> None:
        """Close all connections, which kills what is left, and stop listening."""
        self.kill()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in tuple(self._socks.values()):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _say(self, rank: int, data: bytes) -> None:
        sock = self._socks.get(rank)
        if sock is not None:
            with suppress(OSError):
                sock.sendall(data)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), name="step-node", daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        """One connection: proved, greeted, and followed to its end. A stranger's is closed and forgotten."""
        rank: int | None = None
        with sock:
            try:
                sock.settimeout(HANDSHAKE_S)
                if not self._prove(sock):
                    return
                keep_alive(sock)
                with sock.makefile("rb") as lines:
                    rank = self._greet(sock, lines.readline())
                    sock.settimeout(None)
                    for line in lines:
                        self._heard(json.loads(line))
            except (OSError, ValueError, KeyError, TypeError):
                pass  # its end is what counts
            finally:
                if rank is not None:
                    self._end(Ended(rank=rank, why="lost", status=None, at_ns=time.monotonic_ns()))

    def _prove(self, sock: socket.socket) -> bool:
        theirs, ours = sock.recv(32, socket.MSG_WAITALL), os.urandom(32)
        sock.sendall(proof(self.key, b"head", theirs) + ours)
        return hmac.compare_digest(sock.recv(32, socket.MSG_WAITALL), proof(self.key, b"node", ours))

    def _greet(self, sock: socket.socket, line: bytes) -> int:
        told = json.loads(line)["hello"]
        hello = Hello(**told | {"cores": tuple(told["cores"])})
        with self._lock:
            if hello.rank in self._socks or not 0 <= hello.rank < self.count:
                raise ValueError(f"rank {hello.rank} is taken, or none of ours")
            self._socks[hello.rank] = sock
            self.hellos[hello.rank] = hello
            killed = self._killed
        if killed:
            self._say(hello.rank, b"K")
        return hello.rank

    def _heard(self, said: Mapping[str, Any]) -> None:
        if "started" in said:
            self.started[said["rank"]] = (said["started"], said["supervisor"])
        if "listens" in said:
            self.listens = said["listens"]
        if "ended" in said:
            self._end(Ended(rank=said["rank"], why=said["why"], status=said["ended"], at_ns=time.monotonic_ns()))

    def _end(self, ended: Ended) -> None:
        with self._lock:
            if any(known.rank == ended.rank for known in self.ends):
                return
            self.ends.append(ended)
        self.kill()
