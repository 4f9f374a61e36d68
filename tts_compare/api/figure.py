"""A figure that a notebook shows and a file holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_compare.errors import UsageError

if TYPE_CHECKING:
    from tts_compare.reports.figures import FileFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Accuracy against one axis. A notebook shows it; ``save`` writes it."""

    #: The Vega-Lite specification, its data inside.
    spec: Mapping[str, Any]

    def svg(self) -> str:
        """The figure as SVG."""
        return self._drawn("svg").decode()

    def _repr_svg_(self) -> str:
        """What a notebook shows: it needs no JavaScript, and stays when the notebook is read elsewhere."""
        return self.svg()

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the figure, as the name ends: ``.png``, ``.svg``, ``.pdf``, or ``.json`` for its specification.

        Raises UsageError for another ending, or where the file cannot be written.
        """
        file = Path(path)
        match file.suffix:
            case ".png" | ".svg" | ".pdf":
                content = self._drawn(file.suffix[1:])  # type: ignore[arg-type]
            case ".json":
                content = json.dumps(self.spec, indent=1).encode()
            case _:
                raise UsageError(f"{file}: a figure is saved as .png, .svg, .pdf or .json")
        try:
            file.write_bytes(content)
        except OSError as error:
            raise UsageError(f"cannot write {file}: {error.strerror}") from error
        return file

    def _drawn(self, form: FileFormat) -> bytes:
        from tts_compare.reports.figures import draw

        return draw(dict(self.spec), form)
