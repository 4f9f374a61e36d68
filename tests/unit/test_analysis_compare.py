"""Comparisons, verdicts, the paper's claims, losslessness, spot checks and doubts on runs of known truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from msgspec import structs

from tests.builders import with_manifest, with_setting
from tests.synthetic import Engine, Run, World, make_run
from tts_compare.analysis.analyse import analyse
from tts_compare.analysis.findings.claims import TITLES
from tts_compare.analysis.findings.compare import difference_axis
from tts_compare.analysis.findings.losslessness import first_difference
from tts_compare.analysis.schema import Analysis, Claim
from tts_compare.domain import RunWarning
from tts_compare.rundir.facts import SettingFacts

PLAIN = Engine(tpot_s=0.014)
DRAFTING = Engine(speculation="ngram", tpot_s=0.010)
TWO_RANKS = Engine(tensor_parallel=2, tpot_s=0.010)


def analysed(run: Run, resamples: int = 400) -> Analysis:
    return analyse(run.records, run.grades, run.manifest, resamples=resamples)


def pair(world: World, **only: Any) -> dict[str, Any]:
    found = analysed(make_run(world)).pairs.filter(**only)
    assert found.height == 1
    return found.row(0, named=True)


def claims(world: World, **manifest: Any) -> dict[str, Claim]:
    run = with_manifest(make_run(world), **manifest)
    return {claim.letter: claim for claim in analysed(run).claims}


def test_settings_that_differ_in_one_thing_are_compared_along_it() -> None:
    facts = {
        e.setting.id: f for e, f in zip((PLAIN, DRAFTING, TWO_RANKS), _facts(PLAIN, DRAFTING, TWO_RANKS), strict=True)
    }
    plain, drafting, ranks = facts.values()
    assert difference_axis(plain, drafting) == "speculation"
    assert difference_axis(plain, ranks) == "tensor_parallel"
    assert difference_axis(drafting, ranks) is None
    assert difference_axis(plain, structs.replace(plain, backend="sglang", engine_version="0.5")) == "backend"
    assert difference_axis(plain, structs.replace(plain, engine_version="0.5")) == "version"


def _facts(*engines: Engine) -> list[SettingFacts]:
    return list(make_run(World(engines=engines, problems=2)).manifest.settings.values())


def test_faster_is_said_of_settings_started_several_times() -> None:
    row = pair(World(engines=(PLAIN, DRAFTING), problems=200, repeats=4, start_sd=0.02))
    assert row["a"].endswith("none")
    assert row["latency_verdict"].startswith("faster by 1.")
    assert row["latency_ratio_lo"] < 1.4 < row["latency_ratio_hi"]
    assert row["cost_verdict"].startswith("cheaper by 1.")
    assert row["doubts"] == []


def test_slower_and_more_expensive_are_said_with_the_ratio_turned_over() -> None:
    row = pair(World(engines=(PLAIN, replace(DRAFTING, tpot_s=0.028)), problems=200, repeats=4, start_sd=0.01))
    assert row["latency_verdict"].startswith(("slower by 1.9", "slower by 2.0"))
    assert row["cost_verdict"].startswith("more expensive by")


def test_one_start_never_says_faster() -> None:
    row = pair(World(engines=(PLAIN, DRAFTING), problems=200))
    assert row["latency_ratio_lo"] > 1.3
    assert "faster" not in row["latency_verdict"]
    assert row["latency_verdict"].startswith("not confirmed: 1.")
    assert row["latency_verdict"].endswith("in this one start")
    assert row["doubts"] == ["one_server_start"]


def test_a_change_of_length_is_told_from_a_change_of_speed() -> None:
    row = pair(World(engines=(PLAIN, DRAFTING), problems=100))
    assert row["length_ratio"] == pytest.approx(1.0)
    assert row["speed_ratio"] == pytest.approx(row["latency_ratio"])


def test_two_ranks_cost_more_per_token_when_they_do_not_double_the_speed() -> None:
    row = pair(World(engines=(PLAIN, TWO_RANKS), problems=100, repeats=2), axis="tensor_parallel")
    assert row["latency_ratio"] == pytest.approx(1.4, abs=0.05)
    assert row["paper_cost_ratio"] == pytest.approx(0.7, abs=0.03)


def test_a_difference_the_problems_cannot_show_says_how_many_would() -> None:
    row = pair(World(engines=(PLAIN, replace(DRAFTING, rewrites=0.3)), problems=50, seed=1))
    assert row["required_n"] > 50
    assert "not separable with 50 problems" in row["accuracy_verdict"]
    assert "would be needed" in row["accuracy_verdict"]


def test_equal_answers_are_no_difference() -> None:
    row = pair(World(engines=(PLAIN, DRAFTING), problems=50))
    assert row["accuracy_diff"] == 0.0
    assert row["accuracy_p"] == 1.0
    assert row["accuracy_verdict"].startswith("no difference seen with 50 problems")


def test_comparisons_use_the_problems_measured_everywhere() -> None:
    row = pair(World(engines=(replace(PLAIN, failure_share=0.1), DRAFTING), problems=200))
    assert row["n"] == 200, "a failure is a result"


def test_a_run_without_grades_still_compares_latencies() -> None:
    run = make_run(World(engines=(PLAIN, DRAFTING), problems=40, repeats=3))
    found = analysed(Run(records=run.records, grades=run.grades.head(0), manifest=run.manifest))
    row = found.pairs.row(0, named=True)
    assert row["latency_ratio"] == pytest.approx(1.4, abs=0.05)
    assert row["accuracy_verdict"] == "no graded problem in common"
    assert found.points["accuracy"].null_count() == 2
    assert found.points["latency_mean_s"].null_count() == 0
    assert not found.points["on_latency_frontier"].any()


def test_methods_of_one_setting_are_compared_with_each_other() -> None:
    plain = make_run(World(engines=(PLAIN,), problems=30, samples=4, mixed=0.5))
    votes = make_run(World(engines=(PLAIN,), problems=30, samples=4, mixed=0.5, method="vote", vote_sizes=(1, 4)))
    later = votes.records.with_columns(pl.col("request_id") + "-vote")
    both = Run(
        records=pl.concat([plain.records, later]),
        grades=pl.concat([plain.grades, votes.grades]),
        manifest=plain.manifest,
    )
    found = analysed(both).pairs.filter(axis="method")
    works = set(found.select("a_method", "a_samples", "b_method", "b_samples").rows())
    assert works == {("truncate", 1, "vote", 4), ("vote", 1, "vote", 4)}


PAPER = World(
    engines=(
        Engine(model="small", tpot_s=0.010),
        Engine(model="small", speculation="ngram", tpot_s=0.007),
        Engine(model="small", tensor_parallel=2, tpot_s=0.012),
        Engine(model="large", tpot_s=0.040),
        Engine(model="large", speculation="ngram", tpot_s=0.025),
        Engine(model="large", tensor_parallel=2, tpot_s=0.030),
    ),
    budgets=(256, 1024, 4096),
    problems=150,
    repeats=3,
    start_sd=0.01,
    parameters={"small": 10**9, "large": 10**10},
)


def test_the_papers_claims_hold_in_a_world_where_they_are_true() -> None:
    found = claims(PAPER)
    assert [found[letter].verdict for letter in "bcdef"] == ["holds"] * 5
    assert found["b"].lo is not None
    assert found["b"].lo < 10 / 7 < (found["b"].hi or 0), "the model and budget in which it is least certain"
    assert found["b"].doubts == ()


def test_the_papers_claims_do_not_hold_in_a_world_where_they_are_false() -> None:
    contrary = replace(
        PAPER,
        engines=(
            Engine(model="small", tpot_s=0.010),
            Engine(model="small", speculation="ngram", tpot_s=0.013),
            Engine(model="small", tensor_parallel=2, tpot_s=0.0045, ttft_s=0.02),
        ),
        parameters={"small": 10**9},
    )
    found = claims(contrary)
    assert [found[letter].verdict for letter in "bcde"] == ["does not hold"] * 4
    assert found["g"].verdict == "cannot be told"


def test_accuracy_flattens_where_the_long_responses_are_wrong() -> None:
    world = World(budgets=(128, 512, 1024, 2048), problems=400, sigma=1.2, accuracy=0.8, repeats=2)
    run = make_run(world)
    long_wrong = run.records.filter(pl.col("completion_tokens") > 512).select("problem").unique()
    wrong = pl.col("problem").is_in(long_wrong["problem"].implode())
    grades = run.grades.with_columns(status=pl.when(wrong).then(pl.lit("incorrect")).otherwise("status"))
    found = {c.letter: c for c in analysed(Run(records=run.records, grades=grades, manifest=run.manifest)).claims}["a"]
    assert found.verdict == "holds"
    assert found.hi is not None
    assert found.hi < 0


def test_a_run_that_says_nothing_of_a_claim_says_what_it_lacks() -> None:
    found = claims(World(problems=20))
    assert {letter: c.verdict for letter, c in found.items()} == dict.fromkeys(TITLES, "cannot be told")
    assert "speculation" in found["b"].sentence


def test_claims_on_one_start_carry_the_warning() -> None:
    found = claims(replace(PAPER, repeats=1))
    assert all(found[letter].doubts == ("one_server_start",) for letter in "bcdefg")


def test_two_equal_settings_are_no_case_against_choosing_by_tokens() -> None:
    world = World(engines=(Engine(), Engine(backend="sglang")), problems=200, repeats=3, start_sd=0.02)
    assert claims(world)["f"].verdict != "holds"


def lossless(**change: Any) -> dict[str, Any]:
    world = World(engines=(PLAIN, replace(DRAFTING, **change)), problems=60, timelines=True)
    found = analysed(make_run(world)).losslessness
    assert found.height == 1
    return found.row(0, named=True)


def test_equal_texts_are_lossless_with_an_interval() -> None:
    row = lossless()
    assert (row["identical_share"], row["n"], row["length_diff_tokens"]) == (1.0, 60, 0.0)
    assert row["identical_lo"] == pytest.approx(0.94, abs=0.01)
    assert row["first_difference_tokens_p50"] is None


def test_changed_texts_are_counted_and_the_difference_is_paired() -> None:
    row = lossless(rewrites=0.4)
    assert row["identical_lo"] < 0.6 < row["identical_hi"] + 0.05
    assert row["accuracy_diff_lo"] < row["accuracy_diff"] < row["accuracy_diff_hi"]
    assert row["first_difference_tokens_p50"] is not None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"token_ids": [1, 2, 3]}, {"token_ids_b": [1, 2, 9]}, 2),
        ({"text": "abcdef"}, {"text_b": "abcxef"}, 1),
        ({"text": "abcdef"}, {"text_b": "abcdefgh"}, 3),
    ],
)
def test_the_first_difference_is_found_in_tokens(one: dict[str, Any], other: dict[str, Any], expected: int) -> None:
    base: dict[str, Any] = {"text": "", "text_b": "", "reasoning": "", "reasoning_b": None}
    base |= {"timeline_tokens": [1, 1, 1], "timeline_chars": [2, 2, 2]}
    assert first_difference(base | one | other) == expected


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_ratio_of_one_problem_is_told_without_an_interval(repeats: int) -> None:
    engines = (Engine(), Engine(speculation="ngram", tpot_s=0.005))
    row = analysed(make_run(World(engines=engines, problems=1, repeats=repeats))).pairs.row(0, named=True)
    assert row["latency_ratio_lo"] is None
    assert f"{row['latency_ratio']:.2f}x" in row["latency_verdict"]
    assert "nan" not in row["latency_verdict"]
    assert "faster" not in row["latency_verdict"]


def test_a_run_that_was_stopped_between_two_methods_is_compared() -> None:
    """The third start of the setting had answered by the one method, and not yet by the other."""
    truncate = make_run(World(problems=40, repeats=3, start_sd=0.05))
    force = make_run(World(problems=40, repeats=2, start_sd=0.05, method="force", engines=(Engine(tpot_s=0.02),)))
    found = analysed(
        Run(
            records=pl.concat([truncate.records, force.records]),
            grades=pl.concat([truncate.grades, force.grades]),
            manifest=truncate.manifest,
        )
    )
    row = found.pairs.row(0, named=True)
    assert (row["axis"], row["n"]) == ("method", 40)
    assert row["latency_ratio_lo"] < 0.5 < row["latency_ratio_hi"]
    assert row["latency_verdict"].startswith("slower by")


def test_a_spot_check_that_disagrees_becomes_a_warning_on_the_derived_point() -> None:
    run = make_run(World(problems=40, budgets=(64, 1024), single_pass=True, timelines=True))
    real = make_run(World(problems=8, budgets=(64,), timelines=True)).records
    slow = (pl.col("last_token_ns") - pl.col("sent_ns")) // 5
    real = real.with_columns(pl.col("last_token_ns") + slow, pl.col("request_id") + "-spot", text=pl.lit("other"))
    real = real.with_columns(phase=pl.lit("spot_check"))
    found = analysed(Run(records=pl.concat([run.records, real]), grades=run.grades, manifest=run.manifest))
    spot = found.spot_checks.row(0, named=True)
    assert (spot["budget"], spot["n"], spot["prefix_equal_share"]) == (64, 8, 0.0)
    assert spot["latency_ratio_p50"] == pytest.approx(1 / 1.2, abs=0.05)
    derived = found.points.filter(budget=64).row(0, named=True)
    assert derived["n"] == 40
    assert {"spot_check_latency", "spot_check_prefix"} <= set(derived["doubts"])
    assert "spot_check_latency" not in found.points.filter(budget=1024)["doubts"][0]


@pytest.mark.parametrize("chunk_tokens", [1, 3])
def test_a_spot_check_with_the_same_text_agrees_wherever_the_chunks_end(chunk_tokens: int) -> None:
    """64 tokens end inside a chunk of 3: the prefix is then of 63, and the real response has all 64."""
    world = World(problems=40, budgets=(64, 1024), single_pass=True, timelines=True, chunk_tokens=chunk_tokens)
    run = make_run(world)
    real = make_run(replace(world, budgets=(64,), chunk_tokens=1)).records.with_columns(phase=pl.lit("spot_check"))
    found = analysed(Run(records=pl.concat([run.records, real]), grades=run.grades, manifest=run.manifest))
    spot = found.spot_checks.row(0, named=True)
    assert (spot["n"], spot["prefix_equal_share"], spot["tokens_equal_share"]) == (40, 1.0, 1.0)
    assert "spot_check_prefix" not in found.points.filter(budget=64)["doubts"][0]


def codes(run: Run) -> dict[str, RunWarning]:
    return {warning.code: warning for warning in analysed(run, 100).doubts}


def test_a_clean_run_has_no_warnings_but_those_of_its_size() -> None:
    run = make_run(World(problems=200, repeats=2, budgets=(4096,)))
    assert set(codes(run)) == set()


def test_a_cold_first_request_is_seen() -> None:
    run = make_run(World(problems=30))
    first = pl.col("sent_ns") == pl.col("sent_ns").min()
    slow = pl.when(first).then(pl.col("first_token_ns") + 10**9).otherwise("first_token_ns")
    found = codes(Run(records=run.records.with_columns(first_token_ns=slow), grades=run.grades, manifest=run.manifest))
    assert "first token" in found["cold_first_request"].message


def test_drift_over_a_run_is_seen() -> None:
    run = make_run(World(problems=90))
    late = pl.col("sent_ns").rank() > 60
    longer = (pl.col("last_token_ns") + (pl.col("last_token_ns") - pl.col("first_token_ns")) * 0.2).cast(pl.Int64)
    records = run.records.with_columns(last_token_ns=pl.when(late).then(longer).otherwise("last_token_ns"))
    found = codes(Run(records=records, grades=run.grades, manifest=run.manifest))
    assert "+20 %" in found["drift"].message


def test_starts_that_differ_are_seen() -> None:
    found = codes(make_run(World(problems=40, repeats=3, start_sd=0.3, seed=1)))
    assert "spread_between_repeats" in found


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("tokens_source", pl.lit("estimated"), "tokens_estimated"),
        ("cached_tokens", pl.lit(60, dtype=pl.Int64), "prefix_cache_hits"),
        ("doubts", pl.lit(["no_done"], dtype=pl.List(pl.String)), "no_done"),
    ],
)
def test_what_rows_show_becomes_a_warning(column: str, value: pl.Expr, code: str) -> None:
    run = make_run(World(problems=20))
    records = run.records.with_columns(value.alias(column))
    found = codes(Run(records=records, grades=run.grades, manifest=run.manifest))
    assert found[code].setting == "vllm/tiny/tp1-pp1-dp1/none"
    assert found[code].advice


@pytest.mark.parametrize("caching", [True, False])
@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ([(900, 900), (10, 20)], None),
        ([(None, 900)], None),
        (
            [(901, 900), (10, 20)],
            "901 prompt tokens came from the prefix cache, 900 were expected",
        ),
        (
            [(5, 0), (7, 3), (1, 1)],
            "12 prompt tokens came from the prefix cache, 3 were expected",
        ),
    ],
)
def test_more_cached_tokens_than_the_points_prompts_explain_are_one_warning_and_a_large_share_alone_is_none(
    figures: list[tuple[int | None, int]], said: str | None, caching: bool
) -> None:
    run = make_run(World(problems=20))
    (setting,) = run.manifest.settings
    told = [
        {"phase": "measured", "prefix": {"observed_tokens": seen, "expected_tokens": expected}}
        for seen, expected in figures
    ] + [{"phase": "spot_check", "prefix": {"observed_tokens": 10**6, "expected_tokens": 0}}]
    run = with_manifest(with_setting(run, setting, prefix_caching=caching), server_metrics={setting: told})
    records = run.records.with_columns(cached_tokens=pl.col("prompt_tokens"))
    doubts = analysed(Run(records=records, grades=run.grades, manifest=run.manifest), 100).doubts
    hits = [warning for warning in doubts if warning.code == "prefix_cache_hits"]
    assert [warning.message.split(":")[0] for warning in hits] == ([said] if said else [])


@pytest.mark.parametrize("prefix", [{"observed_tokens": 5, "expected_tokens": None, "unknown": "why"}, {}])
def test_where_the_expected_hits_are_not_known_the_cached_share_decides(prefix: dict[str, Any]) -> None:
    run = make_run(World(problems=20))
    (setting,) = run.manifest.settings
    told = [
        {"phase": "measured", "prefix": {"observed_tokens": 0, "expected_tokens": 9}},
        {"phase": "measured", "prefix": prefix},
    ]
    run = with_manifest(with_setting(run, setting, prefix_caching=True), server_metrics={setting: told})

    def found(share: float) -> RunWarning | None:
        cached = (pl.col("prompt_tokens") * share).cast(pl.Int64)
        records = run.records.with_columns(cached_tokens=cached)
        return codes(Run(records=records, grades=run.grades, manifest=run.manifest)).get("prefix_cache_hits")

    assert found(0.4) is None
    over_half = found(0.9)
    assert over_half is not None
    assert "% of the prompt tokens came from the prefix cache" in over_half.message


def test_requests_sent_late_in_an_open_loop_are_the_clients_fault() -> None:
    run = make_run(World(problems=20, load="r2.5"))
    records = run.records.with_columns(scheduled_ns=pl.col("sent_ns") - 10**8)
    assert "client_bottleneck" in codes(Run(records=records, grades=run.grades, manifest=run.manifest))


def test_the_manifests_warnings_come_first() -> None:
    told = {"code": "parallel_servers", "message": "m", "advice": "a", "setting": None}
    run = with_manifest(make_run(World(problems=20)), doubts=[told])
    first = analysed(run, 100).doubts[0]
    assert (first.code, first.message, first.advice) == ("parallel_servers", "m", "a")
    assert first.severity == "note"  # of the table: a run of format 1 states none
