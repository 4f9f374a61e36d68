"""``python -m tests.gpu``: see docs/development.md. Exit status: 0 none failed, 1 a claim failed, 2 there is no GPU."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from tests.gpu.claims import ENGINES, PARTS
from tests.gpu.parts import DOING, Bench
from tests.gpu.proof import proof_of, table
from tts_compare.machine.gpus import find_gpus

NEEDS = "make test-gpu needs an NVIDIA GPU and its driver (nvidia-smi shows both): none is seen here"


def main(argv: list[str] | None = None) -> int:
    """Run the parts that have no evidence yet, then judge all there is."""
    told = _flags().parse_args(argv)
    wanted = tuple(part for part in told.parts.split(",") if part)
    if unknown := [part for part in wanted if part not in PARTS]:
        sys.stderr.write(f"unknown part {', '.join(unknown)}: {', '.join(PARTS)}\n")
        return 2
    if not find_gpus().visible:
        sys.stderr.write(NEEDS + "\n")
        return 2
    out = Path(told.out).absolute()
    out.mkdir(parents=True, exist_ok=True)
    bench = _bench(out, told)
    for part in wanted:
        path = out / f"{part}.json"
        if path.exists() and not told.again:
            sys.stderr.write(f"{part}: kept from before ({path.name}; AGAIN=1 does it again)\n")
            continue
        sys.stderr.write(f"{part}: running\n")
        _write(path, _evidence(part, bench))
    evidence = {part: json.loads(path.read_bytes()) for part in PARTS if (path := out / f"{part}.json").exists()}
    proof = proof_of(evidence)
    _write(out / "gpu-proof.json", proof)
    sys.stdout.write(table(proof) + f"\nwritten to {out / 'gpu-proof.json'}\n")
    return int(any(row["verdict"] == "failed" for row in proof["claims"]))


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(prog="make test-gpu", description=__doc__)
    flags.add_argument("--parts", default=os.environ.get("PARTS") or ",".join(PARTS))
    flags.add_argument("--out", default=os.environ.get("OUT") or "gpu-proof")
    flags.add_argument("--again", action="store_true", default=bool(os.environ.get("AGAIN")))
    flags.add_argument("--backends", default=os.environ.get("BACKENDS") or ",".join(ENGINES))
    flags.add_argument("--run-flags", default=os.environ.get("RUN_FLAGS") or "", help="of every run, e.g. --model DIR")
    flags.add_argument("--spec-flags", default=os.environ.get("SPEC_FLAGS") or "", help="of the runs with drafts")
    flags.add_argument("--engine-python", default=os.environ.get("ENGINE_PYTHON") or "", help="B=PYTHON,...")
    return flags


def _bench(out: Path, told: argparse.Namespace) -> Bench:
    overrides = dict(pair.split("=", 1) for pair in told.engine_python.split(",") if pair)
    pythons = [f"--engine-python={engine}={python}" for engine, python in overrides.items()]
    return Bench(
        out=out,
        backends=tuple(told.backends.split(",")),
        flags=(*pythons, *shlex.split(told.run_flags)),
        spec_flags=tuple(shlex.split(told.spec_flags)),
        overrides=overrides,
    )


def _evidence(part: str, bench: Bench) -> dict[str, Any]:
    """What a part saw; that it broke is evidence too, and the next part goes on."""
    begun = time.monotonic()
    try:
        found = DOING[part](bench)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the part found
        found = {"broke": f"{type(error).__name__}: {error}".splitlines()[0]}
    return found | {"took_s": time.monotonic() - begun}


def _write(path: Path, value: dict[str, Any]) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")
    scratch.replace(path)


if __name__ == "__main__":
    sys.exit(main())
