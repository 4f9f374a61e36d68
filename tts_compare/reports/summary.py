"""What was run, in a few lines, from the manifest: the head of every report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tts_compare.backends import BACKENDS
from tts_compare.reports.plain import one_line


def summarise(manifest: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """``(head, text)`` of each line the manifest can fill; text is safe to show."""
    settings = _mappings(manifest.get("settings"))
    lines = (
        ("model", _models(settings)),
        ("engines", _engines(settings)),
        ("dataset", _dataset(_mapping(manifest.get("dataset")))),
        ("prompt", _named(manifest.get("prompt"))),
        ("sampling", _pairs(manifest.get("sampling"))),
        ("prefix cache", _prefix_cache(settings)),
        ("machine", _machine(_mapping(manifest.get("machine")))),
        ("begun", str(manifest.get("created") or "")),
        ("state", "" if manifest.get("state") in (None, "done") else str(manifest["state"])),
        ("tts-compare", str(manifest.get("tts_compare_version") or "")),
        ("note", _ngrams(settings)),
    )
    return tuple((head, one_line(told)) for head, told in lines if told)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    found = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, Mapping)]


def _distinct(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def _models(settings: list[Mapping[str, Any]]) -> str:
    revisions = _distinct(str(one.get("revision") or "")[:12] for one in settings)
    names = ", ".join(_distinct(one.get("model") for one in settings))
    return f"{names} (revision {revisions[0]})" if names and len(revisions) == 1 else names


def _engines(settings: list[Mapping[str, Any]]) -> str:
    return ", ".join(
        _distinct(
            f"{one.get('backend')} {one.get('engine_version') or one.get('version') or ''}".strip() for one in settings
        )
    )


def _dataset(dataset: Mapping[str, Any]) -> str:
    problems = dataset.get("problems")
    count = len(problems) if isinstance(problems, list) else problems
    return f"{dataset.get('name', '')}" + (f", {count} problems" if count else "")


def _named(value: object) -> str:
    return str(_mapping(value).get("name") or "") if isinstance(value, Mapping) else str(value or "")


def _pairs(value: object) -> str:
    return ", ".join(f"{key} {inner}" for key, inner in _mapping(value).items() if inner is not None)


def _prefix_cache(settings: list[Mapping[str, Any]]) -> str:
    stated = {bool(one["prefix_caching"]) for one in settings if "prefix_caching" in one}
    if not stated:
        return ""
    return "on in some settings, off in others" if len(stated) > 1 else "on" if stated == {True} else "off"


def _machine(machine: Mapping[str, Any]) -> str:
    return ", ".join(_machine_parts(machine))


def _machine_parts(machine: Mapping[str, Any]) -> Iterator[str]:
    gpus = machine.get("gpus")
    if isinstance(gpus, list) and gpus:
        yield from (f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus))
    if machine.get("cpu_model") or machine.get("cpu"):
        yield str(machine.get("cpu_model") or machine.get("cpu"))
    if machine.get("cores"):
        yield f"{machine['cores']} cores"
    if isinstance(memory := machine.get("memory_bytes"), int):
        yield f"{memory / 2**30:.0f} GiB"


def _ngrams(settings: list[Mapping[str, Any]]) -> str:
    """That engines do not mean the same by n-gram speculation, where several of them were run with it."""
    with_ngram = {one.get("backend") for one in settings if _mapping(one.get("speculation")).get("kind") == "ngram"}
    ways = sorted({way for name in with_ngram if name in BACKENDS and (way := BACKENDS[str(name)].ngram)})
    return f"n-gram speculation is not one algorithm: {', '.join(ways)}" if len(ways) > 1 else ""
