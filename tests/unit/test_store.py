"""The run directory: what was written is whole or not there, and nothing in it can leave it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tts_compare.analysis.schema import grade_schema, record_schema
from tts_compare.domain import Grade, RequestError, RequestRecord, Timeline
from tts_compare.errors import RunError, UsageError
from tts_compare.rundir import store
from tts_compare.rundir.manifest import Manifest


def record(problem: str = "p", **more: Any) -> RequestRecord:
    of_ours = {"setting": "vllm/m/tp1-pp1-dp1/none", "budget": 16, "finish_reason": None}
    return builders.record(problem=problem, **of_ours | more)


def test_a_record_survives_the_file(tmp_path: Path) -> None:
    rows = [
        record(
            text='é\n"\u2028',
            reasoning="r",
            timeline=Timeline(us=(5, 6), tokens=(1, 2), chars=(1, 1)),
            token_ids=(1, 2, 3),
            server={"queue_s": 0.5},
            finish_reason="stop",
        ),
        record("q", error=RequestError(kind="http_429", status=429, message="slow down", retry_after_s=2.0)),
    ]
    with store.RowLog(tmp_path / "records.jsonl") as log:
        log.append(rows)
    assert list(store.read_rows(tmp_path / "records.jsonl", RequestRecord)) == rows


@given(cut=st.integers(min_value=0, max_value=400))
def test_a_file_cut_anywhere_keeps_every_whole_row_and_takes_new_ones(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "records.jsonl"
    with store.RowLog(path) as log:
        log.append([record("a"), record("b")])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - min(cut, len(whole))])
    kept = path.read_bytes().count(b'"error":null}')
    assert len(list(store.read_rows(path, RequestRecord))) == kept
    assert store.read_frame(path, {"problem": pl.String}).height in (kept, kept - 1)
    with store.RowLog(path) as log:
        log.append([record("c")])
    names = [row.problem for row in store.read_rows(path, RequestRecord)]
    assert names == [*("a", "b")[:kept], "c"]


HUGE = 10**30
DAMAGED = (
    b"{}\n",
    b"not JSON\n",
    b"[1, 2]\n",
    b'"a text"\n',
    b"\xff\xfe\n",
    b"[" * 2000 + b"\n",
    msgspec.json.encode(record("p")).replace(b'"completion_tokens":null', b'"completion_tokens":%d' % HUGE) + b"\n",
    msgspec.json.encode(record("p")).replace(b'"us":[]', b'"us":[1,%d]' % HUGE) + b"\n",
    msgspec.json.encode(record("p")).replace(b'"sent_ns":null', b'"sent_ns":%d' % -HUGE) + b"\n",
    msgspec.json.encode(record("p")).replace(b'"problem":"p"', b'"problem":null') + b"\n",
    msgspec.json.encode(record("p", error=RequestError(kind="in_band", status=HUGE))) + b"\n",
)


@pytest.mark.parametrize(
    "line", DAMAGED, ids=[line[:24].decode(errors="replace") + f" {i}" for i, line in enumerate(DAMAGED)]
)
def test_a_line_that_is_no_row_is_set_aside_with_its_number_and_the_rest_is_read(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(msgspec.json.encode(record("a")) + b"\n" + line + msgspec.json.encode(record("c")) + b"\n")
    asides: list[store.Aside] = []
    assert [row.problem for row in store.read_rows(path, RequestRecord, aside=asides.append)] == ["a", "c"]
    assert [(aside.path, aside.line) for aside in asides] == [(path, 2)]
    assert f"{path}, line 2 (" in store.told(asides)
    framed: list[store.Aside] = []
    frame = store.read_frame(path, record_schema(optional=True), kind=RequestRecord, aside=framed.append)
    assert frame["problem"].to_list() == ["a", "c"]
    assert framed == asides


def test_a_null_where_a_row_may_have_one_does_not_slow_a_frame_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading line by line takes seven times as long; a key that is missing is found all the same."""
    path, asides = tmp_path / "grades.jsonl", list[store.Aside]()
    grade: dict[str, object] = dict.fromkeys(("setting", "method", "load", "problem", "layer", "grader_version"), "x")
    grade |= dict.fromkeys(("budget", "sample", "call", "repeat", "attempt"), 1)
    row = {**grade, "policy": "any", "cut_tokens": None, "status": "correct", "answer": None}
    path.write_bytes(2 * (msgspec.json.encode(row) + b"\n"))
    with monkeypatch.context() as patched:
        patched.setattr("tts_compare.rundir.rows.read_rows", pytest.fail)
        assert store.read_frame(path, grade_schema(), kind=Grade)["cut_tokens"].to_list() == [None, None]
    del row["cut_tokens"]
    with path.open("ab") as more:
        more.write(msgspec.json.encode(row) + b"\n")
    assert store.read_frame(path, grade_schema(), kind=Grade, aside=asides.append).height == 2
    assert [aside.line for aside in asides] == [3]


def test_a_frame_of_rows_that_are_all_damaged_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"{}\nx\n")
    asides: list[store.Aside] = []
    frame = store.read_frame(path, record_schema(), kind=RequestRecord, aside=asides.append)
    assert (frame.height, [aside.line for aside in asides]) == (0, [1, 2])


def test_many_lines_set_aside_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    asides = [store.Aside(path=tmp_path / "records.jsonl", line=line, reason="x") for line in range(1, 10)]
    assert store.told(asides).startswith("9 rows cannot be read and are skipped: ")
    assert store.told(asides).endswith("records.jsonl, lines 1, 2, 3, 4, 5 and 4 more (x)")


def test_a_full_disk_keeps_the_rows_before_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "records.jsonl"
    real_write = os.write
    with store.RowLog(path) as log:
        log.append([record("a")])
        monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:10]))
        with pytest.raises(RunError, match="--resume"):
            log.append([record("b")])
        monkeypatch.undo()
        log.append([record("c")])
    assert [row.problem for row in store.read_rows(path, RequestRecord)] == ["a", "c"]


def test_a_frame_reads_only_the_columns_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with store.RowLog(path) as log:
        log.append(
            [
                record("a", error=RequestError(kind="empty")),
                record("b", timeline=Timeline(us=(1,), tokens=(2,), chars=(3,))),
            ]
        )
    schema = {
        "problem": pl.String,
        "sent_ns": pl.Int64,
        "error_kind": pl.String,
        "timeline_tokens": pl.List(pl.Int64),
    }
    frame = store.read_frame(path, schema)
    assert frame.columns == list(schema)
    assert frame["error_kind"].to_list() == ["empty", None]
    assert frame["timeline_tokens"].to_list() == [[], [2]]


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    run = store.create(tmp_path / "run")
    with store.Lock(run), pytest.raises(UsageError, match="another process"):
        store.Lock(run)
    with store.Lock(run):
        pass


def test_a_directory_that_cannot_be_locked_is_told_so_and_not_that_another_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    run = store.create(tmp_path / "run")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(UsageError, match="file system that keeps locks"):
        store.Lock(run)


def test_a_directory_that_cannot_be_written_is_bad_usage(tmp_path: Path) -> None:
    run = store.create(tmp_path / "run")
    (run.path / ".lock").mkdir()  # as good as a read-only disk, and also for root
    with pytest.raises(UsageError, match="cannot write the run directory"):
        store.Lock(run)


def test_a_disk_that_fails_when_rows_are_flushed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    log = store.RowLog(tmp_path / "records.jsonl")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"records\.jsonl.*quota"):
        log.close()


def test_a_run_that_ended_before_it_had_a_manifest_is_begun_again(tmp_path: Path) -> None:
    run = store.create(tmp_path / "run")
    with store.Lock(run), store.RowLog(run.records):
        (run.path / ".manifest.json.new").write_text("{")
    assert store.create(run.path) == run
    with store.RowLog(run.records) as log:
        log.append([record()])
    with pytest.raises(UsageError, match="not empty"):
        store.create(run.path)


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(UsageError, match="--resume"):
        store.create(tmp_path)


def test_a_run_with_a_key_in_use_is_private(tmp_path: Path) -> None:
    run = store.create(tmp_path / "run", private=True)
    with store.RowLog(run.records, private=True) as log:
        log.append([record()])
    store.write_json(run.manifest, {"format": 1}, private=True)
    assert run.path.stat().st_mode & 0o777 == 0o700
    assert run.records.stat().st_mode & 0o777 == 0o600
    assert run.manifest.stat().st_mode & 0o777 == 0o600


@given(st.text(min_size=1, max_size=60))
def test_no_setting_id_can_name_a_file_outside_the_run(setting: str) -> None:
    run = store.RunDir(Path("/run"))
    for path in (run.server_log(setting), run.server_metrics(setting)):
        assert path.parent == Path("/run/servers")
        assert path.name not in (".", "..")


def test_a_manifest_is_replaced_whole(tmp_path: Path) -> None:
    run = store.create(tmp_path / "run")
    store.write_manifest(run, Manifest(format=1, name="é"))
    assert store.read_manifest(run) == Manifest(format=1, name="é")
    run.manifest.write_text(json.dumps({"format": 99}))
    with pytest.raises(RunError, match="format 1"):
        store.read_manifest(run)
