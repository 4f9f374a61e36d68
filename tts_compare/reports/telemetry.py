"""``telemetry.jsonl`` as one flat table in Parquet: a row a GPU and sample, or a sample where there is no GPU."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import structs

from tts_compare.rundir.telemetry import EngineSample, GpuSample, HostSample, TelemetryRow

if TYPE_CHECKING:
    import polars as pl

_PARTS: tuple[tuple[str, type[GpuSample | EngineSample | HostSample]], ...] = (
    ("gpu", GpuSample),
    ("engine", EngineSample),
    ("host", HostSample),
)
_WHOLE = ("index", "memory_used_bytes", "sm_clock_mhz", "memory_clock_mhz", "temperature_c", "other_processes")


def telemetry_parquet(rows: Iterable[TelemetryRow]) -> bytes:
    """The bytes of a Parquet file; columns are the fields of a row, those of its parts behind ``gpu_`` and the like."""
    import polars as pl

    out = io.BytesIO()
    pl.DataFrame(list(_flat(rows)), schema=_schema()).write_parquet(out)
    return out.getvalue()


def _flat(rows: Iterable[TelemetryRow]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for gpu in row.gpus or (None,):
            found: dict[str, Any] = {name: getattr(row, name) for name in ("setting", "session", "round", "at_ns")}
            for prefix, part in (("gpu", gpu), ("engine", row.engine), ("host", row.host)):
                found |= {f"{prefix}_{name}": value for name, value in (structs.asdict(part) if part else {}).items()}
            if found.get("gpu_throttled") is not None:
                found["gpu_throttled"] = list(found["gpu_throttled"])
            yield found


def _schema() -> dict[str, pl.DataType | type[pl.DataType]]:
    import polars as pl

    schema: dict[str, pl.DataType | type[pl.DataType]] = {"setting": pl.String}
    schema |= dict.fromkeys(("session", "round", "at_ns"), pl.Int64)
    for prefix, part in _PARTS:
        for name in part.__struct_fields__:
            kind = pl.Int64 if name in _WHOLE else pl.Float64
            schema[f"{prefix}_{name}"] = pl.List(pl.String) if name == "throttled" else kind
    return schema
