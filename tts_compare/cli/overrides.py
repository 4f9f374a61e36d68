"""Flags -> an experiment: what was given stands over what the configuration says, under the same keys."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tts_compare.config import Experiment, load_experiment
from tts_compare.config.keys import KNOBS
from tts_compare.rundir import store

_NOT_KEPT = frozenset(key for key, knob in KNOBS.items() if knob.scope == "invocation")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """A configuration's name and the flags over it, as they were typed; kept in the manifest for ``--resume``."""

    config: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)

    def experiment(self) -> Experiment:
        """The experiment. Raises UsageError."""
        return load_experiment(self.config, self.flags)

    def to_keep(self) -> dict[str, Any]:
        """What a resumed run needs of it: all but what belongs to one invocation."""
        return {"config": self.config, "flags": {k: v for k, v in self.flags.items() if k not in _NOT_KEPT}}


def asked_by(arguments: Namespace) -> CommandLine:
    """What a command line asks for; ``--resume DIR`` alone asks for what the run in DIR did."""
    flags = {key: value for key, value in vars(arguments).items() if key in KNOBS and value is not None}
    asked = CommandLine(config=arguments.config, flags=flags)
    run = store.RunDir(Path(arguments.resume)) if arguments.resume else None
    if run is None or not run.manifest.is_file():
        return asked
    before = store.read_manifest(run).asked
    return CommandLine(config=asked.config or before.config, flags={**before.flags, **flags})
