"""Two runs against each other, point by point, paired by problem: what changed, and whether a tolerance is broken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tts_compare.analysis.analyse import prepare
from tts_compare.analysis.compare import Pair, pair_rows
from tts_compare.analysis.cube import Cube, cubes
from tts_compare.analysis.labels import place_label
from tts_compare.analysis.points import Weights
from tts_compare.analysis.tolerance import Tolerance

#: One run: records, grades, manifest.
RunFrames = tuple[pl.DataFrame, pl.DataFrame, Mapping[str, Any]]
_SIDE = "\x1f"
#: Parts of a manifest that differ between any two runs.
_INCIDENTAL = frozenset(
    {
        "name",
        "created",
        "command",
        "clock",
        "state",
        "deaths",
        "doubts",
        "server_metrics",
        "startup_s",
        "left_out",
        "failed",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One place where the manifests differ, e.g. ``settings.vllm/....engine_version``."""

    path: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A tolerance that a point breaks: the interval of its change lies wholly beyond the bound."""

    tolerance: Tolerance
    label: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDiff:
    """pairs: PAIR_COLUMNS, axis ``run``, a of the first run and b of the second (a ratio above 1: b is better).

    only_a, only_b: labels of points that the other run does not have.
    """

    pairs: pl.DataFrame
    changes: tuple[Change, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    breaches: tuple[Breach, ...]


def compare_runs(
    a: RunFrames,
    b: RunFrames,
    *,
    fail_on: Sequence[Tolerance] = (),
    match: Mapping[str, str] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> RunDiff:
    """Compare each point of run b with the same point of run a over the problems both completed.

    match: setting id of a -> setting id of b, where a change of version or engine changed the ids. Runs with one
    setting each are matched as they are. Raises RunError where a run holds no measured request.
    """
    first, second = (prepare(*run) for run in (a, b))
    names = _matched(first.outcomes, second.outcomes, match)
    renamed = second.outcomes.with_columns(pl.col("setting").replace(names))
    both = pl.concat(
        [
            first.outcomes.with_columns(pl.col("setting") + _SIDE + "a"),
            renamed.with_columns(pl.col("setting") + _SIDE + "b"),
        ],
        how="vertical_relaxed",
    )
    only: dict[str, list[str]] = {"a": [], "b": []}
    found = []
    for cube in cubes(both):
        pairs, alone = _pairs(cube)
        found.append((cube, pairs))
        for side, labels in alone.items():
            only[side] += labels
    frame = pair_rows(found, Weights(resamples, seed))
    frame = frame.with_columns(pl.col("a", "b").str.split(_SIDE).list.first())
    return RunDiff(
        pairs=frame,
        changes=tuple(manifest_changes(a[2], b[2])),
        only_a=tuple(only["a"]),
        only_b=tuple(only["b"]),
        breaches=tuple(_breaches(list(frame.iter_rows(named=True)), fail_on)),
    )


def _matched(a: pl.DataFrame, b: pl.DataFrame, match: Mapping[str, str] | None) -> dict[str, str]:
    """Setting id of b -> that of a."""
    if match is not None:
        return {new: old for old, new in match.items()}
    olds, news = a["setting"].unique().to_list(), b["setting"].unique().to_list()
    return {news[0]: olds[0]} if len(olds) == len(news) == 1 else {}


def _pairs(cube: Cube) -> tuple[list[Pair], dict[str, list[str]]]:
    """Points of the two sides with the same key, and the labels of those without a partner."""
    sides: dict[str, dict[tuple[Any, ...], int]] = {"a": {}, "b": {}}
    for point, key in enumerate(cube.keys):
        setting, side = str(key["setting"]).split(_SIDE)
        sides[side][(setting, key["method"], key["budget"], key["samples"])] = point
    shared = [work for work in sides["a"] if work in sides["b"]]
    pairs = [
        Pair(axis="run", a=sides["a"][w], b=sides["b"][w], mask=cube.own_mask(sides["a"][w], sides["b"][w]))
        for w in shared
    ]
    alone = {
        side: [_plain_label(cube, point) for work, point in own.items() if work not in shared]
        for side, own in sides.items()
    }
    return pairs, alone


def _plain_label(cube: Cube, point: int) -> str:
    key = cube.keys[point]
    return place_label(key | {"setting": str(key["setting"]).split(_SIDE)[0]})


def _breaches(rows: Sequence[Mapping[str, Any]], fail_on: Sequence[Tolerance]) -> list[Breach]:
    found = []
    for row in rows:
        label = place_label(
            {"setting": row["a"], "load": row["load"]}
            | {name: row[f"a_{name}"] for name in ("method", "budget", "samples")}
        )
        for tolerance in fail_on:
            value, low, high = _change(row, tolerance.figure)
            if tolerance.broken(low, high):
                unit = "points" if tolerance.figure == "accuracy" else "%"
                starts = "; one server start" if row["doubts"] and tolerance.figure != "accuracy" else ""
                sentence = (
                    f"{label}: {tolerance.figure} changed by {100 * value:+.1f} {unit} "
                    f"({100 * low:+.1f} to {100 * high:+.1f}), beyond {tolerance.text}{starts}"
                )
                found.append(Breach(tolerance=tolerance, label=label, sentence=sentence))
    return found


def _change(row: Mapping[str, Any], figure: str) -> tuple[float, float, float]:
    """Change from a to b with its interval: a difference for accuracy, else b / a - 1 (ratios are a / b)."""
    if figure == "accuracy":
        return tuple(_number(row[f"accuracy_diff{end}"]) for end in ("", "_lo", "_hi"))  # type: ignore[return-value]
    value, low, high = (_number(row[f"{figure}_ratio{end}"]) for end in ("", "_lo", "_hi"))
    return (1.0 / value - 1.0, 1.0 / high - 1.0, 1.0 / low - 1.0)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def manifest_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """Every leaf at which two manifests differ, what differs between any two runs left out."""
    return _changes("", a, b)


def _changes(path: str, a: Any, b: Any) -> list[Change]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        found: list[Change] = []
        for name in sorted({*a, *b}, key=str):
            if name not in _INCIDENTAL:
                found += _changes(f"{path}.{name}" if path else str(name), a.get(name), b.get(name))
        return found
    return [] if a == b else [Change(path=path, a=a, b=b)]
