"""The command that would settle what a run leaves open: the run's own command with what has to change."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tts_compare.analysis.findings.standing import Standing
from tts_compare.analysis.findings.warning_groups import WarningGroup
from tts_compare.analysis.rows.attempts import hosted_settings
from tts_compare.rundir.manifest import Manifest

#: A round needs at least so many problems.
_PER_ROUND = 25
#: With so many rounds of starts more of them say little.
_MOST_ROUNDS = 10
_RESUME = "tts-compare run --resume"
#: Flags that are about one run directory, not about what is measured.
_OF_ONE_RUN = frozenset({"out", "resume", "retry_failed", "name"})


def next_command(
    manifest: Manifest,
    status: str,
    barren: str | None,
    open_: Sequence[Standing],
    warnings: Sequence[WarningGroup],
) -> str:
    """What to run next, as a command: first what mends a measurement, then what settles the choice; may be empty."""
    errors = [fix for one in warnings if one.severity == "error" for fix in (one.fix, *one.also_fixes)]
    if mends := [fix for fix in errors if _RESUME in fix]:
        return max(mends, key=len)  # with --retry-failed where any asks for it
    if barren == "everything was cut":
        return command_with(manifest, {"budget": 8 * max(manifest.experiment.budgets or (2048,))})
    if barren:
        return next((one.fix for one in warnings if one.code == "nothing_correct"), "")
    return another_setting(manifest) if status == "one setting" else _starts_for(manifest, status, open_)


def _starts_for(manifest: Manifest, status: str, open_: Sequence[Standing]) -> str:
    if status == "not confirmed":
        return more_starts(manifest, 5 if any(one.reason == "bimodal_starts" for one in open_) else 3)
    rounds = max((one.rounds for one in open_), default=1)
    if status != "not told apart" or rounds >= _MOST_ROUNDS:
        return ""
    return more_starts(manifest, min(_MOST_ROUNDS, max(5, 2 * rounds)))


def command_with(manifest: Manifest, changes: Mapping[str, str | int]) -> str:
    """``tts-compare run`` as it was asked for, with other values of some flags; empty where that is not known.

    changes: flag names as in Python (``rounds``) -> value.
    """
    if manifest.state == "imported" or not (manifest.asked.config or manifest.asked.flags or manifest.settings):
        return ""
    config, flags = manifest.asked.config, dict(manifest.asked.flags)
    if not config and not flags:
        flags = _from_settings(manifest)
    if not config and not flags:
        return ""
    kept = {name: value for name, value in flags.items() if name not in _OF_ONE_RUN and name not in changes}
    words = ["tts-compare", "run", *(("--config", config) if config else ())]
    for name, value in (*kept.items(), *changes.items()):
        words += _flag(name, value)
    return shlex.join(words)


def more_starts(manifest: Manifest, rounds: int = 3) -> str:
    """The same experiment with so many starts of every setting: rounds, or repeats where there are few problems."""
    enough = len(manifest.dataset.problems) >= rounds * _PER_ROUND
    if enough:
        return command_with(manifest, {"rounds": rounds})
    return command_with(manifest, {"repeats": rounds})


def another_setting(manifest: Manifest) -> str:
    """The same experiment with something to compare with; empty where no setting is ours."""
    hosted = hosted_settings(manifest)
    own = [facts for name, facts in manifest.settings.items() if name not in hosted]
    if not own:
        return ""
    if all(facts.backend == "vllm" and facts.speculation.kind == "none" for facts in own):
        return command_with(manifest, {"spec": "none,ngram"})
    return command_with(manifest, {"backend": "vllm,sglang"})


def _from_settings(manifest: Manifest) -> dict[str, Any]:
    """Flags that ask for what the manifest says was run, where every setting is started by us."""
    settings = list(manifest.settings.values())
    if any(facts.base_url for facts in settings) or not manifest.experiment.budgets:
        return {}
    dataset, asked = manifest.dataset.path or manifest.dataset.name, manifest.experiment
    temperature = manifest.sampling.temperature
    return {
        "backend": _list(facts.backend for facts in settings),
        "model": _list(facts.model for facts in settings),
        "tp": _list(facts.tensor_parallel for facts in settings),
        "spec": _list(facts.speculation.kind for facts in settings),
        "budget": _list(manifest.experiment.budgets),
        **({"dataset": dataset} if dataset else {}),
        **({"method": _list(asked.methods), "samples": asked.samples} if asked.samples > 1 else {}),
        **({"temperature": f"{temperature:g}"} if temperature else {}),
    }


def _list(values: Any) -> str:
    return ",".join(dict.fromkeys(map(str, values)))


def _flag(name: str, value: Any) -> Iterator[str]:
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        yield from (option,) if value else ()
    elif isinstance(value, list | tuple):
        for one in value:
            yield from (option, str(one))
    else:
        yield from (option, str(value))
