"""Run directories of format 1 stay readable, untouched by reading, and say what they said when they were written."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.golden_changes import EXPECTED_CHANGES
from tests.golden_compare import GOLDEN, differences, finding, judge
from tts_compare.cli import main
from tts_compare.rundir import store

NAMES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


def recorded(name: str) -> dict[str, Any]:
    """The JSON report of the day."""
    report: dict[str, Any] = json.loads((GOLDEN / f"{name}.report.json").read_text())
    return report


def reported(name: str, home: Path) -> dict[str, Any]:
    """What this version reports of a copy of the directory."""
    run, out = home / name, home / "report.json"
    shutil.copytree(GOLDEN / name, run)
    assert main(["report", str(run), "--format=json", f"--output={out}"]) == 0
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def state(directory: Path) -> dict[str, tuple[str, int]]:
    """Of every file its digest and when it was last written."""
    return {
        str(path.relative_to(directory)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_three_golden_runs_are_there() -> None:
    """A quickstart, votes with a hosted endpoint, an import; all of format 1, no expected change of another run."""
    assert NAMES == ["import", "quickstart", "votes"]
    assert {store.read_manifest(store.open_run(GOLDEN / name)).format for name in NAMES} == {1}
    assert EXPECTED_CHANGES.keys() <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_run_gives_the_recorded_figures(name: str, tmp_path: Path) -> None:
    """Where a definition changed on purpose, ``EXPECTED_CHANGES`` says so; nothing else may differ."""
    verdict = judge(recorded(name), reported(name, tmp_path), EXPECTED_CHANGES.get(name, {}))
    assert not verdict.unexpected, "\n".join(map(str, verdict.unexpected))
    assert not verdict.unused, "expected changes that are none"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["console", "json", "csv", "markdown", "html"])
def test_reading_a_golden_run_leaves_it_untouched(name: str, form: str, tmp_path: Path) -> None:
    """No file is written, removed or made new."""
    run = tmp_path / name
    shutil.copytree(GOLDEN / name, run)
    before = state(run)
    assert main(["report", str(run), f"--format={form}", f"--output={tmp_path / 'report'}"]) == 0
    assert (tmp_path / "report").stat().st_size > 0
    assert state(run) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_run_names_no_machine_and_holds_no_key(name: str) -> None:
    """Paths are those of a user that nobody is, and what looks like a key is none."""
    for path in [GOLDEN / f"{name}.report.json", *(GOLDEN / name).rglob("*")]:
        text = path.read_text() if path.is_file() else ""
        assert not re.search(r"/root\b|/work\b|/tmp\b", text), path
        assert not re.search(r"--api-key|Bearer |sk-[A-Za-z0-9]{8}|\bAPI_KEY\s*[=:]\s*\S", text), path


def changed(name: str, table: str, **columns: Any) -> dict[str, Any]:
    """A recorded report in which the first row of a table says something else."""
    report = copy.deepcopy(recorded(name))
    report[table][0].update(columns)
    return report


def test_a_changed_figure_is_a_difference_and_rounding_is_none() -> None:
    """One part in a million is seen, one in 10^12 is not; a figure that became unknown is seen."""
    before = recorded("quickstart")
    latency = before["points"][0]["latency_mean_s"]
    for other in (latency * (1 + 1e-6), None, str(latency)):
        (found,) = differences(before, changed("quickstart", "points", latency_mean_s=other))
        assert found.path.startswith("points[")
        assert found.path.endswith("].latency_mean_s")
    assert not list(differences(before, changed("quickstart", "points", latency_mean_s=latency * (1 + 1e-12))))


def test_what_is_missing_is_a_difference_and_what_is_new_beside_it_is_none() -> None:
    """A column, a row, a table; new columns and tables are for new readers."""
    before = recorded("quickstart")
    without_column, without_row, without_table = (copy.deepcopy(before) for _ in range(3))
    del without_column["pairs"][0]["latency_ratio"]
    del without_row["points"][0]
    del without_table["claims"]
    for now in (without_column, without_row, without_table):
        assert len(list(differences(before, now))) == 1
    assert len(list(differences(without_row, before))) == 1, "a row that was not there"
    assert not list(differences(before, changed("quickstart", "points", of_a_later_format=1) | {"warnings": []}))


def test_a_warning_that_goes_or_comes_is_a_difference_of_its_own() -> None:
    """Each code has its own path, so that one expected change hides no other."""
    before = recorded("quickstart")
    codes = before["points"][0]["doubts"]
    now = changed("quickstart", "points", doubts=[*codes[1:], "of_a_later_format"])
    gone, come = differences(before, now)
    assert gone.path.endswith(f".doubts[{codes[0]}]")
    assert come.path.endswith(".doubts[of_a_later_format]")


def test_a_claim_with_another_verdict_is_a_difference_and_one_in_other_words_is_none() -> None:
    """Wording may improve."""
    before = recorded("quickstart")
    assert not list(differences(before, changed("quickstart", "claims", sentence="in other words")))
    other = "does not hold" if before["claims"][0]["verdict"] != "does not hold" else "holds"
    assert len(list(differences(before, changed("quickstart", "claims", verdict=other)))) == 1


def test_the_finding_of_a_comparison_is_told_from_its_wording() -> None:
    """A ratio of a single start states no finding."""
    assert finding("faster by 1.31x (1.24 to 1.38)") == "faster"
    assert finding("1.31x with one server start: two starts may differ by as much") is None
    before = recorded("quickstart")
    assert len(list(differences(before, changed("quickstart", "pairs", latency_verdict="slower by 2.00x")))) == 1


def test_an_expected_change_covers_what_it_names_and_must_be_one() -> None:
    """The star stands for any text and everything else for itself."""
    before = recorded("quickstart")
    now = changed("quickstart", "points", n=-1, accuracy=-1.0)
    verdict = judge(before, now, {"points[*].n": "counted anew"})
    assert [one.path.rpartition(".")[2] for one in verdict.unexpected] == ["accuracy"]
    assert not verdict.unused
    verdict = judge(before, now, {"points[*].n": "", "points[*].accuracy": "", "points[*].failed": ""})
    assert verdict == type(verdict)(unexpected=(), unused=("points[*].failed",))
