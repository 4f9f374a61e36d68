"""Hugging Face ``transformers serve``: the reference implementation, as of 5.24.0.

It answers one request after another unless ``--continuous-batching`` is among its arguments, speculates not, runs on
one device, and has neither metrics nor a prefix cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts_compare.backends.causes import CauseRule, find_cause
from tts_compare.backends.facts import Machine, ModelFacts
from tts_compare.backends.limits import common_reason, cpu_dtype, threads_per_rank
from tts_compare.backends.payload import prompt_part
from tts_compare.backends.protocol import MetricNames, StartupCause, Wire
from tts_compare.backends.recipe import TOOLS, Recipe, Step
from tts_compare.domain import Call, Device, Sampling, Setting

CHECK = "transformers.cli.transformers"
TORCH_CPU = "torch==2.13.0+cpu"
NO_METRICS = MetricNames()

# Usage comes once, with the finish_reason, and no chunk says how many tokens it holds: one whose bytes are no whole
# character yet is held back. n is ignored with a warning in the log, a list of token ids is answered with 400, and
# before 5.24 /v1/models was an error without a network.
WIRE = Wire(counts_chunks=False, choices=False, token_prompts=False, lists_models=False)

RULES = (
    CauseRule(r"(?P<cause>No such option.*)", "check --engine-args: this engine version has no such argument"),
    CauseRule(r"(?P<cause>.*Missing dependencies for serving.*)", "run `tts-compare engines doctor`"),
    CauseRule(r"(?P<cause>.*Unsupported dtype: .*)", "give --dtype a name that torch has: float32, bfloat16, float16"),
)


@dataclass(frozen=True, slots=True)
class Transformers:
    """The OpenAI-compatible server of the transformers library."""

    name: str = "transformers"
    module: str = "transformers"
    program: None = None
    distributions: tuple[str, ...] = ("transformers",)
    pinned: str = "5.24.0"
    launched: bool = True
    wire: Wire = WIRE
    ngram: None = None
    not_stated: tuple[str, ...] = ("max_model_len", "max_num_seqs", "prefix_caching")
    health_path: str = "/health"
    version_path: None = None
    metrics_path: None = None
    flush_path: None = None
    stop_grace_s: float = 10.0
    shm_prefixes: tuple[str, ...] = ()
    metrics: MetricNames = NO_METRICS

    def argv(
        self, setting: Setting, *, python: str, host: str, port: int, served_name: str, version: str | None = None
    ) -> tuple[str, ...]:
        """The model is a positional argument: it is loaded before the server listens, and no other is served."""
        argv = [python, "-m", CHECK, "serve", served_name, "--host", host, "--port", str(port)]
        argv += ["--device", setting.device, "--dtype", cpu_dtype(setting), "--default-seed", str(setting.seed)]
        return (*argv, *setting.engine_args)

    def env(self, setting: Setting, *, cores: Sequence[int] = (), model: ModelFacts | None = None) -> dict[str, str]:
        """No usage reports and no look for a newer version; threads on a CPU."""
        env = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "DO_NOT_TRACK": "1"}
        if setting.device == "cpu":
            env["OMP_NUM_THREADS"] = str(threads_per_rank(setting))
        return env

    def key_env(self, api_key: str) -> dict[str, str] | None:
        """None: it asks for no key."""
        return None

    def block_tokens(self, setting: Setting) -> int | None:
        """None: it keeps nothing of a prompt once its request is over."""
        return None

    def unsupported(self, setting: Setting, machine: Machine, model: ModelFacts | None = None) -> str | None:
        """Beside what no engine can: parallelism, speculation and a prefix cache."""
        if reason := common_reason(setting, machine, model):
            return reason
        if setting.devices != 1:
            return "transformers serve runs on one device: it has no tensor, pipeline or data parallelism"
        if setting.speculation.kind != "none":
            return "transformers serve has no speculation"
        return "transformers serve has no prefix cache" if setting.prefix_caching else None

    def request(self, call: Call, model: str) -> tuple[str, dict[str, Any]]:
        """OpenAI's fields, and in ``generation_config`` those of its own; unknown fields are answered with 422."""
        if call.prompt_token_ids is not None and call.messages is None and call.prompt is None:
            raise ValueError("transformers serve takes no token ids as a prompt")
        path, prompt = prompt_part(call)
        sampling = call.sampling
        body = {
            "model": model,
            **prompt,
            "max_tokens": call.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "generation_config": json.dumps(generation_config(sampling)),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return path, body

    def startup_cause(self, log_text: str) -> StartupCause:
        """A traceback's exception, or what its command line refuses."""
        return find_cause(log_text, RULES)

    def reported(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """It tells nothing."""
        return {}

    def check(self, version: str | None) -> str | None:
        """Its command line."""
        return CHECK

    def served_name(self, setting: Setting) -> str:
        """The model as it is loaded, with its revision: the server refuses any other name."""
        return setting.model + (f"@{setting.revision}" if setting.revision else "")

    def recipe(self, version: str, device: Device) -> Recipe | None:
        """The library with what its server needs, and torch, which it leaves to its user."""
        torch = TORCH_CPU if device == "cpu" else "torch"
        return Recipe(
            engine="transformers",
            version=version,
            device=device,
            distribution="transformers",
            steps=(
                Step(title="pip and build tools", pip=TOOLS),
                Step(
                    title=f"transformers {version} and torch",
                    pip=("install", torch, f"transformers[serving]=={version}", "accelerate"),
                ),
            ),
            check=CHECK,
            size_hint="about 0.3 GB to download, 1 GB on disk" if device == "cpu" else "about 3 GB to download",
        )


def generation_config(sampling: Sampling) -> dict[str, Any]:
    """What a request states in the place of the model's own ``generation_config.json``; end tokens stay the model's.

    ``top_k`` of 0 is no limit there, which the others write -1.
    """
    return {
        "do_sample": sampling.temperature > 0,
        "top_k": max(0, sampling.top_k),
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
    }
