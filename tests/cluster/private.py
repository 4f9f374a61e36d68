"""A Slurm cluster of our own on this host: a controller and two nodes, all of it in one directory.

Nothing under /etc, /run or /var is read or written, so that it stands beside a cluster that the host belongs to. Both
nodes share the host, its loopback and its processes. ``config_overrides`` lets each claim more processors than there
are, so that several steps find room on a small machine; nothing binds them to cores. The daemons end with the thread
that started them (PR_SET_PDEATHSIG), so a killed test run leaves none behind.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

NODES = ("n1", "n2")
CPUS = 4
PROGRAMS = ("slurmctld", "slurmd", "srun", "sbatch", "salloc", "munged", "setpriv")
_OWN = ("SLURM", "SBATCH_", "SRUN_", "SALLOC_")

SLURM_CONF = """
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={at}/munge.socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={at}/state
SlurmdSpoolDir={at}/spool-%n
SlurmctldPidFile={at}/slurmctld.pid
SlurmdPidFile={at}/slurmd-%n.pid
SlurmctldLogFile={at}/slurmctld.log
SlurmdLogFile={at}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobCompType=jobcomp/none
KillWait=2
SlurmdTimeout=10
ReturnToService=2
GresTypes=gpu
NodeName={first} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} RealMemory=8000 Gres=gpu:h100:2
NodeName={second} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} RealMemory=8000 Gres=gpu:h100:2
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9
"""
#: Two devices that exist everywhere stand in for two GPUs.
GRES_CONF = "".join(f"Name=gpu Type=h100 File=/dev/{name}\n" for name in ("null", "zero"))


def missing() -> str | None:
    """Why there can be no cluster here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(absent)} not found: `make cluster-packages` installs them as root on Debian" if absent else None


def _three_ports() -> tuple[int, int, int]:
    """Free ports below the kernel's own range; tests side by side begin at different places."""
    first = 10_000 + os.getpid() * 3 % 9_000
    for port in range(first, first + 3_000, 3):
        with ExitStack() as stack:
            try:
                for offset in range(3):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            except OSError:
                continue
            return port, port + 1, port + 2
    raise OSError("no three free ports in a row")


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A private cluster under ``at``, whose path must be short: a socket's has at most 107 bytes.

    pinned: give each node a core of its own, where the host has several.
    """

    at: Path
    pinned: bool = False
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """Our environment with this cluster in the place of any other."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        return kept | {"SLURM_CONF": str(self.at / "slurm.conf")}

    def start(self) -> None:
        """Return when both nodes are idle."""
        first, second = NODES
        conf = SLURM_CONF.format(
            at=self.at,
            host=socket.gethostname().partition(".")[0],
            user=getpass.getuser(),
            ports=_three_ports(),
            first=first,
            second=second,
            cpus=CPUS,
        )
        (self.at / "slurm.conf").write_text(conf)
        (self.at / "gres.conf").write_text(GRES_CONF)
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.at / name).mkdir()
        key = self.at / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {"key-file": key, "socket": self.at / "munge.socket"}
        files |= {f"{kind}-file": self.at / f"munge.{kind}" for kind in ("pid", "log", "seed")}
        self._run_daemon("munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in files.items()))
        self.wait(files["socket"].exists, 10)
        self._run_daemon("slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: self.states() == dict.fromkeys(NODES, "idle"), 60)

    def start_node(self, node: str) -> None:
        """Start the node's slurmd, under the name ``node`` in ``daemons``."""
        cores = sorted(os.sched_getaffinity(0))
        core = str(cores[NODES.index(node) % len(cores)])
        before = ("taskset", "--cpu-list", core) if self.pinned else ()
        self._run_daemon("slurmd", "-D", "-N", node, name=node, before=before)

    def states(self) -> dict[str, str]:
        """The state of each node, as sinfo calls it."""
        lines = self.run("sinfo", "--Node", "--noheader", "--partition=gpu", "--format=%N %T").stdout.splitlines()
        return dict(line.split() for line in lines)

    def run(
        self, *argv: str, environ: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of Slurm's, or any other, against this cluster."""
        return subprocess.run(
            argv,
            env=self.environ | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=check,
            timeout=120,
        )

    def allocate(self, *options: str) -> str:
        """A job of nothing but its resources, as ``salloc --no-shell`` makes it; its id."""
        said = self.run("salloc", "--no-shell", *options).stderr
        return said.partition("Granted job allocation ")[2].split()[0]

    def cancel(self, *jobs: str) -> None:
        """Cancel jobs, all where none is named, and wait until they are gone."""
        self.run("scancel", *(jobs or self.jobs()), check=False)
        self.wait(lambda: not (set(self.jobs()) & set(jobs) if jobs else self.jobs()), 60)

    def jobs(self) -> list[str]:
        """Ids of the jobs that wait, run or are ending."""
        return self.run("squeue", "--noheader", "--format=%i").stdout.split()

    def wait(self, holds: Callable[[], bool], within_s: float) -> None:
        """Wait until it holds. Raises AssertionError when it does not in time."""
        deadline = time.monotonic() + within_s
        while not holds():
            logs = sorted(self.at.glob("*.out"))
            assert time.monotonic() < deadline, "\n".join(log.read_text(errors="replace")[-800:] for log in logs)
            time.sleep(0.05)

    def stop(self) -> None:
        """End all jobs, then the daemons."""
        if len(self.daemons) == len(NODES) + 2:
            self.run("scancel", *self.jobs(), check=False)
            with suppress(AssertionError):  # a test may have killed what would tell; the daemons go all the same
                self.wait(lambda: not self.jobs(), 20)
        for name in reversed(self.daemons):
            self.daemons[name].terminate()
            try:
                self.daemons[name].wait(15)
            except subprocess.TimeoutExpired:
                self.daemons[name].kill()
                self.daemons[name].wait()
        self.daemons.clear()

    def _run_daemon(self, program: str, *argv: str, name: str = "", before: tuple[str, ...] = ()) -> None:
        with (self.at / f"{name or program}.out").open("ab") as out:
            self.daemons[name or program] = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", *before, program, *argv),
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
