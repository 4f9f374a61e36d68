"""What to measure, as a Python value: checked as a configuration file is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from tts_compare.config import Experiment as Checked
from tts_compare.config import load_experiment
from tts_compare.config.keys import KNOBS
from tts_compare.rundir import store

StrPath = str | PathLike[str]
_NOT_KEPT = frozenset(key for key, knob in KNOBS.items() if knob.scope == "invocation")


@dataclass(frozen=True, slots=True, init=False)
class Experiment:
    """What to measure: a configuration and the keys over it, each value checked as a configuration file's is.

    config: a shipped configuration's name, or a TOML file. keys: the keys of docs/configuration.md; values as in TOML,
    or as typed on a command line. Raises UsageError, which names the key.

    >>> Experiment(backend=["vllm", "sglang"], model="Qwen/Qwen3-0.6B", budget=[1024, "4k"]).checked.budgets
    (1024, 4096)
    >>> Experiment(backend="vllm", model="M", bugdet=64)
    Traceback (most recent call last):
    tts_compare.errors.UsageError: bugdet: unknown key; did you mean 'budget'?
    """

    #: The configuration's name or file, None without one.
    config: str | None
    #: The keys over it, as TOML has them.
    keys: Mapping[str, Any]
    #: The same with every default filled in.
    checked: Checked

    def __init__(self, config: StrPath | None = None, /, **keys: Any) -> None:
        given = {key: _toml(value) for key, value in keys.items()}
        named = None if config is None else fspath(config)
        self._fill(named, given, load_experiment(named, given, as_flags=False))

    @classmethod
    def from_flags(cls, config: str | None, flags: Mapping[str, Any]) -> Experiment:
        """What a command line asks for: errors name flags."""
        made = cls.__new__(cls)
        made._fill(config, flags, load_experiment(config, flags))  # noqa: SLF001 - its own
        return made

    @classmethod
    def resuming(cls, path: StrPath, /, **keys: Any) -> Experiment:
        """What the run in a directory was asked to do, so that ``run`` does what is missing of it.

        keys: over those that it was asked with. Raises UsageError, and RunError where the manifest cannot be read.
        """
        asked = store.read_manifest(store.open_run(Path(path))).asked
        return cls(asked.config, **{**asked.flags, **keys, "resume": fspath(path)})

    def to_keep(self) -> dict[str, Any]:
        """What a resumed run needs of it: all but what belongs to one invocation."""
        return {"config": self.config, "flags": {key: v for key, v in self.keys.items() if key not in _NOT_KEPT}}

    def _fill(self, config: str | None, keys: Mapping[str, Any], checked: Checked) -> None:
        for name, value in (("config", config), ("keys", keys), ("checked", checked)):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """As it would be made again."""
        parts = [*([repr(self.config)] if self.config else []), *(f"{k}={v!r}" for k, v in self.keys.items())]
        return f"Experiment({', '.join(parts)})"


def _toml(value: Any) -> Any:
    """A Python value as TOML would hold it."""
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _toml(one) for key, one in value.items()}
    return [_toml(one) for one in value] if isinstance(value, list | tuple | range) else value
