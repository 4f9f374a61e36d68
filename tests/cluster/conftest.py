"""A private Slurm cluster for every test here; they are skipped, with the reason, where Slurm is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cluster.private import Cluster, missing

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here needs Slurm."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@contextmanager
def private_cluster(*, pinned: bool = False) -> Iterator[Cluster]:
    """A cluster that runs until the block is left; skips where there can be none."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with TemporaryDirectory(prefix="slurm-", dir="/tmp", ignore_cleanup_errors=True) as at:
        made = Cluster(at=Path(at), pinned=pinned)
        try:
            made.start()
            yield made
        finally:
            made.stop()


@contextmanager
def allocated(cluster: Cluster, *options: str) -> Iterator[dict[str, str]]:
    """A job that holds nodes until the block is left: the variables by which a launcher finds it.

    We are then where a shell of ``salloc`` on a login node is: on none of the job's nodes.
    """
    job = cluster.allocate(*options)
    try:
        yield {"SLURM_CONF": cluster.environ["SLURM_CONF"], "SLURM_JOB_ID": job}
    finally:
        cluster.cancel(job)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes of four processors and two pretended GPUs each; up in about a second."""
    with private_cluster() as made:
        yield made
