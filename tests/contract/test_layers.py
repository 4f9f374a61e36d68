"""The documentation's picture of the layers is the one that import-linter checks."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_layers_of_the_documentation_are_those_that_are_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    page = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    (shown,) = (block for block in page.split("```") if block.startswith("\ncli\n"))
    assert shown.strip().splitlines() == [layer.replace("tts_compare.", "") for layer in layers]


def test_every_package_has_a_layer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = " ".join(project["tool"]["importlinter"]["contracts"][0]["layers"])
    named = {name.removeprefix("tts_compare.") for name in layers.split() if name != "|"}
    packages = {path.parent.name for path in (ROOT / "tts_compare").glob("*/__init__.py")} - {"configs"}
    assert packages - named == set()
