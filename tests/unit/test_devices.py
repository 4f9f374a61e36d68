"""GPUs are handed out so that no two servers share one, and none sees more than it needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.backends import Machine
from tts_compare.cli import main
from tts_compare.domain import Setting
from tts_compare.launchers.devices import lane_count, visible_devices


def machine(gpus: int) -> Machine:
    return Machine(device="cuda", devices=gpus, memory_bytes=2**36)


def setting(ranks: int) -> Setting:
    return Setting(backend="vllm", model="m", device="cuda", tensor_parallel=ranks)


@given(
    gpus=st.integers(1, 16), ranks=st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=4), asked=st.integers(1, 8)
)
def test_servers_side_by_side_share_no_gpu_and_each_has_as_many_as_ranks(
    gpus: int, ranks: list[int], asked: int
) -> None:
    settings = [setting(count) for count in ranks if count <= gpus] or [setting(1)]
    lanes = lane_count(settings, machine(gpus), asked=asked)
    assert 1 <= lanes <= asked
    for one in settings:
        seen = [visible_devices(one, settings, machine(gpus), lane=lane, environ={}) for lane in range(lanes)]
        names = [name for devices in seen if devices for name in devices.split(",")]
        assert len(names) == len(set(names)) == lanes * one.tensor_parallel
        assert all(int(name) < gpus for name in names)


def test_the_gpus_that_we_were_given_are_those_that_are_handed_on() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "5,7"}
    assert visible_devices(setting(1), [setting(1)], machine(2), lane=1, environ=environ) == "7"


def test_a_cpu_and_an_attached_server_get_none() -> None:
    cpu = Machine(device="cpu", devices=2, memory_bytes=2**34)
    attached = Setting(backend="vllm", model="m", base_url="http://h:1")
    assert visible_devices(setting(1), [setting(1)], cpu, lane=0, environ={}) is None
    assert visible_devices(attached, [attached], machine(2), lane=0, environ={}) is None
    assert lane_count([setting(1)], cpu, asked=3) == 3


@pytest.mark.parametrize(("spec", "said"), [("none", ""), ("none,ngram", "2 servers ran at once")])
def test_as_many_servers_are_said_to_run_at_once_as_there_are(
    spec: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    work = ["--backend=vllm", f"--model={tmp_path}", "--device=cpu", "--dataset=quickstart", "--budget=8"]
    assert main(["plan", *work, "--parallel-servers=4", f"--spec={spec}"]) == 0
    plan = capsys.readouterr().out
    assert said in plan
    assert bool(said) == ("ran at once" in plan)
