"""Synthetic runs as run directories in the public format, written through the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.synthetic import Run, grade_rows, record_rows
from tts_compare import store


def write_run(run: Run, directory: Path, **manifest: Any) -> Path:
    """Put a synthetic run into files, as a real one leaves them. manifest: keys that stand in place of the run's."""
    kept = store.create(directory)
    for path, rows in ((kept.records, record_rows(run)), (kept.grades, grade_rows(run))):
        with store.RowLog(path) as log:
            for row in rows:
                log.append([row])
    whole = {"deaths": [], "scoring": {}, "chat_templates": {}, "format": store.FORMAT} | run.manifest
    whole["experiment"] = {"work": []} | whole["experiment"]
    store.write_json(kept.manifest, whole | {"format": store.FORMAT} | manifest)
    return directory
