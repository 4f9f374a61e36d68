"""A run of several jobs is read as the one run that it is, and says what it lacks and what differs in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.builders import changed
from tests.directories import write_run
from tests.synthetic import Engine, Run, World, make_run
from tts_compare.analysis.analyse import points
from tts_compare.domain import RunWarning
from tts_compare.errors import RunError, UsageError
from tts_compare.judge.join import run_frames
from tts_compare.rundir import store
from tts_compare.rundir.manifest import Manifest
from tts_compare.rundir.parts import Parts, Task, part_of, read_parts, words_file, write_parts

ROUNDS = 2
WORLD = World(
    engines=(Engine(), Engine(speculation="ngram"), Engine(backend="sglang")), problems=12, rounds=ROUNDS, repeats=2
)


@pytest.fixture(scope="module")
def whole() -> Run:
    return make_run(WORLD)


def rounds_of(run: Run) -> dict[str, int]:
    pairs = run.records.select("problem", "round").unique().rows()
    return dict(pairs)


def parted(run: Run, home: Path, *, state: str = "done") -> Path:
    """The run as one task a round leaves it, all its settings a block."""
    shares = rounds_of(run)
    facts = msgspec.to_builtins(run.manifest.experiment) | {"shares": shares}
    settings = tuple(run.manifest.settings)
    tasks = tuple(
        Task(name=f"m.r{number}", block="m", round=number, settings=settings, requests=36) for number in range(ROUNDS)
    )
    (home / "parts").mkdir(parents=True)
    (home / "jobs").mkdir()
    for task in tasks:
        mine = [problem for problem, number in shares.items() if number == task.round]
        part = Run(
            records=run.records.filter(pl.col("round") == task.round),
            grades=run.grades.filter(pl.col("problem").is_in(mine)),
            manifest=run.manifest,
        )
        write_run(part, part_of(home, task.name).path, experiment=facts, state=state)
    write_parts(home, Parts(name=home.name, tasks=tasks))
    return home


def found_in(home: Path) -> tuple[pl.DataFrame, pl.DataFrame, Manifest]:
    return run_frames(store.open_run(home))


def warnings(home: Path) -> dict[str, RunWarning]:
    return {warning.code: warning for warning in found_in(home)[2].doubts}


def rewrite(home: Path, task: str, **parts: Any) -> None:
    run = part_of(home, task)
    store.write_manifest(run, changed(store.read_manifest(run), **parts))


def test_a_run_of_parts_has_the_points_of_the_same_run_in_one_directory(whole: Run, tmp_path: Path) -> None:
    one = write_run(whole, tmp_path / "one", experiment=msgspec.to_builtins(whole.manifest.experiment))
    expected = points(*run_frames(store.open_run(one)), resamples=50)
    found = points(*found_in(parted(whole, tmp_path / "run")), resamples=50)
    assert_frame_equal(found, expected, check_row_order=False)
    assert found.height == 3
    assert found["setting"].to_list() == expected["setting"].to_list()


def test_parts_of_one_kind_give_no_warning_of_their_own(whole: Run, tmp_path: Path) -> None:
    assert warnings(parted(whole, tmp_path / "run")) == {}


def test_no_two_parts_share_a_session(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    for number in range(ROUNDS):
        rewrite(home, f"m.r{number}", sessions=[{"clock": {"wall_ns": number}}])
    records, _, manifest = found_in(home)
    assert [session.clock.wall_ns for session in manifest.sessions] == [0, 1]
    assert sorted(records.select("round", "session").unique().rows()) == [(0, 0), (1, 1)]


def test_a_task_that_has_not_begun_is_named(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    shutil.rmtree(part_of(home, "m.r1").path)
    records, _, manifest = found_in(home)
    assert records["round"].unique().to_list() == [0]
    (warning,) = manifest.doubts
    assert (warning.code, warning.severity) == ("parts_missing", "error")
    assert "1 of 2 tasks" in warning.message
    assert "m.r1 (not begun)" in warning.message
    assert manifest.state == "interrupted"


def test_a_task_that_is_still_measured_says_how_far_it_is(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    rewrite(home, "m.r1", state="running")
    assert "m.r1 (36 of 36 requests)" in warnings(home)["parts_unfinished"].message
    assert found_in(home)[2].state == "running"


def test_a_run_none_of_whose_tasks_has_begun_cannot_be_reported(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    shutil.rmtree(home / "parts")
    with pytest.raises(RunError, match="none of the 2 tasks"):
        found_in(home)


def test_a_copy_of_a_part_is_not_counted(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    before = found_in(home)[0]
    shutil.copytree(part_of(home, "m.r0").path, home / "parts" / "m.r0-again")
    assert_frame_equal(found_in(home)[0], before)
    assert "m.r0-again" in warnings(home)["parts_set_aside"].message


def test_a_part_that_holds_the_rows_of_another_gives_them_no_second_time(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    before = found_in(home)[0]
    with part_of(home, "m.r1").records.open("ab") as out:
        out.write(part_of(home, "m.r0").records.read_bytes())
    assert found_in(home)[0].height == before.height
    assert "m.r1" in warnings(home)["parts_set_aside"].message


def test_a_part_of_a_setting_that_its_task_does_not_have_is_not_counted(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    known = read_parts(home)
    first, second = known.tasks
    mine, other = first.settings[:2], first.settings[2]
    write_parts(home, msgspec.structs.replace(known, tasks=(msgspec.structs.replace(first, settings=mine), second)))
    records, grades, manifest = found_in(home)
    assert records.filter((pl.col("setting") == other) & (pl.col("round") == 0)).height == 0
    assert grades.filter(pl.col("setting") == other)["problem"].n_unique() == WORLD.problems // ROUNDS
    assert "parts_set_aside" in {warning.code for warning in manifest.doubts}


def test_a_setting_that_means_something_else_in_another_round_is_an_error(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    name, facts = next(iter(store.read_manifest(part_of(home, "m.r1")).settings.items()))
    lying = {**store.read_manifest(part_of(home, "m.r1")).settings, name: msgspec.structs.replace(facts, dtype="fp8")}
    rewrite(home, "m.r1", settings=msgspec.to_builtins(lying))
    warning = warnings(home)["parts_differ"]
    assert (warning.setting, warning.severity) == (name, "error")
    assert warning.message == "dtype in m@1 differ from m@0"


def test_a_torn_manifest_is_missing_and_a_torn_last_row_is_left_out(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    height = found_in(home)[0].height
    records = part_of(home, "m.r0").records
    records.write_bytes(records.read_bytes()[:-20])
    assert found_in(home)[0].height == height - 1
    manifest = part_of(home, "m.r1").manifest
    manifest.write_bytes(manifest.read_bytes()[:100])
    assert "m.r1" in warnings(home)["parts_missing"].message


def test_nodes_whose_processors_differ_are_compared_with_a_warning_that_names_them(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    for number, cpu in enumerate(("AMD EPYC 7763", "Intel Xeon 8480")):
        rewrite(home, f"m.r{number}", machine={"cpu_model": cpu, "cores": 64, "memory_bytes": (1 << 38) + number})
    warning = warnings(home)["part_machines_differ"]
    assert warning.message == "cpu_model differs: AMD EPYC 7763 in m@0; Intel Xeon 8480 in m@1"
    assert points(*found_in(home), resamples=50).height == 3


@pytest.mark.parametrize(
    ("parts", "code", "named"),
    [
        ({"sampling": {"temperature": 0.7}}, "parts_differ", "the sampling differs"),
        ({"seeds": {"sampling": 7}}, "parts_differ", "seeds differs"),
        ({"software": {"httpx": "0.1"}}, "part_software_differs", "the version of httpx differs"),
        ({"tts_compare_version": "0.0.1"}, "part_software_differs", "the version of tts-compare differs"),
    ],
)
def test_what_differs_between_parts_is_named(
    whole: Run, tmp_path: Path, parts: dict[str, Any], code: str, named: str
) -> None:
    home = parted(whole, tmp_path / "run")
    rewrite(home, "m.r1", **parts)
    message = warnings(home)[code].message
    assert message.startswith(named)
    assert "m@0" in message
    assert "m@1" in message


def test_what_jobs_held_is_told_beside_what_was_measured(whole: Run, tmp_path: Path) -> None:
    home = parted(whole, tmp_path / "run")
    word = {"event": "end", "at": 1.0, "job": "1_0", "devices": 8, "held_s": 7200, "status": 0, "why": "done"}
    words_file(home, "m.r0").write_text(json.dumps(word) + "\n")
    message = warnings(home)["jobs_held"].message
    assert message.startswith("held 8 ")
    assert "for 2.0 h" in message
    assert "of 16.0 " in message


def test_two_tasks_of_one_setting_and_round_are_refused(tmp_path: Path) -> None:
    twice = tuple(Task(name=name, block="m", round=0, settings=("s",)) for name in ("a", "b"))
    write_parts(tmp_path, Parts(tasks=twice))
    with pytest.raises(RunError, match="two tasks"):
        read_parts(tmp_path)


def test_a_task_cannot_name_a_directory_elsewhere(tmp_path: Path) -> None:
    write_parts(tmp_path, Parts(tasks=(Task(name="../other", block="m", round=0, settings=("s",)),)))
    with pytest.raises(RunError, match="no name of a directory"):
        read_parts(tmp_path)


def test_a_directory_that_was_not_submitted_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="was not submitted"):
        read_parts(tmp_path)
