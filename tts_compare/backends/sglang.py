"""SGLang: flags, environment, wire and failures, as of 0.5.23."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_compare.backends.causes import CauseRule, find_cause
from tts_compare.backends.facts import Machine, ModelFacts
from tts_compare.backends.flags import stated_count
from tts_compare.backends.limits import MTP_MISSING, common_reason, cpu_dtype, kv_tokens, rank_cores, threads_per_rank
from tts_compare.backends.payload import COMPLETIONS_PATH, engine_request
from tts_compare.backends.protocol import FULL_WIRE, MetricNames, StartupCause, Wire
from tts_compare.backends.recipe import TOOLS, Recipe, Step, published
from tts_compare.backends.spanning import Part
from tts_compare.domain import Call, Device, Setting, model_slug

ALGORITHMS = {"ngram": "NGRAM", "draft_model": "STANDALONE", "eagle": "EAGLE", "eagle3": "EAGLE3", "mtp": "NEXTN"}

PINNED = "0.5.23"
# The module whose import shows that an environment is whole.
CHECK = "sglang.srt.entrypoints.http_server"

PLATFORM_SOURCE = Path(__file__).with_name("sglang_cpu_platform")
"""Source of the distribution that makes SGLang run on a CPU without sgl_kernel."""

_BIND = "SGLANG_CPU_OMP_THREADS_BIND"
_TORCH = "torch==2.13.0+cpu"

# What SGLang 0.5.23's text path imports, with its own pins where it has them.
_TEXT_PATH = (
    *("accelerate", "aiohttp", "anthropic", "apache-tvm-ffi==0.1.11", "blobfile==3.0.0", "build"),
    *("compressed-tensors==0.18.0", "datasets", "distro", "easydict", "einops", "fastapi", "gguf", "interegular"),
    *("IPython", "kernels>=0.14.1,<0.15", "llguidance>=1.7.6,<2", "mistral_common>=1.11.5", "modelscope", "msgspec"),
    *("ninja", "numba==0.65.1", "numpy", "openai==2.8.0", "openai-harmony==0.0.4", "orjson", "outlines==0.1.11"),
    *("packaging", "partial_json_parser", "pillow", "prometheus-client", "psutil", "py-spy", "pybase64", "pydantic"),
    *("python-dateutil<3", "python-multipart", "pyzmq", "regex", "requests", "scipy", "sentencepiece==0.2.1"),
    *("setproctitle", "soundfile==0.13.1", "tiktoken", "tokenizers==0.23.2", "tqdm", "transformers==5.19.0", "triton"),
    *("uvicorn>=0.51", "uvloop", "watchfiles", "xgrammar==0.2.7", "xxhash", "zstandard"),
)

# SGLang imports torchvision unconditionally. 0.15.2 guards its compiled operators, so it serves any torch; it was
# built up to Python 3.11. For later ones there is only the CPU build that goes with torch 2.13.
_TORCHVISION = (
    "torchvision==0.15.2; python_version < '3.12'",
    "torchvision==0.28.0+cpu; python_version >= '3.12'",
)

RULES = (
    CauseRule(r"(?P<cause>.*greater than the derived context_length.*)", "lower --max-model-len"),
    CauseRule(
        r"(?P<cause>.*SGLANG_CPU_OMP_THREADS_BIND is not set, in this case.*)",
        "set SGLANG_CPU_OMP_THREADS_BIND, one core list a rank",
    ),
    CauseRule(
        r"(?P<cause>.*(?:(?:is not|must be) divisible by|The size of tensor|exceeds dimension size|be multiplied).*)",
        "choose a tensor parallel size that divides the model's heads and widths",
    ),
    CauseRule(
        r"(?P<cause>.*(?:No module named 'sgl_kernel'|sgl_kernel.*not found).*)", "run `tts-compare engines doctor`"
    ),
    CauseRule(
        r"(?P<cause>.*Not enough memory.*)",
        "take a smaller model or a larger tensor parallel size, or raise --mem-fraction-static by --engine-args",
    ),
)


METRICS = MetricNames(
    drafts="sglang:spec_verify_calls_total",
    accept_length="sglang:spec_accept_length",
    accept_rate="sglang:spec_accept_rate",
    prefix_hits="sglang:cached_tokens_total",
    prefix_queries="sglang:prompt_tokens_total",
    running="sglang:num_running_reqs",
    waiting="sglang:num_queue_reqs",
    preemptions="sglang:num_retracted_requests_total",
    kv_cache_share="sglang:token_usage",
    prompt_tokens="sglang:prompt_tokens_total",
    generation_tokens="sglang:generation_tokens_total",
    requests="sglang:num_requests_total",
    queue_time="sglang:queue_time_seconds",
    ttft="sglang:time_to_first_token_seconds",
    block="sglang:page_size",
)


@dataclass(frozen=True, slots=True)
class Sglang:
    """The SGLang OpenAI-compatible server."""

    name: str = "sglang"
    module: str = "sglang"
    program: None = None
    distributions: tuple[str, ...] = ("sglang",)
    pinned: str = PINNED
    launched: bool = True
    wire: Wire = FULL_WIRE
    ngram: str = "SGLang's NGRAM proposes from a trie of text generated so far"
    not_stated: tuple[str, ...] = ()
    health_path: str = "/health"
    version_path: str = "/server_info"
    metrics_path: str = "/metrics"
    flush_path: str = "/flush_cache"
    stop_grace_s: float = 25.0  # it drains what is in flight: 3 to 21 s were seen
    shm_prefixes: tuple[str, ...] = ("sglang_loads_", "sgl_shm_mq_")
    metrics: MetricNames = METRICS

    def argv(
        self, setting: Setting, *, python: str, host: str, port: int, served_name: str, version: str | None = None
    ) -> tuple[str, ...]:
        """Without ``--sleep-on-idle`` an idle server burns a core; without a token limit it takes 17 GB on a CPU."""
        argv = [python, "-m", "sglang.launch_server"]
        argv += ["--model-path", setting.model, "--served-model-name", served_name, "--host", host, "--port", str(port)]
        if setting.revision:
            argv += ["--revision", setting.revision]
        argv += ["--tp-size", str(setting.tensor_parallel), "--pp-size", str(setting.pipeline_parallel)]
        argv += ["--dp-size", str(setting.data_parallel)]
        argv += ["--dtype", cpu_dtype(setting), "--max-running-requests", str(setting.max_num_seqs)]
        if setting.max_model_len is not None:
            argv += ["--context-length", str(setting.max_model_len)]
        argv += ["--random-seed", str(setting.seed), "--sampling-defaults", "openai"]
        argv += ["--enable-metrics", "--enable-cache-report", "--sleep-on-idle"]
        if not setting.prefix_caching:
            argv += ["--disable-radix-cache"]
        argv += speculation_flags(setting)
        if setting.device == "cpu":
            argv += ["--device", "cpu", "--max-total-tokens", str(kv_tokens(setting))]
        return (*argv, *setting.engine_args)

    def env(self, setting: Setting, *, cores: Sequence[int] = (), model: ModelFacts | None = None) -> dict[str, str]:
        """Threads on a CPU. It binds them to cores only where the CPU has AMX, and takes their number from OpenMP."""
        if setting.device != "cpu":
            return {}
        env = {"OMP_NUM_THREADS": str(threads_per_rank(setting))}
        if (setting.devices or 1) > 1:
            env[_BIND] = rank_cores(setting, cores)
        return env

    def part_argv(self, setting: Setting, argv: Sequence[str], part: Part) -> tuple[str, ...]:
        """Nodes but the head answer /health on a port of their own, and nothing under /v1."""
        meeting = ["--dist-init-addr", f"{part.head}:{part.port}"]
        return (*argv, "--nnodes", str(part.count), "--node-rank", str(part.rank), *meeting)

    def part_env(
        self, setting: Setting, part: Part, *, cores: Sequence[int] = (), model: ModelFacts | None = None
    ) -> dict[str, str]:
        """Each rank looks its cores up by its number among all: this node's stand at every node's place."""
        env = self.env(setting, cores=cores, model=model)
        if bound := env.get(_BIND):
            env[_BIND] = "|".join([bound] * part.count)
        return env

    def key_file(self) -> tuple[str, str]:
        """Its configuration file; it writes all of its arguments, the key too, to its log."""
        return "--config", "api-key: {key}\n"

    def key_env(self, api_key: str) -> dict[str, str] | None:
        """None: it takes a key by flag or config file, and writes all of its arguments, the key too, to its log."""
        return None

    def block_tokens(self, setting: Setting) -> int | None:
        """``--page-size``, else 1; some attention kernels for GPUs make it larger."""
        return stated_count(setting.engine_args, "--page-size") or 1

    def unsupported(self, setting: Setting, machine: Machine, model: ModelFacts | None = None) -> str | None:
        """What no engine can, and speculation on a CPU or with pipeline stages."""
        if reason := common_reason(setting, machine, model):
            return reason
        if setting.speculation.kind == "mtp" and model is not None and model.mtp_layers == 0:
            return MTP_MISSING
        if setting.device == "cpu" and setting.speculation.kind == "ngram":
            return "SGLang's NGRAM needs the sgl_kernel library, of which there is no CPU wheel"
        if setting.device == "cpu" and setting.speculation.kind != "none":
            return f"SGLang's {ALGORITHMS[setting.speculation.kind]} needs Triton on a GPU"
        if setting.speculation.kind != "none" and setting.pipeline_parallel > 1:
            return "SGLang serves no speculation with pipeline parallelism"
        return None

    def request(self, call: Call, model: str) -> tuple[str, dict[str, Any]]:
        """Token ids too where it streams them, on completions; it refuses them on a streamed chat."""
        path, body = engine_request(call, model)
        return path, (body | {"return_token_ids": True} if path == COMPLETIONS_PATH else body)

    def startup_cause(self, log_text: str) -> StartupCause:
        """Its exit status 137 is the parent killing itself after a child's failure, seldom a lack of memory."""
        return find_cause(log_text, RULES)

    def reported(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """What ``/server_info`` tells of a running server."""
        names = {
            "tensor_parallel": "tp_size",
            "pipeline_parallel": "pp_size",
            "data_parallel": "dp_size",
            "dtype": "dtype",
            "max_num_seqs": "max_running_requests",
            "max_model_len": "context_length",
        }
        told = {ours: info[theirs] for ours, theirs in names.items() if info.get(theirs) is not None}
        if isinstance(info.get("disable_radix_cache"), bool):
            told["prefix_caching"] = not info["disable_radix_cache"]
        return told

    def check(self, version: str | None) -> str | None:
        """Its HTTP server."""
        return CHECK

    def served_name(self, setting: Setting) -> str:
        """The last part of the model's name, by ``--served-model-name``."""
        return model_slug(setting.model)

    def recipe(self, version: str, device: Device) -> Recipe | None:
        """On a GPU as published. On a CPU its text path alone, on a platform that uses its plain-torch code."""
        return (
            _cpu_recipe(version)
            if device == "cpu"
            else published("sglang", version, check=CHECK, kernels=("sgl_kernel",))
        )


def speculation_flags(setting: Setting) -> list[str]:
    """Flags of the speculative algorithm; N proposed tokens, N steps of one branch, are verified with one token more.

    "Draft tokens" are those verified, the last accepted one among them, NGRAM's too (``draft_token_num - 1`` in its
    ngram_corpus/param.h). NGRAM's trie has no lookup range, so the lookup lengths of the setting have no flag there.
    """
    speculation = setting.speculation
    if speculation.kind == "none":
        return []
    flags = ["--speculative-algorithm", ALGORITHMS[speculation.kind]]
    flags += ["--speculative-num-draft-tokens", str(speculation.num_tokens + 1)]
    if speculation.kind == "ngram":
        return flags
    flags += ["--speculative-num-steps", str(speculation.num_tokens), "--speculative-eagle-topk", "1"]
    if speculation.model:
        flags += ["--speculative-draft-model-path", speculation.model]
    return flags


def _cpu_recipe(version: str) -> Recipe:
    """Run on x86_64 and Python 3.11. SGLang is published for GPUs; its text path runs without the CUDA packages."""
    tested = PINNED
    other = () if version == tested else (f"its dependencies are those of SGLang {tested}, not tried with {version}",)
    return Recipe(
        engine="sglang",
        version=version,
        device="cpu",
        distribution="sglang",
        steps=(
            Step(title="pip and build tools", pip=TOOLS),
            # "+cpu" is named: a plain 2.13.0 takes a CUDA build of several GB where the CPU one is not at hand.
            Step(
                title="torch for CPUs and what SGLang's text path imports",
                pip=("install", _TORCH, *_TEXT_PATH),
            ),
            Step(
                title=f"sglang {version}",
                pip=("install", "--no-deps", f"sglang=={version}", *_TORCHVISION),
            ),
            Step(
                title="the plain CPU platform for SGLang",
                pip=("install", "--no-deps", "--no-build-isolation"),
                local=PLATFORM_SOURCE,
            ),
        ),
        check=CHECK,
        size_hint="about 0.8 GB to download, 3 GB on disk",
        deviations=(
            f"{_TORCH} where SGLang pins a CUDA build of torch (2.14.1 in {tested})",
            "without sgl_kernel, flashinfer and the other CUDA packages it pins: torch's own attention, no speculation",
            "torchvision 0.15.2 (Python 3.12 and later: 0.28.0+cpu), only so that it can be imported: text models only",
            "the platform plug-in tts-compare-sglang-cpu, which selects SGLang's plain-torch code",
            *other,
        ),
    )
