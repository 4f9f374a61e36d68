"""From files to points; several runs as one: whose prices count, and which problems are the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.builders import changed
from tests.synthetic import Engine, Run, World, make_run
from tts_compare.analysis.analyse import points
from tts_compare.judge.join import joined_manifest, write_points
from tts_compare.rundir import store


def joined(**runs: Run) -> pl.DataFrame:
    """The points of several runs put together."""
    manifest = joined_manifest([(name, run.manifest) for name, run in runs.items()])
    records, grades = (
        pl.concat(
            getattr(run, part).with_columns(setting=pl.lit(f"{name}:") + pl.col("setting"))
            for name, run in runs.items()
        )
        for part in ("records", "grades")
    )
    return points(records, grades, manifest, resamples=100)


def test_every_run_is_priced_by_its_own_device_hour() -> None:
    runs = {f"at{usd}": make_run(World(problems=5, gpu_hour_usd=usd)) for usd in (3.6, 7.2, None)}
    found = joined(**runs)
    usd = {row["setting"].split(":")[0]: row["usd_per_problem"] for row in found.iter_rows(named=True)}
    seconds = found["gpu_s_per_problem"][0]
    assert usd == {"at3.6": pytest.approx(seconds / 1000), "at7.2": pytest.approx(seconds / 500), "atNone": None}


def test_one_id_for_two_problems_is_a_warning_and_the_same_problems_are_none() -> None:
    run = make_run(World(problems=3)).manifest
    first = run.dataset.problems[:2]
    other, unknown = (
        changed(run, dataset={"problems": [replace(row, problem=text) for row in first]}) for text in ("Another?", "")
    )
    assert joined_manifest([("a", run), ("b", run), ("imported", unknown)]).doubts == ()
    (warning,) = joined_manifest([("a", run), ("b", other)]).doubts
    assert warning.code == "problems_differ"
    assert warning.message.startswith("2 ids")


@pytest.mark.parametrize("engines", [(Engine(),), (Engine(), Engine(speculation="ngram"))])
def test_gaps_between_chunks_are_known_however_many_settings_a_run_has(
    tmp_path: Path, engines: tuple[Engine, ...]
) -> None:
    made = make_run(World(problems=3, timelines=True, engines=engines))
    run = store.create(tmp_path / "run")
    lists = ("us", "tokens", "chars")
    with run.records.open("w") as out:
        for row in made.records.iter_rows(named=True):
            timeline = {name: row.pop(f"timeline_{name}") for name in lists}
            out.write(json.dumps(row | {"timeline": timeline, "error": None}) + "\n")
    run.grades.write_text(made.grades.write_ndjson())
    write_points(run, made.manifest)
    gaps = [point["icl_p50_s"] for point in store.read_list(run.points)]
    assert gaps == pytest.approx([0.01] * len(engines), rel=0.1)
