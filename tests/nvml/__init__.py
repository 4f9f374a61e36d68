"""A ``libnvidia-ml.so.1`` of our own, so that pynvml itself is tested: built from C; a file says what it answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("nvml.c")
GIB = 2**30


def compiler() -> str | None:
    """The path of a C compiler, None where there is none."""
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


def build(directory: Path) -> Path:
    """Compile the library into the directory and return its path."""
    made = directory / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"]
    subprocess.run([compiler() or "cc", *flags, "-o", str(made), str(SOURCE)], check=True)
    return made


@dataclass(frozen=True)
class Driver:
    """The library and the file that says what it answers."""

    library: Path
    file: Path

    def says(self, answers: Mapping[str, object]) -> Driver:
        """Answer so from now on."""
        scratch = self.file.with_suffix(".new")
        scratch.write_text("".join(f"{key} {value}\n" for key, value in answers.items()))
        scratch.replace(self.file)
        return self

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process load the library."""
        return {"LD_LIBRARY_PATH": str(self.library.parent), "TTS_FAKE_NVML": str(self.file)}

    def asked(self, code: str, **environment: str) -> Any:
        """What ``code`` leaves in ``answer``, run by a Python that loads the library."""
        env = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
        program = f"import json\n{code}\nprint(json.dumps(answer))"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=env | self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def gpu(index: int, **answers: object) -> dict[str, object]:
    """What a whole H100 answers under its index, with these answers in place of its own."""
    own: dict[str, object] = {
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": f"GPU-{index}0000000-0000-0000-0000-000000000000",
        "bus_id": f"00000000:{index + 1}B:00.0",
        "memory_total": 80 * GIB,
        "memory_used": 60 * GIB,
        "power_mw": 400_000,
        "energy_mj": 0,
        "energy_mw": 400_000,
        "utilization": 90,
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 2619,
        "temperature_c": 55,
        "throttle": 0,
    }
    return {f"{index}.{key}": value for key, value in (own | answers).items()}


def machine(*gpus: Mapping[str, object], **answers: object) -> dict[str, object]:
    """A driver with these GPUs."""
    said: dict[str, object] = {"driver": "580.65.06", "count": len(gpus), **answers}
    for one in gpus:
        said |= one
    return said
