"""What a manifest says of the things a run is made of: settings, models, the machine, the problems, what was asked.

Every field has a default that means "unknown", because imports of other tools' files and older runs know less.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Struct, UnsetType

from tts_compare.domain import Device, ErrorKind, Policy, Price, Problem, Speculation, Work
from tts_compare.domain.about import about
from tts_compare.domain.model_shape import ModelShape

GraderName = Literal["layered", "math-verify", "both"]


class LimitFacts(Struct, frozen=True, kw_only=True):
    """Bounds on waiting, seconds."""

    connect_s: Annotated[float | None, about("to connect")] = None
    first_byte_s: Annotated[float | None, about("from sent to the first byte")] = None
    idle_s: Annotated[float | None, about("between two reads")] = None
    total_s: Annotated[float | None, about("from sent to the end")] = None
    start_s: Annotated[float | None, about("from a server's start to ready")] = None


class RetryFacts(Struct, frozen=True, kw_only=True):
    """When a failed attempt was tried again."""

    attempts: Annotated[int | None, about("retries after the first attempt")] = None
    total_s: Annotated[float | None, about("back-off in all, unless Retry-After asks for more")] = None
    first_s: Annotated[float | None, about("scale of the first back-off")] = None
    longest_s: Annotated[float | None, about("longest wait that is honoured")] = None
    kinds: Annotated[tuple[ErrorKind, ...], about("kinds of failure that are tried again")] = ()
    max_restarts: Annotated[
        int | None, about("how often a server that died is started again in a round; no rule of a request")
    ] = None


class AcceleratorFacts(Struct, frozen=True, kw_only=True):
    """The device of a setting: what its bound is computed from."""

    name: Annotated[str, about("the catalogue's name, or the processor's")] = ""
    memory_bytes: Annotated[float | None, about("memory of one device")] = None
    bandwidth_bytes_s: Annotated[float | None, about("memory bandwidth of one device, bytes a second")] = None
    bf16_flops: Annotated[float | None, about("dense bf16 operations a second")] = None
    fp8_flops: Annotated[float | None, about("dense fp8 operations a second")] = None


class SettingFacts(Struct, frozen=True, kw_only=True):
    """A setting as it was run: what was asked, and what its servers told."""

    backend: Annotated[str, about("the engine's name")] = ""
    model: Annotated[str, about("a name on the hub, a path, or what a hosted endpoint calls it")] = ""
    version: Annotated[str | None, about("the version asked for")] = None
    revision: Annotated[str | None, about("the model's revision on the hub")] = None
    device: Annotated[Device | None, about("`cpu` or `cuda`; null for a hosted endpoint")] = None
    tensor_parallel: Annotated[int, about("ranks of tensor parallelism")] = 1
    pipeline_parallel: Annotated[int, about("stages of pipeline parallelism")] = 1
    data_parallel: Annotated[int, about("replicas of data parallelism")] = 1
    speculation: Annotated[Speculation, about("how draft tokens are proposed")] = Speculation()
    dtype: Annotated[str, about("the weights' type")] = "auto"
    max_model_len: Annotated[int | None, about("context length, tokens")] = None
    max_num_seqs: Annotated[int | None, about("batch limit, requests")] = None
    prefix_caching: Annotated[bool | None, about("whether the prefix cache was on")] = None
    threads_per_rank: Annotated[int | None, about("threads of each rank on a CPU")] = None
    seed: Annotated[int, about("the engine's seed")] = 0
    engine_args: Annotated[tuple[str, ...], about("flags passed to the engine verbatim")] = ()
    base_url: Annotated[str | None, about("address of a server that was not started here")] = None
    api_key_env: Annotated[str | None, about("the variable that held the endpoint's key")] = None
    headers: Annotated[tuple[str, ...], about("names of the headers that were sent; values are not kept")] = ()
    price: Annotated[Price | None, about("US dollars per million tokens")] = None
    requests_per_minute: Annotated[int | None, about("the endpoint's stated limit")] = None
    tokens_per_minute: Annotated[int | None, about("the endpoint's stated limit")] = None
    max_concurrency: Annotated[int | None, about("the endpoint's stated limit")] = None
    replica: Annotated[str | None, about("names a copy of a setting that differs in nothing else; format 2")] = None
    hosted: Annotated[
        bool | None, about("whether the endpoint is its owner's, who alone knows its devices; format 2")
    ] = None
    devices: Annotated[int | None, about("TP x PP x DP; null for a hosted endpoint")] = None
    nodes: Annotated[int, about("over how many nodes of a cluster one server's ranks were dealt; format 2")] = 1
    hosts: Annotated[tuple[str, ...], about("the nodes of its last start, by the cluster's names; format 2")] = ()
    engine_version: Annotated[str | None, about("what the server said, else what was installed")] = None
    argv: Annotated[tuple[str, ...], about("the server's command line")] = ()
    env: Annotated[dict[str, str], about("the variables that the server was given")] = {}
    startup_s: Annotated[tuple[float, ...], about("seconds from start to ready, one a start")] = ()
    dialect: Annotated[dict[str, str | bool] | None, about("the fields that a hosted endpoint takes")] = None
    gpu_hour_usd: Annotated[float | None, about("price of a device hour of its own run, in a joined manifest")] = None
    limits: Annotated[LimitFacts | None, about("bounds on waiting of its own run, in a joined manifest")] = None
    retry: Annotated[RetryFacts | None, about("retry rules of its own run, in a joined manifest")] = None
    accelerator: Annotated[AcceleratorFacts | None, about("its device, one rank's part of a CPU; format 2")] = None


class ModelRow(Struct, frozen=True, kw_only=True):
    """The shape of a model."""

    architecture: Annotated[str, about("the class that config.json names")] = ""
    hidden_size: Annotated[int | None, about("width of the residual stream")] = None
    layers: Annotated[int | None, about("number of layers")] = None
    heads: Annotated[int | None, about("attention heads")] = None
    kv_heads: Annotated[int | None, about("key and value heads")] = None
    head_dim: Annotated[int | None, about("width of a head")] = None
    max_position: Annotated[int | None, about("longest context, tokens")] = None
    parameters: Annotated[int | None, about("number of parameters")] = None
    active_parameters: Annotated[
        int | UnsetType | None,
        about("those that one token passes through; null where unknown, absent where `parameters` is meant"),
    ] = UNSET
    mtp_layers: Annotated[int | None, about("layers for multi-token prediction; format 2")] = None
    dtype: Annotated[str | None, about("type of the stored weights")] = None
    vocab: Annotated[int | None, about("size of the vocabulary")] = None
    num_layers: Annotated[int | None, about("the same as `layers`; format 1")] = None
    num_heads: Annotated[int | None, about("the same as `heads`; format 1")] = None
    num_kv_heads: Annotated[int | None, about("the same as `kv_heads`; format 1")] = None
    shape: Annotated[ModelShape | None, about("what a roofline needs to know of it; format 2")] = None


class NodeRow(Struct, frozen=True, kw_only=True):
    """One node of the allocation that the servers ran in."""

    name: Annotated[str, about("the cluster's name of it")] = ""
    devices: Annotated[int, about("GPUs allocated on it")] = 0
    cores: Annotated[int, about("processors that servers may use, the client's own not among them")] = 0
    memory_bytes: Annotated[int | None, about("main memory that is allocated")] = None
    cpu_model: Annotated[str, about("the processor's name")] = ""
    gpus: Annotated[tuple[str, ...], about("names of the GPUs, as the driver tells them")] = ()
    gpu_memory_bytes: Annotated[int | None, about("memory of the smallest GPU")] = None
    driver: Annotated[str | None, about("version of the GPU driver")] = None


class MachineRow(Struct, frozen=True, kw_only=True):
    """The machine that the servers ran on; no host name but the names that a cluster gives its nodes."""

    device: Annotated[Device | None, about("`cpu` or `cuda`")] = None
    devices: Annotated[int | None, about("GPUs, on a CPU usable cores")] = None
    cpu_model: Annotated[str, about("the processor's name")] = ""
    cpu_features: Annotated[tuple[str, ...], about("instruction sets that decide how fast a dtype is")] = ()
    cores: Annotated[int | None, about("usable cores")] = None
    memory_bytes: Annotated[int | None, about("main memory")] = None
    gpus: Annotated[tuple[str, ...], about("names of the GPUs")] = ()
    gpu_memory_bytes: Annotated[int | None, about("memory of the smallest GPU")] = None
    driver: Annotated[str | None, about("version of the GPU driver")] = None
    kernel: Annotated[str, about("version of the kernel")] = ""
    platform: Annotated[str, about("operating system and architecture")] = ""
    python: Annotated[str, about("version of the client's Python")] = ""
    partition: Annotated[str | None, about("of the allocation, null outside of a cluster; format 2")] = None
    job: Annotated[str | None, about("id of the allocation; format 2")] = None
    nodes: Annotated[tuple[NodeRow, ...], about("of the allocation; empty outside of a cluster; format 2")] = ()


class DatasetFacts(Struct, frozen=True, kw_only=True):
    """The problems that were asked."""

    name: Annotated[str, about("the data set's name")] = ""
    path: Annotated[str | None, about("its file, null for a set from the hub")] = None
    sha256: Annotated[str, about("of the file's bytes, or of the hub's rows as JSON lines with sorted keys")] = ""
    problems: Annotated[tuple[Problem, ...], about("the problems of this run, in order")] = ()


class PromptFacts(Struct, frozen=True, kw_only=True):
    """How problems were put to the model."""

    name: Annotated[str, about("the template's name")] = ""
    kind: Annotated[Literal["chat", "completion"] | None, about("which endpoint it is for")] = None
    messages: Annotated[tuple[tuple[str, str], ...], about("role and content of a chat's messages")] = ()
    text: Annotated[str, about("a completion's prompt")] = ""
    stop_at: Annotated[str | None, about("where grading cuts a completion; never sent to an engine")] = None
    sha256: Annotated[str, about("of everything but the name")] = ""


class SamplingFacts(Struct, frozen=True, kw_only=True):
    """The sampling parameters of every request; null where an imported file does not say."""

    temperature: Annotated[float | None, about("0 is greedy")] = None
    top_p: Annotated[float | None, about("nucleus sampling's mass")] = None
    top_k: Annotated[int | None, about("-1 is all")] = None
    min_p: Annotated[float | None, about("least probability, relative to the greatest")] = None
    repetition_penalty: Annotated[float | None, about("1 is none")] = None
    seed: Annotated[int | None, about("the seed that requests state")] = None


class ExperimentFacts(Struct, frozen=True, kw_only=True):
    """What was asked, with defaults filled in."""

    budgets: Annotated[tuple[int, ...], about("caps on generated tokens")] = ()
    curve: Annotated[Literal["single-pass", "per-budget"] | None, about("how smaller budgets were measured")] = None
    work: Annotated[tuple[Work, ...], about("what was done on each server")] = ()
    methods: Annotated[tuple[str, ...], about("names of the methods")] = ()
    samples: Annotated[int, about("samples a problem")] = 1
    repeats: Annotated[int, about("how often every problem was sent, a server start each")] = 1
    rounds: Annotated[int, about("shares of the problems, each with server starts of its own")] = 1
    shares: Annotated[dict[str, int], about("the round of each problem by its id, where there are several")] = {}
    loads: Annotated[tuple[str, ...], about("`c8`: 8 problems at once; `r2.5`: 2.5 a second")] = ()
    policy: Annotated[Policy, about("which box of a response is its answer")] = "any"
    grader: Annotated[GraderName, about("which grader judged")] = "layered"
    gpu_hour_usd: Annotated[float | None, about("price of a device hour")] = None
    budget_usd: Annotated[float | None, about("the spending limit")] = None
    limits: Annotated[LimitFacts | None, about("bounds on waiting")] = None
    retry: Annotated[RetryFacts | None, about("when a failed attempt was tried again; format 2")] = None
    problems: Annotated[int | None, about("how many problems were asked for; null is all")] = None
    workers: Annotated[int, about("client processes")] = 1


class SkippedFacts(Struct, frozen=True, kw_only=True):
    """A setting that could not run here."""

    setting: Annotated[str, about("the setting's id")]
    reason: Annotated[str, about("why")] = ""


class FailedSetting(Struct, frozen=True, kw_only=True):
    """A setting whose server did not start, or died more often than allowed."""

    setting: Annotated[str, about("the setting's id")]
    cause: Annotated[str, about("what its log says")] = ""
    log: Annotated[str, about("the log's path")] = ""
    advice: Annotated[str, about("what to do")] = ""
    round: Annotated[int, about("in which round; format 2")] = 0
    repeat: Annotated[int, about("in which repeat; format 2")] = 0


class Death(Struct, frozen=True, kw_only=True):
    """A server that ended while requests were running."""

    setting: Annotated[str, about("the setting's id")]
    repeat: Annotated[int, about("in which repeat")] = 0
    round: Annotated[int, about("in which round; format 2")] = 0
    cause: Annotated[str, about("what its log says")] = ""


class ScoringFacts(Struct, frozen=True, kw_only=True):
    """What a reward model did for one setting."""

    model: Annotated[str | None, about("the reward model; null where it scored nothing")] = None
    scored: Annotated[int, about("responses that it scored")] = 0
    busy_s: Annotated[float, about("seconds in which at least one answered request was under way")] = 0.0
    saturated: Annotated[int, about("problems whose best score is exactly 1 and shared")] = 0
