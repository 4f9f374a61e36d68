"""What scoring took, and what it leaves open: scoring is apart from a method's latency and cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from tts_compare.analysis.findings.labels import place_label
from tts_compare.analysis.rows.samples import last_attempts
from tts_compare.codes import warn
from tts_compare.domain import RunWarning
from tts_compare.rundir.facts import ScoringFacts
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.scores import Score

_METHOD = "best_of_n"
#: A probability of exactly one, which a large reward becomes in single precision.
_SATURATED = 1.0


def scoring_facts(rows: Iterable[Score], settings: Iterable[str]) -> dict[str, ScoringFacts]:
    """By setting: the ``model``, how many responses it ``scored``, ``busy_s`` and ``saturated``.

    busy_s: seconds in which at least one of the answered requests was under way. saturated: problems whose best
    score is exactly 1 and shared.
    """
    found: dict[str, list[Score]] = {setting: [] for setting in settings}
    for row in rows:
        if row.score is not None:
            found.setdefault(row.setting, []).append(row)
    return {
        setting: ScoringFacts(
            model=mine[0].by.model if mine else None,
            scored=len({row.key for row in mine}),
            busy_s=_busy_s(mine),
            saturated=_saturated(mine),
        )
        for setting, mine in found.items()
    }


def scoring_warnings(points: pl.DataFrame, measured: pl.DataFrame, manifest: Manifest) -> list[RunWarning]:
    """The warnings of ``best_of_n``.

    measured: ``samples.measured_rows``. manifest: its ``scoring`` has the facts of the settings a reward model scored.
    """
    facts = manifest.scoring
    labels: dict[str, dict[str, None]] = {}
    for row in points.filter(pl.col("method") == _METHOD).iter_rows(named=True):
        labels.setdefault(row["setting"], {})[place_label(row)] = None
    if not labels:
        return []
    answered = last_attempts(measured).filter((pl.col("method") == _METHOD) & pl.col("ok"))
    found = [
        warn(code, message, setting=setting, points=labels[setting])
        for setting in sorted(labels.keys() & facts.keys())
        for code, message in _of_endpoint(facts[setting], answered.filter(setting=setting).height)
    ]
    if by_file := sorted(labels.keys() - facts.keys()):
        found.append(
            warn(
                "scoring_untimed",
                setting=by_file[0] if len(by_file) == 1 else None,
                points=(label for setting in by_file for label in labels[setting]),
            )
        )
    return found


def _of_endpoint(facts: ScoringFacts, answered: int) -> Iterator[tuple[str, str]]:
    """Code and message of each warning. answered: how many responses there were to score."""
    scored = facts.scored
    if scored:
        yield (
            "scoring_apart",
            f"scoring {scored} responses by {facts.model} took {facts.busy_s:.3g} s, which are in no latency "
            "and no cost",
        )
    if scored < answered:
        yield (
            "unscored",
            f"{answered - scored} of {answered} responses have no score; choices that need them are ungraded",
        )
    if facts.saturated:
        yield (
            "scores_saturated",
            f"for {facts.saturated} problems several responses share a best score of exactly 1: the first is taken",
        )


def _busy_s(rows: Sequence[Score]) -> float:
    busy_ns, until_ns = 0, 0
    for row in sorted(rows, key=lambda row: row.sent_unix_ns):
        busy_ns += max(0, row.end_unix_ns - max(row.sent_unix_ns, until_ns))
        until_ns = max(until_ns, row.end_unix_ns)
    return busy_ns * 1e-9


def _saturated(rows: Sequence[Score]) -> int:
    full: dict[tuple[object, ...], int] = {}
    for row in rows:
        if row.score == _SATURATED:
            poll = (row.budget, row.load, row.problem, row.repeat)
            full[poll] = full.get(poll, 0) + 1
    return sum(count > 1 for count in full.values())
