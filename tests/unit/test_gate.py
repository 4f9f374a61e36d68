"""The gate of ``diff --fail-on`` over run directories of known truth: three verdicts, and the exit status of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec import structs

from tests.builders import with_manifest
from tests.directories import write_run
from tests.synthetic import Engine, Run, World, make_run
from tts_compare.cli import main
from tts_compare.rundir.facts import LimitFacts

WORLD = World(problems=200, repeats=3, start_sd=0.01, noise_sd=0.05)
GATES = ("--fail-on", "accuracy < -5pp", "--fail-on", "latency > +10%", "--fail-on", "failed > 2%")
SETTING = "vllm/tiny/tp1-pp1-dp1/none"


class Bench:
    """Writes runs and compares them."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self.capsys, self.count = home, capsys, 0

    def write(self, run: Run, **manifest: Any) -> str:
        """The path of a run directory that holds the run."""
        self.count += 1
        return str(write_run(run, self.home / f"run{self.count}", **manifest))

    def diff(self, a: str, b: str, *flags: str) -> tuple[int, str]:
        """Exit status of ``diff``, and what it says on standard error."""
        self.capsys.readouterr()
        status = main(["diff", a, b, *flags, "--no-color"])
        return status, self.capsys.readouterr().err


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(tmp_path, capsys)


def failing(run: Run, which: pl.Expr, **columns: Any) -> Run:
    """The run with the requests ``which`` ended as the columns say, without an answer or a grade."""
    schema = run.records.schema
    columns = {
        "finish_reason": None,
        "first_token_ns": None,
        "last_token_ns": None,
        "completion_tokens": None,
    } | columns
    lost = [
        pl.when(which)
        .then(value if isinstance(value, pl.Expr) else pl.lit(value, dtype=schema[name]))
        .otherwise(pl.col(name))
        .alias(name)
        for name, value in columns.items()
    ]
    records = run.records.with_columns(lost)
    key = ["setting", "budget", "load", "problem", "sample", "repeat"]
    bad = records.filter(pl.col("error_kind").is_not_null()).select(key)
    return Run(records=records, grades=run.grades.join(bad, on=key, how="anti"), manifest=run.manifest)


def refusing(run: Run, which: pl.Expr) -> Run:
    """Requests that are turned away two milliseconds after they were sent."""
    at_once = pl.col("sent_ns") + 2_000_000
    return failing(run, which, error_kind="http_5xx", error_status=503, error_message="at capacity", end_ns=at_once)


def dead_from(run: Run, instant: pl.Expr) -> Run:
    """An engine that died for good: one request in flight, the others never sent."""
    died = failing(
        run, pl.col("sent_ns") >= instant, error_kind="server_died", error_message="never sent: killed", end_ns=None
    )
    gone = pl.col("error_kind") == "server_died"
    first = pl.col("sent_ns") == pl.col("sent_ns").filter(gone).min()
    unsent = [pl.when(gone & ~first).then(None).otherwise(pl.col(n)).alias(n) for n in ("sent_ns", "first_byte_ns")]
    return Run(records=died.records.with_columns(unsent), grades=died.grades, manifest=died.manifest)


@pytest.mark.parametrize("gates", [GATES, ()])
def test_a_good_run_against_itself_is_no_change(bench: Bench, gates: tuple[str, ...]) -> None:
    good = bench.write(make_run(WORLD))
    assert bench.diff(good, good, *gates)[0] == 0


def test_an_engine_that_died_fails_the_gate(bench: Bench) -> None:
    good = make_run(WORLD)
    middle = pl.col("sent_ns").quantile(0.6, interpolation="nearest")
    dead = bench.write(dead_from(good, middle), deaths=[{"setting": SETTING, "repeat": 1, "cause": "killed"}])
    status, said = bench.diff(bench.write(good), dead, *GATES)
    assert status == 1
    assert "accuracy < -5pp': exceeded" in said
    assert "failed > 2%': exceeded" in said


def test_a_run_with_half_its_requests_refused_fails_the_gate(bench: Bench) -> None:
    good = make_run(WORLD)
    half = refusing(good, pl.int_range(pl.len()) % 2 == 0)
    status, said = bench.diff(bench.write(good), bench.write(half), *GATES)
    assert status == 1
    assert "failed > 2%': exceeded" in said


def test_another_model_has_no_partner(bench: Bench) -> None:
    a, b = (bench.write(make_run(replace(WORLD, engines=(Engine(model=name),)))) for name in ("tiny", "other"))
    assert bench.diff(a, b, *GATES)[0] == 2
    assert bench.diff(a, b, *GATES, "--allow-missing")[0] == 2
    assert bench.diff(a, b)[0] == 2
    status, said = bench.diff(a, b, "--fail-on", "latency > +10%", "--map", "tiny=other")
    assert (status, "latency > +10%': kept" in said) == (0, True)


def test_refusing_every_request_at_once_passes_no_gate(bench: Bench) -> None:
    """The new version fails every request, faster than any answer came."""
    good = make_run(WORLD)
    none = bench.write(refusing(good, pl.lit(value=True)))
    a = bench.write(good)
    for gate in ("accuracy < -5pp", "failed > 2%", "failed > +1pp"):
        assert bench.diff(a, none, "--fail-on", gate)[0] == 1, gate
    status, said = bench.diff(a, none, "--fail-on", "latency > +10%")
    assert (status, "cannot be judged: the second run failed 100.0 % of its answers" in said) == (2, True)
    for gate in ("cost > +10%", "cost_per_token > +10%"):
        assert bench.diff(a, none, "--fail-on", gate)[0] in (1, 2), gate


def test_refusing_the_hardest_quarter_at_once_is_no_speed_up(bench: Bench) -> None:
    good = make_run(WORLD)
    hard = pl.col("completion_tokens") > pl.col("completion_tokens").quantile(0.75)
    quick = bench.write(refusing(good, hard))
    a = bench.write(good)
    assert bench.diff(a, quick, "--fail-on", "latency > +5%")[0] == 2
    assert bench.diff(a, quick, "--fail-on", "latency < -5%")[0] == 2  # nor is it faster
    assert bench.diff(a, quick, "--fail-on", "failed > 1%")[0] == 1


def test_a_run_without_a_request_cannot_be_judged(bench: Bench) -> None:
    good = make_run(WORLD)
    empty = Run(records=good.records.head(0), grades=good.grades.head(0), manifest=good.manifest)
    assert bench.diff(bench.write(good), bench.write(empty), *GATES)[0] == 2


def test_points_of_one_run_only_cannot_be_judged_unless_that_is_allowed(bench: Bench) -> None:
    a, b = (bench.write(make_run(replace(WORLD, budgets=budgets))) for budgets in ((256, 1024), (1024,)))
    gate = ("--fail-on", "latency > +10%")
    for first, second in ((a, b), (b, a)):
        status, said = bench.diff(first, second, *gate)
        assert (status, "1 points are in one run only" in said) == (2, True)
        assert bench.diff(first, second, *gate, "--allow-missing")[0] == 0
    assert bench.diff(a, b)[0] == 0  # nothing is gated


def test_what_is_neither_exceeded_nor_shown_passes_and_says_what_would_show_it(bench: Bench) -> None:
    few = replace(WORLD, problems=40)
    changed = replace(few, engines=(Engine(rewrites=0.2),))
    a, b = bench.write(make_run(few)), bench.write(make_run(changed))
    status, said = bench.diff(a, b, "--fail-on", "accuracy < -2pp")
    assert status == 0
    assert "accuracy < -2pp': not shown" in said
    assert "could miss a drop of up to" in said
    assert "/ 0.02^2 = " in said
    assert "there are 40" in said
    assert bench.diff(a, b, "--fail-on", "accuracy < -2pp", "--require-proof")[0] == 2


def test_the_same_rows_are_within_by_identity_however_few(bench: Bench) -> None:
    few = bench.write(make_run(replace(WORLD, problems=20, repeats=1)))
    status, said = bench.diff(few, few, "--fail-on", "accuracy < -2pp", "--fail-on", "latency > +1%", "--require-proof")
    assert status == 0
    assert said.count("the same rows on both sides") == 2
    # The share of failures is no change: 20 problems without a failure leave up to 12 % open.
    assert bench.diff(few, few, "--fail-on", "failed > 1%", "--require-proof")[0] == 2


def test_the_same_rows_graded_otherwise_are_not_the_same_accuracy(bench: Bench) -> None:
    run = make_run(WORLD)
    wrong = run.grades.with_columns(status=pl.lit("incorrect"))
    other = bench.write(Run(records=run.records, grades=wrong, manifest=run.manifest))
    assert bench.diff(bench.write(run), other, "--fail-on", "accuracy < -5pp")[0] == 1


def test_two_runs_that_both_fail_everything_are_not_the_same_rows(bench: Bench) -> None:
    runs = [refusing(make_run(replace(WORLD, problems=20, seed=seed)), pl.lit(value=True)) for seed in (0, 1)]
    _, said = bench.diff(bench.write(runs[0]), bench.write(runs[1]), "--fail-on", "accuracy < -2pp")
    assert "the same rows" not in said


def limited(run: Run, total_s: float) -> dict[str, Any]:
    """The run's experiment under a time limit."""
    limits = LimitFacts(total_s=total_s, idle_s=60.0)
    return structs.asdict(run.manifest.experiment) | {"limits": limits}


def test_other_time_limits_leave_times_and_costs_unjudged(bench: Bench) -> None:
    run = make_run(WORLD)
    a, b, alike = (bench.write(run, experiment=limited(run, total_s)) for total_s in (600.0, 60.0, 600.0))
    status, said = bench.diff(a, b, "--fail-on", "latency > +10%")
    assert (status, "different time limits" in said) == (2, True)
    assert bench.diff(a, b, "--fail-on", "accuracy < -5pp")[0] == 0
    assert bench.diff(a, alike, "--fail-on", "latency > +10%")[0] == 0


def test_a_run_that_states_no_retry_rules_can_be_compared_with_one_that_does(bench: Bench) -> None:
    """As a run of format 1 does not."""
    run = make_run(WORLD)
    old = bench.write(run, experiment=limited(run, 600.0))
    new = bench.write(run, experiment=limited(run, 600.0) | {"retry": {"attempts": 3}})
    assert bench.diff(old, new, "--fail-on", "latency > +10%")[0] == 0


def test_an_interrupted_run_is_not_shown_to_keep_anything(bench: Bench) -> None:
    run = make_run(replace(WORLD, seed=1))
    late = pl.col("problem") >= "p0180"
    cut = failing(run, late, error_kind="cancelled", error_message="interrupted")
    stopped = Run(records=run.records.filter(~late), grades=run.grades.filter(~late), manifest=run.manifest)
    a = bench.write(make_run(WORLD))
    for b in (bench.write(cut), bench.write(stopped)):
        status, said = bench.diff(a, b, "--fail-on", "latency > +10%")
        assert (status, "10.0 % of one run's answers were not measured" in said) == (2, True)
        status, said = bench.diff(a, b, "--fail-on", "accuracy < -5pp")
        assert (status, "not shown" in said) == (0, True)
        assert bench.diff(a, b, "--fail-on", "accuracy < -5pp", "--require-proof")[0] == 2


def test_fewer_problems_asked_for_are_no_interruption(bench: Bench) -> None:
    a, b = (bench.write(make_run(replace(WORLD, problems=count))) for count in (200, 150))
    few = bench.diff(a, a, "--fail-on", "latency > +10%")[0]
    assert (few, bench.diff(a, b, "--fail-on", "latency > +60%")[0]) == (0, 0)


def in_rounds(run: Run, count: int) -> Run:
    """The run with its problems dealt to so many rounds."""
    number = pl.col("problem").str.slice(1).cast(pl.Int64) % count
    return Run(records=run.records.with_columns(round=number), grades=run.grades, manifest=run.manifest)


@pytest.mark.parametrize(("rounds", "assumed"), [((5, 5), False), ((2, 2), True), ((5, 4), True), ((5, 1), True)])
def test_three_rounds_alike_on_both_sides_measure_what_starts_differ_by(
    bench: Bench, rounds: tuple[int, int], assumed: bool
) -> None:
    once = replace(WORLD, repeats=1, start_sd=0.0)
    slow = replace(once, engines=(Engine(tpot_s=0.013, ttft_s=0.065),), seed=0)
    a, b = (bench.write(in_rounds(make_run(world), count)) for world, count in zip((once, slow), rounds, strict=True))
    status, said = bench.diff(a, b, "--fail-on", "latency > +10%")
    assert (status, "an assumed spread of 3 %" in said) == (1, assumed)


@pytest.mark.parametrize(("times", "status"), [(1.3, 1), (1.05, 0)])
def test_one_start_a_side_counts_with_a_spread_of_three_percent(bench: Bench, times: float, status: int) -> None:
    """1.05x is told from nothing by 200 problems, but not from what two starts may differ by."""
    once = replace(WORLD, repeats=1, start_sd=0.0)
    a = bench.write(make_run(once))
    b = bench.write(make_run(replace(once, engines=(Engine(tpot_s=0.01 * times, ttft_s=0.05 * times),))))
    found, said = bench.diff(a, b, "--fail-on", "latency > +1%")
    assert found == status
    assert "an assumed spread of 3 % between starts, which hides changes below 7 %" in said


def test_a_slower_version_of_many_settings_is_paired_by_all_but_its_version(bench: Bench) -> None:
    def of(version: str | None, times: float) -> Run:
        engines = tuple(Engine(tensor_parallel=ranks, tpot_s=0.01 * times, ttft_s=0.05 * times) for ranks in (1, 2))
        run = make_run(replace(WORLD, engines=engines))
        if version is None:
            return run
        new = {name: name.replace("vllm/", f"vllm=={version}/") for name in run.manifest.settings}
        run = with_manifest(run, settings={new[name]: facts for name, facts in run.manifest.settings.items()})
        frames = (frame.with_columns(pl.col("setting").replace(new)) for frame in (run.records, run.grades))
        records, grades = frames
        return Run(records=records, grades=grades, manifest=run.manifest)

    old, new, unstated = (bench.write(of(*side)) for side in (("0.31.0", 1.0), ("0.32.0", 1.3), (None, 1.0)))
    gate = ("--fail-on", "latency > +10%")
    assert bench.diff(old, new, *gate)[0] == 1
    assert bench.diff(unstated, new, *gate)[0] == 1
    assert bench.diff(old, unstated, *gate)[0] == 0


def test_a_map_that_names_no_setting_is_bad_usage(bench: Bench) -> None:
    run = bench.write(make_run(replace(WORLD, problems=20)))
    for text in ("nobody=tiny", "tiny", "=tiny"):
        status, said = bench.diff(run, run, "--map", text)
        assert (status, "--map" in said) == (2, True)


def test_strict_fails_on_the_errors_of_either_run(bench: Bench) -> None:
    good = make_run(WORLD)
    dead = bench.write(good, deaths=[{"setting": SETTING, "repeat": 1, "cause": "killed by signal 9"}])
    fine = bench.write(good)
    assert bench.diff(fine, fine, "--strict")[0] == 0
    for pair in ((fine, dead), (dead, fine)):
        status, said = bench.diff(*pair, "--strict")
        assert (status, "engine_died: the engine died while it was measured: killed by signal 9" in said) == (1, True)


@pytest.mark.parametrize(("flag", "status"), [((), 0), (("--strict",), 0), (("--strict=warning",), 1)])
def test_a_report_of_weakened_figures_fails_by_severity(bench: Bench, flag: tuple[str, ...], status: int) -> None:
    run = bench.write(make_run(replace(WORLD, repeats=1)))
    bench.capsys.readouterr()
    assert main(["report", run, *flag]) == status
    assert ("--strict: warning: one_server_start" in bench.capsys.readouterr().err) is bool(status)


def test_a_report_of_wrong_figures_fails_when_strict(bench: Bench) -> None:
    run = bench.write(make_run(WORLD), deaths=[{"setting": SETTING, "repeat": 0, "cause": "killed"}])
    assert main(["report", run]) == 0
    assert main(["report", run, "--strict"]) == 1
    assert f"fix: tail -n 50 {run}/servers/vllm_tiny_tp1-pp1-dp1_none.log" in bench.capsys.readouterr().err


def rates(worlds: Callable[[int], tuple[World, World]], gate: str, count: int) -> dict[str, int]:
    """How often each verdict is reached over so many draws."""
    from tts_compare.analysis.findings.diff import compare_runs
    from tts_compare.analysis.findings.tolerance import parse_tolerance

    found: dict[str, int] = {}
    for seed in range(count):
        a, b = (make_run(world) for world in worlds(seed))
        (one,) = compare_runs(
            (a.records, a.grades, a.manifest),
            (b.records, b.grades, b.manifest),
            fail_on=[parse_tolerance(gate)],
            resamples=400,
        ).checks
        found[one.verdict] = found.get(one.verdict, 0) + 1
    return found


def test_a_change_at_the_tolerance_is_rarely_exceeded_or_shown_to_be_kept() -> None:
    """At the bound itself each verdict errs in at most one of twenty, as often as a one-sided test may."""

    def at_the_bound(seed: int) -> tuple[World, World]:
        world = replace(WORLD, problems=60, seed=seed, start_sd=0.03, repeats=4)
        return world, replace(world, seed=seed, engines=(Engine(tpot_s=0.0105, ttft_s=0.0525, rewrites=1e-9),))

    found = rates(at_the_bound, "latency > +5%", 100)
    assert found.get("exceeded", 0) <= 12
    assert found.get("within", 0) <= 12


def test_a_change_far_beyond_or_far_inside_is_told() -> None:
    slow = Engine(tpot_s=0.02, ttft_s=0.1)

    def twice_as_slow(seed: int) -> tuple[World, World]:
        return replace(WORLD, seed=seed), replace(WORLD, seed=seed, engines=(slow,))

    def alike(seed: int) -> tuple[World, World]:
        return replace(WORLD, seed=seed), replace(WORLD, seed=seed + 1)

    assert rates(twice_as_slow, "latency > +5%", 20) == {"exceeded": 20}
    assert rates(alike, "latency > +100%", 20) == {"within": 20}
