"""Values of the configuration that speak of engines: which, with what flags, drafts and prices."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from tts_compare.config.values import BadValueError, Parse, count, file_name, many, nearest, number, one_of, path, text
from tts_compare.domain import Price, Speculation, SpeculationKind

T = TypeVar("T")

_FOR_ENGINE = re.compile(r"([A-Za-z_]\w*(?:==[^=\s]+)?)=(.*)", re.DOTALL)
_SPECULATION = re.compile(r"(?P<kind>[a-z_0-9]+)(?:-(?P<numbers>\d+(?:-\d+)*))?(?::(?P<model>.+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRef:
    """An engine to compare, of one version (``vllm==0.32.0``) or of whichever is installed (``vllm``)."""

    #: The engine's name, a key of ``BACKENDS``.
    backend: str
    #: The version asked for; None takes whichever is installed.
    version: str | None = None

    def __str__(self) -> str:
        return self.backend + (f"=={self.version}" if self.version else "")


def engine_ref(known: Iterable[str]) -> Parse[EngineRef]:
    """``vllm`` or ``vllm==0.32.0``."""

    def parse(value: Any) -> EngineRef:
        name, exact, version = text(value).partition("==")
        if name not in known:
            raise BadValueError(f"unknown backend {name!r}; {nearest(name, known)}")
        if exact and not re.fullmatch(r"\w[\w.+!-]*", version):
            raise BadValueError(f"{value!r} names no version; write for instance {name}==0.32.0")
        return EngineRef(backend=name, version=version or None)

    return parse


def by_engine(parse: Parse[T], known: Iterable[str], join: Callable[[T, T], T] | None = None) -> Parse[dict[str, T]]:
    """A table, or texts ``BACKEND=VALUE``; what is said of one engine twice is joined, if it can be."""
    reference = engine_ref(known)

    def pairs(value: Any) -> Iterable[tuple[str, Any]]:
        if isinstance(value, Mapping):
            yield from value.items()
            return
        for item in value if isinstance(value, list | tuple) else [value]:
            match = _FOR_ENGINE.fullmatch(text(item))
            if match is None:
                raise BadValueError(f"{item!r} names no engine; write BACKEND=VALUE, for instance vllm={item}")
            yield match[1], match[2]

    def parse_all(value: Any) -> dict[str, T]:
        result: dict[str, T] = {}
        for name, item in pairs(value):
            key = str(reference(name))
            parsed = parse(item)
            if key in result and join is None:
                raise BadValueError(f"{key} is given twice")
            result[key] = join(result[key], parsed) if key in result and join else parsed
        return result

    return parse_all


def engine_args(value: Any) -> tuple[tuple[str, ...], ...]:
    """Alternatives of an engine's flags: a text (split as a shell does), a list of flags, or a list of such lists."""
    if isinstance(value, str):
        try:
            return (tuple(shlex.split(value)),)
        except ValueError as error:
            raise BadValueError(f"{value!r} cannot be split into flags: {error}") from None
    if not isinstance(value, list | tuple):
        raise BadValueError(f"{value!r} is not a list of flags")
    if value and all(isinstance(item, list | tuple) for item in value):
        return tuple(dict.fromkeys(engine_args(item)[0] for item in value))
    if not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in value):
        raise BadValueError("flags are texts and numbers, or lists of them as alternatives")
    return (tuple(str(item) for item in value),)


def join_engine_args(
    first: tuple[tuple[str, ...], ...], second: tuple[tuple[str, ...], ...]
) -> tuple[tuple[str, ...], ...]:
    """Flags given in two places are given together."""
    return tuple(a + b for a in first for b in second)


def replicas(value: Any) -> tuple[str | None, ...]:
    """Names under which a setting is measured once more, beside itself (None)."""
    return (None, *many(file_name)(value))


def price(value: Any) -> Price:
    """``IN/OUT`` or ``IN/OUT/CACHED``, or a table, in US dollars per million tokens."""
    if isinstance(value, Mapping):
        unknown = set(value) - {"input", "output", "cached"}
        if unknown or not {"input", "output"} <= set(value):
            raise BadValueError("a price is a table of input, output and if there is one cached")
        figures = [value["input"], value["output"], *([value["cached"]] if "cached" in value else [])]
    else:
        figures = str(value).split("/")
    if len(figures) not in (2, 3):
        raise BadValueError(f"{value!r} is not a price; write IN/OUT in US dollars per million tokens, e.g. 0.15/0.60")
    amounts = [number(figure.strip() if isinstance(figure, str) else figure) for figure in figures]
    return Price(input=amounts[0], output=amounts[1], cached=amounts[2] if len(amounts) == 3 else None)


def speculation(value: Any) -> Speculation:
    """``none``, ``ngram``, ``ngram-TOKENS-MIN-MAX``, ``eagle[-TOKENS]:DRAFT_MODEL``, or a table of its fields."""
    if isinstance(value, Mapping):
        fields = dict(value)
    else:
        match = _SPECULATION.fullmatch(text(value))
        if match is None:
            raise BadValueError(f"{value!r} is not a speculation such as none, ngram or eagle:DRAFT_MODEL")
        names = ("num_tokens", "lookup_min", "lookup_max")
        numbers = (match["numbers"] or "").split("-") if match["numbers"] else []
        if len(numbers) not in ((0, 1, 3) if match["kind"] == "ngram" else (0, 1)):
            raise BadValueError(f"{value!r}: write KIND-TOKENS, or ngram-TOKENS-MIN-MAX")
        fields = {"kind": match["kind"], **dict(zip(names, numbers, strict=False))}
        if match["model"]:
            fields["model"] = match["model"]
    return _speculation_of(fields)


def speculation_rule(value: Any) -> str:
    """What a rule says of speculation: a kind, one as an axis has it, or as a setting's id has it."""
    kinds = get_args(SpeculationKind)
    if value in kinds:
        return str(value)
    try:
        one = speculation(value)
    except BadValueError:
        if isinstance(value, str) and value.partition("-")[0] in kinds:
            return value
        raise
    return f"ngram-{one.num_tokens}-{one.lookup_min}-{one.lookup_max}" if one.kind == "ngram" else one.id


def _speculation_of(fields: dict[str, Any]) -> Speculation:
    known: dict[str, Parse[Any]] = {
        "kind": one_of(*get_args(SpeculationKind)),
        "num_tokens": count,
        "lookup_min": count,
        "lookup_max": count,
        "model": path,
    }
    for key in fields:
        if key not in known:
            raise BadValueError(f"unknown key {key!r} of a speculation; {nearest(key, known)}")
    if fields.get("kind") == "mtp":  # models have one such layer, and an engine that is asked for more warns
        fields = {"num_tokens": 1, **fields}
    result = Speculation(**{key: known[key](value) for key, value in fields.items()})
    if result.lookup_min > result.lookup_max:
        raise BadValueError(f"lookup {result.lookup_min}..{result.lookup_max} is no range")
    if (result.model is None) == (result.kind in ("draft_model", "eagle", "eagle3")):
        need = "needs a draft model" if result.model is None else "takes no draft model"
        raise BadValueError(f"{result.kind} {need}; write for instance eagle:DRAFT_MODEL")
    return result


def for_engine(values: Mapping[str, Any], engine: EngineRef) -> Any:
    """What a map says of an engine: of its version if that is named, else of the engine; None if neither is."""
    return values.get(str(engine), values.get(engine.backend))
