"""Where each launcher works: for Slurm's inside an allocation of a private cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import allocated, private_cluster
from tests.cluster.private import CPUS


@pytest.fixture(scope="session")
def allocation() -> Iterator[dict[str, str]]:
    """Both nodes of a cluster, as variables of the environment; skipped, with the reason, where Slurm is missing."""
    with private_cluster() as cluster, allocated(cluster, "-N2", "-n2", f"-c{CPUS}") as variables:
        yield variables
