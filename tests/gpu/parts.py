"""The parts: each does something on the machine and returns what it saw, as JSON. Nothing is judged here."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil

from tts_compare.domain import RequestRecord
from tts_compare.installer.doctor import doctor
from tts_compare.installer.registry import find_python
from tts_compare.machine.catalogue import catalogue, recognise
from tts_compare.machine.gpus import find_gpus, nvml_session
from tts_compare.machine.telemetry.sample import gpu_sample, whole_gpus
from tts_compare.rundir import store
from tts_compare.rundir.telemetry import TelemetryRow

_TRIAD = Path(__file__).with_name("triad.py")
_GONE_S = 60.0
_TAIL = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the parts work with. flags: of every run (``--model``, ``--engine-python``); spec_flags: of drafts."""

    out: Path
    backends: tuple[str, ...]
    flags: tuple[str, ...] = ()
    spec_flags: tuple[str, ...] = ()
    overrides: Mapping[str, str] | None = None
    problems: int = 8
    budget: int = 256


def nvml(_: Bench) -> dict[str, Any]:
    """What NVIDIA's library tells of the GPUs."""
    found = find_gpus()
    with nvml_session() as library:
        samples = [gpu_sample(library, index, root_pid=None) for index in whole_gpus(library, None)] if library else []
    gpus = [asdict(gpu) for gpu in found.visible]
    return {"driver": found.driver, "gpus": gpus, "samples": [msgspec.to_builtins(sample) for sample in samples]}


def triad(bench: Bench) -> dict[str, Any]:
    """The bandwidth that torch reaches in the environment of the first engine that has one."""
    seen = find_gpus().visible[0]
    known = recognise(seen.name, seen.memory_bytes, catalogue())
    python = find_python(bench.backends[0], None, overrides=dict(bench.overrides or {}), device="cuda").path
    done = subprocess.run([str(python), str(_TRIAD)], capture_output=True, text=True, check=False, timeout=300)
    why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:_TAIL]
    reached = json.loads(done.stdout.splitlines()[-1])["bytes_s"] if done.returncode == 0 else None
    return {"bytes_s": reached, "catalogue_bytes_s": known.bandwidth_bytes_s if known else None, "why": why}


def install(bench: Bench) -> dict[str, Any]:
    """What ``engines doctor`` says of each engine."""
    found = {one.engine: one for one in doctor(bench.overrides, only=bench.backends) if one.device == "cuda"}
    names = ("version", "imports", "torch", "torch_sees_gpu", "advice")
    return {"engines": {engine: {name: getattr(one, name) for name in names} for engine, one in found.items()}}


def engines(bench: Bench) -> dict[str, Any]:
    """Every engine on one GPU."""
    return _run(bench, "engines", f"--backend={','.join(bench.backends)}")


def thinking(bench: Bench) -> dict[str, Any]:
    """Budget forcing on vLLM."""
    return _run(bench, "thinking", "--backend=vllm", "--method=force")


def tp(bench: Bench) -> dict[str, Any]:
    """Two ranks."""
    ours = [engine for engine in bench.backends if engine != "transformers"]
    return _run(bench, "tp", f"--backend={','.join(ours)}", "--tp=2")


def spec(bench: Bench) -> dict[str, Any]:
    """Speculation by n-gram, and by drafts where there are any."""
    ours = [engine for engine in bench.backends if engine != "transformers"]
    return _run(bench, "spec", f"--backend={','.join(ours)}", "--spec=ngram", *bench.spec_flags)


def energy(bench: Bench) -> dict[str, Any]:
    """vLLM for long enough to integrate its power."""
    return _run(bench, "energy", "--backend=vllm", "--telemetry-s=0.2")


def kill(bench: Bench) -> dict[str, Any]:
    """SIGKILL of the program while it measures."""
    out = bench.out / "runs" / f"kill-{time.time_ns()}"
    found: dict[str, Any] = {"before": 0, "left": 0, "on_gpu_after": 0, "seconds": 0.0, "why": ""}
    with subprocess.Popen(
        _argv(bench, out, "--backend=vllm"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as program:
        while program.poll() is None and not _size(out / "records.jsonl"):
            time.sleep(0.05)
        if program.poll() is not None:
            return found | {"why": f"the run ended by itself with exit status {program.returncode}"}
        below = psutil.Process(program.pid).children(recursive=True)
        program.send_signal(signal.SIGKILL)
    begun = time.monotonic()
    _, left = psutil.wait_procs(below, timeout=_GONE_S)
    pids = {process.pid for process in below}
    found |= {"before": len(below), "left": len(left), "seconds": time.monotonic() - begun}
    return found | {"on_gpu_after": len(pids & _on_gpus())}


def _on_gpus() -> set[int]:
    with nvml_session() as library:
        if library is None:
            return set()
        handles = [library.nvmlDeviceGetHandleByIndex(index) for index in whole_gpus(library, None)]
        return {one.pid for handle in handles for one in library.nvmlDeviceGetComputeRunningProcesses(handle)}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _argv(bench: Bench, out: Path, *flags: str) -> list[str]:
    own = ["--device=cuda", "--dataset=quickstart", f"--problems={bench.problems}", f"--budget={bench.budget}"]
    return [sys.executable, "-m", "tts_compare", "run", *own, *bench.flags, *flags, f"--out={out}"]


def _run(bench: Bench, name: str, *flags: str) -> dict[str, Any]:
    """A run, and what its directory says of it."""
    out = bench.out / "runs" / f"{name}-{time.time_ns()}"
    done = subprocess.run(_argv(bench, out, *flags), capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line.strip()]
    found: dict[str, Any] = {"status": done.returncode, "why": said[-1][:_TAIL] if said and done.returncode else ""}
    return found | _seen(store.RunDir(out))


def _seen(run: store.RunDir) -> dict[str, Any]:
    if not run.manifest.exists():
        return {"failed": {}, "skipped": {}, "rows": {}, "points": [], "acceptance": {}, "metrics": [], "telemetry": {}}
    manifest = store.read_manifest(run)
    rows: dict[str, list[RequestRecord]] = {}
    for row in store.read_rows(run.records, RequestRecord):
        if row.phase == "measured":
            rows.setdefault(row.setting, []).append(row)
    metrics = [one for every in manifest.server_metrics.values() for one in every if one.phase == "measured"]
    samples = [gpu for row in store.read_rows(run.telemetry, TelemetryRow) for gpu in row.gpus]
    return {
        "failed": {one.setting: one.cause for one in manifest.failed},
        "skipped": {one.setting: one.reason for one in manifest.left_out},
        "rows": {setting: _counted(mine) for setting, mine in rows.items()},
        "points": store.read_list(run.points),
        "acceptance": {s: every[-1].server.acceptance_length for s, every in manifest.server_metrics.items() if every},
        "metrics": [{"energy_j": one.energy_j, "power_j": one.power_j} for one in metrics],
        "telemetry": {"samples": len(samples), "throttling_known": sum(one.throttled is not None for one in samples)},
        "doubts": [warning.code for warning in manifest.doubts],
    }


def _counted(rows: Sequence[RequestRecord]) -> dict[str, int]:
    counted = sum(row.ok and sum(row.timeline.tokens) == row.completion_tokens for row in rows)
    return {"sent": len(rows), "ok": sum(row.ok for row in rows), "counted": counted}


#: Part -> what it does.
DOING: Mapping[str, Callable[[Bench], dict[str, Any]]] = {
    "nvml": nvml,
    "triad": triad,
    "install": install,
    "engines": engines,
    "thinking": thinking,
    "tp": tp,
    "spec": spec,
    "energy": energy,
    "kill": kill,
}
