"""What the files of a run directory hold, as JSON Schema and as tables of docs/run-directory.md, from their classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tts_compare.domain import Grade, RequestRecord
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.scores import Score
from tts_compare.rundir.telemetry import TelemetryRow

Schema = dict[str, Any]

#: File of a schema -> the class of a value: of the whole of ``manifest.json``, of a row of the others.
CLASSES: Mapping[str, type] = {
    "manifest": Manifest,
    "record": RequestRecord,
    "grade": Grade,
    "score": Score,
    "telemetry": TelemetryRow,
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Worked out when a run is read, and in no file.
_NOT_WRITTEN = "scoring"


def schemas() -> dict[str, Schema]:
    """JSON Schema of each class of ``CLASSES``. Keys that a schema does not name are ignored by readers."""
    return {name: _written(msgspec.json.schema(kind)) for name, kind in CLASSES.items()}


def _written(schema: Schema) -> Schema:
    """The schema of what is in the file. Docstrings stay out: they speak to programmers."""
    parts: dict[str, Schema] = dict(sorted(schema["$defs"].items()))
    for part in parts.values():
        part.pop("description", None)
    if "Manifest" in parts:
        del parts["Manifest"]["properties"][_NOT_WRITTEN]
        parts.pop("ScoringFacts", None)
    return {"$schema": _DIALECT, "$ref": schema["$ref"], "$defs": parts}


def row_schema(columns: Mapping[str, Schema]) -> Schema:
    """JSON Schema of ``points.json``: rows whose every column may be null. columns: the type of each."""
    properties = {name: {"anyOf": [kind, {"type": "null"}]} for name, kind in columns.items()}
    row = {"title": "Point", "type": "object", "properties": properties}
    return {"$schema": _DIALECT, "type": "array", "items": {"$ref": "#/$defs/Point"}, "$defs": {"Point": row}}


def tables() -> dict[str, str]:
    """A Markdown table of the fields of each class that a file holds, by the class's name."""
    found: dict[str, str] = {}
    for schema in schemas().values():
        for name, part in schema["$defs"].items():
            found.setdefault(name, "\n".join(_rows(part)))
    return found


def _rows(part: Schema) -> Iterator[str]:
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for name, field in part["properties"].items():
        yield f"| `{name}` | {_type(field)} | {field.get('description', '')} |"


def _type(field: Schema) -> str:
    """The type of a field in words, e.g. ``list of integer``."""
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"] if value is not None)
    if field.get("type") == "array":
        items = field["prefixItems"] if "prefixItems" in field else [field.get("items") or {}]
        inner = ", ".join(dict.fromkeys(map(_type, items)))
        return f"list of {inner}" if inner else "list"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) and values else "object"
    return str(field.get("type", "any"))


def filled(text: str, parts: Mapping[str, str]) -> str:
    """A document with its tables as they are now.

    A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. Raises KeyError for a name that is none.
    """
    pieces = text.split("<!-- table: ")
    done = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition(" -->\n")
        _, end, after = rest.partition("<!-- end -->")
        done.append(f"{name} -->\n{parts[name]}\n{end}{after}")
    return "<!-- table: ".join(done)
