"""Runs in which something went wrong with a real vLLM: the report's figures are the sum of the rows, and it says what.

The expected figures come from ``by_hand``, which shares no code with the product.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.engines.by_hand import answers_of, headline, lines_of, manifest_of, measured
from tests.engines.conftest import running
from tests.integration.relay import buffering, relay
from tests.integration.running import kill, start, wait_until
from tts_compare.cli import main
from tts_compare.dataset import load_problems
from tts_compare.domain import Setting
from tts_compare.installer.models import prepare_quickstart_model
from tts_compare.installer.registry import EnginePython
from tts_compare.launchers import Server, ServerPlan

pytestmark = [pytest.mark.many_starts, pytest.mark.timeout(2400)]
#: Greedy answers of the small model: short ones are over after 1 or 10 tokens, long ones run into every budget.
SHORT = ("algebra/6", "precalculus/4", "counting_and_probability/4", "number_theory/1")
LONG = ("prealgebra/2", "geometry/2", "number_theory/3", "geometry/1")
#: A long answer is in flight after one row, and another after four: there the engine is killed.
ORDER = (SHORT[0], LONG[0], SHORT[1], LONG[1], LONG[2], SHORT[2], SHORT[3], LONG[3])
BUDGETS = (8, 64)
SMALL, LARGEST = BUDGETS
INPUT_USD, OUTPUT_USD = 0.15, 0.60
"""Dollars a million tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A run directory and what ``report --format json`` says of it."""

    run: Path
    report: dict[str, Any]

    @property
    def settings(self) -> tuple[str, ...]:
        """Their ids, the plainer one first."""
        return tuple(sorted({point["setting"] for point in self.report["points"]}, key=len))

    def point(self, setting: str, budget: int) -> dict[str, Any]:
        """One point's row."""
        (found,) = [p for p in self.report["points"] if (p["setting"], p["budget"]) == (setting, budget)]
        return dict(found)

    def warnings(self, code: str, setting: str | None = None) -> list[str]:
        """What the warnings of a code say: of a setting that they name, or of any."""

        def touches(one: Mapping[str, Any]) -> bool:
            named = one["setting"] == setting or any(point.startswith(f"{setting} ") for point in one["points"])
            return setting is None or named

        return [one["message"] for one in self.report["doubts"] if one["code"] == code and touches(one)]


def told(run: Path) -> Told:
    """The report of a run."""
    out = run.with_suffix(".report.json")
    assert main(["report", str(run), "--format=json", f"--output={out}"]) == 0
    return Told(run=run, report=json.loads(out.read_text()))


def assert_summed_by_hand(found: Told) -> None:
    """Every headline figure of every point is the sum of its rows."""
    for setting in found.settings:
        others = tuple(other for other in found.settings if other != setting)
        for budget in BUDGETS:
            expected = headline(found.run, setting, budget, others)
            point = found.point(setting, budget)
            assert {name: point[name] for name in expected} == {
                name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
                for name, value in expected.items()
            }, (setting, budget)


@pytest.fixture(scope="module")
def model(engine_python: Callable[[str], EnginePython]) -> Path:
    """The quickstart's: some of its answers are right."""
    return prepare_quickstart_model(engine_python("vllm").path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs are; ``problems.jsonl`` holds the problems in ORDER."""
    home = tmp_path_factory.mktemp("truth")
    known = {problem.id: problem for problem in load_problems("quickstart").problems}
    rows = [
        {
            "unique_id": name,
            "problem": known[f"quickstart/{name}"].problem,
            "answer": known[f"quickstart/{name}"].answer,
        }
        for name in ORDER
    ]
    (home / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return home


def argv(home: Path, name: str, model: Path | str, *flags: str) -> list[str]:
    """The command line of a run."""
    return [
        f"--model={model}",
        f"--dataset={home / 'problems.jsonl'}",
        "--prompt=fewshot",
        f"--budget={','.join(map(str, BUDGETS))}",
        f"--out={home / name}",
        "--quiet",
        *flags,
    ]


# -- an engine that is killed in mid-stream, twice: it is started again once ---------------------------------------


def engine_below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """What a supervisor below the program runs: the server and its engine core."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):
            parents = [parent.pid for parent in child.parents()]
            if process.pid in parents and not any(word.endswith("supervisor.py") for word in child.cmdline()):
                found.append(child)
    return found


def kill_in_mid_stream(process: subprocess.Popen[str], run: Path, setting: str, after: int) -> None:
    """SIGKILL the engine while the long answer that follows ``after`` rows streams."""

    def rows() -> list[dict[str, Any]]:
        return measured(run, setting) if (run / "records.jsonl").exists() else []

    assert wait_until(lambda: len(rows()) >= after or process.poll() is not None, 900)
    assert process.poll() is None, process.communicate()
    short = rows()[0]
    time.sleep(2.0 * (short["end_ns"] - short["sent_ns"]) * 1e-9)  # past the prompt, as the short answer was
    kill(engine_below(process))


@pytest.fixture(scope="module")
def killed(home: Path, model: Path) -> Told:
    """A setting whose engine dies twice, and the same setting left alone."""
    run = home / "killed"
    setting = f"vllm/{model.name}/tp1-pp1-dp1/none"
    process = start(argv(home, "killed", model, "--backend=vllm", "--replica=again"))
    kill_in_mid_stream(process, run, setting, after=1)
    kill_in_mid_stream(process, run, setting, after=4)
    out, err = process.communicate(timeout=1200)
    assert process.returncode in (0, 1), out + err
    return told(run)


def test_a_run_whose_engine_died_twice_sums_to_its_rows(killed: Told) -> None:
    assert_summed_by_hand(killed)


def test_what_a_dead_engine_did_not_answer_is_wrong_and_as_slow_as_elsewhere(killed: Told) -> None:
    dead, whole = killed.settings
    rows = {row["problem"]: row for row in measured(killed.run, dead)}
    in_flight, unsent = (rows[LONG[0]], rows[LONG[2]]), [rows[name] for name in ORDER[5:]]
    assert all(row["error"] and row["first_token_ns"] for row in in_flight), "both were in mid-stream"
    assert {row["error"]["kind"] for row in unsent} == {"server_died"}
    assert {row["sent_ns"] for row in unsent} == {None}
    a, b = killed.point(dead, LARGEST), killed.point(whole, LARGEST)
    assert (a["failed"], a["answered"], b["failed"]) == (5, 3, 0)
    assert a["accuracy"] < b["accuracy"]
    assert a["latency_mean_s"] < a["compared_latency_s"]
    charged = answers_of(killed.run, whole, LARGEST)
    assert a["compared_latency_s"] * 8 >= sum(charged[row["problem"]].latency_s or 0.0 for row in unsent)
    (pair,) = [pair for pair in killed.report["pairs"] if pair["a_budget"] == LARGEST]
    assert (pair["a_failed_share"], pair["b_failed_share"]) == (5 / 8, 0)
    assert not pair["latency_verdict"].startswith("slower"), "b is not slower for having answered"


def test_a_report_names_the_deaths_and_what_they_cost(killed: Told) -> None:
    dead, whole = killed.settings
    (died,) = killed.warnings("engine_died", dead)
    assert "2 times" in died
    assert "signal 9 (killed)" in died
    (unsent,) = killed.warnings("never_sent", dead)
    assert "3 of 8" in unsent
    assert any("server_died" in message for message in killed.warnings("failed_requests", dead))
    assert killed.warnings("censored", dead)
    assert not any(killed.warnings(code, whole) for code in ("engine_died", "never_sent", "failed_requests"))
    codes = {one["code"]: one["severity"] for one in killed.report["doubts"]}
    assert (codes["engine_died"], codes["never_sent"]) == ("error", "error")


# -- a total_s that the longest answers exceed ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited(home: Path, model: Path, killed: Told) -> Told:
    """A limit between the short answers' latencies and the long ones', as this machine has just taken for them.

    Nearer to the short ones: a machine that is less busy by now must exceed it too.
    """
    whole = answers_of(killed.run, killed.settings[1], LARGEST)
    short = max(whole[name].latency_s or 0.0 for name in SHORT)
    long = min(whole[name].latency_s or 0.0 for name in LONG)
    assert short < long
    config = home / "limited.toml"
    config.write_text(f"limits = {{ total_s = {(short**2 * long) ** (1 / 3)} }}\n")
    flags = ("--backend=vllm", "--spec=none,ngram", f"--config={config}")
    assert main(argv(home, "limited", model, *flags)) == 0
    return told(home / "limited")


def test_a_run_with_a_limit_that_long_answers_exceed_sums_to_its_rows(limited: Told) -> None:
    assert_summed_by_hand(limited)


def test_answers_past_the_limit_failed_and_those_that_reach_a_smaller_budget_did_not(limited: Told) -> None:
    plain = limited.settings[0]
    rows = {row["problem"]: row for row in measured(limited.run, plain)}
    late = [name for name in ORDER if rows[name]["error"] is not None]
    assert set(late) & set(LONG), "the limit was exceeded"
    assert {rows[name]["error"]["kind"] for name in late} == {"timeout_total"}
    point = limited.point(plain, LARGEST)
    assert point["latency_is_lower_bound"] is True
    assert point["latency_max_s"] is None
    assert 0 < point["answered"] < point["n"]
    reached = [name for name in late if sum(rows[name]["timeline"]["tokens"]) >= SMALL]
    assert limited.point(plain, SMALL)["failed"] == point["failed"] - len(reached)
    assert point["failed_by_kind"] == [f"timeout_total {len(late)}"]


def test_a_report_says_that_answers_were_cut_off_by_the_limit(limited: Told) -> None:
    plain = limited.settings[0]
    assert any("timeout_total" in message for message in limited.warnings("failed_requests", plain))
    assert limited.warnings("censored", plain)
    assert {"failed_requests", "censored"} <= set(limited.point(plain, LARGEST)["doubts"])
    assert not limited.warnings("engine_died")


# -- a proxy that holds streams back -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(model: Path, engine_plan: Callable[[Setting], ServerPlan], on_gpu: bool) -> Iterator[Server]:
    """A vLLM of somebody else's, as far as the program can see."""
    setting = Setting(backend="vllm", model=str(model), device="cuda" if on_gpu else "cpu", max_model_len=512)
    with running(engine_plan(setting)) as server:
        yield server


@pytest.fixture(scope="module")
def buffered(home: Path, server: Server) -> Told:
    """The same server twice: through a proxy that passes everything on, and through one that holds answers back."""
    config = home / "buffered.toml"
    upstream = server.endpoint.base_url
    price = f"{{ input = {INPUT_USD}, output = {OUTPUT_USD} }}"
    with relay(upstream) as (_, open_url), buffering(upstream) as held_url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOMEBODY_KEY", server.endpoint.api_key or "none")
        config.write_text(
            "".join(
                f'[[settings]]\nbase_url = "{url}/v1"\nmodel = "{server.endpoint.model}"\n'
                f'api_key_env = "SOMEBODY_KEY"\nprice_usd_per_million = {price}\n\n'
                for url in (open_url, held_url)
            )
        )
        assert main(argv(home, "buffered", server.endpoint.model, f"--config={config}")) == 0
    return told(home / "buffered")


def held_back(found: Told) -> tuple[str, str]:
    """The ids of the setting that streamed and of the one behind the buffering proxy."""
    marked = {
        setting: any("stream_buffered" in row["doubts"] for row in measured(found.run, setting))
        for setting in found.settings
    }
    (streamed,) = [setting for setting, held in marked.items() if not held]
    (held,) = [setting for setting, held in marked.items() if held]
    return streamed, held


def test_a_run_through_a_buffering_proxy_sums_to_its_rows(buffered: Told) -> None:
    assert_summed_by_hand(buffered)


def test_times_to_tokens_behind_a_buffering_proxy_are_unknown_and_the_end_is_not(buffered: Told) -> None:
    streamed, held = held_back(buffered)
    point = buffered.point(held, LARGEST)
    assert point["buffered_share"] > 0.01
    assert point["latency_mean_s"] is not None
    assert buffered.point(held, SMALL)["latency_mean_s"] is None, "when a prefix was there nobody knows"
    assert buffered.point(streamed, SMALL)["latency_mean_s"] is not None
    assert buffered.point(streamed, LARGEST)["ttft_mean_s"] is not None


def test_a_report_says_which_setting_did_not_stream(buffered: Told) -> None:
    streamed, held = held_back(buffered)
    assert buffered.warnings("stream_buffered", held)
    assert not buffered.warnings("stream_buffered", streamed)
    (severity,) = {one["severity"] for one in buffered.report["doubts"] if one["code"] == "stream_buffered"}
    assert severity == "error"


# -- the gate over these runs -------------------------------------------------------------------------------------

GATES = ("--fail-on=accuracy < -5pp", "--fail-on=latency > +50%", "--fail-on=failed > 2%")


@pytest.fixture(scope="module")
def good(killed: Told, home: Path) -> Told:
    """A run directory that holds only the setting whose engine was left alone."""
    run, (dead, whole) = home / "good", killed.settings
    shutil.copytree(killed.run, run)
    for name in ("records.jsonl", "grades.jsonl"):
        rows = [row for row in lines_of(run / name) if row["setting"] == whole]
        (run / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = manifest_of(run)
    del manifest["settings"][dead]
    (run / "manifest.json").write_text(json.dumps(manifest | {"deaths": [], "failed": []}))
    return told(run)


def test_a_gate_over_these_runs_ends_as_it_must(
    good: Told, killed: Told, limited: Told, buffered: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    (whole,) = good.settings

    def gate(b: Told, *flags: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["diff", str(good.run), str(b.run), *GATES, *flags])
        return status, capsys.readouterr().err

    assert gate(good)[0] == 0, "against itself"
    for b in (killed, limited):
        status, said = gate(b, "--map", f"{whole}={b.settings[0]}", "--allow-missing")
        assert status == 1
        assert "failed > 2%': exceeded" in said
    assert gate(buffered, "--allow-missing")[0] == 2, "no setting of the one is a setting of the other"
