"""What makes settings: the axes, the engines' own flags, hosted endpoints, and the rules over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from tts_compare.backends import BACKENDS
from tts_compare.config.knob import group, knob, knobs_of
from tts_compare.config.serving import (
    EngineRef,
    by_engine,
    engine_args,
    engine_ref,
    join_engine_args,
    price,
    replicas,
    speculation,
    speculation_rule,
)
from tts_compare.config.values import Parse, count, many, named, path, table, tables, text, url
from tts_compare.domain import Price, Speculation, SpeculationKind

T = TypeVar("T")


def _axis(item: Parse[Any], meaning: str, *, default: T, in_rule: Parse[str] | None = None, **also: Any) -> T:
    """An axis: a list, whose values a rule compares as texts."""
    read = in_rule or (lambda value: str(item(value)))
    value: T = knob(many(item), "axis", meaning, parse_in_rule=read, default=default, **also)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """How a hosted endpoint is reached and paid."""

    base_url: str | None = knob(
        url,
        "hosted",
        "where the endpoint of the engine `openai` is (.../v1)",
        metavar="URL",
        more='alone it means `backend = "openai"`; without it OPENAI_BASE_URL is taken',
        default=None,
    )
    #: The name of a variable; the key itself is not kept.
    api_key_env: str | None = knob(
        text,
        "hosted",
        "the variable that holds the endpoint's key",
        metavar="VAR",
        more="the key itself is never written down",
        shown_default="OPENAI_API_KEY",
        default=None,
    )
    headers: tuple[tuple[str, str], ...] = knob(
        named(text),
        "hosted",
        "a table of further headers",
        build=lambda table: tuple(sorted(table.items())),
        flag=False,
        merged=True,
        default=(),
    )
    price: Price | None = knob(
        price,
        "hosted",
        "a hosted model's price per million input and output tokens, in US dollars",
        group="grading and money",
        synonyms=("price_usd_per_million",),
        metavar="IN/OUT[/CACHED]",
        more="`IN/OUT` or `IN/OUT/CACHED`, in TOML also a table of `input`, `output` and `cached`",
        default=None,
    )
    requests_per_minute: int | None = knob(
        count, "hosted", "most requests that are sent in a minute", flag=False, default=None
    )
    tokens_per_minute: int | None = knob(
        count, "hosted", "most tokens that are asked for in a minute", flag=False, default=None
    )
    max_concurrency: int | None = knob(count, "hosted", "most requests at once", flag=False, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """The lists whose product makes settings; of them only the models mean anything to a hosted endpoint."""

    backends: tuple[EngineRef, ...] = _axis(
        engine_ref(BACKENDS),
        "engines: {names}",
        key="backend",
        metavar="B[==V],...",
        offers="backends",
        more="with `==VERSION` where several versions of one are compared",
        default=(EngineRef(backend="vllm"), EngineRef(backend="sglang")),
    )
    models: tuple[str, ...] = _axis(
        path,
        "names on the hub, or directories",
        key="model",
        metavar="M,...",
        shown_default="none, it must be given",
        default=(),
    )
    tensor_parallel: tuple[int, ...] = _axis(
        count, "tensor-parallel sizes", key="tp", synonyms=("tensor_parallel",), metavar="N,...", default=(1,)
    )
    pipeline_parallel: tuple[int, ...] = _axis(
        count, "pipeline-parallel sizes", key="pp", synonyms=("pipeline_parallel",), metavar="N,...", default=(1,)
    )
    data_parallel: tuple[int, ...] = _axis(
        count, "data-parallel sizes", key="dp", synonyms=("data_parallel",), metavar="N,...", default=(1,)
    )
    speculations: tuple[Speculation, ...] = _axis(
        speculation,
        "speculation: {names}",
        in_rule=speculation_rule,
        key="spec",
        synonyms=("speculation",),
        metavar="S,...",
        offers=get_args(SpeculationKind),
        more="see below",
        default=(Speculation(),),
    )
    dtypes: tuple[str, ...] = _axis(
        text,
        "type of the weights, for instance `bfloat16` or `float32`",
        key="dtype",
        metavar="D,...",
        offers=("auto", "bfloat16", "float16", "float32"),
        more="`auto` is the engine's choice on a GPU and float32 on a CPU",
        default=("auto",),
    )
    #: None is the setting itself.
    replicas: tuple[str | None, ...] = knob(
        replicas,
        "axis",
        "measure each setting once more under this name, with the same command",
        key="replica",
        metavar="NAME",
        repeatable=True,
        more="see below",
        default=(None,),
    )
    #: The alternatives of each engine's own flags; they are an axis too.
    engine_args: Mapping[str, tuple[tuple[str, ...], ...]] = knob(
        by_engine(engine_args, BACKENDS, join_engine_args),
        "axis",
        "flags passed to an engine verbatim",
        parse_in_settings=engine_args,
        metavar="B=FLAGS",
        repeatable=True,
        merged=True,
        more="in TOML a list of lists is an axis of alternatives",
        factory=dict,
    )
    hosted: Hosted = group(Hosted)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRule:
    """An include or exclude rule: a setting matches it when each named axis has one of the named values."""

    #: Keys of axes and values, sorted by key.
    axes: tuple[tuple[str, tuple[str, ...]], ...]


AXIS_KNOBS = tuple(knobs_of(Axes))
_SYNONYMS = {synonym: one.key for one in AXIS_KNOBS for synonym in one.synonyms}

#: ``[[settings]]``: tables of what may differ from setting to setting, not yet joined with what stands at the top.
settings = tables(table({one.key: one.parse_in_settings or one.parse for one in AXIS_KNOBS}, _SYNONYMS))

_read_rules = tables(
    table({one.key: many(one.parse_in_rule) for one in AXIS_KNOBS if one.parse_in_rule is not None}, _SYNONYMS)
)


def rules(value: Any) -> tuple[SettingRule, ...]:
    """``[[include]]`` or ``[[exclude]]``: tables of axes and values."""
    return tuple(SettingRule(axes=tuple(sorted(rule.items()))) for rule in _read_rules(value))
