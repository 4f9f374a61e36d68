"""What a run is asked to do, as typed values. Each field declares its knob; the rest of the configuration follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tts_compare.backends import BACKENDS
from tts_compare.config.asked import ANSWER_KINDS, CURVES, GRADERS, POLICIES, Curve, Grader, MethodSpec, WaitLimits
from tts_compare.config.axes import Axes, SettingRule, rules, settings
from tts_compare.config.knob import Knob, group, knob, knobs, knobs_of
from tts_compare.config.request_fields import options_of_method
from tts_compare.config.serving import by_engine
from tts_compare.config.values import (
    ascending,
    count,
    efforts,
    file_name,
    flag,
    fraction,
    integer,
    many,
    named,
    number,
    one_of,
    path,
    positive,
    probability,
    strictness,
    table,
    text,
    url,
    whole,
)
from tts_compare.domain import EFFORTS, AnswerKind, Device, Policy, Sampling, Strictness

_DEVICES = ("auto", *get_args(Device))


def _sampling(key: str, parse: Any, help_: str = "", **also: Any) -> Knob:
    return Knob(key=key, parse=parse, scope="work", help=help_, **also)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Everything that was asked, checked value by value; ``grid`` turns it into settings and work."""

    name: str = knob(file_name, "run", "the experiment's name", flag=False, shown_default="the file's", default="run")
    axes: Axes = group(Axes)
    #: Whether ``axes`` makes settings of its own.
    product: bool = True
    #: One more product each.
    explicit: tuple[Axes, ...] = knob(
        settings, "axis", "explicit settings", key="settings", flag=False, more="see below", default=()
    )
    include: tuple[SettingRule, ...] = knob(
        rules, "axis", "rules, one of which a setting must match", flag=False, more="see below", default=()
    )
    exclude: tuple[SettingRule, ...] = knob(
        rules, "axis", "rules, none of which a setting may match", flag=False, more="see below", default=()
    )
    revision: str | None = knob(
        text, "setting", "the model's revision on the hub", metavar="R", shown_default="the newest", default=None
    )
    device: Device | Literal["auto"] = knob(
        one_of(*_DEVICES),
        "setting",
        "what the engines run on",
        choices=_DEVICES,
        more="`auto` is `cuda` where a GPU is seen, else `cpu`",
        default="auto",
    )
    #: In tokens.
    max_model_len: int | None = knob(
        count,
        "setting",
        "context length in tokens",
        metavar="N",
        shown_default="longest prompt + what may follow it",
        default=None,
    )
    max_num_seqs: int = knob(count, "setting", "most sequences in one batch", flag=False, default=16)
    #: None leaves it to the methods.
    prefix_caching: bool | None = knob(
        flag,
        "setting",
        "the engine's prefix cache",
        flag=False,
        shown_default="on when a method reuses a prefix, else off",
        default=None,
    )
    threads_per_rank: int | None = knob(
        count, "setting", "threads of one rank on a CPU", flag=False, shown_default="1", default=None
    )
    methods: tuple[MethodSpec, ...] = knobs(
        Knob(
            key="method",
            parse=many(text),
            scope="work",
            metavar="M,...",
            offers="methods",
            help="how test-time compute is spent: {names}",
            more="see [methods](methods.md)",
            shown_default="`truncate`",
        ),
        Knob(
            key="method_options",
            parse=named(options_of_method),
            scope="work",
            flag=False,
            merged=True,
            help="a table for each method: its options, and for it alone `samples`, sampling and `extra_body`",
            more="for `best_of_n` also where its [scores](methods.md#a-reward-model) come from",
        ),
        factory=lambda: (MethodSpec(name="truncate"),),
    )
    #: In tokens, ascending.
    budgets: tuple[int, ...] = knob(
        ascending(whole),
        "work",
        "caps on generated tokens; `1k` is 1024",
        key="budget",
        metavar="N,...",
        default=(1024, 2048, 4096, 8192, 16384),
    )
    #: In the order of the levels, known ones first.
    efforts: tuple[str, ...] = knob(
        efforts,
        "work",
        "effort levels, the axis of the method `effort`, which it implies",
        key="effort",
        metavar="L,...",
        offers=EFFORTS,
        more="the largest `budget` then only caps the answers",
        default=(),
    )
    #: None leaves it to the method and its sampling.
    curve: Curve | None = knob(
        one_of(*CURVES),
        "work",
        "one response cut at every budget, or one response per budget",
        choices=CURVES,
        shown_default="single-pass when greedy",
        default=None,
    )
    spot_check: int = knob(
        whole, "work", "rerun K problems at the smallest budget to check what was cut", metavar="K", default=0
    )
    samples: int = knob(count, "work", "samples per problem, for `vote` and `best_of_n`", metavar="K", default=1)
    rounds: int = knob(
        count,
        "work",
        "split the problems into R shares, with a start of every setting for each",
        metavar="R",
        more="see below",
        default=1,
    )
    repeats: int = knob(
        count, "work", "send everything K times, with a start each, interleaved (A B B A)", metavar="K", default=1
    )
    dataset: str = knob(
        path,
        "work",
        "{names}, or a JSONL or Parquet file",
        metavar="NAME|PATH",
        offers="datasets",
        default="math500",
    )
    problems: int | None = knob(
        count,
        "work",
        "take a sample of N problems, stratified by level",
        aliases=("--num-prompts",),
        metavar="N",
        more="the same for the same seed",
        shown_default="all",
        default=None,
    )
    answer_kind: AnswerKind = knob(
        one_of(*ANSWER_KINDS),
        "work",
        "`math`, `integer`, `gsm8k` (the answer follows `####`) or `choice`",
        choices=ANSWER_KINDS,
        flag=False,
        default="math",
    )
    prompt: str | None = knob(
        path,
        "work",
        "the prompt template: {names}, or a file with `{problem}` in it",
        metavar="NAME|FILE",
        offers="prompts",
        shown_default="the data set's own",
        default=None,
    )
    sampling: Sampling = knobs(
        _sampling("temperature", number, "sampling temperature; 0 is greedy", metavar="T"),
        _sampling("top_p", fraction, "nucleus sampling: the probability mass kept", metavar="P"),
        _sampling("top_k", integer, "sample from the K likeliest tokens; -1 is off", flag=False),
        _sampling("min_p", probability, "least probability, as a share of the likeliest token's", flag=False),
        _sampling("repetition_penalty", positive, "above 1 discourages repetition", flag=False),
        _sampling(
            "seed",
            whole,
            "seed of sampling and of the problems' sample",
            metavar="S",
            more="sample i has `seed` + i",
        ),
        factory=Sampling,
    )
    #: ``c8`` (closed loop, 8 at once) or ``r2.5`` (open loop, 2.5 a second).
    loads: tuple[str, ...] = knobs(
        Knob(
            key="concurrency",
            parse=many(count),
            scope="work",
            exclusive="load",
            aliases=("--max-concurrency",),
            metavar="N,...",
            help="closed loop: problems at once",
            shown_default="1",
        ),
        Knob(
            key="request_rate",
            parse=many(positive),
            scope="work",
            exclusive="load",
            metavar="R,...",
            help="open loop: problems a second, Poisson arrivals",
        ),
        factory=lambda: ("c1",),
    )
    workers: int = knob(count, "work", "client processes, for loads past one core", metavar="N", default=1)
    policy: Policy = knob(
        one_of(*POLICIES), "judging", "which box of a response is its answer", choices=POLICIES, default="any"
    )
    grader: Grader = knob(
        one_of(*GRADERS),
        "judging",
        "what compares answers",
        choices=GRADERS,
        more="`both`: the first grades, and `tts-compare grade RUN` lists where the second differs",
        default="layered",
    )
    grade_live: bool = knob(flag, "judging", "grade while requests run (disturbs a small machine)", default=False)
    #: ``vllm`` or ``vllm==0.32.0`` to a URL.
    attach: Mapping[str, str] = knob(
        by_engine(url, BACKENDS),
        "run",
        "use a server that already runs",
        metavar="B=URL",
        repeatable=True,
        merged=True,
        factory=dict,
    )
    #: ``vllm`` or ``vllm==0.32.0`` to a path.
    engine_python: Mapping[str, str] = knob(
        by_engine(path, BACKENDS),
        "run",
        "the Python of an engine's own environment",
        metavar="B=PATH",
        repeatable=True,
        merged=True,
        factory=dict,
    )
    launcher: str = knob(
        text,
        "run",
        "what starts the servers",
        metavar="NAME",
        offers="launchers",
        more="a setting with an address is attached to whatever is named here",
        default="local",
    )
    nodes_per_server: int | None = knob(
        count,
        "setting",
        "nodes of an allocation that one server's ranks are dealt over",
        metavar="N",
        shown_default="as few as have devices for TP x PP",
        default=None,
    )
    parallel_servers: int = knob(count, "run", "servers at once on a machine with several GPUs", metavar="N", default=1)
    telemetry_s: float = knob(
        number,
        "run",
        "seconds between samples of GPUs, engine and host; 0: none",
        metavar="S",
        default=1.0,
    )
    max_restarts: int = knob(whole, "run", "restarts of an engine that died, in each round", metavar="N", default=1)
    gpu_hour_usd: float | None = knob(
        number, "judging", "the price of one device for an hour, in US dollars", default=None
    )
    budget_usd: float | None = knob(
        positive,
        "judging",
        "stop before more than this is spent on hosted endpoints, in US dollars",
        more="each needs a price then",
        default=None,
    )
    limits: WaitLimits = knob(
        table({one.key: one.parse for one in knobs_of(WaitLimits)}),
        "run",
        "a table of bounds on waiting",
        build=lambda stated: WaitLimits(**stated),
        flag=False,
        merged=True,
        shown_default="see below",
        factory=WaitLimits,
    )
    out: str | None = knob(
        path,
        "invocation",
        "the run directory",
        aliases=("--result-dir",),
        metavar="DIR",
        shown_default="runs/<time>-<name>",
        default=None,
    )
    resume: str | None = knob(
        path,
        "invocation",
        "resume a run: send only what was not measured",
        metavar="DIR",
        more="a missing or empty directory begins a new run",
        default=None,
    )
    only: str | None = knob(
        text,
        "invocation",
        "measure one block in one round, into `parts/` of the run directory: what a job of `submit` does",
        metavar="BLOCK@ROUND",
        more="a block is a model's name, or one setting's id; rounds count from 0",
        default=None,
    )
    retry_failed: bool = knob(flag, "invocation", "with `--resume`: also send again what failed", default=False)
    quiet: bool = knob(flag, "invocation", "no progress, only the report", default=False)
    no_color: bool = knob(flag, "invocation", "no color (also NO_COLOR)", default=False)
    strict: Strictness | None = knob(
        strictness,
        "invocation",
        "exit 1 on warnings",
        levels={"error": "exit 1 on a warning of severity error", "warning": "exit 1 on any warning but a note"},
        more="see [warnings](metrics.md#warnings)",
        default=None,
    )
    insecure: bool = knob(flag, "run", "do not verify TLS certificates; every report says so", default=False)
