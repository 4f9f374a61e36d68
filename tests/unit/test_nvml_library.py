"""NVIDIA's library as pynvml meets it: a shared object of our own in its place, loaded by a process of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.nvml import GIB, Driver, gpu, machine

GPUS = """
from dataclasses import asdict
from tts_compare.machine.gpus import find_gpus
answer = asdict(find_gpus())
"""
ENERGY = """
from tts_compare.launchers.energy import read_energy
answer = {name: counter.joules for name, counter in read_energy("cuda").items()}
"""
USED = """
import os, pathlib
from tts_compare.launchers.energy import read_energy, used_j
before = read_energy("cuda")
path = pathlib.Path(os.environ["TTS_FAKE_NVML"])
path.write_text(path.read_text().replace("0.energy_mj 9000", "0.energy_mj {after}"))
answer = used_j(before, read_energy("cuda"))
"""
DOCTOR = """
from tts_compare.installer.doctor import _cuda_advice, _Look
from tts_compare.installer.registry import EnginePython
from tts_compare.machine.gpus import find_gpus
from pathlib import Path
there = EnginePython(path=Path("/e/bin/python"), engine="vllm", version="0.32.0", source="installed")
look = _Look(torch="2.13.0+cu130", sees_gpu={sees}, cuda="13.0")
answer = list(_cuda_advice(there, look, find_gpus(), command="tts-compare engines install vllm --device cuda"))
"""
PROBE = """
from tts_compare.installer.hardware import detect_device
from tts_compare.launchers.machine import probe_machine
found = probe_machine()
answer = [detect_device(), found.device, found.devices, list(found.gpu_names), found.gpu_memory_bytes, found.driver]
"""
DIVIDED = {
    **gpu(0, mig_count=2, memory_total="error:4", name="NVIDIA A100-SXM4-40GB", uuid="GPU-aa"),
    "0.m0.uuid": "MIG-11",
    "0.m0.memory_total": 20 * GIB,
    "0.m0.gpu_instance": 3,
    "0.m0.compute_instance": 0,
    "0.m1.uuid": "MIG-22",
    "0.m1.memory_total": 10 * GIB,
    "0.m1.gpu_instance": 5,
    "0.m1.compute_instance": 0,
}


def test_two_gpus_are_seen_through_pynvml(driver: Driver) -> None:
    assert driver.asked(PROBE) == ["cuda", "cuda", 2, ["NVIDIA H100 80GB HBM3"] * 2, 80 * GIB, "580.65.06"]


def test_cuda_visible_devices_leaves_one_of_them(driver: Driver) -> None:
    (one,) = driver.asked(GPUS, CUDA_VISIBLE_DEVICES="1")["visible"]
    assert (one["index"], one["uuid"][:5]) == (1, "GPU-1")


def test_instances_of_a_divided_gpu_are_seen_with_their_own_memory_and_old_name(driver: Driver) -> None:
    driver.says(machine(DIVIDED))
    (first,) = driver.asked(GPUS)["visible"]
    assert (first["uuid"], first["memory_bytes"], first["is_mig"]) == ("MIG-11", 20 * GIB, True)
    (named,) = driver.asked(GPUS, CUDA_VISIBLE_DEVICES="MIG-GPU-aa/5/0")["visible"]
    assert (named["uuid"], named["memory_bytes"]) == ("MIG-22", 10 * GIB)


def test_a_divided_gpu_has_no_energy_of_its_own(driver: Driver) -> None:
    driver.says(machine(DIVIDED))
    assert driver.asked(ENERGY) == {}


def test_a_driver_that_does_not_load_is_a_cpu_machine(driver: Driver) -> None:
    driver.says(machine(gpu(0), init=9))
    assert driver.asked(PROBE)[:2] == ["cpu", "cpu"]


def test_a_library_that_does_not_match_its_driver_is_a_cpu_machine(driver: Driver) -> None:
    driver.says(machine(gpu(0), init=18))
    assert driver.asked(GPUS) == {"visible": [], "driver": None}


def test_a_gpu_that_is_lost_is_as_none(driver: Driver) -> None:
    driver.says(machine(gpu(0, uuid="error:15")))
    assert driver.asked(GPUS)["visible"] == []


def test_a_gpu_that_shares_main_memory_tells_none_of_its_own(driver: Driver) -> None:
    driver.says(machine(gpu(0, memory_total="error:3")))
    assert driver.asked(PROBE)[1:5] == ["cuda", 1, ["NVIDIA H100 80GB HBM3"], None]


def test_energy_is_in_joules_a_gpu(driver: Driver) -> None:
    driver.says(machine(gpu(0, energy_mj=9000, energy_mw=0), gpu(1, energy_mj=4500, energy_mw=0)))
    assert driver.asked(ENERGY) == {"gpu0": 9.0, "gpu1": 4.5}
    assert driver.asked(ENERGY, CUDA_VISIBLE_DEVICES="1") == {"gpu1": 4.5}


def test_a_gpu_older_than_the_counter_has_no_energy(driver: Driver) -> None:
    driver.says(machine(gpu(0, energy_mj="error:3")))
    assert driver.asked(ENERGY) == {}


@pytest.mark.parametrize(("after", "used"), [(12_500, 3.5), (500, None)])
def test_a_counter_that_fell_is_unknown_and_one_that_grew_is_not(driver: Driver, after: int, used: float) -> None:
    driver.says(machine(gpu(0, energy_mj=9000, energy_mw=0)))
    assert driver.asked(USED.format(after=after)) == used


def test_a_counter_that_wraps_falls(driver: Driver) -> None:
    driver.says(machine(gpu(0, energy_mj=10_500, energy_mw=0, energy_wraps_mj=10_000)))
    assert driver.asked(ENERGY) == {"gpu0": 0.5}


def test_a_driver_that_is_too_old_is_named_in_the_advice(driver: Driver) -> None:
    driver.says(machine(gpu(0), driver="535.104.05"))
    (advice,) = driver.asked(DOCTOR.format(sees=False))
    assert "update the driver (here 535.104.05)" in advice
    assert driver.asked(DOCTOR.format(sees=True)) == []


def test_no_gpu_is_what_the_advice_says_where_all_are_hidden(driver: Driver) -> None:
    (advice,) = driver.asked(DOCTOR.format(sees=False), CUDA_VISIBLE_DEVICES="")
    assert advice.startswith("no GPU is seen")


def test_the_library_answers_to_what_nvml_h_declares(nvml_library: Path) -> None:
    """pynvml asks for these by name; one that is missing would read as a GPU that does not support it."""
    shown = subprocess.run(
        ["nm", "-D", "--defined-only", str(nvml_library)], capture_output=True, text=True, check=True
    )
    names = {line.split()[-1] for line in shown.stdout.splitlines()}
    asked = ("PowerUsage", "TotalEnergyConsumption", "ClockInfo", "Temperature", "CurrentClocksThrottleReasons")
    assert {f"nvmlDeviceGet{name}" for name in asked} <= names
