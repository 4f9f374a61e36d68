"""Synthetic runs as run directories in the public format, written through the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.builders import changed
from tests.synthetic import Run, grade_rows, record_rows
from tts_compare.rundir import store


def write_run(run: Run, directory: Path, **manifest: Any) -> Path:
    """Put a synthetic run into files, as a real one leaves them. manifest: keys that stand in place of the run's."""
    kept = store.create(directory)
    with store.RowLog(kept.records) as records, store.RowLog(kept.grades) as grades:
        records.append(record_rows(run))
        grades.append(grade_rows(run))
    store.write_manifest(kept, changed(run.manifest, **manifest))
    return directory
