"""Synthetic runs as run directories in the public format, written through the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.synthetic import Run, grade_rows, record_rows
from tts_compare import store


def write_run(run: Run, directory: Path, **manifest: Any) -> Path:
    """Put a synthetic run into files, as a real one leaves them. manifest: keys that stand in place of the run's."""
    kept = store.create(directory)
    with store.RowLog(kept.records) as records, store.RowLog(kept.grades) as grades:
        records.append(record_rows(run))
        grades.append(grade_rows(run))
    whole = {"deaths": [], "scoring": {}, "chat_templates": {}} | run.manifest | {"format": store.FORMAT} | manifest
    store.write_json(kept.manifest, whole | {"experiment": {"work": [], **whole["experiment"]}})
    return directory
