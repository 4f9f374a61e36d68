"""NUMA: the nodes as /sys tells them, the cores that servers and client get, and a process that is really bound."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.nvml import Driver, gpu, machine
from tts_compare.backends import Machine
from tts_compare.domain import Setting
from tts_compare.launchers import Place, plan_server
from tts_compare.launchers.local import _bound
from tts_compare.launchers.pinning import client_cores, not_bound, server_cores
from tts_compare.machine.numa import core_list, numa_nodes
from tts_compare.measure import binding

LEFT, RIGHT = tuple(range(16)), tuple(range(16, 32))


def dgx(gpu_nodes: tuple[int | None, ...] = (0, 0, 1, 1), nodes: dict[int, tuple[int, ...]] | None = None) -> Machine:
    return Machine(
        device="cuda",
        devices=len(gpu_nodes),
        memory_bytes=2**40,
        cores=LEFT + RIGHT,
        numa={0: LEFT, 1: RIGHT} if nodes is None else nodes,
        gpu_nodes=gpu_nodes,
    )


def system(root: Path, **nodes: str) -> Path:
    for name, cores in nodes.items():
        (root / "sys/devices/system/node" / name).mkdir(parents=True)
        (root / "sys/devices/system/node" / name / "cpulist").write_text(cores + "\n")
    return root


@pytest.mark.parametrize(
    ("text", "cores"), [("0-3,8\n", [0, 1, 2, 3, 8]), ("5", [5]), ("\n", []), ("", []), ("0-1,x", [0, 1])]
)
def test_a_list_of_cores_is_read(text: str, cores: list[int]) -> None:
    assert core_list(text) == cores


def test_nodes_are_the_usable_cores_and_memory_without_cores_is_none(tmp_path: Path) -> None:
    system(tmp_path, node0="0-3", node1="4-7", node2="")
    assert numa_nodes((0, 1, 6), tmp_path) == {0: (0, 1), 1: (6,)}
    assert numa_nodes((0, 1), tmp_path / "none") == {}


def test_the_node_of_a_gpu_is_read_by_its_pci_address(tmp_path: Path, driver: Driver) -> None:
    driver.says(machine(gpu(0), gpu(1, bus_id="00000001:C7:00.0"), gpu(2, bus_id="error:3"), gpu(3)))
    for address, node in {"0000:1b:00.0": "0", "0001:c7:00.0": "1", "0000:4b:00.0": "-1"}.items():
        (tmp_path / "sys/bus/pci/devices" / address).mkdir(parents=True)
        (tmp_path / "sys/bus/pci/devices" / address / "numa_node").write_text(node + "\n")
    code = f"""
from pathlib import Path
from tts_compare.machine.gpus import find_gpus
from tts_compare.machine.numa import gpu_nodes
answer = gpu_nodes(find_gpus().visible, root=Path({str(tmp_path)!r}))
"""
    assert driver.asked(code) == [0, 1, None, None]
    assert driver.asked(code, CUDA_VISIBLE_DEVICES="1,0") == [1, 0]


def test_a_server_gets_the_nodes_of_its_gpus_and_the_client_cores_of_its_own() -> None:
    here = dgx()
    assert client_cores(here) == (28, 29, 30, 31)
    assert server_cores(here, range(1)) == LEFT
    assert server_cores(here, range(2, 3)) == tuple(range(16, 28))
    assert server_cores(here, range(4)) == tuple(range(28))


def test_the_client_goes_to_the_node_without_gpus() -> None:
    here = dgx((1, 1))
    assert client_cores(here) == (12, 13, 14, 15)
    assert server_cores(here, range(2)) == RIGHT


@pytest.mark.parametrize("gpus", [range(1), range(2), range(2, 4), range(4)])
def test_no_core_is_the_servers_and_the_clients(gpus: range) -> None:
    here = dgx()
    assert not set(client_cores(here)) & set(server_cores(here, gpus))


def test_nothing_is_bound_on_one_node_or_without_a_gpu() -> None:
    one = dgx(nodes={0: LEFT})
    cpu = Machine(device="cpu", devices=32, memory_bytes=1, numa={0: LEFT, 1: RIGHT})
    for here in (one, cpu):
        assert (client_cores(here), server_cores(here, range(1)), not_bound(here)) == ((), (), None)
    assert server_cores(None, range(1)) == ()


def test_a_gpu_of_an_unknown_node_binds_nothing_and_is_told() -> None:
    here = dgx((0, None))
    assert (client_cores(here), server_cores(here, range(1))) == ((), ())
    assert "which node a GPU is on" in (not_bound(here) or "")


def test_nodes_of_few_cores_bind_nothing_and_are_told() -> None:
    here = dgx((0, 1), nodes={0: (0, 1), 1: (2, 3)})
    assert client_cores(here) == ()
    assert "too few cores" in (not_bound(here) or "")


def test_the_plan_of_a_server_states_its_cores_by_its_lane(tmp_path: Path) -> None:
    settings = tuple(Setting(backend="vllm", model="m", device="cuda", tensor_parallel=tp) for tp in (1, 2))
    for lane, cores in ((0, LEFT), (1, tuple(range(16, 28)))):
        place = Place(python=sys.executable, log_path=tmp_path / "log", machine=dgx(), beside=settings, lane=lane)
        plan = plan_server(settings[0], place)
        assert plan.env["CUDA_VISIBLE_DEVICES"] == str(2 * lane)
        assert plan.cores == cores


def test_a_process_is_started_on_its_cores_and_ours_stay() -> None:
    ours = os.sched_getaffinity(0)
    one = max(ours)
    code = "import json, os; print(json.dumps(sorted(os.sched_getaffinity(0))))"
    with _bound((one,), [sys.executable, "-c", code], stdout=-1) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.read()) == [one]
    assert os.sched_getaffinity(0) == ours
    with _bound((100_000,), [sys.executable, "-c", code], stdout=-1) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.read()) == sorted(ours)


class Writer:
    def __init__(self) -> None:
        from tts_compare.rundir.manifest import Manifest, Session

        self.manifest = Manifest(sessions=(Session(),))
        self.codes: list[str] = []

    def warn(self, doubts: list[SimpleNamespace]) -> None:
        self.codes += [warning.code for warning in doubts]


def test_the_client_is_bound_while_the_run_lasts_and_the_manifest_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, writer = os.sched_getaffinity(0), Writer()
    monkeypatch.setattr(binding, "client_cores", lambda _: (max(ours),))
    with binding.client_bound(dgx(), writer):  # type: ignore[arg-type]
        assert os.sched_getaffinity(0) == {max(ours)}
    assert os.sched_getaffinity(0) == ours
    assert writer.manifest.sessions[0].cores == (max(ours),)
    assert writer.codes == []


def test_a_client_that_cannot_be_bound_runs_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, writer = os.sched_getaffinity(0), Writer()
    monkeypatch.setattr(binding, "client_cores", lambda _: (100_000,))
    with binding.client_bound(dgx(), writer):  # type: ignore[arg-type]
        assert os.sched_getaffinity(0) == ours
    assert (writer.codes, writer.manifest.sessions[0].cores) == (["numa_not_bound"], None)
