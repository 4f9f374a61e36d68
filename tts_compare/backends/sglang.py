"""SGLang: flags, environment, wire and failures, as of 0.5.23."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts_compare.backends.causes import Rule, find_cause
from tts_compare.backends.facts import Machine, ModelFacts
from tts_compare.backends.flags import stated_count
from tts_compare.backends.limits import common_reason, cpu_dtype, kv_tokens, threads_per_rank
from tts_compare.backends.payload import COMPLETIONS_PATH, engine_request
from tts_compare.backends.protocol import MetricNames, StartupCause
from tts_compare.backends.vllm import rank_cores
from tts_compare.domain import Call, Setting

ALGORITHMS = {"ngram": "NGRAM", "draft_model": "STANDALONE", "eagle": "EAGLE", "eagle3": "EAGLE3", "mtp": "NEXTN"}

RULES = (
    Rule(r"(?P<cause>.*greater than the derived context_length.*)", "lower --max-model-len"),
    Rule(
        r"(?P<cause>.*SGLANG_CPU_OMP_THREADS_BIND is not set, in this case.*)",
        "set SGLANG_CPU_OMP_THREADS_BIND, one core list a rank",
    ),
    Rule(
        r"(?P<cause>.*(?:(?:is not|must be) divisible by|The size of tensor|exceeds dimension size|be multiplied).*)",
        "choose a tensor parallel size that divides the model's heads and widths",
    ),
    Rule(r"(?P<cause>.*(?:No module named 'sgl_kernel'|sgl_kernel.*not found).*)", "run `tts-compare engines doctor`"),
    Rule(
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
    distributions: tuple[str, ...] = ("sglang",)
    launched: bool = True
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
            env["SGLANG_CPU_OMP_THREADS_BIND"] = rank_cores(setting, cores)
        return env

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
