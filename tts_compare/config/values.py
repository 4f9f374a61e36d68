"""One value of the configuration, as TOML or a flag states it, into its type; each function raises BadValueError."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args
from urllib.parse import urlsplit

from tts_compare.domain import EFFORTS, Strictness

T = TypeVar("T")
Parse = Callable[[Any], T]
OptionValue = str | int | float | bool

_SIZE = re.compile(r"(\d+)([kKmM]?)")
_SCALE = {"": 1, "k": 1024, "m": 1024 * 1024}
#: How alike two names are (0 to 1, difflib) before one is suggested for the other: above "nonsense" and "none" (0.67)
#: and "openvino" and "openai" (0.71), below "one-pass" and "single-pass" (0.74).
_ALIKE = 0.72


class BadValueError(ValueError):
    """What is wrong with a value; each table it stands in puts its key before ``path``."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path

    def under(self, key: str) -> BadValueError:
        """The same, one table further out."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return BadValueError(self.message, f"{key}{joint}{self.path}")


def alike(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like a mistyped one, if any is much like it."""
    lower = {one.lower(): one for one in reversed(list(known))}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=_ALIKE)
    return lower[close[0]] if close else None


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` when a known name is much like it, else all known names."""
    names = list(known)
    found = alike(name, names)
    return f"did you mean {found!r}?" if found else f"known: {', '.join(names)}"


def count(value: Any) -> int:
    """A positive whole number; ``1k`` is 1024."""
    number = whole(value)
    if number < 1:
        raise BadValueError(f"{value} must be at least 1")
    return number


def whole(value: Any) -> int:
    """A whole number, not negative; ``1k`` is 1024."""
    match = _SIZE.fullmatch(str(value).strip())
    if isinstance(value, bool) or match is None:
        raise BadValueError(f"{value!r} is not a whole number such as 512, 1k or 16k")
    return int(match[1]) * _SCALE[match[2].lower()]


def integer(value: Any) -> int:
    """A whole number that may be negative."""
    try:
        if isinstance(value, bool | float):
            raise ValueError
        return int(value)
    except (TypeError, ValueError):
        raise BadValueError(f"{value!r} is not a whole number") from None


def number(value: Any, *, low: float = 0.0, high: float = math.inf, above: bool = False) -> float:
    """A number in ``[low, high]``, or ``(low, high]`` with ``above``."""
    try:
        if isinstance(value, bool):
            raise ValueError
        result = float(value)
    except (TypeError, ValueError):
        raise BadValueError(f"{value!r} is not a number") from None
    if not math.isfinite(result) or not low <= result <= high or (above and result == low):
        bound = f"{'above' if above else 'at least'} {low:g}" + ("" if high == math.inf else f" and at most {high:g}")
        raise BadValueError(f"{value} must be {bound}")
    return result


def positive(value: Any) -> float:
    """A number above 0."""
    return number(value, above=True)


def fraction(value: Any) -> float:
    """A number in (0, 1]."""
    return number(value, high=1.0, above=True)


def probability(value: Any) -> float:
    """A number in [0, 1]."""
    return number(value, high=1.0)


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise BadValueError(f"{value!r} is not a text" if not isinstance(value, str) else "it is empty")
    return value.strip()


def file_name(value: Any) -> str:
    """A name that can be part of a file's: letters, digits, ``_``, ``-`` and ``.``, not first a sign."""
    name = text(value)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise BadValueError(f"{name!r} may hold letters, digits, '_', '-' and '.' only")
    return name


def path(value: Any) -> str:
    """A path, as a text or a ``pathlib.Path``; ``~`` is home, which no shell says in TOML or behind ``vllm=``."""
    return os.path.expanduser(text(str(value) if hasattr(value, "__fspath__") else value))  # noqa: PTH111 - as typed


def flag(value: Any) -> bool:
    """``true`` or ``false``."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise BadValueError(f"{value!r} is neither true nor false")


def on_or_off(value: Any) -> bool:
    """``on`` or ``off``, in TOML also ``true`` and ``false``."""
    if value in ("on", "off"):
        return bool(value == "on")
    try:
        return flag(value)
    except BadValueError:
        raise BadValueError(f"{value!r} is neither on nor off") from None


def url(value: Any) -> str:
    """An http or https URL, without a slash at its end."""
    result = text(value).rstrip("/")
    if not re.match(r"https?://[^/\s]+", result):
        raise BadValueError(f"{result!r} is not a URL such as http://localhost:8000/v1")
    if "@" in result.split("/", 3)[2]:
        raise BadValueError(
            "a URL with a password in it would be written down; put the key into api_key_env's variable"
        )
    try:
        _ = urlsplit(result).port
    except ValueError as error:
        raise BadValueError(f"{result!r} is not a URL: {error}") from None
    return result


def strictness(value: Any) -> str | None:
    """``error`` or ``warning``; ``true`` is ``error``, ``false`` is not asked for."""
    if value in (False, "false"):
        return None
    known = "error" if value in (True, "true") else value
    if known not in get_args(Strictness):
        raise BadValueError(f"{value!r} is neither error nor warning")
    return str(known)


def one_of(*known: str) -> Parse[Any]:
    """One of the known names."""

    def parse(value: Any) -> str:
        name = text(value)
        if name not in known:
            raise BadValueError(f"{name!r} is not known; {nearest(name, known)}")
        return name

    return parse


def many(parse: Parse[T]) -> Parse[tuple[T, ...]]:
    """A list, or a text with commas; not empty, nothing twice."""

    def parse_all(value: Any) -> tuple[T, ...]:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            items = [items]
        if not items:
            raise BadValueError("the list is empty")
        return tuple(dict.fromkeys(parse(item) for item in items))

    return parse_all


def ascending(parse: Parse[T]) -> Parse[tuple[T, ...]]:
    """A list as ``many`` reads it, sorted."""
    return lambda value: tuple(sorted(many(parse)(value)))  # type: ignore[type-var]


def efforts(value: Any) -> tuple[str, ...]:
    """Effort levels in their order; a level that we do not know may be an endpoint's, and comes last."""
    named = many(file_name)(value)
    return tuple(sorted(named, key=lambda level: EFFORTS.index(level) if level in EFFORTS else len(EFFORTS)))


def option(value: Any) -> OptionValue | tuple[OptionValue, ...]:
    """An option of a method, whose meaning the method knows: a text, a number, a truth value or a list of them."""
    if isinstance(value, list | tuple):
        return tuple(_scalar(item) for item in value)
    return _scalar(value)


def _scalar(value: Any) -> OptionValue:
    if isinstance(value, str | int | float | bool):
        return value
    raise BadValueError(f"{value!r} is neither a text, a number nor true or false")


def table(keys: Mapping[str, Parse[Any]], synonyms: Mapping[str, str] | None = None) -> Parse[dict[str, Any]]:
    """A table of known keys; a synonym stands for its key."""
    also = synonyms or {}

    def parse(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise BadValueError(f"a table is expected, not {value!r}")
        result: dict[str, Any] = {}
        for given, item in value.items():
            key = also.get(given, given)
            if key not in keys:
                raise BadValueError(f"unknown key; {nearest(given, [*keys, *also])}", given)
            if key in result:
                raise BadValueError(f"the same as {key!r}, which is given too", given)
            try:
                result[key] = keys[key](item)
            except BadValueError as error:
                raise error.under(given) from None
        return result

    return parse


def tables(parse: Parse[T]) -> Parse[tuple[T, ...]]:
    """A list of tables (``[[name]]`` in TOML)."""

    def parse_all(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise BadValueError("a list of tables is expected, [[...]] in TOML")
        result = []
        for index, item in enumerate(value):
            try:
                result.append(parse(item))
            except BadValueError as error:
                raise error.under(f"[{index}]") from None
        return tuple(result)

    return parse_all


def named(parse: Parse[T]) -> Parse[dict[str, T]]:
    """A table whose keys are free names."""

    def parse_all(value: Any) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise BadValueError(f"a table is expected, not {value!r}")
        return table({str(key): parse for key in value})(value)

    return parse_all
