"""llama.cpp's ``llama-server``: a program, found on PATH or named by ``--engine-python llamacpp=PATH``.

Flags and their meaning are those of tools/server/README.md in github.com/ggml-org/llama.cpp at commit 00dc805. No real
server was started: command line and requests are tested at the seam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts_compare.backends.causes import CauseRule, find_cause
from tts_compare.backends.facts import Machine, ModelFacts
from tts_compare.backends.limits import common_reason, threads_per_rank
from tts_compare.backends.payload import engine_request
from tts_compare.backends.protocol import MetricNames, StartupCause, Wire
from tts_compare.backends.recipe import Recipe
from tts_compare.domain import Call, Device, Setting, model_slug

RULES = (
    CauseRule(r"(?P<cause>.*error loading model.*)", "--model names a GGUF file"),
    CauseRule(r"error: (?P<cause>invalid argument: .*)", "check --engine-args: this build has no such argument"),
)


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """The llama.cpp server. A model is a GGUF file, and its weights have the file's own type."""

    name: str = "llamacpp"
    module: None = None
    program: str = "llama-server"
    distributions: tuple[str, ...] = ()
    pinned: None = None
    launched: bool = True
    wire: Wire = Wire(counts_chunks=False, choices=False, token_prompts=False)  # noqa: RUF009 - frozen
    ngram: None = None
    controls: None = None
    not_stated: tuple[str, ...] = ("dtype",)
    health_path: str = "/health"
    version_path: None = None
    metrics_path: str = "/metrics"
    flush_path: None = None
    metrics: MetricNames = MetricNames(  # noqa: RUF009 - frozen
        running="llamacpp:requests_processing",
        waiting="llamacpp:requests_deferred",
        prompt_tokens="llamacpp:prompt_tokens_total",
        generation_tokens="llamacpp:tokens_predicted_total",
    )
    stop_grace_s: float = 10.0
    shm_prefixes: tuple[str, ...] = ()

    def argv(
        self, setting: Setting, *, python: str, host: str, port: int, served_name: str, version: str | None = None
    ) -> tuple[str, ...]:
        """What starts the server, ``python`` being its program; the user's own flags come last.

        The context is shared out among the slots of ``--parallel``, so it is stated for all of them together.
        """
        argv = [python, "--model", setting.model, "--alias", served_name, "--host", host, "--port", str(port)]
        argv += ["--metrics", "--offline", "--seed", str(setting.seed)]
        slots = setting.max_num_seqs or 1
        argv += ["--parallel", str(slots)]
        if setting.max_model_len is not None:
            argv += ["--ctx-size", str(setting.max_model_len * slots)]
        argv.append("--cache-prompt" if setting.prefix_caching else "--no-cache-prompt")
        if setting.device == "cpu":
            threads = str(threads_per_rank(setting))
            argv += ["--device", "none", "--threads", threads, "--threads-batch", threads]
        else:
            argv += ["--n-gpu-layers", "all", "--split-mode", "none"]
        return (*argv, *setting.engine_args)

    def env(self, setting: Setting, *, cores: Sequence[int] = (), model: ModelFacts | None = None) -> dict[str, str]:
        """Nothing: threads are a flag."""
        return {}

    def key_env(self, api_key: str) -> dict[str, str] | None:
        """The variable that stands for ``--api-key``."""
        return {"LLAMA_API_KEY": api_key}

    def block_tokens(self, setting: Setting) -> int | None:
        """None: its cache is kept by slot, in no blocks that are documented."""
        return None

    def unsupported(self, setting: Setting, machine: Machine, model: ModelFacts | None = None) -> str | None:
        """What no engine can, and what is not mapped to flags of this one."""
        if reason := common_reason(setting, machine, model):
            return reason
        if setting.devices != 1:
            return "llama.cpp is run on one device: its ways to split a model are not the others' parallelism"
        if setting.speculation.kind != "none":
            return "llama.cpp's speculation is not mapped: state its flags in --engine-args"
        if setting.quantization != "none" or setting.kv_dtype != "auto":
            return "a GGUF file has its own quantization; state --cache-type-k in --engine-args"
        return None

    def request(self, call: Call, model: str) -> tuple[str, dict[str, Any]]:
        """A streamed request in llama.cpp's names; usage comes once, at the end. Raises ValueError for token ids."""
        if call.prompt_token_ids is not None or call.n != 1:
            raise ValueError("llama.cpp is not asked with token ids, nor for several answers in one request")
        path, body = engine_request(call, model)
        del body["n"]
        body["repeat_penalty"] = body.pop("repetition_penalty")
        body["top_k"] = max(0, call.sampling.top_k)  # 0 turns it off
        body["stream_options"] = {"include_usage": True}
        return path, body

    def startup_cause(self, log_text: str) -> StartupCause:
        """The line that explains a failed start: our patterns first, then those that all engines share."""
        return find_cause(log_text, RULES)

    def reported(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Nothing: there is no version path."""
        return {}

    def check(self, version: str | None) -> str | None:
        """None: it is no Python module."""
        return None

    def served_name(self, setting: Setting) -> str:
        """What ``--alias`` makes requests call the model."""
        return model_slug(setting.model)

    def recipe(self, version: str, device: Device) -> Recipe | None:
        """None: it is installed by its own packages."""
        return None
