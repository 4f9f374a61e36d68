"""Rounds, engines that die for good, and what a resumed run sends again, with stand-ins for engines."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running import Bench, bench, engines_of, kill, rows_of, start, wait_until
from tests.integration.test_foreign_endpoints import saying
from tts_compare.cli import main
from tts_compare.domain import RequestRecord

NONE = "vllm/tiny/tp1-pp1-dp1/none"
MODELS = b'{"object":"list","data":[{"id":"small","object":"model"}]}'


def measured(run: Path) -> list[RequestRecord]:
    return [row for row in rows_of(run) if row.phase == "measured"] if (run / "records.jsonl").exists() else []


def manifest_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return found


def resume(table: Bench, *flags: str) -> list[str]:
    return [
        *(flag for flag in table.argv("run", *flags) if not flag.startswith("--out")),
        f"--resume={table.home / 'run'}",
    ]


def test_each_round_starts_every_setting_once_and_sends_its_share(tmp_path: Path) -> None:
    table = bench(tmp_path)
    flags = ("--backend=vllm,sglang", "--budget=8", "--rounds=3", "--repeats=2", "--quiet")
    assert main(table.argv("run", *flags)) == 0
    run = table.home / "run"
    manifest, rows = manifest_of(run), measured(run)
    shares = manifest["experiment"]["shares"]
    assert manifest["experiment"]["rounds"] == 3
    assert Counter(shares.values()) == {0: 17, 1: 16, 2: 16}
    assert {row.problem: row.round for row in rows} == shares
    assert len({row.key for row in rows}) == len(rows) == 2 * 2 * 49
    assert all(len(facts["startup_s"]) == 6 for facts in manifest["settings"].values())
    by_start: dict[tuple[int, int, str], list[int]] = {}
    for row in rows:
        by_start.setdefault((row.round, row.repeat, row.setting.split("/")[0]), []).append(row.sent_ns or 0)
    turns = sorted(by_start, key=lambda start: min(by_start[start]))
    order = [(number, repeat) for number in range(3) for repeat in range(2)]
    assert [turn[:2] for turn in turns] == [start for start in order for _ in range(2)]
    assert [turn[2] for turn in turns] == ["vllm", "sglang", "sglang", "vllm"] * 3
    assert {"small_rounds"} <= {warning["code"] for warning in manifest["doubts"]}


def test_a_run_says_under_which_limits_and_retry_rules_it_was_made(tmp_path: Path) -> None:
    table = bench(tmp_path)
    assert main(table.argv("run", "--backend=vllm", "--problems=1", "--budget=8", "--max-restarts=3", "--quiet")) == 0
    experiment = manifest_of(table.home / "run")["experiment"]
    assert experiment["limits"]["total_s"] == 3600.0
    assert experiment["retry"]["max_restarts"] == 3
    assert (experiment["retry"]["attempts"], experiment["retry"]["total_s"]) == (3, 20.0)
    assert "timeout_total" not in experiment["retry"]["kinds"]
    assert {row.limit_wait_ns for row in measured(table.home / "run")} == {0}


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A run of two rounds whose engine was killed in the first, and may not be started again in a round."""
    table = bench(tmp_path_factory.mktemp("died"), extra=("--token-rate", "40"))
    flags = ("--backend=vllm", "--budget=16", "--rounds=2", "--max-restarts=0", "--problems=8", "--quiet")
    process = start(table.argv("run", *flags))
    assert wait_until(lambda: len(measured(table.home / "run")) >= 1, 60)
    kill(engines_of(table.home))
    assert process.wait(120) == 1
    return table


def test_what_a_dead_engine_was_never_sent_has_failed_and_the_next_round_has_an_engine_again(died: Bench) -> None:
    rows = measured(died.home / "run")
    shares = manifest_of(died.home / "run")["experiment"]["shares"]
    assert len({row.key for row in rows}) == len(rows) == len(shares) == 8
    assert all(row.ok for row in rows if row.round == 1)
    (in_flight,) = [row for row in rows if row.error and row.sent_ns is not None]
    unsent = [row for row in rows if row.sent_ns is None]
    assert in_flight.error is not None
    assert in_flight.error.kind == "server_died"
    assert unsent
    for row in unsent:
        assert row.error is not None
        assert (row.round, row.error.kind) == (0, "server_died")
        assert row.error.message.startswith("never sent: its server died: ")
    (death,) = manifest_of(died.home / "run")["deaths"]
    assert death["round"] == 0


def test_failures_are_results_for_a_resumed_run_unless_it_is_told_to_send_them_again(
    died: Bench, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(died.home / "run", run)
    before = (run / "records.jsonl").read_bytes()
    failed = {row.problem for row in measured(run) if not row.ok}
    assert main(["run", f"--resume={run}", "--quiet"]) == 0
    assert (run / "records.jsonl").read_bytes() == before
    assert main(["run", f"--resume={run}", "--retry-failed", "--quiet"]) == 0
    assert (run / "records.jsonl").read_bytes().startswith(before)
    again = [row for row in measured(run) if row.attempt == 1]
    assert {row.problem for row in again} == failed
    assert all(row.ok for row in again)
    assert {row.session for row in again} == {2}
    assert len(manifest_of(run)["sessions"]) == 3
    assert main(["run", f"--resume={run}", "--quiet"]) == 0
    assert len(measured(run)) == 8 + len(failed)


def test_an_engine_that_does_not_start_again_fails_the_rest_of_that_round(tmp_path: Path) -> None:
    table = bench(tmp_path)
    run = table.home / "run"
    module = tmp_path / "standin-vllm" / "vllm" / "entrypoints" / "launchers" / "api_server" / "entry.py"
    count = tmp_path / "starts"
    module.write_text(
        f"import pathlib, sys\ncount = pathlib.Path({str(count)!r})\n"
        "count.write_text(count.read_text() + 'x' if count.exists() else 'x')\n"
        "if count.read_text() == 'xx':\n    print('CUDA out of memory', file=sys.stderr); sys.exit(1)\n"
        + module.read_text()
    )
    flags = ("--backend=vllm", "--budget=8", "--rounds=3", "--problems=6", "--quiet")
    assert main(table.argv("run", *flags)) == 1
    rows = measured(run)
    assert len(rows) == 6
    assert {row.round: row.ok for row in rows} == {0: True, 1: False, 2: True}
    failed = [row for row in rows if not row.ok]
    assert all(row.error and row.error.message.startswith("never sent: its server did not start") for row in failed)
    assert [item["round"] for item in manifest_of(run)["failed"]] == [1]


@contextmanager
def _refusing(status: int) -> Iterator[str]:
    body = json.dumps({"error": {"message": "you may not"}}).encode()
    with saying(MODELS, b"", refusal=lambda _: (status, body)) as url:
        yield url


@pytest.mark.parametrize(("status", "advice"), [(401, "set HOST_KEY"), (403, "set HOST_KEY"), (404, "has small")])
def test_a_refusal_in_the_warm_up_ends_the_setting_at_once_and_says_what_to_do(
    status: int, advice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with _refusing(status) as url:
        argv: Sequence[str] = (
            "--backend=openai", f"--base-url={url}", "--model=small", "--api-key-env=HOST_KEY",
            "--dataset=quickstart", "--problems=3", "--prompt=math", "--budget=8", f"--out={tmp_path / 'run'}",
        )  # fmt: skip
        assert main(argv) == 1
    rows = rows_of(tmp_path / "run")
    assert {row.phase for row in rows} == {"warmup"}
    assert len(rows) == 1
    said = capsys.readouterr().err
    assert f"http_4xx {status}: you may not" in said
    assert advice in said


def test_a_resumed_run_in_a_missing_or_empty_directory_is_a_new_one(tmp_path: Path) -> None:
    table = bench(tmp_path)
    (tmp_path / "run").mkdir()
    flags = ("--backend=vllm", "--problems=2", "--budget=8", "--quiet")
    assert main(resume(table, *flags)) == 0
    assert len(measured(tmp_path / "run")) == 2
    shutil.rmtree(tmp_path / "run")
    assert main(resume(table, *flags)) == 0
    assert len(measured(tmp_path / "run")) == 2


def test_a_directory_of_something_else_is_not_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = bench(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    assert main(resume(table, "--backend=vllm", "--problems=2", "--budget=8")) == 2
    assert "is not a run directory: it has no manifest.json and is not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_a_run_of_format_1_is_only_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = bench(tmp_path)
    flags = ("--backend=vllm", "--problems=2", "--budget=8", "--quiet")
    assert main(table.argv("run", *flags)) == 0
    run = table.home / "run"
    (run / "manifest.json").write_text(json.dumps(manifest_of(run) | {"format": 1}))
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for argv in (resume(table, *flags), ["run", f"--resume={run}"]):
        assert main(argv) == 2
        assert "is a run of format 1, which this version reads and does not write" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    assert main(["report", str(run)]) == 0


def test_what_a_resumed_run_adds_is_said_and_other_rules_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = bench(tmp_path)
    flags = ("--backend=vllm", "--problems=2", "--budget=8", "--quiet")
    assert main(table.argv("run", *flags)) == 0
    assert main(resume(table, *flags, "--replica=again")) == 0
    assert f"adds to {table.home / 'run'}: {NONE}+again" in capsys.readouterr().err
    assert Counter(row.setting for row in measured(table.home / "run")) == {NONE: 2, f"{NONE}+again": 2}
    config = tmp_path / "limits.toml"
    config.write_text("[limits]\ntotal_s = 5\n")
    assert main(resume(table, *flags, f"--config={config}")) == 2
    assert "the limits or the retry rules of a request changed" in capsys.readouterr().err
    assert main(resume(table, *flags, "--rounds=2")) == 2
    assert "the number of rounds changed" in capsys.readouterr().err
