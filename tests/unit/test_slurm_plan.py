"""What the Slurm launcher decides before anything runs: the allocation, where servers go, what their nodes run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tts_compare.backends import BACKENDS, Machine, Node
from tts_compare.domain import Device, Setting
from tts_compare.errors import StartError, UsageError
from tts_compare.launchers import LAUNCHERS, Place
from tts_compare.launchers.allocation import Allocation, Share, gpus_in, read_allocation, shares_in
from tts_compare.launchers.cluster import cluster_machine
from tts_compare.launchers.control import Ended, Hello
from tts_compare.launchers.orders import Order, orders_for
from tts_compare.launchers.placement import shape_of, slots
from tts_compare.launchers.step import Shape, server_step, step_environment
from tts_compare.launchers.verdict import taken_away
from tts_compare.plan.spread import cannot_span, spread

# scontrol show job --details --oneliner, Slurm 22.05.8, cut to what matters.
TOLD = (
    "JobId=7 JobName=x JobState=RUNNING Partition=gpu NodeList=n[1-3] JOB_GRES=gpu:h100:5 "
    "Nodes=n[1-2] CPU_IDs=0-3,8 Mem=2000 GRES=gpu:h100:2(IDX:0-1)   Nodes=n3 CPU_IDs=1 Mem=0 "
    "GRES=gpu:1(IDX:3) MinCPUsNode=1"
)
PLACE = Place(log_path=Path("/runs/r/servers/s.log"), python="/engine/bin/python", version="0.32.0")
SETTING = Setting(backend="vllm", model="m", device="cuda", tensor_parallel=2, max_model_len=2048)


def machine(*devices: int, cores: int = 8, device: Device = "cuda") -> Machine:
    """Nodes n1, n2, ... with so many GPUs each."""
    on_gpus = device == "cuda"
    nodes = tuple(
        Node(name=f"n{index + 1}", cores=cores, devices=count if on_gpus else 0, memory_bytes=1 << 36)
        for index, count in enumerate(devices)
    )
    total = sum(devices) if on_gpus else cores * len(nodes)
    return Machine(
        device=device, devices=total, memory_bytes=1 << 36, cores=tuple(range(cores * len(nodes))), nodes=nodes
    )


def over(nodes: int, *, tp: int = 2, **changes: object) -> Setting:
    return replace(SETTING, tensor_parallel=tp, nodes=nodes, **changes)  # type: ignore[arg-type]


def test_shares_are_read_from_slurms_own_words() -> None:
    found = shares_in(TOLD, {"n[1-2]": ["n1", "n2"], "n3": ["n3"]})
    assert found == (
        Share(node="n1", processors=5, gpus=2, memory_bytes=2000 << 20),
        Share(node="n2", processors=5, gpus=2, memory_bytes=2000 << 20),
        Share(node="n3", processors=1, gpus=1),
    )


def test_a_job_without_nodes_is_told_with_its_state() -> None:
    with pytest.raises(UsageError, match="PENDING"):
        shares_in("JobId=7 JobState=PENDING Partition=gpu", {})


@pytest.mark.parametrize(
    ("gres", "count"),
    [
        ("gpu:h100:2(IDX:0-1)", 2),
        ("gpu:4(IDX:0-3)", 4),
        ("gpu:a100:1(IDX:0),gpu:h100:2(IDX:1-2)", 3),
        ("nic:2(IDX:0-1)", 0),
        ("nic:1,gpu:2", 2),
        ("", 0),
    ],
)
def test_gpus_are_counted_among_other_resources(gres: str, count: int) -> None:
    assert gpus_in(gres) == count


def test_outside_of_an_allocation_it_says_how_to_get_one() -> None:
    with pytest.raises(UsageError, match="sbatch"):
        read_allocation({"PATH": "/bin"})


def test_a_step_asks_for_its_nodes_and_devices_and_overlaps_only_where_we_are_a_step() -> None:
    held = Allocation(job="7", partition="gpu", shares=())
    argv = server_step(held, Shape(nodes=("n1", "n2"), processors=3, gpus=2), ("run", "me"))
    assert argv[0] == "srun"
    assert argv[-2:] == ("run", "me")
    wanted = {"--jobid=7", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--nodelist=n1,n2", "--cpus-per-task=3"}
    assert wanted | {"--exact", "--gres=gpu:2", "--mem=0", "--input=none", "--kill-on-bad-exit=1"} <= set(argv)
    assert "--overlap" not in argv
    assert "--overlap" in server_step(replace(held, in_step=True), Shape(nodes=("n1",), processors=1), ("run",))
    assert "--gres=none" in server_step(held, Shape(nodes=("n1",), processors=1), ("run",))


def test_sruns_environment_holds_no_key_and_nothing_that_srun_reads_as_an_option() -> None:
    environ = {
        "PATH": "/bin",
        "HF_HOME": "/hf",
        "OPENAI_API_KEY": "secret",
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_JOB_ID": "7",
        "SLURM_NTASKS": "1",
        "SLURM_CPUS_PER_TASK": "4",
        "SRUN_CPUS_PER_TASK": "4",
        "SLURM_EXPORT_ENV": "NONE",
    }
    kept = step_environment(environ)
    assert set(kept) == {"PATH", "HF_HOME", "SLURM_CONF", "SLURM_JOB_ID"}


def test_servers_share_a_node_as_far_as_it_has_devices_and_then_take_the_next() -> None:
    found = slots((over(1), over(1, tp=1)), machine(4, 4))
    assert [[node.name for node in group] for group in found] == [["n1"], ["n1"], ["n2"], ["n2"]]
    assert [[node.name for node in group] for group in slots((over(2),), machine(2, 2, 2))] == [
        *([["n1", "n2"]] * 2),
    ], "one GPU on each of two nodes leaves room for another, and a node alone for none"
    assert slots((over(1, tp=8),), machine(4, 4)) == ()


def test_lanes_are_no_more_than_have_devices() -> None:
    slurm = LAUNCHERS["slurm"]
    assert [slurm.lanes((over(1),), machine(4, 2), asked=asked) for asked in (1, 3, 9)] == [1, 3, 3]
    assert slurm.lanes((over(1, tp=8),), machine(4, 2), asked=3) == 1, "it is skipped, or its start says why"


def test_a_server_is_given_the_processors_that_go_with_its_gpus() -> None:
    whole = machine(4, 4, cores=63)
    assert shape_of(over(1), whole.nodes[:1], whole) == Shape(nodes=("n1",), processors=31, gpus=2)
    assert shape_of(over(2, tp=8), whole.nodes, whole) == Shape(nodes=("n1", "n2"), processors=63, gpus=4)
    cpu = machine(0, 0, device="cpu")
    threads = over(2, device="cpu", threads_per_rank=3)
    assert shape_of(threads, cpu.nodes, cpu) == Shape(nodes=("n1", "n2"), processors=3)


@pytest.mark.parametrize(
    ("tp", "asked", "nodes"), [(2, None, 1), (4, None, 1), (8, None, 2), (8, 1, 1), (2, 2, 2), (16, None, 1)]
)
def test_ranks_are_dealt_over_as_few_nodes_as_have_room_or_as_asked(tp: int, asked: int | None, nodes: int) -> None:
    assert spread(over(1, tp=tp), machine(4, 4), asked=asked).nodes == nodes


def test_a_server_that_is_not_ours_is_not_dealt_over_nodes() -> None:
    attached = over(1, base_url="http://h:1")
    assert spread(attached, machine(1, 1), asked=2) is attached


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (over(2), None),
        (over(2, tp=8), None),
        (over(3, tp=6), "it needs 3 nodes and the allocation has 2"),
        (over(2, tp=3), "3 ranks cannot be dealt evenly over 2 nodes"),
        (over(2, tp=2, data_parallel=2), "data parallelism over several nodes is not launched"),
        (over(1, tp=8), "it needs 8 GPUs on a node, and the allocation's have 4, 4"),
    ],
)
def test_what_does_not_fit_the_nodes_is_refused_with_the_reason(setting: Setting, reason: str | None) -> None:
    assert BACKENDS["vllm"].unsupported(setting, machine(4, 4)) == reason


def test_a_single_machine_is_not_two_nodes() -> None:
    one = Machine(device="cuda", devices=8, memory_bytes=1 << 36)
    assert BACKENDS["vllm"].unsupported(over(2), one) == "it needs 2 nodes and this machine is one"


def test_an_engine_that_serves_on_one_node_says_so() -> None:
    assert cannot_span(over(2, backend="transformers")) == "transformers serves on one node, and this setting needs 2"
    assert cannot_span(over(2)) is None


def test_settings_over_other_numbers_of_nodes_are_other_settings() -> None:
    assert len({over(1).id, over(2).id, over(4).id}) == 3


def hellos(count: int) -> tuple[Hello, ...]:
    return tuple(
        Hello(
            rank=rank,
            node=f"n{rank + 1}",
            step="7.0",
            boot="b",
            address=f"10.0.0.{rank + 1}",
            cores=(rank,),
            port=20_001 + rank,
            rendezvous=21_000 + 10 * rank,
        )
        for rank in range(count)
    )


def orders(setting: Setting, *, reachable: bool = True, count: int = 1) -> tuple[Order, ...]:
    return orders_for(setting, PLACE, hellos(count), reachable=reachable, path="/bin")


def following(order: Order, flag: str) -> str:
    return order.argv[order.argv.index(flag) + 1]


def test_parts_meet_at_the_heads_address_and_only_the_head_listens() -> None:
    head, other = orders(over(2, device="cpu"), count=2)
    assert [following(order, "--node-rank") for order in (head, other)] == ["0", "1"]
    assert {following(order, "--master-addr") for order in (head, other)} == {"10.0.0.1"}
    assert {following(order, "--master-port") for order in (head, other)} == {"21000"}
    assert (following(head, "--host"), following(head, "--port")) == ("10.0.0.1", "20001")
    assert "--headless" not in head.argv
    assert "--headless" in other.argv
    assert "--host" not in other.argv
    assert [order.log.name for order in (head, other)] == ["s.node0.log", "s.node1.log"]
    assert [order.env["VLLM_CPU_OMP_THREADS_BIND"] for order in (head, other)] == ["0", "1"], "a node's own ranks"
    assert [order.env["VLLM_HOST_IP"] for order in (head, other)] == ["10.0.0.1", "10.0.0.2"]
    assert head.path == "/engine/bin:/bin"


def test_parts_of_sglang_look_their_cores_up_by_their_number_among_all() -> None:
    head, other = orders(over(2, device="cpu", backend="sglang"), count=2)
    assert [order.env["SGLANG_CPU_OMP_THREADS_BIND"] for order in (head, other)] == ["0|0", "1|1"]
    assert {following(order, "--dist-init-addr") for order in (head, other)} == {"10.0.0.1:21000"}
    assert [following(order, "--host") for order in (head, other)] == ["10.0.0.1", "127.0.0.1"]
    assert following(head, "--port") != following(other, "--port")


def test_a_server_that_other_hosts_can_reach_has_a_key_and_none_of_it_is_in_the_order() -> None:
    vllm, sglang = orders(over(1))[0], orders(over(1, backend="sglang"))[0]
    assert vllm.key_env == ("VLLM_API_KEY",)
    assert sglang.key_config == {"flag": "--config", "text": "api-key: {key}\n"}
    assert vllm.has_key
    assert sglang.has_key
    told = json.loads(json.dumps(sglang.told()))
    assert told["key_config"]["text"] == "api-key: {key}\n"
    with pytest.raises(StartError, match="transformers takes no key"):
        orders(over(1, tp=1, backend="transformers"))


def test_on_our_own_node_a_server_listens_on_loopback_and_has_a_key_only_by_its_environment() -> None:
    vllm, sglang = (orders(over(1, backend=name), reachable=False)[0] for name in ("vllm", "sglang"))
    assert {following(order, "--host") for order in (vllm, sglang)} == {"127.0.0.1"}
    assert (vllm.has_key, sglang.has_key) == (True, False)
    assert vllm.log == PLACE.log_path


NODE = {
    "cpu_model": "EPYC",
    "features": ["avx2"],
    "gpu_names": ["H100", "H100"],
    "gpu_memory_bytes": 80 << 30,
    "driver": "570.1",
    "memory_bytes": 1 << 38,
}
HELD = Allocation(
    job="7",
    partition="gpu",
    own="n2",
    shares=(Share(node="n1", processors=8, gpus=2), Share(node="n2", processors=8, gpus=1, memory_bytes=1 << 35)),
)


def told(**changes: object) -> list[dict[str, object]]:
    return [{"node": "n1", "machine": NODE}, {"node": "n2", "machine": NODE | changes}]


def test_an_allocation_is_one_machine_whose_client_keeps_a_processor_of_its_own_node() -> None:
    found = cluster_machine(HELD, "auto", told(driver="560.2"))
    assert [(node.name, node.devices, node.cores) for node in found.nodes] == [("n2", 1, 7), ("n1", 2, 8)]
    assert (found.device, found.devices, found.partition, found.job) == ("cuda", 3, "gpu", "7")
    assert found.driver == "560.2, 570.1"
    assert found.memory_bytes == 1 << 35, "what the job holds of it"


def test_without_a_driver_a_job_with_gpus_is_a_cpu_unless_told_otherwise() -> None:
    bare = told(gpu_names=[], gpu_memory_bytes=None, driver=None)
    assert cluster_machine(HELD, "auto", bare).device == "cpu"
    assert cluster_machine(HELD, "cuda", bare).devices == 3
    assert cluster_machine(HELD, "cpu", told()).devices == 15
    without = replace(HELD, shares=(Share(node="n1", processors=8),))
    with pytest.raises(UsageError, match="no GPU on n1"):
        cluster_machine(without, "cuda", told())


def test_a_node_that_does_not_answer_is_named() -> None:
    with pytest.raises(UsageError, match="no answer from n2"):
        cluster_machine(HELD, "auto", told()[:1])


def ended(why: str, status: int | None = 0) -> Ended:
    return Ended(rank=1, why=why, status=status, at_ns=1)


CANCELLED = "slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-12-01T00:00:00 DUE TO TIME LIMIT ***"


@pytest.mark.parametrize(
    ("end", "said", "taken"),
    [
        (ended("exited"), "", False),
        (ended("exited"), CANCELLED, False),
        (ended("parent", None), "", False),
        (ended("supervisor", None), "", False),
        (ended("signalled"), "", True),
        (ended("above"), "", True),
        (ended("lost", None), "", True),
        (ended("lost", None), CANCELLED, True),
        (ended("lost", None), "srun: error: n1: task 0: Out Of Memory", False),
        (ended("lost", None), "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0", False),
        (None, "srun: error: Unable to create step for job 7: Job/step already completing or completed", True),
        (None, "srun: error: Invalid generic resource (gres) specification", False),
    ],
)
def test_what_the_cluster_took_away_is_no_death_and_a_lack_of_memory_is_one(
    end: Ended | None, said: str, taken: bool
) -> None:
    assert (taken_away(end, said) is not None) is taken


def test_slurms_own_words_explain_what_it_took_away() -> None:
    assert "DUE TO TIME LIMIT" in (taken_away(ended("signalled"), CANCELLED) or "")
