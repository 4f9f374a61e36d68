"""Accelerators have a source for each figure, users may add theirs, and ``--machine`` says which machine is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tts_compare.backends import Machine
from tts_compare.errors import UsageError
from tts_compare.machine.catalogue import catalogue, find, recognise
from tts_compare.machine.spec import machine_at_hand, machine_from

FIGURES = ("memory_gb", "bandwidth_gb_s", "bf16_tflops", "fp8_tflops", "link_gb_s", "usd_hour", "sglang_share")


@pytest.fixture(autouse=True)
def no_user_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


@pytest.mark.parametrize("name", catalogue())
def test_every_figure_has_a_source_that_says_where_it_can_be_read(name: str) -> None:
    one = catalogue()[name]
    stated = {
        "memory_gb": one.memory_bytes,
        "bandwidth_gb_s": one.bandwidth_bytes_s,
        "bf16_tflops": one.bf16_flops,
        "fp8_tflops": one.fp8_flops,
        "link_gb_s": one.link_bytes_s,
        "usd_hour": one.usd_hour_low,
        "sglang_share": one.sglang_share,
    }
    sources = dict(one.sources)
    assert {key for key, value in stated.items() if value is not None} == set(sources)
    assert all(len(source) > 20 for source in sources.values()), "a key of [sources] that has no entry there"


@pytest.mark.parametrize(
    ("text", "name", "devices", "nodes"),
    [
        ("4xH100-SXM", "H100-SXM", 4, 1),
        ("4xGH200-96", "GH200-96", 4, 1),
        ("4 x gh200 96", "GH200-96", 4, 1),
        ("2x(8xH200)", "H200", 8, 2),
        ("H100", "H100-SXM", 1, 1),
        ("2xRTX 4090", "RTX4090", 2, 1),
        ("l4", "L4", 1, 1),
    ],
)
def test_a_machine_is_named_as_people_write_it(text: str, name: str, devices: int, nodes: int) -> None:
    machine = machine_from(text)
    assert (machine.accelerator.name, machine.devices, machine.nodes) == (name, devices, nodes)
    assert machine.total == devices * nodes
    assert machine.probed().devices == machine.total


@pytest.mark.parametrize("text", ["", "4x", "0xH100", "2x(H100", "4xH1000", "none.toml", "x"])
def test_what_is_no_machine_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        machine_from(text)


def test_amd_is_refused_in_plain_words() -> None:
    with pytest.raises(UsageError, match="AMD's GPUs are not supported"):
        machine_from("8xMI300X")


def test_a_file_describes_a_machine_that_no_catalogue_knows(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "devices = 2\nnodes = 3\nusd_hour = 1.25\noverhead_ms = 4.7\nall_reduce_us = 9\n"
        "[accelerator.X1]\nmemory_gb = 10\nbandwidth_gb_s = { value = 100, source = 'me' }\n"
    )
    machine = machine_from(str(file))
    assert (machine.accelerator.name, machine.devices, machine.nodes, machine.price) == ("X1", 2, 3, (1.25, 1.25))
    assert (machine.accelerator.memory_bytes, machine.accelerator.bandwidth_bytes_s) == (10e9, 100e9)
    assert machine.overhead_s == pytest.approx(0.0047)
    assert machine.all_reduce_s == pytest.approx(9e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("machine = 4", "say which machine"),
        ("speed = 4", "unknown key 'speed'"),
        ("[accelerator.X]\nmemory_gb = 1", "needs bandwidth_gb_s"),
        ("[accelerator.X]\nmemory_gb = -1\nbandwidth_gb_s = 1", "not a positive number"),
        ("[accelerator.X]\nmemory_gb = 1\nbandwidth_gb_s = 1\nwatts = 3", "unknown key 'watts'"),
        ("machine = 'H100'\nusd_hour = 'two'", "usd_hour"),
        ("machine = 'H100'\ndevices = 0", "devices"),
        ("machine = ", "cannot read"),
    ],
)
def test_a_file_that_says_nothing_usable_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        machine_from(str(tmp_path / "m.toml"))


def test_a_users_own_file_adds_to_the_catalogue_and_replaces_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tts-compare").mkdir()
    text = "[accelerator.L4]\nmemory_gb = 24\nbandwidth_gb_s = 290\nusd_hour = 0.7\n"
    (tmp_path / "tts-compare" / "accelerators.toml").write_text(text)
    machine = machine_from("L4")
    assert (machine.accelerator.bandwidth_bytes_s, machine.price) == (290e9, (0.7, 0.7))


@pytest.mark.parametrize(
    ("driver", "memory", "name"),
    [
        ("NVIDIA H100 80GB HBM3", 85_520_809_984, "H100-SXM"),
        ("NVIDIA H100 PCIe", 85_520_809_984, "H100-PCIe"),
        ("NVIDIA GH200 480GB", 102_000_000_000, "GH200-96"),
        ("NVIDIA GH200 144G HBM3e", 151_000_000_000, "GH200-144"),
        ("NVIDIA H200", 150_754_820_096, "H200"),
        ("NVIDIA A100-SXM4-40GB", 42_949_672_960, "A100-40"),
        ("NVIDIA L4", 24_000_000_000, "L4"),
        ("NVIDIA L40S", 48_000_000_000, "L40S"),
        ("NVIDIA GB200", 199_000_000_000, None),
        ("Quadro P400", 2_000_000_000, None),
    ],
)
def test_what_a_driver_says_is_found_in_the_catalogue(driver: str, memory: int, name: str | None) -> None:
    found = recognise(driver, memory, catalogue())
    assert (found.name if found else None) == name


def test_gpus_at_hand_have_the_memory_that_their_driver_shows() -> None:
    gpus = ("NVIDIA H100 80GB HBM3",) * 2
    machine = Machine(device="cuda", devices=2, memory_bytes=0, gpu_names=gpus, gpu_memory_bytes=85_520_809_984)
    planned = machine_at_hand(machine)
    assert planned is not None
    assert planned.accelerator.memory_bytes == 85_520_809_984
    assert planned.at_hand


def test_gpus_of_several_kinds_and_parts_of_one_are_no_machine_that_hours_can_be_planned_for() -> None:
    mixed = Machine(device="cuda", devices=2, memory_bytes=0, gpu_names=("NVIDIA L4", "NVIDIA H200"))
    assert machine_at_hand(mixed) is None
    part = Machine(device="cuda", devices=1, memory_bytes=0, gpu_names=("NVIDIA H100 80GB HBM3 MIG",))
    assert machine_at_hand(part) is None, "a MIG instance has a part of the bandwidth, and nobody says which"


def test_an_unknown_accelerator_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="GH200-96"):
        find("H1000", catalogue())
