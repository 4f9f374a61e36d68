"""Energy counters: what cannot be read is unknown, a counter that wraps is not a gain, a part is not counted twice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tts_compare.launchers.energy import Counter, read_energy, used_j


def package(root: Path, name: str, energy_uj: int, wraps_uj: int = 10_000_000) -> None:
    zone = root / "sys/class/powercap" / name
    zone.mkdir(parents=True)
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{wraps_uj}\n")


def test_packages_are_summed_and_their_parts_are_not(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", 2_000_000)
    package(tmp_path, "intel-rapl:1", 3_000_000)
    package(tmp_path, "intel-rapl:0:0", 1_000_000)
    reading = read_energy("cpu", root=tmp_path)
    assert {name: counter.joules for name, counter in reading.items()} == {"intel-rapl:0": 2.0, "intel-rapl:1": 3.0}


def test_a_machine_without_counters_uses_an_unknown_amount(tmp_path: Path) -> None:
    reading = read_energy("cpu", root=tmp_path)
    assert used_j(reading, reading) is None


def test_a_counter_that_started_again_is_counted_over_its_end() -> None:
    before, after = {"p": Counter(joules=9.0, wraps_at=10.0)}, {"p": Counter(joules=1.5, wraps_at=10.0)}
    assert used_j(before, after) == pytest.approx(2.5)


def test_a_counter_that_fell_without_wrapping_is_not_believed() -> None:
    assert used_j({"gpu0": Counter(joules=9.0)}, {"gpu0": Counter(joules=1.0)}) is None


def test_gpus_that_changed_between_readings_are_not_compared() -> None:
    assert used_j({"gpu0": Counter(joules=1.0)}, {"gpu0": Counter(joules=2.0), "gpu1": Counter(joules=1.0)}) is None


class NVMLError(Exception):
    """As pynvml has it."""


def driver(energies_mj: list[int], divided: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(energies_mj),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda index: "NVIDIA H100",
        nvmlDeviceGetUUID=lambda index: f"GPU-{index}",
        nvmlDeviceGetMigMode=lambda index: (int(index == divided), 0),
        nvmlDeviceGetMaxMigDeviceCount=lambda index: 1,
        nvmlDeviceGetMigDeviceHandleByIndex=lambda index, number: "part",
        nvmlDeviceGetMemoryInfo=lambda index: SimpleNamespace(total=80 * 2**30),
        nvmlSystemGetDriverVersion=lambda: "580.1",
        nvmlDeviceGetTotalEnergyConsumption=lambda index: energies_mj[index],
    )


def test_a_gpus_energy_is_read_in_millijoules() -> None:
    before, after = (read_energy("cuda", nvml=driver(mj)) for mj in ([1000, 5000], [4000, 5500]))
    assert used_j(before, after) == pytest.approx(3.5)


def test_the_energy_is_that_of_the_servers_gpus_and_of_no_other_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = driver([1000, 5000, 7000]), driver([900_000, 5500, 7250])
    used = [read_energy("cuda", nvml=nvml, visible="1,2") for nvml in (before, after)]
    assert used_j(*used) == pytest.approx(0.75)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert read_energy("cuda", nvml=before).keys() == {"gpu1"}
    assert read_energy("cuda", nvml=before, visible="2").keys() == {"gpu2"}


def test_the_energy_of_a_part_of_a_gpu_is_unknown() -> None:
    assert read_energy("cuda", nvml=driver([1000], divided=0)) == {}


def test_a_driver_that_refuses_leaves_it_unknown() -> None:
    def refuse() -> None:
        raise NVMLError

    broken = driver([1])
    broken.nvmlInit = refuse
    assert read_energy("cuda", nvml=broken) == {}
