"""What differs between the parts of one run, as warnings that name it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import structs

from tts_compare.codes import warn
from tts_compare.domain import RunWarning
from tts_compare.rundir.facts import LimitFacts, MachineRow, RetryFacts
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.parts import Task

#: Two nodes of one kind tell slightly different sizes of their memory.
_SAME_MEMORY = 0.01
_LONGEST_VALUE = 80
_NAMED = 4
#: Facts of a setting that decide what its rows mean.
_DETERMINING = (
    *("model", "revision", "device", "tensor_parallel", "pipeline_parallel", "data_parallel", "speculation", "dtype"),
    *("max_model_len", "max_num_seqs", "prefix_caching", "threads_per_rank", "engine_args", "base_url"),
)


def differences(parts: Sequence[tuple[Task, Manifest]]) -> Iterator[RunWarning]:
    """Warnings about what was asked, the software and the machines, where it is not the same in all parts."""
    for what, value in _ASKED.items():
        yield from _told("parts_differ", what, parts, value)
    yield from _setting_differences(parts)
    names = {"tts-compare", *(name for _, manifest in parts for name in manifest.software)}
    for name in sorted(names):
        yield from _told("part_software_differs", f"the version of {name}", parts, _software(name))
    for name in MachineRow.__struct_fields__:
        yield from _told("part_machines_differ", name, parts, _of_machine(name))


def _told(
    code: str, what: str, parts: Sequence[tuple[Task, Manifest]], value: Callable[[Manifest], Any]
) -> Iterator[RunWarning]:
    """A warning that says which tasks have which value, where they have several."""
    groups: list[tuple[Any, list[str]]] = []
    for task, manifest in parts:
        own = value(manifest)
        group = next((tasks for known, tasks in groups if _is_same(known, own)), None)
        if group is None:
            groups.append((own, [task.only]))
        else:
            group.append(task.only)
    if len(groups) > 1:
        said = "; ".join(f"{_short(known)} in {_listed(tasks)}" for known, tasks in groups[:_NAMED])
        more = f"; and {len(groups) - _NAMED} other values" if len(groups) > _NAMED else ""
        yield warn(code, f"{what} differs: {said}{more}")


def _setting_differences(parts: Sequence[tuple[Task, Manifest]]) -> Iterator[RunWarning]:
    """Where one setting has other facts in another round than in its first."""
    first: dict[str, tuple[Task, Any]] = {}
    for task, manifest in parts:
        for setting, facts in manifest.settings.items():
            before, known = first.setdefault(setting, (task, facts))
            changed = [name for name in _DETERMINING if getattr(known, name) != getattr(facts, name)]
            if changed:
                told = f"{', '.join(changed)} in {task.only} differ from {before.only}"
                yield warn("parts_differ", told, setting=setting)
            versions = known.engine_version, facts.engine_version
            if None not in versions and versions[0] != versions[1]:
                message = f"the engine's version is {versions[0]} in {before.only} and {versions[1]} in {task.only}"
                yield warn("version_changed", message, setting=setting)


def _rules(manifest: Manifest) -> Any:
    limits, retry = manifest.experiment.limits or LimitFacts(), manifest.experiment.retry or RetryFacts()
    return msgspec.to_builtins((structs.replace(limits, start_s=None), structs.replace(retry, max_restarts=None)))


_ASKED: dict[str, Callable[[Manifest], Any]] = {
    "the data set": lambda one: one.dataset.sha256,
    "the set of problems": lambda one: tuple(problem.id for problem in one.dataset.problems),
    "the prompt": lambda one: one.prompt.sha256,
    "the sampling": lambda one: one.sampling,
    "seeds": lambda one: one.seeds,
    "the work": lambda one: one.experiment.work,
    "the number of rounds or repeats": lambda one: (one.experiment.rounds, one.experiment.repeats),
    "the split into rounds": lambda one: one.experiment.shares,
    "limits or retry rules": _rules,
    "the price of a device hour": lambda one: one.experiment.gpu_hour_usd,
}


def _software(name: str) -> Callable[[Manifest], Any]:
    if name == "tts-compare":
        return lambda one: one.tts_compare_version
    return lambda one: one.software.get(name)


def _of_machine(name: str) -> Callable[[Manifest], Any]:
    return lambda one: getattr(one.machine, name)


def _is_same(a: Any, b: Any) -> bool:
    sizes = isinstance(a, int) and isinstance(b, int) and min(a, b) > 1 << 30
    return a == b or (sizes and abs(a - b) <= _SAME_MEMORY * max(a, b))


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
