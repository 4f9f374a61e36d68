"""A TOML file and flags -> Experiment, strictly: an unknown key is an error that names its path."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from tts_compare.backends import BACKENDS, HOSTED
from tts_compare.config.asked import MethodSpec
from tts_compare.config.axes import AXIS_KNOBS, Axes
from tts_compare.config.experiment import Experiment
from tts_compare.config.keys import KNOBS, SAMPLING, SYNONYMS, TOP
from tts_compare.config.knob import Knob
from tts_compare.config.serving import EngineRef
from tts_compare.config.values import BadValueError, nearest, table, url
from tts_compare.domain import Sampling
from tts_compare.errors import UsageError

_FIELDS = frozenset(field.name for field in fields(Experiment))


def shipped_configs() -> tuple[str, ...]:
    """Names that ``--config`` takes besides a file."""
    names = (entry.name for entry in files("tts_compare.configs").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_experiment(
    config: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    as_flags: bool = True,
) -> Experiment:
    """The experiment of a shipped configuration or of a file, with flags on top.

    overrides: keys as in the file; values as typed on a command line or as in TOML; None means not given.
    as_flags: errors name the overrides as flags, else as keys. environ: where OPENAI_BASE_URL is looked up, the
    process's own by default. Raises UsageError naming the key.
    """
    stated: dict[str, Any] = {}
    if config is not None:
        raw, source = _read(config)
        try:
            stated = table(TOP, SYNONYMS)(raw)
        except BadValueError as error:
            raise UsageError(f"{source}: {error.path}: {error.message}") from None
        stated.setdefault("name", re.sub(r"[^\w.-]+", "-", Path(source).stem).strip("-.") or "run")
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    try:
        flags = table(TOP, SYNONYMS)(given)
    except BadValueError as error:
        if not as_flags:
            raise UsageError(f"{error.path}: {error.message}") from None
        key, dot, rest = error.path.partition(".")
        raise UsageError(f"--{key.replace('_', '-')}{dot}{rest}: {error.message}") from None
    _check_option_owners(stated, flags)
    _check_zero_budget(_joined(stated, flags), flags if as_flags else {})
    return _experiment(_joined(stated, flags), os.environ if environ is None else environ)


def _joined(stated: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says and the flags over it."""
    replaced = {KNOBS[key].exclusive for key in flags} - {""}
    joined = {key: value for key, value in stated.items() if KNOBS[key].exclusive not in replaced}
    for key, value in flags.items():
        joined[key] = {**joined[key], **value} if KNOBS[key].merged and key in joined else value
    return joined


def _check_option_owners(*sources: Mapping[str, Any]) -> None:
    """Options are for methods that are named: in the file, if a flag leaves that method out this time."""
    named = [name for source in sources for name in source.get("method", ())] or (
        ["effort"] if any(source.get("effort") for source in sources) else ["truncate"]
    )
    for source in sources:
        for name in source.get("method_options", {}):
            if name not in named:
                raise UsageError(f"method_options.{name}: no method of that name is run; {nearest(name, named)}")


def _check_zero_budget(joined: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
    """Only thinking can have a budget of 0 tokens: a response of none is none."""
    if 0 in joined.get("budget", ()) and "thinking_budget" not in joined.get("method", ()):
        where = "--budget" if "budget" in flags else "budget"
        raise UsageError(f"{where}: 0 must be at least 1; only the method thinking_budget takes 0")


def _read(config: str | Path) -> tuple[dict[str, Any], str]:
    """The parsed TOML, and what to call it in errors."""
    name = str(config)
    shipped = shipped_configs()
    try:
        if name in shipped:
            raw = files("tts_compare.configs").joinpath(f"{name}.toml").read_bytes()
            name = f"{name}.toml"
        elif Path(name).suffix == ".toml" or Path(name).exists():
            raw = Path(name).read_bytes()
        else:
            raise UsageError(f"--config: no configuration {name!r}; {nearest(name, shipped)}, or give a TOML file")
        return tomllib.loads(raw.decode()), name
    except OSError as error:
        raise UsageError(f"cannot read the configuration {name}: {error.strerror or error}") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise UsageError(f"{name}: not TOML: {error}") from error


def _experiment(parsed: Mapping[str, Any], environ: Mapping[str, str]) -> Experiment:
    values = {name: value for name, value in _values(KNOBS.values(), parsed).items() if name in _FIELDS}
    axes = _axes(Axes(), parsed)
    product = "settings" not in parsed or "backend" in parsed
    explicit = tuple(_axes(axes, entry) for entry in parsed.get("settings", ()))
    address = environ.get("OPENAI_BASE_URL")
    made = {
        "axes": _addressed(axes, address) if product else axes,
        "explicit": tuple(_addressed(entry, address) for entry in explicit),
        "product": product,
        "methods": _methods(parsed),
        "sampling": Sampling(**{key: parsed[key] for key in SAMPLING if key in parsed}),
    }
    loads = [f"c{n}" for n in parsed.get("concurrency", ())] + [f"r{r:g}" for r in parsed.get("request_rate", ())]
    if loads:
        made["loads"] = tuple(loads)
    return Experiment(**{**values, **made})


def _values(knobs: Iterable[Knob], parsed: Mapping[str, Any]) -> dict[str, Any]:
    """Fields and their values, of what was stated."""
    return {knob.held_in: knob.value(parsed[knob.key]) for knob in knobs if knob.key in parsed}


def _axes(base: Axes, entry: Mapping[str, Any]) -> Axes:
    """``base`` with what the entry states in its place; a ``base_url`` alone means the backend ``openai``."""
    own = _values((knob for knob in AXIS_KNOBS if knob.scope == "axis"), entry)
    if "base_url" in entry and "backend" not in entry:
        own["backends"] = (EngineRef(backend=HOSTED),)
    if "engine_args" in entry:
        flags = entry["engine_args"]
        mine = own.get("backends", base.backends)
        own["engine_args"] = flags if isinstance(flags, Mapping) else {str(engine): flags for engine in mine}
    if isinstance(fields_ := entry.get("extra_body"), tuple):
        mine = own.get("backends", base.backends)
        own["extra_body"] = {**base.extra_body, **{str(engine): fields_ for engine in mine}}
    hosted = _values((knob for knob in AXIS_KNOBS if knob.scope == "hosted"), entry)
    return replace(base, **own, hosted=replace(base.hosted, **hosted))


def _addressed(axes: Axes, address: str | None) -> Axes:
    """With the base URL that the engine ``openai`` needs, and no other takes."""
    hosts = [engine for engine in axes.backends if not BACKENDS[engine.backend].launched]
    if not hosts and axes.hosted.base_url is not None:
        others = ",".join(map(str, axes.backends))
        raise UsageError(
            f"base_url goes with the backend openai, not {others}; a server that runs is --attach BACKEND=URL"
        )
    if not hosts or axes.hosted.base_url is not None:
        return axes
    if not address:
        raise UsageError("the backend openai needs --base-url URL (or OPENAI_BASE_URL)")
    try:
        return replace(axes, hosted=replace(axes.hosted, base_url=url(address)))
    except BadValueError as error:
        raise UsageError(f"OPENAI_BASE_URL: {error.message}") from None


def _methods(parsed: Mapping[str, Any]) -> tuple[MethodSpec, ...]:
    names = parsed.get("method", ("effort",) if parsed.get("effort") else ("truncate",))
    options = parsed.get("method_options", {})
    specs = []
    for name in names:
        stated = dict(options.get(name, {}))
        fields_ = stated.pop("extra_body", ())
        specs.append(MethodSpec(name=name, options=tuple(sorted(stated.items())), extra_body=fields_))
    return tuple(specs)
