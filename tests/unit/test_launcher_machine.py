"""The machine is read from /proc, /sys and NVML; a container's limits and CUDA_VISIBLE_DEVICES hold."""
# ruff: noqa: N802 - the fake has the names of NVML

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from tts_compare.installer.hardware import detect_device
from tts_compare.launchers import manifest_facts, probe_machine
from tts_compare.launchers.machine import memory_bytes, usable_cores
from tts_compare.machine.gpus import Gpus, amd_gpus, find_gpus

GIB = 2**30


class FakeNvml:
    """Two GPUs, the second smaller; strings as older bindings give them, in bytes."""

    NVMLError = RuntimeError

    def __init__(self, *, driver_loaded: bool = True) -> None:
        self.driver_loaded = driver_loaded
        self.open = 0

    def nvmlInit(self) -> None:
        if not self.driver_loaded:
            raise self.NVMLError("no driver")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{'ab'[handle]}000"

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"NVIDIA A100"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(total=(80 - 40 * handle) * GIB)

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:
        raise self.NVMLError("not supported")

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"


class MigNvml(FakeNvml):
    """Both GPUs divided in two, as a container sees them that may not ask for a whole GPU's memory."""

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"MIG-{handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        if handle < 10:
            raise self.NVMLError("insufficient permissions")
        return SimpleNamespace(total=handle * GIB)

    def nvmlDeviceGetMigMode(self, handle: int) -> list[int]:
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: int) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: int, number: int) -> int:
        if number > 1:
            raise self.NVMLError("not found")
        return 10 * (handle + 1) + number


@pytest.fixture(autouse=True)
def _all_gpus_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_gpus_make_it_a_cuda_machine() -> None:
    nvml = FakeNvml()
    machine = probe_machine(nvml=nvml)
    assert (machine.device, machine.devices, machine.driver) == ("cuda", 2, "580.1")
    assert machine.gpu_names == ("NVIDIA A100", "NVIDIA A100")
    assert machine.gpu_memory_bytes == 40 * GIB
    assert nvml.open == 0


@pytest.mark.parametrize(("visible", "memory"), [("0", 80), ("GPU-b", 40), ("1,7", 40)])
def test_only_visible_gpus_count(monkeypatch: pytest.MonkeyPatch, visible: str, memory: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    machine = probe_machine(nvml=FakeNvml())
    assert (machine.devices, machine.gpu_memory_bytes) == (1, memory * GIB)


@pytest.mark.parametrize(("visible", "gpus"), [("1,0", ["b", "a"]), ("7,1", []), ("0,-1,1", ["a"])])
def test_gpus_come_in_the_order_stated_up_to_the_first_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, visible: str, gpus: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.uuid for gpu in find_gpus(FakeNvml()).visible] == [f"GPU-{name}000" for name in gpus]


@pytest.mark.parametrize(("visible", "memory"), [(None, 10), ("MIG-11", 11), ("1", 20), ("MIG-21,MIG-10", 21)])
def test_of_mig_instances_one_is_seen_with_its_own_memory(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, memory: int
) -> None:
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    machine = probe_machine(nvml=MigNvml())
    assert (machine.device, machine.devices, machine.gpu_memory_bytes) == ("cuda", 1, memory * GIB)
    assert machine.gpu_names == ("NVIDIA A100 MIG",)


def test_a_gpu_that_shares_main_memory_is_a_gpu_of_unknown_memory() -> None:
    class Shared(FakeNvml):
        def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
            raise self.NVMLError("not supported")

    machine = probe_machine(nvml=Shared())
    assert (machine.device, machine.devices, machine.gpu_memory_bytes) == ("cuda", 2, None)


def test_without_a_driver_or_with_no_visible_gpu_it_is_a_cpu_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = probe_machine(nvml=FakeNvml(driver_loaded=False))
    assert (alone.device, alone.devices) == ("cpu", len(usable_cores()))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert probe_machine(nvml=FakeNvml()).device == "cpu"


def test_the_engines_are_installed_for_the_device_that_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert detect_device() == probe_machine().device == "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert detect_device() == probe_machine().device == "cpu"


def test_a_driver_that_refuses_to_tell_is_as_none() -> None:
    class Refusing(FakeNvml):
        def nvmlDeviceGetUUID(self, handle: int) -> str:
            raise self.NVMLError("no permission")

    nvml = Refusing()
    assert find_gpus(nvml) == Gpus()
    assert nvml.open == 0


def test_asked_for_cpu_it_looks_at_no_gpu_and_asked_for_cuda_without_one_it_has_no_devices() -> None:
    assert probe_machine("cpu", nvml=FakeNvml()).gpu_names == ()
    asked = probe_machine("cuda", nvml=FakeNvml(driver_loaded=False))
    assert (asked.device, asked.devices) == ("cuda", 0)


def test_a_containers_limits_cap_cores_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6, 7}, raising=False)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("250000 100000\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("1048576\n")
    assert usable_cores(tmp_path) == (4, 5)
    assert memory_bytes(tmp_path) == 1_048_576


def test_a_batch_systems_limits_on_the_groups_above_ours_cap_cores_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6, 7}, raising=False)
    job = tmp_path / "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7"
    (job / "step_0/task_0").mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/system.slice/slurmstepd.scope/job_7/step_0/task_0\n")
    (job / "cpu.max").write_text("300000 100000\n")
    (job / "memory.max").write_text("1048576\n")
    (job / "step_0/memory.max").write_text("max\n")
    assert usable_cores(tmp_path) == (4, 5, 6)
    assert memory_bytes(tmp_path) == 1_048_576


def test_limits_of_the_first_version_of_control_groups_cap_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6, 7}, raising=False)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/job/7\n1:cpu,cpuacct:/\n0::/\n")
    for name, text in {
        "cpu/cpu.cfs_quota_us": "200000",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "memory/job/7/memory.limit_in_bytes": "1048576",
    }.items():
        (tmp_path / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys/fs/cgroup" / name).write_text(f"{text}\n")
    assert usable_cores(tmp_path) == (4, 5)
    assert memory_bytes(tmp_path) == 1_048_576
    (tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert usable_cores(tmp_path) == (4, 5, 6, 7)


def test_without_limits_all_allowed_cores_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5}, raising=False)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert usable_cores(tmp_path) == (4, 5)
    assert memory_bytes(tmp_path) > 2**20


def test_the_cpus_name_and_features_are_read(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("model name\t: Zen 4\nflags\t\t: fpu avx2 avx512f avx2x\n")
    machine = probe_machine("cpu", root=tmp_path)
    assert (machine.cpu_model, machine.features) == ("Zen 4", ("avx2", "avx512f"))


def test_the_facts_for_the_manifest_are_json_and_name_no_host() -> None:
    facts = json.loads(msgspec.json.encode(manifest_facts(probe_machine(nvml=FakeNvml()))))
    assert facts["gpus"] == ["NVIDIA A100", "NVIDIA A100"]
    assert os.uname().nodename not in facts.values()


def test_a_mig_instance_answers_to_the_name_that_old_drivers_gave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Numbered(MigNvml):
        def nvmlDeviceGetUUID(self, handle: int) -> str:
            return f"MIG-{handle}" if handle >= 10 else f"GPU-{handle}"

        def nvmlDeviceGetGpuInstanceId(self, handle: int) -> int:
            return handle % 10 + 1

        def nvmlDeviceGetComputeInstanceId(self, handle: int) -> int:
            return 0

    every = find_gpus(Numbered(), stated="")
    assert every.visible == ()
    (found,) = find_gpus(Numbered(), stated="MIG-11").visible
    assert found.old_name.startswith("MIG-GPU-")
    assert find_gpus(Numbered(), stated=found.old_name).visible == (found,)
    assert find_gpus(Numbered(), stated=found.old_name + "9").visible == ()


def test_amds_gpus_are_counted_and_its_processors_are_not(tmp_path: Path) -> None:
    nodes = tmp_path / "sys/class/kfd/kfd/topology/nodes"
    for number, properties in enumerate(
        ["cpu_cores_count 96\nsimd_count 0\n", "simd_count 1216\n", "simd_count 1216\n"]
    ):
        (nodes / str(number)).mkdir(parents=True)
        (nodes / str(number) / "properties").write_text(properties)
    assert amd_gpus(tmp_path) == 2
    assert amd_gpus(tmp_path / "none") == 0
