"""Warnings in reports: errors first, each with a fix that can be typed as it stands."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.golden_compare import GOLDEN
from tests.unit import test_reports_sample as sample
from tts_compare.cli import main
from tts_compare.codes import placed, warn
from tts_compare.reports import REPORTS, Look


def with_all_severities(name: str) -> str:
    warnings = (warn("parallel_servers"), warn("few_problems"), warn("engine_died", setting=sample.settings()[0]))
    analysis = replace(sample.analysis(), doubts=warnings)
    document = REPORTS[name].render(analysis, sample.run_view(), look=Look(width=160, full=True))
    assert isinstance(document, str)
    return re.sub(r"\s+", " ", document).replace("\\", "")


@pytest.mark.parametrize("name", ["console", "markdown", "html"])
def test_errors_come_before_warnings_and_these_before_notes_each_with_its_fix(name: str) -> None:
    text = with_all_severities(name)
    places = [
        text.index(said)
        for said in (
            "Errors: a figure is wrong or missing",
            "engine_died",
            "Warnings: a figure is weakened",
            "few_problems",
            "tts-compare run --problems 200",
            "Notes: what to know",
            "parallel_servers",
            "tts-compare run --parallel-servers 1",
        )
    ]
    assert places == sorted(places)
    assert "doubt" not in text.lower().split("<script")[0]


def test_a_fix_names_the_run_it_is_of_as_a_shell_takes_it() -> None:
    assert placed(warn("not_measured"), "runs/my run").fix == "tts-compare run --resume 'runs/my run'"
    assert placed(warn("few_rounds"), "runs/a").fix == "tts-compare run --rounds 3"
    assert placed(warn("retried"), "a b").fix == "grep -c '\"attempt\": *[1-9]' 'a b/records.jsonl'"
    died = warn("engine_died", setting="vllm/m/tp1")
    assert placed(died, "r", log="r/servers/vllm_m_tp1.log").fix == "tail -n 50 r/servers/vllm_m_tp1.log"
    assert placed(died, "r").fix == "tail -n 50 RUN/servers/SETTING.log"


def test_a_report_of_a_run_says_its_directory_in_the_fix(tmp_path: Path) -> None:
    run, out = tmp_path / "my run", tmp_path / "report.json"
    shutil.copytree(GOLDEN / "quickstart", run)
    rows = (run / "records.jsonl").read_text().splitlines()
    (run / "records.jsonl").write_text("\n".join([*rows, "{", ""]))
    assert main(["report", str(run), "--format=json", f"--output={out}"]) == 0
    warnings = json.loads(out.read_text())["doubts"]
    fixes = {row["code"]: row["fix"] for row in warnings}
    assert fixes["rows_set_aside"] == f"sed -n LINEp '{run}/records.jsonl'"
    assert not any(re.search(r"\bRUN\b", row["fix"] + row["advice"]) for row in warnings)


def test_of_several_runs_a_fix_names_the_run_of_its_setting(tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(GOLDEN / "votes", tmp_path / name)
        manifest = json.loads((tmp_path / name / "manifest.json").read_text())
        setting = next(iter(manifest["settings"]))
        manifest["failed"] = [{"setting": setting, "cause": "killed", "log": "", "advice": ""}]
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest))
    out = tmp_path / "report.json"
    assert main(["report", str(tmp_path / "one"), str(tmp_path / "two"), "--format=json", f"--output={out}"]) == 0
    died = [row for row in json.loads(out.read_text())["doubts"] if row["code"] == "server_failed"]
    assert [row["setting"].split(":")[0] for row in died] == ["one", "two"]
    for row in died:
        assert row["fix"].startswith(f"tail -n 50 {tmp_path / row['setting'].split(':')[0]}/servers/")
        assert row["fix"].endswith(".log")
