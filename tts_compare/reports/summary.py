"""What was run, in a few lines, from the manifest: the head of every report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import structs

from tts_compare.analysis.rows.attempts import is_hosted
from tts_compare.backends import BACKENDS
from tts_compare.reports.plain import one_line
from tts_compare.rundir.facts import DatasetFacts, MachineRow, SamplingFacts, SettingFacts
from tts_compare.rundir.manifest import Manifest


def summarise(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """``(head, text)`` of each line the manifest can fill; text is safe to show."""
    settings = list(manifest.settings.values())
    lines = (
        ("model", _models(settings)),
        ("engines", _engines(settings)),
        ("dataset", _dataset(manifest.dataset)),
        ("prompt", manifest.prompt.name),
        ("sampling", _pairs(manifest.sampling)),
        ("prefix cache", _prefix_cache(settings)),
        ("machine", _machine(manifest.machine)),
        ("begun", manifest.created),
        ("state", "" if manifest.state == "done" else manifest.state),
        ("tts-compare", manifest.tts_compare_version),
        ("note", _ngrams(settings)),
    )
    return tuple((head, one_line(told)) for head, told in lines if told)


def _distinct(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def _models(settings: list[SettingFacts]) -> str:
    revisions = _distinct((one.revision or "")[:12] for one in settings)
    names = ", ".join(_distinct(one.model for one in settings))
    return f"{names} (revision {revisions[0]})" if names and len(revisions) == 1 else names


def _engines(settings: list[SettingFacts]) -> str:
    return ", ".join(_distinct(f"{one.backend} {one.engine_version or one.version or ''}".strip() for one in settings))


def _dataset(dataset: DatasetFacts) -> str:
    return dataset.name + (f", {len(dataset.problems)} problems" if dataset.problems else "")


def _pairs(sampling: SamplingFacts) -> str:
    stated = structs.asdict(sampling)
    return ", ".join(f"{key} {value}" for key, value in stated.items() if value is not None)


def _prefix_cache(settings: list[SettingFacts]) -> str:
    """Of settings of ours; a hosted endpoint does not say."""
    own = {one.prefix_caching for one in settings if not is_hosted(one) and one.prefix_caching is not None}
    said = "on in some settings, off in others" if len(own) > 1 else "on" if own == {True} else "off" if own else ""
    hosted = "unknown of the hosted endpoint" if any(is_hosted(one) for one in settings) else ""
    return ", ".join(word for word in (said, hosted) if word)


def _machine(machine: MachineRow) -> str:
    return ", ".join(_machine_parts(machine))


def _machine_parts(machine: MachineRow) -> Iterator[str]:
    yield from (f"{machine.gpus.count(name)} x {name}" for name in dict.fromkeys(machine.gpus))
    if machine.cpu_model:
        yield machine.cpu_model
    if machine.cores:
        yield f"{machine.cores} cores"
    if machine.memory_bytes is not None:
        yield f"{machine.memory_bytes / 2**30:.0f} GiB"


def _ngrams(settings: list[SettingFacts]) -> str:
    """That engines do not mean the same by n-gram speculation, where several of them were run with it."""
    with_ngram = {one.backend for one in settings if one.speculation.kind == "ngram"}
    ways = sorted({way for name in with_ngram if name in BACKENDS and (way := BACKENDS[name].ngram)})
    return f"n-gram speculation is not one algorithm: {', '.join(ways)}" if len(ways) > 1 else ""
