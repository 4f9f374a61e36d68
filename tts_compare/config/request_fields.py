"""Further fields of requests, as a user states them: a JSON object or a table -> ``(name, JSON)`` pairs, hashable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tts_compare.config.values import BadValueError, Parse, option, table

RequestFields = tuple[tuple[str, str], ...]


def request_fields(value: Any) -> RequestFields:
    """A JSON object as text, or a table; each value as JSON with sorted keys. Raises BadValueError for any other."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise BadValueError(f"{value!r} is not JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise BadValueError(f'{value!r} is not a JSON object such as {{"top_k": 20}}')
    try:
        texts = {str(name): json.dumps(item, sort_keys=True, allow_nan=False) for name, item in value.items()}
    except (TypeError, ValueError) as error:
        raise BadValueError(f"a value cannot be written as JSON: {error}") from None
    return tuple(sorted(texts.items()))


def join_request_fields(first: RequestFields, second: RequestFields) -> RequestFields:
    """Fields given in two places are given together. Raises BadValueError for one that is given twice."""
    for name in dict(first).keys() & dict(second).keys():
        raise BadValueError(f"the field {name!r} is given twice")
    return tuple(sorted(first + second))


def request_fields_of_setting(known: Iterable[str]) -> Parse[Any]:
    """Inside ``[[settings]]``: the fields for that setting's engines, as ``request_fields`` reads them."""
    engines = frozenset(known)

    def parse(value: Any) -> RequestFields:
        if isinstance(value, Mapping) and value and set(value) <= engines:
            raise BadValueError("a setting has its engine already: give the fields themselves")
        return request_fields(value)

    return parse


def options_of_method(value: Any) -> dict[str, Any]:
    """A method's table of options, in which ``extra_body`` holds further fields of its requests."""
    keys = value if isinstance(value, Mapping) else ()
    return table({str(key): request_fields if key == "extra_body" else option for key in keys})(value)
