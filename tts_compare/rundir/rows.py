"""Reading JSONL rows that may be damaged: what cannot be read is skipped with its line number, the rest is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

import msgspec

from tts_compare.errors import RunError

if TYPE_CHECKING:
    import polars as pl

Row = TypeVar("Row")
_NESTED = ("error", "timeline")
_MAX_REASON_CHARS = 120
_LINES_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A line that is not a row. path: its file; line: its number, from 1; reason: what is wrong with it."""

    path: Path
    line: int
    reason: str


def told(asides: Sequence[Aside]) -> str:
    """One sentence on lines of one file that were skipped: how many, which, and what is wrong with the first."""
    first, more = asides[0], len(asides) - _LINES_NAMED
    lines = ", ".join(str(aside.line) for aside in asides[:_LINES_NAMED]) + (f" and {more} more" if more > 0 else "")
    what = "row cannot be read and is" if len(asides) == 1 else "rows cannot be read and are"
    noun = "line" if len(asides) == 1 else "lines"
    return f"{len(asides)} {what} skipped: {first.path}, {noun} {lines} ({first.reason})"


def read_rows(path: Path, kind: type[Row], *, aside: Callable[[Aside], None] | None = None) -> Iterator[Row]:
    """The rows of a JSONL file; a torn last line is omitted, and so is every line that is not a row.

    aside: is told of each of the latter. A number beyond 64 bits makes a line no row: no table could hold it.
    """
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            try:
                row = decoder.decode(line)
                reason = "a number beyond 64 bits" if _overflows(row) else None
            except (msgspec.DecodeError, RecursionError) as error:
                if not line.endswith(b"\n"):
                    return
                reason = str(error)[:_MAX_REASON_CHARS]
            if reason is None:
                yield row
            elif aside is not None:
                aside(Aside(path=path, line=number, reason=reason))


def _overflows(value: object) -> bool:
    """Whether a row holds a whole number that 64 bits do not."""
    if isinstance(value, int):
        return not -(2**63) <= value < 2**63
    if isinstance(value, tuple):
        # Timelines and token ids: thousands of plain numbers, whose ends are found without a loop of ours.
        if value and isinstance(value[0], int):
            return not (min(value) >= -(2**63) and max(value) < 2**63)
        return False
    if is_dataclass(value):
        return any(_overflows(getattr(value, name)) for name in value.__dataclass_fields__)
    return False


def read_frame(
    path: Path,
    schema: Mapping[str, Any],
    *,
    kind: type[Any] | None = None,
    aside: Callable[[Aside], None] | None = None,
) -> pl.DataFrame:
    """The columns of a JSONL file that ``schema`` names, as a polars frame; a torn last line is omitted.

    A column such as ``error_kind`` or ``timeline_us`` is the field of that name in the row's nested value. kind: the
    dataclass whose rows the file holds; lines that are none are then skipped, as ``read_rows`` does.
    Raises RunError where the file does not hold such rows and no kind is given.
    """
    import polars as pl

    data = path.read_bytes() if path.exists() else b""
    if data and not data.endswith(b"\n"):
        data = data[: data.rfind(b"\n") + 1]
    if not data or data.isspace():
        return pl.DataFrame(schema=dict(schema))
    try:
        frame = _parsed(data, schema)
        if kind is None or _is_whole(frame, data, kind):
            return frame
    except pl.exceptions.PolarsError as error:
        if kind is None:
            raise RunError(f"{path} cannot be read: {error}") from error
    del data
    encode = msgspec.json.encode
    whole = b"".join(encode(row) + b"\n" for row in read_rows(path, kind, aside=aside))
    return _parsed(whole, schema) if whole else pl.DataFrame(schema=dict(schema))


def _is_whole(frame: pl.DataFrame, data: bytes, kind: type[Any]) -> bool:
    """Whether no line lacks a field that its row must have; where that may be null, by the keys in the file."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        if field.name not in frame.columns or not (field.default is field.default_factory is MISSING):
            continue
        if not frame[field.name].has_nulls():
            continue
        if NoneType not in get_args(hints[field.name]) or data.count(f'"{field.name}":'.encode()) < frame.height:
            return False
    return True


def _parsed(data: bytes, schema: Mapping[str, Any]) -> pl.DataFrame:
    import polars as pl

    inner: dict[str, dict[str, Any]] = {}
    columns: dict[str, pl.Expr] = {}
    for name, kind in schema.items():
        parent, _, child = name.partition("_")
        if parent in _NESTED and child:
            inner.setdefault(parent, {})[child] = kind
            columns[name] = pl.col(parent).struct.field(child).alias(name)
        else:
            columns[name] = pl.col(name)
    flat = {name: kind for name, kind in schema.items() if name.partition("_")[0] not in inner}
    file_schema = flat | {parent: pl.Struct(fields_of) for parent, fields_of in inner.items()}
    return pl.read_ndjson(data, schema=file_schema).select(**columns)
