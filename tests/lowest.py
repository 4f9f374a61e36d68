"""Print the lowest version of each dependency that pyproject.toml allows, as pip constraints: for ``make lowest``."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(requirement: str) -> str:
    """``httpx>=0.27,<1`` -> ``httpx==0.27``. Raises ValueError where there is no lower bound."""
    parsed = Requirement(requirement)
    bounds = [one.version for one in parsed.specifier if one.operator == ">="]
    if not bounds:
        raise ValueError(f"{requirement} has no lower bound")
    return f"{parsed.name}=={bounds[0]}"


if __name__ == "__main__":
    for stated in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]:
        print(lowest(stated))  # noqa: T201
