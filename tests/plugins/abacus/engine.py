"""Abacus: an engine whose server is a Python module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts_compare.backends.causes import CauseRule, find_cause
from tts_compare.backends.facts import Machine, ModelFacts
from tts_compare.backends.limits import common_reason, cpu_dtype, threads_per_rank
from tts_compare.backends.payload import engine_request
from tts_compare.backends.protocol import MetricNames, StartupCause, Wire
from tts_compare.backends.recipe import TOOLS, Recipe, Step
from tts_compare.domain import Call, Device, Setting, model_slug

SERVER = "abacus.server"
RULES = (CauseRule(r"(?P<cause>.*no beads left.*)", "lower --max-model-len"),)


@dataclass(frozen=True, slots=True)
class Abacus:
    """The Abacus server."""

    name: str = "abacus"
    module: str = "abacus"
    program: None = None
    distributions: tuple[str, ...] = ("abacus",)
    pinned: str = "1.0"
    launched: bool = True
    wire: Wire = Wire()  # noqa: RUF009 - frozen
    ngram: None = None
    not_stated: tuple[str, ...] = ("max_num_seqs", "prefix_caching")
    health_path: str = "/health"
    version_path: str = "/version"
    metrics_path: None = None
    flush_path: None = None
    metrics: MetricNames = MetricNames()  # noqa: RUF009 - frozen
    stop_grace_s: float = 5.0
    shm_prefixes: tuple[str, ...] = ()

    def argv(
        self, setting: Setting, *, python: str, host: str, port: int, served_name: str, version: str | None = None
    ) -> tuple[str, ...]:
        """What starts the server; the user's own flags come last."""
        argv = [python, "-m", SERVER, "--load", setting.model, "--host", host, "--port", str(port)]
        argv += ["--model", served_name, "--dtype", cpu_dtype(setting), "--seed", str(setting.seed)]
        if setting.max_model_len is not None:
            argv += ["--max-model-len", str(setting.max_model_len)]
        return (*argv, *setting.engine_args)

    def env(self, setting: Setting, *, cores: Sequence[int] = (), model: ModelFacts | None = None) -> dict[str, str]:
        """As many threads as the setting says."""
        return {"OMP_NUM_THREADS": str(threads_per_rank(setting))}

    def key_env(self, api_key: str) -> dict[str, str] | None:
        """None: it takes a key on its command line alone, where ``ps`` would show it."""
        return None

    def block_tokens(self, setting: Setting) -> int | None:
        """None: it has no prefix cache."""
        return None

    def unsupported(self, setting: Setting, machine: Machine, model: ModelFacts | None = None) -> str | None:
        """What no engine can, and what this one cannot."""
        if reason := common_reason(setting, machine, model):
            return reason
        if setting.devices != 1:
            return "Abacus runs on one device"
        return "Abacus has no speculation" if setting.speculation.kind != "none" else None

    def request(self, call: Call, model: str) -> tuple[str, dict[str, Any]]:
        """The body that vLLM and SGLang take too."""
        return engine_request(call, model)

    def startup_cause(self, log_text: str) -> StartupCause:
        """The line that explains a failed start: our patterns first, then those that all engines share."""
        return find_cause(log_text, RULES)

    def reported(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of the setting that ``version_path`` tells of a running server: none."""
        return {}

    def check(self, version: str | None) -> str | None:
        """Importing it shows that an environment is whole."""
        return SERVER

    def served_name(self, setting: Setting) -> str:
        """What requests call the model."""
        return model_slug(setting.model)

    def recipe(self, version: str, device: Device) -> Recipe | None:
        """How ``engines install abacus`` makes an environment; None for a device that it does not run on."""
        if device != "cpu":
            return None
        return Recipe(
            engine=self.name,
            version=version,
            device=device,
            distribution="abacus",
            steps=(
                Step(title="pip and build tools", pip=TOOLS),
                Step(title=f"abacus {version}", pip=("install", f"abacus=={version}")),
            ),
            check=SERVER,
            size_hint="about 1 MB",
        )
