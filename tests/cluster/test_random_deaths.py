"""Fifty deaths at random: who dies, how many at once, and when. Nothing may be left of any."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.conftest import allocated
from tests.cluster.private import CPUS, Cluster
from tests.cluster.test_deaths import marker
from tests.cluster.trees import GONE_S, Roles, kill, nothing_left, roles_of, start_tree
from tests.integration.launching import until, with_marker

__all__ = ["marker"]

DEATHS = 50


def victims(who: Roles, rng: random.Random) -> list[int]:
    """One to three ends, but never guard and supervisor of one node, which nobody could answer for."""
    pairs = [rng.choice([(who.guard[rank],), (who.supervisor[rank],)]) for rank in (0, 1)]
    ends = [*pairs, (who.engine[0],), (who.engine[1],), (who.slurmstepd[rng.randrange(2)],)]
    ends += [(who.srun,)]  # with its helper it ends nothing, see test_deaths.py
    return [pid for (pid,) in rng.sample(ends, rng.randint(1, 3))]


@pytest.mark.many_starts
@pytest.mark.timeout(1800)
def test_fifty_random_deaths_leave_nothing(
    cluster: Cluster, marker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    engines: list[int] = []
    for number in range(DEATHS):
        with allocated(cluster, "-N2", "-n2", f"-c{CPUS}") as variables:
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            server = start_tree(tmp_path)
            who = roles_of(server)
            engines += who.engine
            time.sleep(rng.random() * 0.2)
            doomed = victims(who, rng)
            kill(*doomed)
            told = f"seed {seed}, death {number}: {[name for pid in doomed for name in names(who, pid)]}"
            assert until(partial(only_srun_is_left, marker, who), GONE_S), told
            asyncio.run(server.stop())
        assert nothing_left(marker, tmp_path, tuple(engines)) == [], told


def only_srun_is_left(marker: str, who: Roles) -> bool:
    """What ends when the server is stopped."""
    return set(with_marker(marker)) <= {who.srun, who.shepherd}


def names(who: Roles, pid: int) -> list[str]:
    """What a process was."""
    by_rank = {f"{name} {rank}": getattr(who, name)[rank] for name in ROLES for rank in (0, 1)}
    return [name for name, known in (by_rank | {"srun": who.srun, "shepherd": who.shepherd}).items() if known == pid]


ROLES = ("engine", "supervisor", "guard", "slurmstepd")
