"""The parent of one engine server: no process of the server outlives it, and it does not outlive tts-compare.

Run as a program of its own with ``python -S -E supervisor.py CONTROL STATUS PARENT PREFIXES -- ARGV...``; standard
library only. CONTROL and STATUS are inherited pipe ends, PARENT is the process that started it, PREFIXES are how the
names in /dev/shm begin that the engine leaves behind, with commas between.

- It leads a session and is a child subreaper, so every orphan of the server becomes its child and is found below it.
- It ignores SIGTERM, SIGINT and SIGHUP: a Ctrl-C in the terminal reaches tts-compare, which stops the server in order.
  It ignores SIGUSR1 and SIGUSR2 too, and the server with it: a batch system may send them to all processes of a job.
- ``T`` on CONTROL sends SIGTERM to the server. ``K`` or end of file on CONTROL, or the end of PARENT (a process that
  PARENT forked may hold the pipe open), kills everything below. So does the end of the server itself.
- multiprocessing's resource tracker is killed last, after two seconds, so that it can unlink shared memory. Then what
  came to /dev/shm under PREFIXES since the start, is our user's and is mapped by no living process, is unlinked: the
  names hold no process id that could tell whose they are, but another server's are mapped while it lives.
- Its exit status is the server's, 128 + N for a server that signal N ended. STATUS gets the server's process id.

PR_SET_PDEATHSIG does not do this: it is cleared on fork, so vLLM's EngineCore and workers live on without it. What is
not covered: SIGKILL of this process itself.
"""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence

PR_SET_CHILD_SUBREAPER = 36
SHM = "/dev/shm"  # noqa: S108 - the engine's place, not ours
TRACKER_GRACE_S = 2.0
POLL_S = 2.0  # where the end of a process must be asked for
KILL_S = 30.0  # a process with a GPU's memory pinned takes seconds to die, and holds it meanwhile


def below(root: int) -> list[int]:
    """Process ids of all descendants of ``root``, by the parents that /proc shows."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would double the start-up time
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", errors="replace") as stat:  # noqa: PTH123
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue  # it ended meanwhile
            children.setdefault(parent, []).append(int(name))
    found, left = [], [root]
    while left:
        grown = children.get(left.pop(), [])
        found += grown
        left += grown
    return found


def is_tracker(pid: int) -> bool:
    """Whether ``pid`` is a resource tracker of multiprocessing."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:  # noqa: PTH123
            return b"multiprocessing.resource_tracker" in cmdline.read()
    except OSError:
        return False


def reap(server: int) -> int | None:
    """Collect every ended child; the server's exit status when it is among them."""
    status = None
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == server:
            code = os.waitstatus_to_exitcode(wait_status)
            status = 128 - code if code < 0 else code


def kill_all(server: int) -> int | None:
    """SIGKILL everything below, trackers last; the server's exit status when it is reaped here."""
    status, began = None, time.monotonic()
    while time.monotonic() - began < KILL_S:
        ended = reap(server)
        status = ended if ended is not None else status
        alive = below(os.getpid())
        if not alive:
            break
        doomed = [pid for pid in alive if not is_tracker(pid)]
        if time.monotonic() - began > TRACKER_GRACE_S:
            doomed = alive
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
    return status


def present(prefixes: tuple[str, ...], shm: str = SHM) -> set[str]:
    """Names in shared memory that begin with one of the prefixes."""
    try:
        return {name for name in os.listdir(shm) if prefixes and name.startswith(prefixes)}  # noqa: PTH208
    except OSError:
        return set()


def held(shm: str = SHM) -> set[int]:
    """Inodes in shared memory that living processes map; a semaphore is mapped under another name than its own."""
    inodes = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            with open(f"/proc/{pid}/maps", errors="replace") as maps:  # noqa: PTH123
                inodes |= {int(line.split(None, 5)[4]) for line in maps if f" {shm}/" in line}
        except OSError:
            continue
    return inodes


def left(prefixes: tuple[str, ...], before: set[str], shm: str = SHM) -> set[str]:
    """Names that came since ``before``, are our user's, and that nobody holds."""
    came, inodes = present(prefixes, shm) - before, held(shm)
    found = set()
    for name in came:
        try:
            status = os.stat(os.path.join(shm, name))  # noqa: PTH116, PTH118
        except OSError:
            continue
        if status.st_uid == os.getuid() and status.st_ino not in inodes:
            found.add(name)
    return found


def unlink_left(prefixes: tuple[str, ...], before: set[str], shm: str = SHM) -> None:
    """Unlink what is left."""
    for name in left(prefixes, before, shm) if prefixes else ():
        try:
            os.unlink(os.path.join(shm, name))  # noqa: PTH108, PTH118
        except OSError:
            continue


def start(argv: list[str]) -> int:
    """Fork and run the server with the signals that were ignored here set back."""
    pid = os.fork()
    if pid:
        return pid
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(argv[0], argv)  # noqa: S606 - argv is a list, there is no shell
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def tell(status_fd: int, server: int) -> None:
    """Write the server's process id; PARENT may have been killed already, and then nobody reads it."""
    try:
        os.write(status_fd, f"{server}\n".encode())
    except BrokenPipeError:
        return
    os.close(status_fd)


def parent_of(pid: int) -> int:
    """The parent of a process; 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as stat:  # noqa: PTH123
            return int(stat.read().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def ended_fd(pid: int) -> int:
    """A descriptor that becomes readable when the process ends; -1 on a kernel without pidfd_open (before 5.3)."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def reason_to_end(parent: int, above: int, asked: Sequence[int]) -> str:
    """Why what is below must end: as ``watch`` calls it, empty where it need not."""
    if asked:
        return "signalled"
    if os.getppid() != parent:
        return "parent"
    return "above" if above and parent_of(parent) != above else ""


def watch(
    server: int,
    control: int,
    parent: int,
    *,
    above: int = 0,
    asked: Sequence[int] = (),
    answer: Callable[[bytes], bool] = lambda _: False,
) -> tuple[int | None, str]:
    """Serve ``control`` until it, a process above us, a signal or the server itself ends that.

    control: a pipe or a connected socket. above: our parent's parent, where that is watched too. asked: signals that
    came, as the caller's handlers append them. answer: takes bytes other than ``T`` and says whether it knew them.
    Returns the server's exit status where it ended by itself, and why: ``exited``, ``signalled``, ``parent``,
    ``above``, ``killed`` (another byte), ``closed`` (end of file, or an error of the connection).
    """
    wake, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watched = select.poll()  # not select(): a parent with a thousand connections hands over higher descriptors
    ends = [ended_fd(pid) for pid in (parent, above) if pid]
    for fd in (control, wake, *(fd for fd in ends if fd >= 0)):
        watched.register(fd, select.POLLIN)
    timeout_ms = POLL_S * 1000 if -1 in ends else None
    while True:
        status = reap(server)
        if status is not None:
            return status, "exited"
        if why := reason_to_end(parent, above, asked):
            return None, why
        ready = dict(watched.poll(timeout_ms))
        if wake in ready:
            os.read(wake, 4096)
        if control in ready:
            try:
                said = os.read(control, 1)
            except OSError:  # keepalive found nobody
                said = b""
            if said == b"T":
                os.kill(server, signal.SIGTERM)  # it is not reaped yet, so the id is still its own
            elif not answer(said):
                return None, "killed" if said else "closed"


def lead(signals: Sequence[int]) -> None:
    """Become the process that orphans below are given to; ignore ``signals`` and those of batch systems."""
    for number in (*signals, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    control, status_fd, parent = (int(argument) for argument in arguments[:3])
    prefixes = tuple(filter(None, arguments[3].split(",")))
    before = present(prefixes)
    argv = arguments[arguments.index("--") + 1 :]
    lead((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    os.set_inheritable(control, False)  # noqa: FBT003
    os.set_inheritable(status_fd, False)  # noqa: FBT003
    status = killed = None
    server = start(argv)
    try:
        tell(status_fd, server)
        status, _ = watch(server, control, parent)
    finally:  # whatever goes wrong here, nothing below is left
        killed = kill_all(server)
    unlink_left(prefixes, before)
    if status is None:
        status = killed
    return 128 + signal.SIGKILL if status is None else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
