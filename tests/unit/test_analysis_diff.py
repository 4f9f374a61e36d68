"""Two runs against each other: a gate that closes only where the interval leaves the tolerance behind."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from tests.builders import with_manifest, with_setting
from tests.synthetic import Engine, Run, World, make_run
from tts_compare.analysis.findings.diff import RunDiff, compare_runs
from tts_compare.analysis.findings.tolerance import parse_tolerance
from tts_compare.cli.diff import pair_table
from tts_compare.errors import UsageError

WORLD = World(problems=150, repeats=3, start_sd=0.01, budgets=(256, 1024))


def diff(a: Run, b: Run, *tolerances: str, **more: Any) -> RunDiff:
    sides = [(run.records, run.grades, run.manifest) for run in (a, b)]
    return compare_runs(sides[0], sides[1], fail_on=[parse_tolerance(t) for t in tolerances], resamples=300, **more)


def slower(times: float) -> World:
    return replace(WORLD, engines=(Engine(tpot_s=0.01 * times, ttft_s=0.05 * times),))


def test_a_run_against_itself_breaks_no_tolerance_and_has_no_changes() -> None:
    run = make_run(WORLD)
    found = diff(run, run, "accuracy < -2pp", "latency > +5%", "cost > 5%")
    assert (found.breaches, found.changes, found.only_a, found.only_b) == ((), (), (), ())
    assert found.pairs["latency_ratio"].to_list() == pytest.approx([1.0, 1.0])


def test_a_slower_run_breaks_the_latency_gate_in_every_point() -> None:
    found = diff(make_run(WORLD), make_run(slower(1.3)), "latency > +5%")
    assert len(found.breaches) == 2
    assert "latency changed by +" in found.breaches[0].sentence


def test_a_gate_that_closes_at_two_loads_names_each() -> None:
    def loads(world: World) -> Run:
        one, eight = make_run(world), make_run(replace(world, load="c8"))
        return Run(
            records=pl.concat([one.records, eight.records]),
            grades=pl.concat([one.grades, eight.grades]),
            manifest=one.manifest,
        )

    small = replace(WORLD, budgets=(256,))
    found = diff(loads(small), loads(replace(slower(1.3), budgets=(256,))), "latency > +5%")
    assert [breach.label[-2:] for breach in found.breaches] == ["c1", "c8"]


def test_a_change_within_its_error_closes_no_gate() -> None:
    noisy = replace(WORLD, start_sd=0.05, repeats=2)
    found = diff(make_run(noisy), make_run(replace(slower(1.06), start_sd=0.05, repeats=2, seed=0)), "latency > +5%")
    assert found.breaches == ()


def test_lost_accuracy_breaks_the_accuracy_gate() -> None:
    worse = replace(WORLD, engines=(Engine(rewrites=0.9),), accuracy=0.6)
    run = make_run(WORLD)
    bad = make_run(worse)
    grades = bad.grades.with_columns(status=bad.grades["status"].replace({"correct": "incorrect"}))
    found = diff(run, Run(records=bad.records, grades=grades, manifest=bad.manifest), "accuracy < -2pp")
    assert {b.tolerance.figure for b in found.breaches} == {"accuracy"}


def test_what_changed_in_the_manifests_is_listed() -> None:
    one = make_run(WORLD)
    other = with_setting(one, "vllm/tiny/tp1-pp1-dp1/none", engine_version="0.33.0")
    (change,) = diff(one, other).changes
    assert change.path.endswith("engine_version")
    assert (change.a, change.b) == ("0.32.0", "0.33.0")


def test_points_of_one_run_only_are_named() -> None:
    found = diff(make_run(WORLD), make_run(replace(WORLD, budgets=(1024, 2048))))
    assert found.only_a == ("vllm/tiny/tp1-pp1-dp1/none truncate@256 c1",)
    assert found.only_b == ("vllm/tiny/tp1-pp1-dp1/none truncate@2k c1",)
    assert found.pairs.height == 1


def test_when_each_of_two_runs_was_measured_is_no_change() -> None:
    run = make_run(World(problems=20))
    clocks = ({"wall_ns": 1, "monotonic_ns": 1}, {"wall_ns": 2, "monotonic_ns": 2})
    one, other = (
        with_manifest(run, created=str(n), clock=clock, sessions=[{"clock": clock, "command": ["tts-compare"]}])
        for n, clock in enumerate(clocks)
    )
    assert diff(one, other).changes == ()


def test_settings_whose_ids_changed_can_be_matched() -> None:
    engines = (Engine(), Engine(tensor_parallel=2))
    renamed = (Engine(backend="sglang"), Engine(backend="sglang", tensor_parallel=2))
    a, b = (make_run(replace(WORLD, engines=e)) for e in (engines, renamed))
    ids = {x.setting.id: y.setting.id for x, y in zip(engines, renamed, strict=True)}
    assert diff(a, b).pairs.height == 0
    assert diff(a, b, match=ids).pairs.height == 4


@pytest.mark.parametrize(
    ("text", "figure", "below", "bound"),
    [
        ("accuracy < -2pp", "accuracy", True, -0.02),
        ("latency > +5%", "latency", False, 0.05),
        ("cost>10%", "cost", False, 0.1),
        ("cost_per_token > .5%", "paper_cost", False, 0.005),
        ("failed > 1%", "failed", False, 0.01),
        ("failed > +1pp", "failed", False, 0.01),
    ],
)
def test_tolerances_are_read(text: str, figure: str, below: bool, bound: float) -> None:
    found = parse_tolerance(text)
    assert (found.figure, found.below) == (figure, below)
    assert found.bound == pytest.approx(bound)


def test_a_share_of_failures_is_the_second_runs_own_and_points_are_its_change() -> None:
    assert not parse_tolerance("failed > 1%").change
    assert parse_tolerance("failed > +1pp").change
    assert parse_tolerance("accuracy < -2pp").change


@pytest.mark.parametrize(
    "text",
    ["accuracy < -2%", "latency > 5pp", "failed > +1%", "failed < 1%", "speed > 5%", "latency", "latency > fast"],
)
def test_a_tolerance_that_cannot_be_read_is_bad_usage(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-on"):
        parse_tolerance(text)


def test_every_row_of_the_table_names_its_point_whole() -> None:
    """At 80 columns, in a terminal without Unicode too: two loads, two settings whose ids begin alike, long names."""
    model = "a-distilled-model-of-some-billions-of-parameters"
    engines = (Engine(model=model), Engine(model=model, speculation="ngram"))
    runs = [make_run(replace(WORLD, engines=engines, load=load)) for load in ("c1", "c8")]
    both = Run(
        records=pl.concat([run.records for run in runs]),
        grades=pl.concat([run.grades for run in runs]),
        manifest=runs[0].manifest,
    )
    for encoding in ("utf-8", "ascii"):
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        Console(file=out, width=80).print(pair_table(diff(both, both)))
        out.flush()
        shown = out.buffer.getvalue().decode(encoding)
        assert model in shown
        rows = re.findall(r"(vllm \w+)[ |]+(\S+ \(c\d\))", shown)
        assert len(rows) == len(set(rows)) == len(engines) * 2 * len(WORLD.budgets)


def test_the_table_shows_the_failed_shares_of_both_runs() -> None:
    lossy = make_run(replace(WORLD, budgets=(1024,), engines=(Engine(failure_share=0.2),)))
    found = diff(make_run(replace(WORLD, budgets=(1024,))), lossy)
    share = float(lossy.records["error_kind"].is_not_null().mean())  # type: ignore[arg-type]
    assert 0.1 < share < 0.3
    out = io.StringIO()
    Console(file=out, width=160).print(pair_table(found))
    assert f"0.0 to {100 * share:.1f}" in out.getvalue()
