"""One task of a Slurm step: runs a server's part on this node, and lets nothing of it outlive the head.

Run as a program, ``python -S -E node.py ADDRESS PORT KEYFILE``; standard library only. The head (``control.py``)
listens at ADDRESS and PORT; KEYFILE is on a file system that both see, and proves each to the other.

- The task connects, and says who it is: its rank (SLURM_PROCID), node, cores and ports that are free here. The head
  answers with an order, one JSON line: the engine's command line, environment, log and names in shared memory.
- The task is a guard. Below it a supervisor serves the connection as ``supervisor.py`` serves its pipe: ``T`` is
  SIGTERM to the server; ``K``, the connection's end, a signal from Slurm, or the end of the guard or of slurmstepd
  kill everything below. Where the supervisor itself is killed, the guard does that. ``L`` asks whether a process of
  the server listens on its port.
- Keepalive ends the connection about 11 s after the other machine is gone or the network is cut.

What is not covered: SIGKILL of guard and supervisor at once, which Slurm does where it kills a step without SIGTERM
first. It then kills what is below them too; ``python -S -E node.py sweep PREFIXES`` removes what their server left in
shared memory: names of our user's that nobody maps.
"""

import fcntl
import hmac
import json
import os
import random
import signal
import socket
import sys
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from tts_compare.launchers import ports, supervisor
else:  # run as a program: they lie beside this file
    import ports
    import supervisor

CONNECT_S = 20.0
PORTS_IN_A_ROW = 8  # engines take several from the first on for their own processes
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def keep_alive(sock: socket.socket) -> None:
    """Notice a machine that is gone after 5 + 3 x 2 s, also where data waits to be taken."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 11_000)


def proof(key: bytes, who: bytes, nonce: bytes) -> bytes:
    """What only a holder of the key can answer to ``nonce``; who: the side that answers."""
    return hmac.digest(key, who + nonce, "sha256")


def connect(address: str, port: int, key: bytes) -> socket.socket:
    """A connection to the head, after each has proved itself. Raises OSError, PermissionError for a stranger."""
    sock = socket.create_connection((address, port), timeout=CONNECT_S)
    ours = os.urandom(32)
    sock.sendall(ours)
    answer = sock.recv(64, socket.MSG_WAITALL)
    if not hmac.compare_digest(answer[:32], proof(key, b"head", ours)):
        raise PermissionError("what answers at the head's address does not hold the key")
    sock.sendall(proof(key, b"node", answer[32:]))
    keep_alive(sock)
    sock.settimeout(None)
    return sock


def say(sock: socket.socket, **what: Any) -> None:
    """Send one line; nobody may be left to read it."""
    try:
        sock.sendall(json.dumps(what).encode() + b"\n")
    except OSError:
        return


def free_row(count: int = PORTS_IN_A_ROW) -> int:
    """The first of ``count`` ports in a row that are free now. Raises OSError where 200 tries find none."""
    for _ in range(200):
        first = random.randint(ports.LOWEST, ports.HIGHEST - count)  # noqa: S311 - nothing is kept secret by it
        if all(ports.can_bind(first + offset, "") for offset in range(count)):
            return first
    raise OSError(f"no {count} free ports in a row")


def boot_id() -> str:
    """What tells this machine from others, and this boot from the last; empty where the kernel does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as told:  # noqa: PTH123
            return told.read().strip()
    except OSError:
        return ""


def hello(sock: socket.socket) -> dict[str, Any]:
    """Who we are."""
    environ = os.environ
    return {
        "rank": int(environ.get("SLURM_PROCID", "0")),
        "node": environ.get("SLURMD_NODENAME", ""),
        "step": f"{environ.get('SLURM_JOB_ID', '')}.{environ.get('SLURM_STEP_ID', '')}",
        "boot": boot_id(),
        "address": sock.getsockname()[0],
        "cores": sorted(os.sched_getaffinity(0)),
        "port": ports.free_port(""),
        "rendezvous": free_row(),
        "devices": environ.get("CUDA_VISIBLE_DEVICES"),
    }


def take_order(sock: socket.socket, parent: int) -> dict[str, Any] | None:
    """The head's order; None where the head, or our parent, ended that."""
    sock.settimeout(supervisor.POLL_S)
    line = b""
    while not line.endswith(b"\n"):
        try:
            byte = sock.recv(1)  # no more than the line: what follows is for the supervisor
        except TimeoutError:
            if os.getppid() != parent:
                return None
            continue
        except OSError:
            return None
        if not byte or line + byte in (b"K", b"T"):
            return None
        line += byte
    sock.settimeout(None)
    order = json.loads(line)
    return order if isinstance(order, dict) else None


def open_log(path: str) -> None:
    """Standard output and error go to the log from here on; it is ours alone to read."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def with_key(order: dict[str, Any], api_key: str) -> tuple[list[str], str | None]:
    """The command line, and the private file in it that holds the key where the engine takes one by file."""
    argv, config = [str(word) for word in order["argv"]], order.get("key_config")
    for name in order.get("key_env", ()):
        os.environ[name] = api_key
    if not config:
        return argv, None
    handle, path = tempfile.mkstemp(prefix="tts-compare-", suffix=".yaml")  # created 0600
    with os.fdopen(handle, "w") as file:
        file.write(config["text"].replace("{key}", api_key))
    return [*argv, str(config["flag"]), path], path


def forget(path: str) -> None:
    """Remove a file, which may be gone."""
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        return


def supervise(sock: socket.socket, order: dict[str, Any], above: int, asked: list[int]) -> int:
    """The supervisor's life: below the guard, above the server."""
    argv, private = order["argv"], order["private"]
    prefixes, rank = tuple(order.get("shm", ())), order["rank"]
    before, parent = supervisor.present(prefixes), os.getppid()
    supervisor.lead(())
    server = supervisor.start(argv)
    status: int | None = None
    why = "failed"

    def answer(said: bytes) -> bool:
        if said == b"L":
            listens = ports.listens(supervisor.below(os.getpid()), int(order["port"]))
            if listens and private:
                forget(private)  # the server has read it
            say(sock, rank=rank, listens=listens)
        return said == b"L"

    try:
        say(sock, rank=rank, started=server, supervisor=os.getpid())
        status, why = supervisor.watch(server, sock.fileno(), parent, above=above, asked=asked, answer=answer)
    finally:
        killed = supervisor.kill_all(server)
        supervisor.unlink_left(prefixes, before)
    status = killed if status is None else status
    say(sock, rank=rank, ended=status, why=why)
    return 128 + signal.SIGKILL if status is None else status


def guard(sock: socket.socket, order: dict[str, Any], api_key: str, above: int) -> int:
    """Run the supervisor; where it is killed, do what it would have done."""
    asked: list[int] = []
    order["argv"], order["private"] = with_key(order, api_key)
    prefixes = tuple(order.get("shm", ()))
    supervisor.unlink_left(prefixes, set())  # of a server whose tasks, and whose head, were killed
    before = supervisor.present(prefixes)
    for number in _ENDING:
        signal.signal(number, lambda number, _: asked.append(number))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = supervise(sock, order, above, asked)
        finally:
            os._exit(code)
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(pid, 0)
    supervisor.kill_all(pid)
    supervisor.unlink_left(prefixes, before)
    if order["private"]:
        forget(order["private"])
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        say(sock, rank=order["rank"], ended=None, why="supervisor")
    return 128 - code if code < 0 else code


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    if arguments[0] == "sweep":
        supervisor.unlink_left(tuple(filter(None, arguments[1].split(","))), set())
        return 0
    address, port, key_file = arguments[:3]
    parent = os.getppid()
    supervisor.lead(())
    try:
        with open(key_file) as file:  # noqa: PTH123
            keys = json.load(file)
    except OSError as error:
        sys.stderr.write(f"{key_file}: {error.strerror}: run in a directory on a file system that every node sees\n")
        return 1
    try:
        sock = connect(address, int(port), bytes.fromhex(keys["control"]))
    except OSError as error:
        sys.stderr.write(f"cannot reach the program that started this step at {address}:{port}: {error}\n")
        return 1
    fcntl.fcntl(sock.fileno(), fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    told = hello(sock)
    say(sock, hello=told)
    order = take_order(sock, parent)
    if order is None:
        return 128 + signal.SIGKILL
    order["rank"] = told["rank"]
    open_log(order["log"])
    os.environ.update(order["env"])
    return guard(sock, order, str(keys["api"]), parent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
