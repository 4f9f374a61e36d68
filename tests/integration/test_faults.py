"""What goes wrong, through the whole program: every request sent is a row written, and the run ends as documented.

docs/reliability.md names the test of each row of its table. What single requests become is shown here once, in one run
in which everything goes wrong; the client's own tests show the rest.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.integration.fault_proxy import fault_proxy
from tests.integration.running import bench, engines_of, kill, rows_of, start, wait_until
from tests.integration.test_hosted import argv, endpoint
from tts_compare.cli import main
from tts_compare.domain import RequestRecord

OK = None
#: A fault, what its request becomes, and the warning its row carries.
OUTCOMES: dict[str, tuple[str | None, str | None]] = {
    "429=0.2": ("http_429", None),
    "503=0.1": ("http_5xx", None),
    "500": ("http_5xx", None),
    "no_answer": ("timeout_first_byte", None),
    "html": ("malformed", None),
    "garbage": ("malformed", None),
    "json_body": ("malformed", None),
    "stall=30": ("timeout_idle", None),
    "dribble=1": ("timeout_total", None),
    "rst": ("truncated_stream", None),
    "cut": ("truncated_stream", None),
    "cut_hard": ("truncated_stream", None),
    "no_finish": ("truncated_stream", None),
    "in_band": ("in_band", None),
    "empty": ("empty", None),
    "endless": ("malformed", "past_max_tokens"),
    "bad_json": ("malformed", None),
    "bad_utf8": ("malformed", None),
    "duplicate": (OK, "timeline_estimated"),
    "two_responses": (OK, "bytes_after_answer"),
    "no_done": (OK, "no_done"),
    "huge_line=2000000": (OK, None),
    "early_hints": (OK, None),
}
#: Failures that the next attempt may mend, and that the program tries again.
PASSING = {"http_429", "http_5xx", "empty", "connect"}
LIMITED = """
import resource, sys
limit = int(sys.argv[2])
resource.setrlimit(getattr(resource, sys.argv[1]), (limit, limit))
from tts_compare.cli import main
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def impatient(tmp_path: Path) -> str:
    """Limits of seconds."""
    path = tmp_path / "limits.toml"
    path.write_text("[limits]\nfirst_byte_s = 2.0\nidle_s = 1.5\ntotal_s = 4.0\n")
    return f"--config={path}"


def measured(run: Path) -> list[RequestRecord]:
    return [row for row in rows_of(run) if row.phase == "measured"]


def kinds(rows: list[RequestRecord]) -> Counter[str | None]:
    return Counter(row.error.kind if row.error else None for row in rows)


def whole_lines(run: Path) -> bool:
    """Whether every line of the log is a whole row: nothing torn, nothing half."""
    text = (run / "records.jsonl").read_bytes()
    return text.endswith(b"\n") and len(rows_of(run)) == text.count(b"\n")


def problems_of(run: Path) -> set[str]:
    return {row["id"] for row in json.loads((run / "manifest.json").read_text())["dataset"]["problems"]}


def audit_warnings(run: Path) -> set[str]:
    return {warning["code"] for warning in json.loads((run / "manifest.json").read_text())["doubts"]}


def test_every_fault_becomes_the_row_it_should_and_no_request_is_lost(tmp_path: Path, impatient: str) -> None:
    run, warm_ups = tmp_path / "run", 26
    with (
        endpoint(tmp_path / "server", key=None) as url,
        fault_proxy(url, [""] * warm_ups + list(OUTCOMES)) as proxy,
    ):
        flags = ("--problems=49", "--concurrency=24", "--quiet", impatient)
        assert main(argv(proxy.url, run, *flags)) == 0
        sent = dict(proxy.sent)
    rows = rows_of(run)
    assert whole_lines(run)
    assert {row.request_id for row in rows} == set(sent)
    assert len(rows) == len(sent)
    met = {sent[row.request_id]: row for row in rows if sent[row.request_id]}
    became = {fault: row.error.kind if row.error else None for fault, row in met.items()}
    assert became == {fault: kind for fault, (kind, _) in OUTCOMES.items()}
    for fault, (_, warning) in OUTCOMES.items():
        assert warning is None or warning in met[fault].doubts, fault
    ended = {row.problem: row for row in sorted(measured(run), key=lambda row: row.attempt)}
    assert set(ended) == problems_of(run)
    assert not [row for row in ended.values() if row.error and row.error.kind in PASSING]
    (point,) = json.loads((run / "points.json").read_text())
    assert point["failed"] == sum(not row.ok for row in ended.values()) > 0
    assert point["n"] == 49


def test_an_endpoint_that_refuses_for_a_while_loses_what_was_in_flight_alone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with (
        endpoint(tmp_path / "server", "--token-rate", "40", key=None) as url,
        fault_proxy(url) as proxy,
    ):
        proxy.outage(after_requests=16, seconds=0.7)
        flags = ("--problems=30", "--concurrency=4", "--quiet")
        assert main(argv(proxy.url, run, *flags)) == 0
        sent = set(proxy.sent)
        rows = measured(run)
        assert kinds(rows)["connect"] > 0
        again = [flag for flag in argv(proxy.url, run, *flags) if not flag.startswith("--out")]
        assert main([*again, f"--resume={run}"]) == 0
    everything = rows_of(run)
    assert sent <= {row.request_id for row in everything}
    assert {row.error.kind for row in rows if row.error and row.request_id not in sent} == {"connect"}
    cut = {row.problem for row in everything if row.error and row.error.kind == "truncated_stream"}
    assert len(cut) <= 4
    assert {row.problem for row in measured(run) if row.ok} == problems_of(run) - cut


def test_a_full_disk_keeps_every_whole_row_and_the_run_goes_on_from_there(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with endpoint(tmp_path / "server", key=None) as url:
        flags = argv(url, run, "--problems=49", "--quiet")
        limited = [sys.executable, "-c", LIMITED, "RLIMIT_FSIZE", "40000", *flags]
        done = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 1
        assert done.stderr.startswith("tts-compare: cannot write")
        assert f"--resume {run}" in done.stderr
        assert done.stderr.count("\n") == 1
        assert whole_lines(run)
        before = measured(run)
        assert 0 < len(before) < 49
        again = [flag for flag in flags if not flag.startswith("--out")]
        assert main([*again, f"--resume={run}"]) == 0
    after = measured(run)
    assert [row.request_id for row in after[: len(before)]] == [row.request_id for row in before]
    assert Counter(row.problem for row in after if row.ok) == dict.fromkeys(problems_of(run), 1)


def test_too_few_file_descriptors_fail_connections_and_lose_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with endpoint(tmp_path / "server", "--token-rate", "50", key=None) as url, fault_proxy(url) as proxy:
        flags = argv(proxy.url, run, "--problems=49", "--concurrency=100", "--quiet")
        limited = [sys.executable, "-c", LIMITED, "RLIMIT_NOFILE", "64", *flags]
        done = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=100)
        rows = rows_of(run)
        refused = [row for row in rows if row.error]
        assert refused
        assert {row.error.kind for row in refused if row.error and "open files" in row.error.message} == {"connect"}
        assert {row.request_id for row in rows if row.sent_ns is not None} == set(proxy.sent)
        assert "Traceback" not in done.stderr
        again = [flag for flag in flags if not flag.startswith("--out")]
        assert main([*again, f"--resume={run}"]) == 0
    assert {row.problem for row in measured(run) if row.ok} == problems_of(run)


def test_an_engine_that_is_stopped_for_a_while_costs_the_requests_it_held(tmp_path: Path, impatient: str) -> None:
    table = bench(tmp_path, extra=("--token-rate", "60"))
    run = table.home / "run"
    process = start(table.argv("run", "--backend=vllm", "--problems=16", "--budget=32", "--quiet", impatient))
    try:
        assert wait_until(lambda: run.joinpath("records.jsonl").exists() and len(measured(run)) >= 2, 60)
        (engine,) = engines_of(table.home)
        engine.suspend()
        time.sleep(3.0)
        engine.resume()
        said = process.communicate(timeout=90)[1]
    finally:
        process.kill()
    assert process.returncode == 0, said
    rows = measured(run)
    assert set(kinds(rows)) - {None} <= {"timeout_idle", "timeout_first_byte"}
    assert 1 <= sum(not row.ok for row in rows) <= 2
    assert Counter(row.problem for row in rows) == dict.fromkeys(problems_of(run), 1)
    assert wait_until(lambda: not engines_of(table.home))


def test_an_engine_stopped_for_good_is_ended_with_the_run(tmp_path: Path, impatient: str) -> None:
    table = bench(tmp_path, extra=("--token-rate", "40"))
    run = table.home / "run"
    process = start(table.argv("run", "--backend=vllm", "--problems=2", "--budget=32", "--quiet", impatient))
    try:
        assert wait_until(lambda: bool(engines_of(table.home)), 60)
        assert wait_until(lambda: run.joinpath("records.jsonl").exists() and len(rows_of(run)) >= 1, 60)
        engines_of(table.home)[0].suspend()
        process.communicate(timeout=90)
    finally:
        process.kill()
        kill(engines_of(table.home))
    assert process.returncode == 1
    assert len({row.problem for row in measured(run)}) == 2
    assert {row.error.kind for row in measured(run) if row.error} <= {"timeout_first_byte", "timeout_idle"}
    assert wait_until(lambda: not engines_of(table.home))


@pytest.fixture
def clock_set_back(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The wall clock goes back an hour after a second; returns how often it was asked."""
    begun, asked = time.monotonic(), [0]
    real_s, real_ns = time.time, time.time_ns

    def back() -> bool:
        asked[0] += 1
        return time.monotonic() > begun + 1.0

    monkeypatch.setattr(time, "time", lambda: real_s() - 3600 * back())
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() - 3600 * 10**9 * back())
    return asked


def test_a_wall_clock_set_back_an_hour_changes_no_figure(tmp_path: Path, clock_set_back: list[int]) -> None:
    run = tmp_path / "run"
    begun = time.monotonic_ns()
    with endpoint(tmp_path / "server", "--token-rate", "40", key=None) as url:
        assert main(argv(url, run, "--problems=8")) == 0
    ended = time.monotonic_ns()
    assert clock_set_back[0] > 0
    for row in measured(run):
        instants = (row.sent_ns, row.first_byte_ns, row.first_token_ns, row.last_token_ns, row.end_ns)
        assert all(instant is not None for instant in instants)
        assert list(instants) == sorted(instant for instant in instants if instant is not None)
        assert begun < (row.sent_ns or 0) < (row.end_ns or 0) < ended
        assert all(us >= 0 for us in row.timeline.us)
    (point,) = json.loads((run / "points.json").read_text())
    assert 0 < point["latency_mean_s"] < (ended - begun) / 1e9


def test_a_suspend_of_the_program_is_a_warning_and_loses_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with endpoint(tmp_path / "server", "--token-rate", "40", key=None) as url, fault_proxy(url) as proxy:
        process = start(argv(proxy.url, run, "--problems=12", "--quiet"))
        try:
            assert wait_until(lambda: run.joinpath("records.jsonl").exists() and len(measured(run)) >= 2, 60)
            stopped = psutil.Process(process.pid)
            stopped.suspend()
            time.sleep(5.0)
            process.send_signal(signal.SIGCONT)
            said = process.communicate(timeout=90)[1]
        finally:
            process.kill()
        sent = set(proxy.sent)
    assert process.returncode == 0, said
    assert {row.request_id for row in rows_of(run)} == sent
    assert Counter(replace(row.key, attempt=0) for row in measured(run) if row.ok).most_common(1)[0][1] == 1
    assert {row.problem for row in measured(run) if row.ok} == problems_of(run)
    assert "client_stood_still" in audit_warnings(run)
    (told,) = json.loads((run / "manifest.json").read_text())["server_metrics"].values()
    assert told[0]["client"]["still_s"] > 4
    assert main(["report", str(run)]) == 0
