"""A method as it was asked for -> the method, with every option stated and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tts_compare.config import MethodSpec
from tts_compare.config.keys import SAMPLING
from tts_compare.config.values import BadValueError, Parse, count, nearest
from tts_compare.domain import Sampling
from tts_compare.errors import UsageError
from tts_compare.methods import METHODS
from tts_compare.methods.method import Method, Options, OptionValue

_OWN: dict[str, Parse[Any]] = {**SAMPLING, "samples": count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A method ready to plan: its options with defaults filled in, its samples, sampling and further fields."""

    method: Method
    options: Options
    samples: int
    sampling: Sampling
    extra_body: tuple[tuple[str, str], ...] = ()


def resolve(spec: MethodSpec, *, samples: int, sampling: Sampling) -> Resolved:
    """The method of that name. Its options may also state ``samples`` and sampling parameters for it alone.

    Raises UsageError for an unknown name (with the nearest), an unknown option, a value of the wrong type, and for
    samples or a temperature with which it would be another method.
    """
    method = METHODS.get(spec.name)
    if method is None:
        raise UsageError(f"unknown method {spec.name!r}; {nearest(spec.name, METHODS)}")
    options = dict(method.options)
    own: dict[str, Any] = {}
    for key, value in spec.options:
        where = f"method_options.{spec.name}.{key}"
        try:
            if key in method.options:
                options[key] = _like(method.options[key], value)
            elif key in _OWN:
                own[key] = _OWN[key](value)
            else:
                raise BadValueError(f"unknown option; {nearest(key, [*method.options, *_OWN])}")
        except BadValueError as error:
            raise UsageError(f"{where}: {error.message}") from None
    try:
        method.check(options)
    except UsageError as error:
        raise UsageError(f"method_options.{spec.name}.{error}") from None
    resolved = Resolved(
        method=method,
        options=options,
        samples=own.pop("samples", samples),
        sampling=replace(sampling, **own),
        extra_body=spec.extra_body,
    )
    _check_samples(resolved)
    return resolved


def _like(default: OptionValue, value: Any) -> OptionValue:
    """The value, if it is of the default's type; a whole number also stands for one with a fraction."""
    fits = isinstance(value, type(default)) and isinstance(value, bool) == isinstance(default, bool)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not fits:
        kinds: Mapping[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise BadValueError(f"{value!r} is not {kinds[type(default)]}")
    result: OptionValue = value
    return result


def _check_samples(resolved: Resolved) -> None:
    """Several samples of a greedy model are one sample."""
    name, least = resolved.method.name, resolved.method.least_samples
    if resolved.samples < least:
        raise UsageError(f"{name} needs at least {least} samples; give --samples, or method_options.{name}.samples")
    if least > 1 and resolved.sampling.temperature == 0:
        raise UsageError(
            f"{name} needs samples that differ; give --temperature above 0, or method_options.{name}.temperature"
        )
