"""The notebooks of the documentation run from their first cell to their last: ``make test-extras``."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.extras
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    figures = [
        out for cell in notebook.cells for out in cell.get("outputs", ()) if "image/svg+xml" in out.get("data", {})
    ]
    assert figures or path.stem != "explore-a-run"
