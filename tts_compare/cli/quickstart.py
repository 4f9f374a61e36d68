"""``tts-compare quickstart``: from nothing to a first frontier, telling what was chosen and why."""

from __future__ import annotations

import shlex
from argparse import Namespace
from typing import TYPE_CHECKING

from tts_compare.cli.engines import install_engines
from tts_compare.cli.overrides import CommandLine
from tts_compare.cli.run import run_asked
from tts_compare.cli.terminal import talk

if TYPE_CHECKING:
    from tts_compare.domain import Device

ENGINES = ("vllm", "sglang")


def quickstart_command(arguments: Namespace) -> int:
    """Install what is missing, run the experiment that suits this machine, print its report."""
    from tts_compare.installer.hardware import detect_device
    from tts_compare.installer.install import InstallRequest

    device = detect_device()
    if device == "cuda":
        talk("a GPU is seen: DeepSeek-R1-Distill-Qwen-1.5B on 32 problems of MATH-500, budgets 1k and 4k")
    else:
        talk("no GPU is seen: both engines on the CPU, SmolLM2-135M-Instruct (135 million parameters, the smallest")
        talk("model that solves some problems), 16 easy problems, budgets of 8 to 32 tokens cut from one pass")
    install_engines([InstallRequest(engine=engine, device=device) for engine in ENGINES])
    asked = _asked(device, arguments.out)
    status = run_asked(asked)
    talk("each setting was started once, so none is called faster; with three starts each:")
    talk(f"  {_in_rounds(asked)}")
    if device == "cuda":
        talk("the paper's whole grid: tts-compare --config paper   (see it first: tts-compare plan --config paper)")
    else:
        talk("next: your own model and problems, e.g.")
        talk("  tts-compare --backend vllm,sglang --model DIR --dataset problems.jsonl --budget 256,1k")
    return status


def _in_rounds(asked: CommandLine) -> str:
    """The command of the same experiment in three rounds, of as many problems as these need."""
    named = ["--model", str(asked.flags["model"])] if "model" in asked.flags else ["--problems", "75"]
    return shlex.join(["tts-compare", "--config", str(asked.config), *named, "--rounds", "3"])


def _asked(device: Device, out: str | None) -> CommandLine:
    from tts_compare.installer.models import prepare_quickstart_model
    from tts_compare.installer.registry import find_python

    if device == "cuda":
        return CommandLine(config="quickstart-gpu", flags={"out": out})
    python = find_python("vllm", None, overrides={}, device=device)
    model = prepare_quickstart_model(python.path, tell=talk)
    return CommandLine(config="quickstart", flags={"model": str(model), "out": out})
