"""``python -m tts_compare.cli.run_format``: write docs/schema/ and the tables of docs/run-directory.md anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from tts_compare.analysis.metrics import point_schema
from tts_compare.rundir.schema import Schema, filled, row_schema, schemas, tables

DOCS = Path(__file__).parents[2] / "docs"


def documents(docs: Path = DOCS) -> dict[Path, str]:
    """Every generated file -> what it should hold, as the code is now."""
    columns = {name: _json_type(kind) for name, kind in point_schema().items()}
    every: dict[str, Schema] = {**schemas(), "points": row_schema(columns)}
    found = {
        docs / "schema" / f"{name}.schema.json": json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
        for name, schema in every.items()
    }
    page = docs / "run-directory.md"
    return found | {page: filled(page.read_text(encoding="utf-8"), tables())}


def _json_type(kind: Any) -> Schema:
    """The JSON type of a column."""
    if isinstance(kind, pl.List):
        return {"type": "array", "items": _json_type(kind.inner)}
    if kind == pl.Boolean:
        return {"type": "boolean"}
    if kind == pl.String:
        return {"type": "string"}
    return {"type": "integer" if kind.is_integer() else "number"}


def main() -> None:
    """Write them."""
    for path, text in documents().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
