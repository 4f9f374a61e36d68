"""From a setting to a plan; ports; leftovers in shared memory; what is taken on trust of an attached server."""

from __future__ import annotations

import mmap
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tts_compare.backends import BACKENDS, Machine
from tts_compare.domain import Setting, Speculation
from tts_compare.errors import UsageError
from tts_compare.launchers import Place, ServerPlan, free_port, launcher_for, plan_server
from tts_compare.launchers.attach import base_url_of, root_of, trust_warnings
from tts_compare.launchers.logs import describe_status, read_tail
from tts_compare.launchers.ports import can_bind, listening_inodes, listens
from tts_compare.launchers.supervisor import present, unlink_left

MACHINE = Machine(device="cpu", devices=2, memory_bytes=2**34, cores=(6, 7))


def plan_of(setting: Setting, tmp_path: Path, **changes: object) -> ServerPlan:
    place = Place(python="py", log_path=tmp_path / "x.log", machine=MACHINE)
    return plan_server(setting, replace(place, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_plan_listens_on_the_loopback_alone_and_uses_the_machines_cores(engine: str, tmp_path: Path) -> None:
    plan = plan_of(Setting(backend=engine, model="org/M", tensor_parallel=2), tmp_path)
    assert plan.argv[plan.argv.index("--host") + 1] == "127.0.0.1"
    assert plan.argv[plan.argv.index("--port") + 1] == str(plan.port)
    assert "6|7" in plan.env.values()
    assert launcher_for(plan.setting).name == "local"


def test_each_plan_has_a_key_of_its_own_where_the_engine_takes_one_out_of_sight(tmp_path: Path) -> None:
    vllm = Setting(backend="vllm", model="org/M")
    first, second = plan_of(vllm, tmp_path), plan_of(vllm, tmp_path)
    assert first.api_key
    assert first.api_key != second.api_key
    assert first.key_env == {"VLLM_API_KEY": first.api_key}
    assert first.api_key not in repr(first)
    assert first.api_key not in " ".join(first.argv) + " ".join(first.env.values())
    assert plan_of(vllm, tmp_path, with_key=False).api_key is None
    sglang = plan_of(Setting(backend="sglang", model="org/M"), tmp_path)
    assert (sglang.api_key, sglang.key_env) == (None, {})


def test_a_model_on_the_disk_keeps_the_engine_from_the_hub(tmp_path: Path) -> None:
    assert plan_of(Setting(backend="vllm", model=str(tmp_path)), tmp_path).env["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in plan_of(Setting(backend="vllm", model="org/M"), tmp_path).env


def test_a_draft_model_of_the_hub_can_be_fetched_beside_a_model_on_the_disk(tmp_path: Path) -> None:
    def env(draft: str) -> dict[str, str]:
        speculation = Speculation(kind="draft_model", model=draft)
        return plan_of(Setting(backend="vllm", model=str(tmp_path), speculation=speculation), tmp_path).env

    assert not {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} & env("org/Draft").keys()
    assert env(str(tmp_path))["HF_HUB_OFFLINE"] == "1"


def test_each_lane_sees_gpus_of_its_own_numbered_as_the_driver_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus = Machine(device="cuda", devices=4, memory_bytes=2**34, cores=(6, 7))
    two = Setting(backend="vllm", model="org/M", device="cuda", tensor_parallel=2)
    one = replace(two, tensor_parallel=1)
    env = plan_of(one, tmp_path, machine=gpus, beside=(one, two), lane=1).env
    assert (env["CUDA_VISIBLE_DEVICES"], env["CUDA_DEVICE_ORDER"]) == ("2", "PCI_BUS_ID")
    assert plan_of(two, tmp_path, machine=gpus, beside=(one, two), lane=1).env["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert "CUDA_VISIBLE_DEVICES" not in plan_of(replace(one, device="cpu"), tmp_path).env


@pytest.mark.parametrize("engine", list(BACKENDS))
def test_a_setting_with_an_address_is_attached_to_whatever_launcher_is_named(engine: str) -> None:
    setting = Setting(backend=engine, model="org/M", base_url="http://h:8000")
    assert launcher_for(setting).name == launcher_for(setting, "other").name == "attach"


def test_a_launcher_that_there_is_not_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown launcher 'other': there are local, attach"):
        launcher_for(Setting(backend="vllm", model="org/M"), "other")


def test_a_free_port_can_be_bound_and_lies_below_the_kernels_own_range() -> None:
    ports = {free_port() for _ in range(5)}
    assert all(20_000 <= port < 30_000 and can_bind(port) for port in ports)


def test_a_listener_belongs_to_its_process_alone() -> None:
    import os

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not can_bind(port)
        assert len(listening_inodes(port)) == 1
        assert listens([os.getpid()], port)
        assert not listens([os.getppid(), 999_999_999], port)
    assert not listens([os.getpid()], port)


def test_leftovers_of_our_own_time_are_unlinked_and_none_that_is_older_mapped_or_called_otherwise(
    tmp_path: Path,
) -> None:
    for name in ("eng_old", "eng_new", "eng_mapped", "other_new"):
        (tmp_path / name).write_bytes(b"x" * 4096)
    shm = str(tmp_path)
    with (tmp_path / "eng_mapped").open("r+b") as file, mmap.mmap(file.fileno(), 0):
        unlink_left(("eng_",), {"eng_old"}, shm)
    left = {"eng_old", "eng_mapped", "other_new"}
    assert present(("eng_", "other_"), shm) == left
    unlink_left((), set(), shm)
    assert present(("eng_", "other_"), shm) == left


@pytest.mark.parametrize(
    ("address", "base", "root"),
    [
        ("http://h:8000", "http://h:8000/v1", "http://h:8000"),
        ("http://h:8000/", "http://h:8000/v1", "http://h:8000"),
        ("http://h:8000/v1/", "http://h:8000/v1", "http://h:8000"),
        ("https://gate.example/openai/v1", "https://gate.example/openai/v1", "https://gate.example/openai"),
        ("https://a.example/openai/deployments/d", *["https://a.example/openai/deployments/d"] * 2),
    ],
)
def test_an_address_without_a_path_gets_v1(address: str, base: str, root: str) -> None:
    assert base_url_of(address) == base
    assert root_of(base) == root


def test_what_an_attached_server_does_not_tell_is_taken_on_trust_and_what_it_denies_is_a_warning() -> None:
    setting = Setting(backend="sglang", model="m", tensor_parallel=2, max_model_len=2048)
    doubts = trust_warnings(
        setting, {"tensor_parallel": 1, "max_model_len": 2048, "dtype": "bfloat16"}, ("speculation",)
    )
    assert [warning.code for warning in doubts] == ["attached_on_trust", "attached_differs"]
    assert "speculation" in doubts[0].message
    assert "tensor_parallel is 1, the setting says 2" in doubts[1].message
    assert all(warning.setting == setting.id for warning in doubts)
    assert trust_warnings(replace(setting, tensor_parallel=1), {"tensor_parallel": 1}, ()) == ()


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit status 0"), (1, "exit status 1"), (137, "signal 9 (killed)"), (-15, "signal 15 (terminated)")],
)
def test_an_exit_status_is_put_in_words(status: int, words: str) -> None:
    assert describe_status(status) == words


def test_of_a_huge_log_the_end_is_read_and_of_none_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a" * 3_000_000 + b"\nthe end \xff\n")
    assert read_tail(log).endswith("\nthe end �\n")
    assert len(read_tail(log)) < 2_000_001
    assert read_tail(tmp_path / "none") == ""
