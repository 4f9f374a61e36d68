"""A hosted endpoint as a setting: its key, its price, its limits, its refusals."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.integration.running import bench, rows_of
from tests.standin import replies_file
from tts_compare.cli import main
from tts_compare.dataset import load_problems
from tts_compare.limits import admission

KEY = "sk-planted-0123456789abcdefXYZ"
MODEL = "hosted-model"


@contextmanager
def endpoint(home: Path, *flags: str, key: str | None = KEY) -> Iterator[str]:
    """The embedded server behind a key; yields its base URL."""
    home.mkdir(parents=True, exist_ok=True)
    problems = [(problem.problem, problem.answer) for problem in load_problems("quickstart").problems]
    argv = ["--model", MODEL, "--replies", str(replies_file(home, problems)), "--token-rate", "2000", *flags]
    if key is not None:
        (home / "key").write_text(key)
        argv += ["--api-key-file", str(home / "key")]
    with subprocess.Popen(
        [sys.executable, "-m", "tts_compare.selftest.server", *argv], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield str(json.loads(server.stdout.readline())["url"])
        finally:
            server.terminate()


def argv(url: str, out: Path, *flags: str) -> list[str]:
    return [
        "--backend=openai",
        f"--base-url={url}",
        f"--model={MODEL}",
        "--dataset=quickstart",
        "--problems=6",
        "--budget=32",
        f"--out={out}",
        *flags,
    ]


def spread(secret: str) -> tuple[str, ...]:
    """A secret as it is, and as base64 wherever it may begin in a group of three bytes."""
    padded = [base64.b64encode(b"x" * shift + secret.encode()).decode() for shift in range(3)]
    return (secret, *(text[4:-4] for text in padded))


def test_a_planted_key_is_in_no_file_no_output_no_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    seen: list[str] = []
    with endpoint(tmp_path / "server", "--faults", "503:0.2,cut:0.1") as url:
        run = tmp_path / "run"
        assert main(argv(url, run, "--price=1/2")) == 0
        for process in psutil.process_iter():
            try:
                seen += process.cmdline() if process.pid != os.getpid() else []
            except psutil.Error:
                continue
        assert main(argv(url, tmp_path / "wrong", "--model=nobody")) == 2
    for form in ("html", "markdown", "json", "csv"):
        assert main(["report", str(run), f"--format={form}", f"--output={tmp_path / form}"]) == 0
    said = capfd.readouterr()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "server" not in path.parts]
    assert len(files) > 6
    texts = [said.out, said.err, *seen, *(path.read_bytes().decode("utf-8", "replace") for path in files)]
    assert not [text[:200] for text in texts for form in spread(KEY) if form in text]
    assert run.stat().st_mode & 0o777 == 0o700
    kept = [path for path in run.rglob("*") if path.is_file()]
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in kept} == {path.name: "0o600" for path in kept}


def test_a_wrong_key_is_told_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-this-one-000000")
    with endpoint(tmp_path / "server") as url:
        assert main(argv(url, tmp_path / "run")) == 2
    said = capsys.readouterr().err
    assert "the key is refused; set OPENAI_API_KEY" in said
    assert "sk-not-this-one" not in said
    assert not (tmp_path / "run").exists()


def test_a_name_that_a_gateway_reads_is_not_refused_for_not_being_listed(tmp_path: Path) -> None:
    with endpoint(tmp_path / "server", "--any-model", key=None) as url:
        assert main(argv(url, tmp_path / "run", f"--model=re2-{MODEL}")) == 0
        assert main(argv(url, tmp_path / "typo", "--model=hosted-modle")) == 2
    doubts = json.loads((tmp_path / "run" / "manifest.json").read_text())["doubts"]
    assert "model_not_listed" in {warning["code"] for warning in doubts}


def test_an_endpoint_without_a_key_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with endpoint(tmp_path / "server", key=None) as url:
        assert main(argv(url, tmp_path / "run")) == 0
    assert all(row.ok for row in rows_of(tmp_path / "run"))


def test_a_refused_attempt_is_a_row_and_the_wait_is_not_latency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with endpoint(tmp_path / "server", "--faults", "429=1:0.4", "--seed", "3") as url:
        assert main(argv(url, tmp_path / "run")) == 0
    rows = [row for row in rows_of(tmp_path / "run") if row.phase == "measured"]
    refused = [row for row in rows if row.error]
    assert refused
    assert {row.error.kind for row in refused if row.error} == {"http_429"}
    assert len({row.problem for row in rows if row.ok}) == 6
    for row in rows:
        if row.ok and row.attempt > 0:
            assert row.sent_ns is not None
            assert row.last_token_ns is not None
            assert row.last_token_ns - row.sent_ns < 0.9e9
    points = json.loads((tmp_path / "run" / "points.json").read_text())
    assert all(point["latency_mean_s"] < 0.9 for point in points)
    assert all(point["failed"] == 0 for point in points)


def test_the_price_makes_dollars_per_correct_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with endpoint(tmp_path / "server") as url:
        assert main(argv(url, tmp_path / "run", "--price=100/200")) == 0
    rows = [row for row in rows_of(tmp_path / "run") if row.phase == "measured"]
    spent = sum(100e-6 * (row.prompt_tokens or 0) + 200e-6 * (row.completion_tokens or 0) for row in rows)
    (point,) = json.loads((tmp_path / "run" / "points.json").read_text())
    assert point["devices"] is None
    assert point["gpu_s_per_problem"] is None
    right = round(point["accuracy"] * point["n"])
    assert right > 0
    assert point["usd_per_correct"] == pytest.approx(spent / right)


def test_a_budget_in_dollars_is_not_passed_and_the_run_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    run = tmp_path / "run"
    with endpoint(tmp_path / "server") as url:
        assert main(argv(url, run, "--price=0/1000", "--budget-usd=0.2")) == 1
        said = capsys.readouterr().err
        rows = [row for row in rows_of(run) if row.phase == "measured"]
        spent = sum(1000e-6 * (row.completion_tokens or 0) for row in rows_of(run))
        assert 0 < spent <= 0.2, "warm-up requests are paid too"
        assert 0 < len(rows) < 6
        assert f"--resume {run}" in said
        assert main(["run", f"--resume={run}"]) == 1, "the bound of the run holds until another is given"
        assert main(["run", f"--resume={run}", "--budget-usd=5"]) == 0
    assert len({row.problem for row in rows_of(run) if row.phase == "measured" and row.ok}) == 6


def test_a_bound_in_dollars_cuts_off_no_request_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    run = tmp_path / "run"
    with endpoint(tmp_path / "server", "--token-rate", "100") as url:
        assert main(argv(url, run, "--price=0/1000", "--budget-usd=0.25", "--concurrency=4")) == 1
    rows = rows_of(run)
    assert any(row.phase == "measured" for row in rows)
    assert [row.error for row in rows if row.error] == []
    assert sum(1000e-6 * (row.completion_tokens or 0) for row in rows) <= 0.25


def test_a_rate_holds_over_warm_ups_and_repeats_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window_ns, most = 10**9, 4
    monkeypatch.setattr(admission, "_WINDOW_NS", window_ns)
    monkeypatch.setattr(admission, "wait_ns", partial(admission.wait_ns, window_ns=window_ns))
    config = tmp_path / "rates.toml"
    with endpoint(tmp_path / "server", key=None) as url:
        config.write_text(
            'dataset = "quickstart"\nproblems = 3\nbudget = [16]\nrepeats = 2\n'
            f'[[settings]]\nbackend = "openai"\nbase_url = "{url}"\nmodel = "{MODEL}"\nrequests_per_minute = {most}\n'
        )
        assert main(["--config", str(config), "--out", str(tmp_path / "run")]) == 0
    sent = sorted(row.sent_ns for row in rows_of(tmp_path / "run") if row.sent_ns is not None)
    assert len(sent) > 2 * most
    # A request goes out after it was let through, on a busy machine by a while: the window is taken at its half.
    assert all(later - first > window_ns / 2 for first, later in zip(sent, sent[most:], strict=False))


def test_a_local_and_a_hosted_setting_stand_on_one_frontier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    table = bench(tmp_path / "local")
    assert main(table.argv("run", "--backend=vllm", "--problems=6", "--budget=32", "--gpu-hour-usd=2")) == 0
    with endpoint(tmp_path / "server") as url:
        assert main(argv(url, tmp_path / "hosted", "--price=1/2")) == 0
    capsys.readouterr()
    assert main(["report", str(table.home / "run"), str(tmp_path / "hosted"), "--format=json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    points: Sequence[dict[str, object]] = shown["points"] if isinstance(shown, dict) else shown
    assert {str(point["setting"]).split("/")[0] for point in points} == {"run:vllm", "hosted:openai"}
    assert all(point["usd_per_correct"] is not None for point in points)
