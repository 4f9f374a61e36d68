"""What stands beside figures: that there is nothing to compare, limits and waits in a mean, what a setting failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from tts_compare.analysis.findings.barren import barren
from tts_compare.reports.labels import Labels, shorten
from tts_compare.reports.loads import say_load
from tts_compare.reports.numbers import budget
from tts_compare.reports.sheets import Group
from tts_compare.reports.view import RunView
from tts_compare.rundir.facts import LimitFacts, RetryFacts, SettingFacts
from tts_compare.rundir.manifest import Manifest

if TYPE_CHECKING:
    from tts_compare.analysis.findings.failed_lengths import FailedLengths
    from tts_compare.analysis.schema import Analysis

_Rules = TypeVar("_Rules", LimitFacts, RetryFacts)
_ATTEMPTS = "Failed attempts, and the waits before the next, are part of the latencies"
_WHY = {
    "nothing was right": "no answer of any setting was right",
    "everything was cut": "every answer was cut by its budget",
}


def first_words(analysis: Analysis) -> tuple[str, ...]:
    """What a report says before anything else: where nothing was right or everything was cut. Usually nothing."""
    return tuple(
        f"{why[:1].upper()}{why[1:]} ({say_load(load)}, policy {policy}): {_WHY[why]}, so that nothing is known of "
        "what accuracy costs. No frontier is marked and no claim is made."
        for (load, policy), why in barren(analysis.points).items()
    )


def group_remarks(group: Group, run: RunView) -> tuple[str, ...]:
    """Sentences below the tables of a group: the time limit that means are restricted to, and the waits in them."""
    return (*_limits(group, run.manifest), *_back_off(group, run.manifest))


def failure_remarks(analysis: Analysis, labels: Labels) -> tuple[str, ...]:
    """One sentence for each point that failed problems: how long these are in the other settings."""
    return tuple(_lengths(one, labels) for one in analysis.failed_lengths)


def _distinct(rules: Iterable[_Rules | None]) -> list[_Rules]:
    found: list[_Rules] = []
    for one in rules:
        if one is not None and one not in found:
            found.append(one)
    return found


def _facts(group: Group, manifest: Manifest) -> list[SettingFacts]:
    """The settings of a group, as far as the manifest has them."""
    names = dict.fromkeys(row["setting"] for row in group.rows)
    return [manifest.settings.get(name, SettingFacts()) for name in names]


def _limits(group: Group, manifest: Manifest) -> Iterator[str]:
    limits = _distinct(facts.limits or manifest.experiment.limits for facts in _facts(group, manifest))
    seconds = sorted({one.total_s for one in limits if one.total_s})
    if seconds:
        told = " or ".join(f"{value:g}" for value in seconds)
        differ = ", by setting" if len(seconds) > 1 else ""
        yield (
            f"Mean latency: restricted to the time limit total_s = {told} s{differ}, at which an answer fails; "
            "it says nothing of what would have taken longer."
        )


def _back_off(group: Group, manifest: Manifest) -> Iterator[str]:
    if not any((row["attempts_mean"] or 1.0) > 1.0 for row in group.rows):
        return
    stated = _distinct(facts.retry or manifest.experiment.retry for facts in _facts(group, manifest))
    rules = [one for one in stated if one.first_s is not None]
    if not rules:
        yield f"{_ATTEMPTS}; the run does not state its waits."
    for one in rules:
        yield (
            f"{_ATTEMPTS}: at most {one.attempts} retries, each after a wait drawn from "
            f"[0, {2 * (one.first_s or 0.0):g} s x 2^retries], {one.total_s:g} s in all; "
            f"a Retry-After of up to {one.longest_s:g} s is waited out."
        )


def _lengths(one: FailedLengths, labels: Labels) -> str:
    where = f"{one.method} at {budget(one.budget)}" + (f" x{one.samples}" if one.samples > 1 else "")
    count = f"{one.failed} problem{'' if one.failed == 1 else 's'}"
    said = f"{shorten(labels.of.get(one.setting, one.setting), labels)} failed {count} ({where}, {say_load(one.load)})"
    if one.failed_tokens_p50 is None:
        return f"{said}: no other setting answered any of them"
    of_them = "" if one.known == one.failed else f" ({one.known} of them)"
    return (
        f"{said}: in the other settings their answers{of_them} have a median of {one.failed_tokens_p50:.0f} tokens, "
        f"those to all problems {one.all_tokens_p50:.0f}"
    )
