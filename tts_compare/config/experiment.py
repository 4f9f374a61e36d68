"""What a run is asked to do, as typed values: one field a key of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tts_compare.domain import AnswerKind, Device, Policy, Price, Sampling, Speculation, Strictness

Curve = Literal["single-pass", "per-budget"]
Grader = Literal["layered", "math-verify", "both"]
OptionValue = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRef:
    """An engine to compare, of one version (``vllm==0.32.0``) or of whichever is installed (``vllm``)."""

    backend: str
    version: str | None = None

    def __str__(self) -> str:
        return self.backend + (f"=={self.version}" if self.version else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSpec:
    """A method asked for, and the options stated for it; the method itself fills in and checks them."""

    name: str
    options: tuple[tuple[str, OptionValue | tuple[OptionValue, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An include or exclude rule: a setting matches it when each named axis has one of the named values."""

    axes: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on waiting, in seconds. A request has all four; ``start_s`` is from a server's start to ready."""

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 120.0
    total_s: float = 3600.0
    start_s: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """How a hosted endpoint is reached and paid; ``api_key_env`` names a variable, the key itself is not kept."""

    base_url: str | None = None
    api_key_env: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    price: Price | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """The lists whose product makes settings.

    ``engine_args`` maps an engine to its alternatives; ``hosted`` is for the engine ``openai`` alone. ``replicas`` are
    names under which each setting is measured once more; None is the setting itself.
    """

    backends: tuple[EngineRef, ...] = (EngineRef(backend="vllm"), EngineRef(backend="sglang"))
    models: tuple[str, ...] = ()
    tensor_parallel: tuple[int, ...] = (1,)
    pipeline_parallel: tuple[int, ...] = (1,)
    data_parallel: tuple[int, ...] = (1,)
    speculations: tuple[Speculation, ...] = (Speculation(),)
    dtypes: tuple[str, ...] = ("auto",)
    replicas: tuple[str | None, ...] = (None,)
    engine_args: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    hosted: Hosted = field(default_factory=Hosted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Everything that was asked, checked value by value; ``grid`` turns it into settings and work.

    product: whether ``axes`` makes settings of its own; explicit: one more product each.
    curve: None leaves it to the method and its sampling (single-pass when greedy). prefix_caching: None leaves it
    to the methods. prompt: None takes the data set's own. attach and engine_python map ``vllm`` or ``vllm==0.32.0``
    to a URL or a path. loads are ``c8`` (closed loop) or ``r2.5`` (open loop). budgets and max_model_len in tokens.
    rounds: shares that the problems are split into, each with a start of every setting; repeats: how often each share
    is sent, with a start each. retry_failed: a resumed run sends again what failed.
    """

    name: str = "run"
    axes: Axes = field(default_factory=Axes)
    product: bool = True
    explicit: tuple[Axes, ...] = ()
    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()
    revision: str | None = None
    device: Device | Literal["auto"] = "auto"
    max_model_len: int | None = None
    max_num_seqs: int = 16
    prefix_caching: bool | None = None
    threads_per_rank: int | None = None
    methods: tuple[MethodSpec, ...] = (MethodSpec(name="truncate"),)
    budgets: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384)
    curve: Curve | None = None
    spot_check: int = 0
    samples: int = 1
    repeats: int = 1
    rounds: int = 1
    dataset: str = "math500"
    problems: int | None = None
    answer_kind: AnswerKind = "math"
    prompt: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    loads: tuple[str, ...] = ("c1",)
    workers: int = 1
    policy: Policy = "any"
    grader: Grader = "layered"
    grade_live: bool = False
    attach: Mapping[str, str] = field(default_factory=dict)
    engine_python: Mapping[str, str] = field(default_factory=dict)
    launcher: str = "local"
    parallel_servers: int = 1
    max_restarts: int = 1
    gpu_hour_usd: float | None = None
    budget_usd: float | None = None
    limits: Limits = field(default_factory=Limits)
    out: str | None = None
    resume: str | None = None
    retry_failed: bool = False
    quiet: bool = False
    no_color: bool = False
    strict: Strictness | None = None
    insecure: bool = False


def for_engine(values: Mapping[str, Any], engine: EngineRef) -> Any:
    """What a map says of an engine: of its version if that is named, else of the engine; None if neither is."""
    return values.get(str(engine), values.get(engine.backend))
