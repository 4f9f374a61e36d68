"""Reports for other programs: the whole analysis as JSON, the points as CSV and as Parquet."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

from tts_compare.analysis.findings.verdict import verdicts
from tts_compare.reports.plain import plain
from tts_compare.reports.sheets import name_settings
from tts_compare.reports.verdict_lines import verdict_lines
from tts_compare.reports.view import Look, RunView

if TYPE_CHECKING:
    import polars as pl

    from tts_compare.analysis.schema import Analysis

FORMAT = 1


@dataclass(frozen=True, slots=True)
class JsonReport:
    """Every frame as a list of rows, and all verdicts; unknown figures are null, never NaN."""

    suffix: str = ".json"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str:  # noqa: ARG002 - the same for every page
        """One JSON object, indented."""
        found = verdicts(analysis, run.manifest)
        whole = {
            "format": FORMAT,
            "name": run.name,
            **{
                name: _strict(getattr(analysis, name))
                for name in ("points", "pairs", "optimal", "frontiers", "bands", "losslessness", "spot_checks")
            },
            "claims": _strict(analysis.claims),
            "slo": _strict(analysis.slo),
            "doubts": _strict(analysis.doubts),
            "failed_lengths": _strict(analysis.failed_lengths),
            "left_out": _strict(run.left_out),
            "failed_servers": _strict(run.failed_servers),
            "formulas": _strict(analysis.formulas),
            "verdict": {
                "lines": _strict(verdict_lines(found, name_settings(analysis, run), on_cpu=run.on_cpu)),
                "groups": _strict(found),
            },
        }
        return json.dumps(whole, indent=1, allow_nan=False) + "\n"


@dataclass(frozen=True, slots=True)
class CsvReport:
    """The points, a row each; several warnings in one cell are parted by semicolons."""

    suffix: str = ".csv"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> str:  # noqa: ARG002
        """A head and one line a point."""
        import polars as pl

        shares = pl.col(pl.List(pl.Float64)).cast(pl.List(pl.String))
        points = analysis.points.with_columns(shares).with_columns(pl.col(pl.List(pl.String)).list.join(";"))
        return points.with_columns(pl.col(pl.String).map_elements(plain, return_dtype=pl.String)).write_csv()


@dataclass(frozen=True, slots=True)
class ParquetReport:
    """The points with their types."""

    suffix: str = ".parquet"

    def render(self, analysis: Analysis, run: RunView, *, look: Look) -> bytes:  # noqa: ARG002
        """The bytes of a Parquet file."""
        out = io.BytesIO()
        analysis.points.write_parquet(out)
        return out.getvalue()


def _strict(value: object) -> Any:
    """Dataclasses, frames, mappings and sequences as JSON values; non-finite numbers as null; text made safe."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if value is None or isinstance(value, bool | int | float):
        return None if isinstance(value, float) and not math.isfinite(value) else value
    if isinstance(value, Mapping):
        return {plain(str(key)): _strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(inner) for inner in value]
    return [_strict(row) for row in _rows(value)] if hasattr(value, "iter_rows") else plain(str(value))


def _rows(frame: Any) -> list[dict[str, Any]]:
    typed: pl.DataFrame = frame
    return list(typed.iter_rows(named=True))
