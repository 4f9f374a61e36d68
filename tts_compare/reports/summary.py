"""What was run, in a few lines, from the manifest: the head of every report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tts_compare.reports.plain import one_line

#: (what the line says, the manifest's keys that may hold it: the first found is shown).
_LINES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("model", ("model", "experiment.model")),
    ("dataset", ("dataset.name", "dataset", "experiment.dataset")),
    ("problems", ("dataset.problems", "problems", "experiment.problems")),
    ("engines", ("engine_versions", "engines")),
    ("machine", ("machine", "hardware")),
    ("sampling", ("sampling", "experiment.sampling")),
    ("prefix cache", ("prefix_caching", "experiment.prefix_caching")),
    ("started", ("started", "started_at", "wall_clock")),
    ("tts-compare", ("tts_compare_version", "version")),
)


def summarise(manifest: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """``(head, text)`` of each line the manifest can fill."""
    found = ((head, next((said for key in keys if (said := _say(_get(manifest, key)))), "")) for head, keys in _LINES)
    return tuple((head, said) for head, said in found if said)


def _get(manifest: Mapping[str, Any], dotted: str) -> Any:
    here: Any = manifest
    for key in dotted.split("."):
        if not isinstance(here, Mapping):
            return None
        here = here.get(key)
    return here


def _say(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        known = ((key, _say(inner)) for key, inner in value.items())
        return one_line(", ".join(f"{key} {said}" for key, said in known if said))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return str(len(value)) if len(value) > 8 else one_line(", ".join(_say(inner) for inner in value))
    return one_line(str(value))
