"""vLLM itself, tensor parallel over two nodes: it answers; the death of a part is noticed and leaves nothing."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cluster.conftest import allocated, private_cluster
from tests.cluster.private import CPUS, Cluster
from tests.cluster.trees import GONE_S, kill, roles_of
from tests.engines.conftest import engine_python, tiny_model
from tests.integration.launching import until, with_marker
from tts_compare.backends import model_facts
from tts_compare.domain import Setting
from tts_compare.installer.registry import EnginePython
from tts_compare.launchers import LAUNCHERS, Place
from tts_compare.launchers.slurm import SlurmServer

__all__ = ["engine_python", "tiny_model"]

pytestmark = pytest.mark.timeout(600)
MAX_MODEL_LEN = 512


@pytest.fixture(scope="module")
def pinned() -> Iterator[Cluster]:
    """Nodes with a core each: two ranks that spin on one core would take minutes to answer."""
    with private_cluster(pinned=True) as cluster:
        yield cluster


@contextmanager
def serving(
    python: EnginePython, model: Path, cluster: Cluster, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[SlurmServer, str]]:
    """A server with a rank on each node, and what marks its processes; stopped when the block ends."""
    marker = uuid.uuid4().hex
    monkeypatch.setenv("TTS_TEST_MARKER", marker)
    with allocated(cluster, "-N2", "-n2", f"-c{CPUS}") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        launcher = LAUNCHERS["slurm"]
        place = Place(
            log_path=directory / "servers" / "vllm.log",
            python=str(python.path),
            version=python.version,
            own_packages=python.source == "installed",
            machine=launcher.machine("cpu"),
            model=model_facts(json.loads((model / "config.json").read_text())),
            deadline_s=420,
        )
        setting = Setting(
            backend="vllm", model=str(model), tensor_parallel=2, nodes=2, max_model_len=MAX_MODEL_LEN, max_num_seqs=2
        )
        server = asyncio.run(launcher.start(setting, place))
        assert isinstance(server, SlurmServer)
        try:
            yield server, marker
        finally:
            asyncio.run(server.stop())


def ask(server: SlurmServer, *, key: bool = True) -> httpx.Response:
    """One completion of eight tokens."""
    body = {"model": server.endpoint.model, "prompt": "1 2 3", "max_tokens": 8, "temperature": 0}
    headers = {"Authorization": f"Bearer {server.endpoint.api_key}"} if key else {}
    with httpx.Client(trust_env=False, timeout=120) as client:
        return client.post(f"{server.endpoint.base_url}/completions", json=body, headers=headers)


@pytest.mark.parametrize("rank", [1, 0])
def test_it_answers_over_two_nodes_and_the_death_of_a_part_is_noticed_and_leaves_nothing(
    rank: int,
    engine_python: Callable[[str], EnginePython],
    tiny_model: Path,
    pinned: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(engine_python("vllm"), tiny_model, pinned, tmp_path, monkeypatch) as (server, marker):
        print(f"ready in {server.startup_s:.0f} s")  # noqa: T201
        assert server.hosts == ("n1", "n2")
        assert server.engine_version is not None
        answer = ask(server)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] == 8
        assert ask(server, key=False).status_code == 401
        assert [log.name for log in server.logs] == ["vllm.node0.log", "vllm.node1.log"]
        kill(roles_of(server).engine[rank])
        assert until(lambda: server.died() is not None, 5), "it would go on answering 200"
        assert f"node {rank} (n{rank + 1})" in (server.died() or "")
        assert until(lambda: not set(server.processes()), GONE_S)
    assert until(lambda: not with_marker(marker), GONE_S)
