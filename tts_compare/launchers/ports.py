"""Choosing a port, and asking whose it is."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Engines bind their port long after it was chosen (SGLang: after loading), so it lies outside the range from which
# the kernel gives ports to outgoing connections.
LOWEST, HIGHEST = 20_000, 29_999
LISTEN_STATE = "0A"


def free_port(host: str = LOOPBACK) -> int:
    """A port that can be bound now, below the kernel's own range. Raises OSError when 200 tries find none."""
    for _ in range(200):
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - nothing is kept secret by it
        if can_bind(port, host):
            return port
    raise OSError(errno.EADDRINUSE, f"no free port between {LOWEST} and {HIGHEST}")


def can_bind(port: int, host: str = LOOPBACK) -> bool:
    """Whether nothing holds the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def listening_inodes(port: int) -> frozenset[str]:
    """Inodes of the sockets that listen on the port, on any address."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTEN_STATE and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return frozenset(inodes)


def listens(pids: Iterable[int], port: int) -> bool:
    """Whether one of the processes holds a socket that listens on the port."""
    wanted = {f"socket:[{inode}]" for inode in listening_inodes(port)}
    return bool(wanted) and any(wanted & _open_files(pid) for pid in pids)


def _open_files(pid: int) -> set[str]:
    found = set()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.add(str(link.readlink()))
            except OSError:
                continue
    except OSError:
        return set()
    return found
