"""``tts-compare runs``: what is there, and what may go."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest

from tests import builders
from tests.golden_compare import GOLDEN
from tts_compare.cli import main
from tts_compare.cli.runs import table
from tts_compare.errors import UsageError
from tts_compare.rundir import store
from tts_compare.rundir.listing import list_runs, remove_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A finished run, an interrupted one, an import, one whose manifest is damaged, and what is no run."""
    for name in ("quickstart", "import"):
        shutil.copytree(GOLDEN / name, tmp_path / name)
    cut = store.create(tmp_path / "cut")
    asked = builders.manifest(name="cut", state="interrupted", created="2026-01-01T00:00:00+00:00")
    store.write_manifest(cut, asked)
    (store.create(tmp_path / "damaged").manifest).write_text("{")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").write_text("no run")
    return tmp_path


def states(directory: Path) -> dict[str, str]:
    """State by name."""
    return {run.path.name: run.state for run in list_runs(directory)}


def test_every_run_is_listed_with_its_state(runs: Path) -> None:
    assert states(runs) == {
        "quickstart": "finished",
        "import": "imported",
        "cut": "interrupted",
        "damaged": "unreadable",
    }
    assert states(runs / "cut") == {"cut": "interrupted"}
    with store.Lock(store.RunDir(runs / "cut")):
        assert states(runs)["cut"] == "under way"
    (runs / "beginning").mkdir()
    with store.Lock(store.RunDir(runs / "beginning")):
        assert states(runs)["beginning"] == "under way"


def test_listing_takes_no_lock_and_writes_nothing(runs: Path) -> None:
    before = sorted(path for path in runs.rglob("*"))
    list_runs(runs)
    assert sorted(path for path in runs.rglob("*")) == before
    with store.Lock(store.RunDir(runs / "cut")):
        pass


def test_json_holds_the_settings_and_the_best_point_of_the_points_file(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", str(runs), "--format", "json"]) == 0
    found = {Path(row["path"]).name: row for row in json.loads(capsys.readouterr().out)}
    points = json.loads((runs / "quickstart" / "points.json").read_text())
    best = max((row for row in points if row["on_latency_frontier"]), key=lambda row: row["accuracy"])
    assert found["quickstart"]["best"]["accuracy"] == best["accuracy"]
    assert len(found["quickstart"]["settings"]) == 3
    size = sum(file.stat().st_size for file in (runs / "quickstart").rglob("*") if file.is_file())
    assert found["quickstart"]["size_bytes"] == size
    assert found["damaged"]["settings"] is None


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_list_keeps_within_the_terminal_and_in_ascii(
    runs: Path, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(runs.parent)
    assert main(["runs", runs.name]) == 0
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert max(map(len, shown.splitlines())) <= width
    assert "18.8%" in shown
    assert list(table([("run", "best"), ("a", "b" * 90)], width=width))


def test_without_a_run_there_is_a_line_and_without_a_directory_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", str(tmp_path)]) == 0
    assert "no run in" in capsys.readouterr().err
    assert main(["runs", str(tmp_path / "none")]) == 2


def test_prune_removes_what_was_not_finished_and_says_what_it_frees(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "cut" / "records.jsonl").write_bytes(b" " * 2_000_000)
    assert main(["runs", "prune", str(runs), "--yes"]) == 0
    shown = capsys.readouterr()
    assert "1 of 4 runs, 2 MB" in shown.out
    assert "2 MB freed" in shown.err
    assert set(states(runs)) == {"quickstart", "import", "damaged"}
    assert (runs / "notes").is_dir()


def test_prune_never_touches_what_is_under_way(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with store.Lock(store.RunDir(runs / "cut")):
        assert main(["runs", "prune", str(runs), "--yes"]) == 0
        assert "1 under way, not touched" in capsys.readouterr().err
        with pytest.raises(UsageError, match="another process"):
            remove_run(runs / "cut")
    assert "cut" in states(runs)


def test_prune_asks_and_takes_only_yes_for_yes(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for answer, left in (("\n", True), ("n\n", True), ("", True), ("y\n", False)):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        assert main(["runs", "prune", str(runs)]) == 0
        assert (runs / "cut").exists() is left
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert main(["runs", "prune", str(runs), "--state", "finished"]) == 2
    assert "--yes removes them" in capsys.readouterr().err


def test_prune_goes_by_state_and_age(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "prune", str(runs), "--state", "interrupted", "--older-than", "1", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().err
    os.utime(runs / "cut" / "manifest.json", (0, 0))
    assert main(["runs", "prune", str(runs), "--older-than", "1", "--yes"]) == 0
    assert not (runs / "cut").exists()
    assert main(["runs", "prune", str(runs), "--state", "under way", "--yes"]) == 2


def test_a_link_to_a_run_is_not_followed(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "linked").symlink_to(runs / "cut")
    with pytest.raises(UsageError, match="is a link"):
        remove_run(elsewhere / "linked")
    assert (runs / "cut").exists()
