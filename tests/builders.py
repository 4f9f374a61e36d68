"""The one place where tests make values of the run directory by hand, as production classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from tts_compare.domain import RequestRecord
from tts_compare.rundir.facts import SettingFacts
from tts_compare.rundir.manifest import FORMAT, Manifest, manifest_of

if TYPE_CHECKING:
    from tests.synthetic import Run


def manifest(**parts: Any) -> Manifest:
    """A manifest with these keys; each is JSON, or a value of the manifest's own classes."""
    found: Any = msgspec.to_builtins(parts)
    return manifest_of({"format": FORMAT, **found})


def setting(**facts: Any) -> SettingFacts:
    """The manifest's entry of a setting."""
    return msgspec.convert(msgspec.to_builtins(facts), SettingFacts)


def record(**fields: Any) -> RequestRecord:
    """A row of ``records.jsonl``: an answered request but for what the fields say."""
    made: dict[str, Any] = {
        "setting": "s",
        "method": "truncate",
        "budget": 1024,
        "load": "c1",
        "problem": "p",
        **dict.fromkeys(("sample", "call", "repeat", "attempt"), 0),
        "phase": "measured",
        "request_id": "r",
        "finish_reason": "stop",
    }
    return RequestRecord(**made | fields)


def with_manifest(run: Run, **parts: Any) -> Run:
    """The run with these keys of its manifest in place of its own."""
    return replace(run, manifest=changed(run.manifest, **parts))


def changed(known: Manifest, **parts: Any) -> Manifest:
    """The manifest with these keys in place of its own."""
    found: dict[str, Any] = msgspec.to_builtins(known)
    return manifest(**found | parts)


def with_setting(run: Run, name: str, **facts: Any) -> Run:
    """The run with these facts of one of its settings."""
    return with_manifest(
        run, settings={**run.manifest.settings, name: msgspec.structs.replace(run.manifest.settings[name], **facts)}
    )
