"""``make test-gpu`` over stand-ins for the engines and the driver: its table is right, and each line can fail."""

from __future__ import annotations

import copy
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import nvml
from tests.gpu.claims import CLAIMS, PARTS, judged
from tests.gpu.proof import proof_of, proofs_table, published, table
from tests.integration.running import Bench, bench
from tests.nvml import Driver, gpu, machine

pytestmark = pytest.mark.timeout(400)
Evidence = dict[str, dict[str, Any]]
#: As much of torch as the doctor and the triad ask for; its clock makes the triad 3.0 TB/s.
TORCH = """
import time
from types import SimpleNamespace
__version__ = "2.13.0+cu130"
float32 = "float32"
version = SimpleNamespace(cuda="13.0")
clock = [0.0]
cuda = SimpleNamespace(is_available=lambda: True, synchronize=lambda: None)
def ones(length, dtype, device):
    time.perf_counter = lambda: clock[0]
    return SimpleNamespace(length=length)
def empty_like(other):
    return SimpleNamespace(element_size=lambda: 4)
def add(first, second, alpha, out):
    clock[0] += 3 * 4 * first.length / 3.0e12
"""
#: What stand-ins cannot show: there is no draft, transformers has none, and a model without weights has no bound.
NOT_HERE = {"bound", "install-transformers", "serve-transformers", "spec-draft_model", "spec-eagle", "spec-mtp"}


def engines(home: Path) -> Bench:
    """Stand-ins whose environments have a torch and the modules by which a doctor knows them."""
    made = bench(home, extra=("--token-rate", "80", "--tokens-per-chunk", "2"))
    for engine, module in {"vllm": "", "sglang": "sglang/srt/entrypoints/http_server.py"}.items():
        (home / f"standin-{engine}" / "torch.py").write_text(TORCH)
        if module:
            path = home / f"standin-{engine}" / module
            path.parent.mkdir(parents=True)
            path.touch()
    return made


def proved(made: Bench, driver: Driver | None, *flags: str) -> subprocess.CompletedProcess[str]:
    pythons = f"vllm={made.vllm},sglang={made.sglang}"
    argv = ["--backends=vllm,sglang", f"--engine-python={pythons}", f"--run-flags=--model={made.model}", *flags]
    env = {key: value for key, value in os.environ.items() if key not in ("CUDA_VISIBLE_DEVICES", "PARTS", "OUT")}
    return subprocess.run(
        [sys.executable, "-m", "tests.gpu", f"--out={made.home / 'proof'}", *argv],
        env=env | (driver.environment if driver else {}),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=280,
    )


@pytest.fixture(scope="module")
def whole(nvml_library: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Driver, str]:
    """All parts on two H100s that are well: the bench, the driver and what was printed."""
    home = tmp_path_factory.mktemp("gpu")
    driver = Driver(library=nvml_library, file=home / "driver.txt")
    driver.says(machine(gpu(0), gpu(1)))
    made = engines(home / "bench")
    done = proved(made, driver)
    assert done.returncode == 0, done.stdout + done.stderr
    return made, driver, done.stdout


@pytest.fixture(scope="module")
def evidence(whole: tuple[Bench, Driver, str]) -> Evidence:
    return {part: json.loads((whole[0].home / "proof" / f"{part}.json").read_bytes()) for part in PARTS}


def verdicts(proof: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["verdict"] for row in proof["claims"]}


def test_over_stand_ins_every_line_is_proven_that_they_can_show(whole: tuple[Bench, Driver, str]) -> None:
    made, _, printed = whole
    proof = json.loads((made.home / "proof" / "gpu-proof.json").read_bytes())
    expected = {claim.id: "not possible here" if claim.id in NOT_HERE else "proven" for claim in CLAIMS}
    assert verdicts(proof) == expected
    assert table(proof) in printed
    assert (proof["gpus"], proof["driver"]) == (["NVIDIA H100 80GB HBM3"] * 2, "580.65.06")


def test_the_proof_names_no_host_no_path_and_no_key(whole: tuple[Bench, Driver, str]) -> None:
    text = (whole[0].home / "proof" / "gpu-proof.json").read_text()
    assert str(whole[0].home) not in text
    assert f'"{platform.node()}"' not in text


def test_a_second_call_goes_on_with_what_is_there(whole: tuple[Bench, Driver, str]) -> None:
    made, driver, printed = whole
    (made.home / "proof" / "nvml.json").unlink()
    again = proved(made, driver)
    assert again.returncode == 0
    assert [line.split(":")[0] for line in again.stderr.splitlines() if "kept from before" in line] == [*PARTS[1:]]
    assert again.stdout == printed


def test_without_a_gpu_it_says_in_one_line_what_it_needs(tmp_path: Path) -> None:
    done = proved(bench(tmp_path / "bench"), None)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().splitlines() == [
        "make test-gpu needs an NVIDIA GPU and its driver (nvidia-smi shows both): none is seen here"
    ]


def test_a_part_that_is_none_is_refused(tmp_path: Path) -> None:
    done = proved(bench(tmp_path / "bench"), None, "--parts=nvml,everything")
    assert done.returncode == 2
    assert done.stderr.startswith("unknown part everything: nvml, triad,")


def test_one_part_alone_leaves_the_others_open(tmp_path: Path, driver: Driver) -> None:
    done = proved(bench(tmp_path / "bench"), driver, "--parts=nvml")
    assert done.returncode == 0
    assert done.stdout.count("its part was not run (PARTS)") == len([c for c in CLAIMS if c.part != "nvml"])


def test_an_engine_that_does_not_start_fails_its_line_with_the_cause(tmp_path: Path, driver: Driver) -> None:
    made = engines(tmp_path / "bench")
    flags = f"--run-flags=--model={made.model} --engine-args=vllm=--fail-to-start"
    done = proved(made, driver, "--parts=engines", flags)
    assert done.returncode == 1
    found = verdicts(json.loads((made.home / "proof" / "gpu-proof.json").read_bytes()))
    assert (found["serve-vllm"], found["serve-sglang"]) == ("failed", "proven")
    assert "unrecognized arguments: --fail-to-start" in done.stdout


def _set(part: str, *path: Any, to: Any) -> Callable[[Evidence], None]:
    def change(found: Evidence) -> None:
        place: Any = found[part]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


def _row(part: str, setting: str, **to: Any) -> Callable[[Evidence], None]:
    """A setting's row, whichever its id, in which these counts are others."""

    def change(found: Evidence) -> None:
        (mine,) = (s for s in found[part]["rows"] if s.startswith(setting))
        found[part]["rows"][mine] |= to

    return change


def _drafted(kind: str) -> Callable[[Evidence], None]:
    return _set("spec", "failed", f"vllm/m/tp1-pp1-dp1/{kind}5", to="no such draft")


#: Claim -> what it fails of.
FAILING: dict[str, Callable[[Evidence], None]] = {
    "nvml-names": _set("nvml", "gpus", 1, "memory_bytes", to=None),
    "nvml-telemetry": _set("nvml", "samples", 1, "throttled", to=None),
    "triad": _set("triad", "bytes_s", to=1.0e12),
    "install-vllm": _set("install", "engines", "vllm", "torch_sees_gpu", to=False),
    "install-sglang": _set("install", "engines", "sglang", "advice", to=["its compiled kernels do not load"]),
    "install-transformers": _set(
        "install", "engines", "transformers", to={"imports": False, "advice": ["run it"]} | {"torch_sees_gpu": None}
    ),
    "serve-vllm": _row("engines", "vllm/", ok=7),
    "serve-sglang": _row("engines", "sglang/", counted=7),
    "serve-transformers": _set("engines", "failed", "transformers/m/tp1-pp1-dp1/none", to="out of memory"),
    "bound": _set("engines", "points", to=[{"bound_share": 0.4}, {"bound_share": 1.2}]),
    "thinking": _row("thinking", "vllm/", ok=0),
    "tp-vllm": _row("tp", "vllm/", ok=3),
    "tp-sglang": _row("tp", "sglang/", sent=0, ok=0, counted=0),
    "spec-ngram-vllm": _set("spec", "acceptance", to={"vllm/m/tp1-pp1-dp1/ngram": None}),
    "spec-ngram-sglang": _row("spec", "sglang/", ok=3),
    "spec-draft_model": _drafted("draft_model"),
    "spec-eagle": _drafted("eagle"),
    "spec-mtp": _drafted("mtp"),
    "energy-read": _set("energy", "metrics", 0, "energy_j", to=None),
    "energy-power": _set("energy", "metrics", to=[{"energy_j": 100.0, "power_j": 120.0}]),
    "throttling": _set("energy", "telemetry", "throttling_known", to=0),
    "kill": _set("kill", "left", to=1),
}


def test_every_line_is_made_to_fail() -> None:
    assert set(FAILING) == {claim.id for claim in CLAIMS}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: str(claim.id))
def test_a_line_fails_where_its_evidence_does(claim: Any, evidence: Evidence) -> None:
    changed = copy.deepcopy(evidence)
    FAILING[claim.id](changed)
    before, after = judged(claim, evidence), judged(claim, changed)
    assert before.verdict != "failed"
    assert after.verdict == "failed"
    others = [one for one in CLAIMS if one.id != claim.id and judged(one, changed).verdict == "failed"]
    assert [one.id for one in others if one.part != claim.part] == []


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: str(claim.id))
def test_a_part_that_broke_proves_nothing(claim: Any) -> None:
    assert judged(claim, {claim.part: {"broke": "OSError: no room"}}) == ("failed", "OSError: no room")


def test_what_is_published_has_no_secret() -> None:
    said = f"no route from {platform.node()} with sk-123 to /home/ann/models/x: gone"
    assert published(said, {"OPENAI_API_KEY": "sk-123"}) == "no route from HOST with KEY to PATH: gone"


def test_a_file_of_a_machine_is_a_row_of_the_readme(tmp_path: Path, evidence: Evidence) -> None:
    assert "none yet" in proofs_table(tmp_path)
    (tmp_path / "h100.json").write_text(json.dumps(proof_of(evidence)))
    assert "| 2 x NVIDIA H100 80GB HBM3 | 580.65.06 |" in proofs_table(tmp_path)


def test_the_stand_in_for_the_driver_is_the_one_pynvml_loads(whole: tuple[Bench, Driver, str]) -> None:
    assert whole[1].library.name == "libnvidia-ml.so.1"
    assert nvml.SOURCE.is_file()
