"""Exclusive use of a run directory: flock on a local disk, a lock file with a heartbeat where machines share the disk.

Whether flock holds between machines depends on how a shared file system was mounted, and a process that waits for it
can hang with the server. So there the lock is a file that names its holder, made by ``link``, which is atomic on NFS
too, and whose modification time is the heartbeat. Ages are differences of two times that the file server gave, since
the clocks of machines differ.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from tts_compare.errors import UsageError

#: File systems that several machines may mount at once, as /proc/self/mountinfo names them.
SHARED = frozenset(
    (
        *("9p", "afs", "beegfs", "ceph", "cifs", "fhgfs", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs", "fuse.s3fs"),
        *("fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "smb3"),
        *("smbfs", "wekafs"),
    )
)
HEARTBEAT_S = 10.0
#: A holder on another machine that gave no sign for so long is taken for dead.
STALE_S = 90.0


class Holder(Struct, frozen=True, kw_only=True):
    """Who has a lock: what the lock file says."""

    token: str
    """Drawn by this holder alone."""
    host: str = ""
    """Its machine."""
    boot: str = ""
    """Which boot of the machine: a process id of another boot says nothing."""
    pid: int = 0
    """Its process."""
    job: str | None = None
    """Its Slurm job, where it is in one."""

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


def holder_here() -> Holder:
    """This process as a holder."""
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    job = os.environ.get("SLURM_JOB_ID")
    return Holder(token=uuid.uuid4().hex, host=socket.gethostname(), boot=boot, pid=os.getpid(), job=job)


def is_shared(path: Path) -> bool:
    """Whether other machines may write there too; False where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    return file_system(path.resolve(), lines) in SHARED


def file_system(path: Path, mountinfo: list[str]) -> str:
    """The type of the file system that holds an absolute path; empty where no mount does."""
    best, kind = -1, ""
    for line in mountinfo:
        fields, _, after = line.partition(" - ")
        words = fields.split()
        if len(words) < 5 or not after:
            continue
        at = words[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
        inside = path.is_relative_to(at)
        if inside and len(at) >= best:
            best, kind = len(at), after.split()[0]
    return kind


class DirectoryLock:
    """Exclusive use of a directory until closed or the process ends.

    shared: whether other machines may write there; found out where it is not said. wait_s: how long to wait for the
    holder to end, or to become stale. Raises UsageError where another has it, or where the directory cannot be
    written or locked.
    """

    def __init__(self, path: Path, *, shared: bool | None = None, wait_s: float = 0.0) -> None:
        self._fd: int | None = None
        self._file: HeartbeatFile | None = None
        deadline = time.monotonic() + wait_s
        if is_shared(path) if shared is None else shared:
            self._file = HeartbeatFile(path / ".lock.holder")
        else:
            self._fd = _open(path)
        while (other := self._file.try_take() if self._file else self._try_flock(path)) is not None:
            if time.monotonic() >= deadline:
                self.close()
                who = f" ({other})" if str(other) else ""
                raise UsageError(f"another process{who} is writing {path}: wait for it, or choose another --out")
            time.sleep(min(1.0, max(0.01, deadline - time.monotonic())))

    def _try_flock(self, path: Path) -> str | None:
        assert self._fd is not None  # noqa: S101 - opened by the caller
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ""
        except OSError as error:
            self.close()
            raise UsageError(
                f"cannot lock {path}: {error.strerror}; choose an --out on a file system that keeps locks"
            ) from error
        return None

    def __enter__(self) -> DirectoryLock:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it back; a second call does nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._file is not None:
            self._file.release()
            self._file = None


def _open(path: Path) -> int:
    try:
        return os.open(path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"cannot write the run directory {path}: {error.strerror}") from error


class HeartbeatFile:
    """A lock file kept alive by a thread. me: the holder that it names; this process where none is given."""

    def __init__(self, path: Path, *, me: Holder | None = None, stale_s: float = STALE_S) -> None:
        self.path, self.me, self._stale_s = path, me or holder_here(), stale_s
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def try_take(self) -> Holder | None:
        """None where it is ours now, else who has it. Raises UsageError where the directory cannot be written."""
        try:
            own = self._written()
            try:
                other = self._link(own)
                if other is not None and self._is_stale(other, own):
                    self._put_aside(other)
                    other = self._link(own)
            finally:
                own.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write the run directory {self.path.parent}: {error.strerror}") from error
        if other is None:
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()
        return other

    def _written(self) -> Path:
        own = self.path.with_name(f"{self.path.name}.{self.me.token}")
        own.write_bytes(msgspec.json.encode(self.me))
        return own

    def _link(self, own: Path) -> Holder | None:
        """None where the link was made; a lock that cannot be read is somebody's who is writing it."""
        with suppress(FileExistsError):
            os.link(own, self.path)
            return None
        return read_holder(self.path) or Holder(token="")

    def _is_stale(self, other: Holder, own: Path) -> bool:
        if other.host == self.me.host and other.token:
            return other.boot != self.me.boot or not _is_alive(other.pid)
        try:
            age_s = (own.stat().st_mtime_ns - self.path.stat().st_mtime_ns) / 1e9
        except FileNotFoundError:
            return True
        return age_s > self._stale_s

    def _put_aside(self, stale: Holder) -> None:
        """Remove the stale lock, and no other: two that find it stale at once must not remove each other's."""
        aside = self.path.with_name(f"{self.path.name}.stale.{self.me.token}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        found = read_holder(aside)
        if found is not None and found.token != stale.token:
            with suppress(FileExistsError):
                os.link(aside, self.path)
        aside.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_S):
            if not self.beat():
                # Somebody took us for dead and writes now: end in order, as on a request to stop, before rows mix.
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def beat(self) -> bool:
        """Give a sign of life; False where the lock is not ours any more."""
        found = read_holder(self.path)
        if found is not None and found.token != self.me.token:
            return False
        try:
            os.utime(self.path)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # a file server that does not answer now took no lock away
        return True

    def release(self) -> None:
        """Remove the lock where it is ours; a second call does nothing."""
        self._over.set()
        if self._thread is None:
            return
        self._thread = None
        found = read_holder(self.path)
        if found is not None and found.token == self.me.token:
            self.path.unlink(missing_ok=True)


def read_holder(path: Path) -> Holder | None:
    """What a lock file says; None where there is none, or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
