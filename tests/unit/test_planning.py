"""What a plan says: tokens, hours, dollars and what fits, of settings that have never run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_compare.cli import main
from tts_compare.domain import Price, Sampling, Setting, Speculation, Work
from tts_compare.machine.spec import PlannedMachine, machine_from
from tts_compare.models.known import known_shapes
from tts_compare.plan.arguments import stated
from tts_compare.plan.design import Design, Skipped, layout_of, share_of
from tts_compare.plan.earlier import EarlierPoint, earlier_points, points_in
from tts_compare.plan.estimate import plan
from tts_compare.plan.lengths import accepted_length, answer_tokens
from tts_compare.plan.overhead import PUBLISHED_OVERHEAD_S, overhead_of
from tts_compare.plan.summary import amount, as_json, between, counted, summary
from tts_compare.rundir.manifest import manifest_of

R1 = "deepseek-ai/DeepSeek-R1-Distill-Qwen-"
NGRAM = Speculation(kind="ngram")


@pytest.fixture(autouse=True)
def nothing_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def setting(size: str = "7B", **given: Any) -> Setting:
    base: dict[str, Any] = {"backend": "vllm", "model": R1 + size, "device": "cuda", "max_model_len": 17_408}
    return Setting(**base | given)


def work(**given: Any) -> Work:
    base: dict[str, Any] = {"method": "truncate", "budget": 16_384, "load": "c1", "samples": 1, "sampling": Sampling()}
    return Work(**base | given)


def design(*settings: Setting, machine: str = "4xH100-SXM", **given: Any) -> Design:
    base: dict[str, Any] = {
        "machine": machine_from(machine),
        "settings": settings or (setting(),),
        "work": (work(),),
        "problems": 500,
        "dataset": "math500",
        "shapes": known_shapes(),
    }
    return Design(**base | given)


def earlier(**given: Any) -> EarlierPoint:
    base: dict[str, Any] = {
        "model": R1 + "7B",
        "backend": "vllm",
        "device": "cuda",
        "hardware": ("NVIDIA H100 80GB HBM3",),
        "gpu_memory_bytes": 85_520_809_984,
        "dataset": "math500",
        "method": "truncate",
        "budget": 16_384,
        "load": "c1",
        "speculation": "none",
        "draft_tokens": 0,
        "tensor_parallel": 1,
        "pipeline_parallel": 1,
        "dtype": "auto",
        "threads": 1,
    }
    return EarlierPoint(**base | given)


# Hours and dollars.


def test_hours_at_the_bound_are_tokens_at_the_bound_and_starts_and_prompts() -> None:
    (one,) = plan(design()).settings
    assert one.bound_s_per_token is not None
    assert one.prefill_bound_s is not None
    assert one.hours_low == pytest.approx((500 * 3674 * one.bound_s_per_token + 500 * one.prefill_bound_s + 60) / 3600)
    assert one.hours_high is not None
    slow = 500 * 3674 * (one.bound_s_per_token + PUBLISHED_OVERHEAD_S)
    assert one.hours_high == pytest.approx((slow + 500 * (one.prefill_bound_s + PUBLISHED_OVERHEAD_S) + 300) / 3600)
    assert one.hours_low is not None
    assert one.usd_low == pytest.approx(one.hours_low * 1.99)
    assert one.usd_high == pytest.approx(one.hours_high * 5.00)


def test_dollars_are_of_the_devices_a_setting_takes_and_apart_of_the_whole_machine() -> None:
    made = plan(design(setting(tensor_parallel=2), gpu_hour_usd=2.0))
    one, total = made.settings[0], made.total
    assert one.hours_low is not None
    assert one.gpu_hours_low == 2 * one.hours_low
    assert total.usd_low == one.usd_low == pytest.approx(one.hours_low * 2 * 2.0)
    assert total.machine_usd_low == pytest.approx(one.hours_low * 4 * 2.0)


def test_a_second_load_takes_its_own_time_on_top_of_the_first() -> None:
    def hours(*loads: str) -> float:
        made = plan(design(work=tuple(work(load=load) for load in loads))).total
        return made.hours_low - 60 / 3600

    assert hours("c1", "c8") == pytest.approx(hours("c1") + hours("c8"))


def test_repeats_and_settings_add_up() -> None:
    once = plan(design(setting(), setting("14B")))
    twice = plan(design(setting(), setting("14B"), starts=2, passes=2))
    assert twice.total.hours_low == pytest.approx(2 * once.total.hours_low)
    assert once.total.hours_low == pytest.approx(sum(s.hours_low or 0 for s in once.settings))
    assert (once.total.starts, twice.total.starts, once.total.requests) == (2, 4, 1000)
    shared = plan(design(setting(), setting("14B"), starts=5))
    assert shared.total.requests == 1000, "five starts with a fifth of the problems each"
    assert shared.total.hours_low - once.total.hours_low == pytest.approx(2 * 4 * 60 / 3600)
    side_by_side = plan(design(setting(), setting("14B"), parallel_servers=2))
    assert side_by_side.total.hours_low == pytest.approx(once.total.hours_low / 2)
    assert side_by_side.total.gpu_hours_low == pytest.approx(once.total.gpu_hours_low)


def test_a_batch_is_faster_for_all_and_an_open_loop_no_faster_than_its_arrivals() -> None:
    alone, many = (plan(design(work=(work(load=load),))).total.hours_low for load in ("c1", "c16"))
    assert alone / 16 < many < alone / 8
    slow = plan(design(work=(work(load="r0.01"),))).total.hours_low
    assert slow == pytest.approx((500 / 0.01 + 60) / 3600)


def test_a_vote_at_concurrency_1_runs_its_samples_side_by_side() -> None:
    vote = plan(design(work=(work(method="vote", samples=8),)))
    assert vote.total.requests == 4000
    single = plan(design()).total.hours_low
    assert vote.total.hours_low < 2 * single


def test_speculation_is_planned_from_none_accepted_to_what_was_published() -> None:
    plain, drafted = plan(design(setting(), setting(speculation=NGRAM))).settings
    assert plain.bound_s_per_token is not None
    assert drafted.bound_s_per_token == pytest.approx(plain.bound_s_per_token / 1.58)
    assert drafted.hours_high is not None
    assert plain.hours_high is not None
    assert drafted.hours_high == pytest.approx(plain.hours_high, rel=0.01)
    assert drafted.acceptance_source is not None
    assert "2601.11580" in drafted.acceptance_source


# What fits.


def test_a_setting_that_would_die_at_its_start_does_not_fit_and_takes_no_hours() -> None:
    made = plan(design(setting("14B"), setting("1.5B"), machine="1xL4"))
    large, small = made.settings
    assert (large.fits, large.hours_low, large.requests) == (False, None, 0)
    assert large.reason is not None
    assert large.reason.startswith("weights take 29.5 GB")
    assert small.fits
    assert (made.total.settings, made.total.skipped, made.total.requests) == (1, 1, 500)


def test_a_setting_that_lacks_only_the_working_memory_that_is_assumed_is_warned_of_and_not_refused() -> None:
    tight = replace(machine_from("L4"), accelerator=replace(machine_from("L4").accelerator, memory_bytes=19e9))
    (one,) = plan(design(setting(max_model_len=16_384), machine="L4", gpu_hour_usd=1.0)).settings
    assert one.warning is None
    (one,) = plan(replace(design(setting(max_model_len=16_384), gpu_hour_usd=1.0), machine=tight)).settings
    assert one.fits
    assert one.warning is not None
    assert one.warning.startswith("it may die at its start")
    assert one.hours_low is not None


def test_a_plan_says_once_what_its_lengths_and_its_acceptance_rest_on() -> None:
    made = plan(design(setting(), setting(speculation=NGRAM), setting(model="simplescaling/s1.1-7B")))
    answers = [sentence for sentence in made.basis if sentence.startswith("answers of")]
    assert len(answers) == 2
    assert "2505.13417" in answers[0]
    assert "a guess: 2,000 to 8,000" in answers[1]
    assert sum("tokens a step with ngram" in sentence for sentence in made.basis) == 1


def test_what_the_checks_of_a_run_refuse_is_in_the_plan_with_its_reason() -> None:
    skipped = (Skipped(setting=setting("32B"), reason="it needs more"),)
    made = plan(design(skipped=skipped))
    assert [(one.fits, one.reason) for one in made.settings] == [(True, None), (False, "it needs more")]


def test_the_engines_share_is_its_own_default_or_what_its_arguments_say() -> None:
    h100, l4 = machine_from("H100").accelerator, machine_from("L4").accelerator
    assert share_of(setting(), h100).of_memory == 0.92
    assert share_of(setting(engine_args=("--gpu-memory-utilization", "0.5")), h100).of_memory == 0.5
    assert share_of(setting(backend="sglang"), h100).of_memory == 0.835
    assert share_of(setting(backend="sglang", engine_args=("--mem-fraction-static=0.7",)), h100).of_memory == 0.7
    assert share_of(setting(backend="sglang"), l4).is_guess
    assert not share_of(setting(backend="sglang"), h100).is_guess
    assert any("sglang takes 84%" in said for said in plan(design(setting(backend="sglang"), machine="L4")).basis)


def test_a_draft_model_is_planned_with_its_memory_and_time_and_an_unknown_one_is_named() -> None:
    drafter = Speculation(kind="draft_model", model="Qwen/Qwen2.5-1.5B-Instruct")
    plain, known, unknown = plan(
        design(
            setting(),
            setting(speculation=drafter),
            setting(speculation=Speculation(kind="eagle", model="me/eagle")),
        )
    ).settings
    assert plain.kv_tokens is not None
    assert known.kv_tokens is not None
    assert known.weight_bytes == pytest.approx(2 * (7615616512 + 1543714304))
    assert known.kv_tokens < plain.kv_tokens == unknown.kv_tokens
    made = plan(design(setting(speculation=Speculation(kind="eagle", model="me/eagle"))))
    assert any("me/eagle" in sentence for sentence in made.basis)
    assert not any("Qwen2.5" in s for s in plan(design(setting(speculation=drafter))).basis)


def test_a_cache_of_8_bits_holds_twice_the_tokens() -> None:
    plain, narrow = plan(design(setting(), setting(engine_args=("--kv-cache-dtype", "fp8")))).settings
    assert plain.kv_tokens is not None
    assert narrow.kv_tokens == pytest.approx(2 * plain.kv_tokens, abs=1)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ((), None),
        (("--x", "1"), "1"),
        (("--x=2",), "2"),
        (("--x", "1", "--x=3"), "3"),
        (("--x",), None),
        (("--xy", "1"), None),
    ],
)
def test_a_flags_value_is_the_last_one_stated(arguments: tuple[str, ...], value: str | None) -> None:
    assert stated(arguments, "--x") == value


def test_a_model_that_nobody_knows_is_planned_without_figures_and_counted_as_unknown() -> None:
    made = plan(design(setting(model="me/mine"), setting()))
    unknown, known = made.settings
    assert (unknown.fits, unknown.hours_low, unknown.usd_low, unknown.kv_tokens) == (True, None, None, None)
    assert unknown.tokens_low is not None
    assert made.total.unknown == 1
    assert made.total.hours_low == known.hours_low
    assert "without 1 that cannot be estimated" in "\n".join(summary(made))


def test_gpus_that_no_catalogue_knows_are_planned_without_hours() -> None:
    made = plan(replace(design(), machine=None))
    assert made.settings[0].hours_low is None
    assert made.total.unknown == 1
    assert made.total.usd_low is None


def test_a_hosted_setting_costs_its_tokens_and_no_device() -> None:
    hosted = Setting(
        backend="openai", model="m", base_url="https://h/v1", hosted=True, price=Price(input=1.0, output=4.0)
    )
    (one,) = plan(design(hosted)).settings
    assert one.tokens_low is not None
    assert one.usd_low == pytest.approx((one.tokens_low * 4 + 500 * 200 * 1) / 1e6)
    assert (one.devices, one.hours_low, one.starts) == (None, None, 0)


def test_on_a_cpu_the_ranks_share_its_bandwidth_and_its_memory() -> None:
    def cpu(**given: Any) -> Design:
        one = setting("1.5B", device="cpu", max_model_len=4096, **given)
        return design(one, bandwidths={1: 10e9, 2: 20e9}, memory_bytes=64 * 10**9)

    one, two = plan(cpu()).settings[0], plan(cpu(tensor_parallel=2)).settings[0]
    assert one.bound_s_per_token is not None
    cache = known_shapes()[R1 + "1.5B"].kv_bytes(200 + 4887 / 2, width=4)
    assert one.bound_s_per_token == pytest.approx((4 * 1543714304 + cache) / 10e9, rel=1e-6), "float32 on a CPU"
    assert two.bound_s_per_token is not None
    assert two.bound_s_per_token == pytest.approx(one.bound_s_per_token / 2, rel=0.01)
    assert one.kv_tokens == 32_768, "what the engine is told to reserve"


# Lengths, acceptance and overhead: measured, published, guessed.


def test_measured_lengths_go_before_published_ones_and_those_before_a_guess() -> None:
    model, point = R1 + "7B", earlier(tokens=2500.0)
    published = answer_tokens(model, "math500", work(), shape=None)
    assert (published.low, published.high) == (3674, 3674)
    assert "2505.13417" in published.source
    measured = answer_tokens(model, "math500", work(), shape=None, earlier=[point])
    assert (measured.low, measured.high, measured.source) == (2500, 2500, "1 point of earlier runs")
    guessed = answer_tokens("simplescaling/s1.1-7B", "math500", work(), shape=None)
    assert (guessed.low, guessed.high) == (2000, 8000)
    assert guessed.source.startswith("a guess")
    elsewhere = answer_tokens(model, "mine", work(), shape=None, earlier=[point])
    assert elsewhere.source.startswith("a guess")


def test_the_tokens_of_a_vote_are_shared_out_among_its_samples() -> None:
    point = earlier(method="vote", samples=4, tokens=8000.0)
    found = answer_tokens(R1 + "7B", "math500", work(method="vote", samples=4), shape=None, earlier=[point])
    assert found.low == 2000


@given(budget=st.integers(1, 40_000), model=st.sampled_from([R1 + "7B", "simplescaling/s1.1-7B", "me/mine"]))
def test_no_answer_is_planned_longer_than_its_budget(budget: int, model: str) -> None:
    found = answer_tokens(model, "math500", work(budget=budget), shape=None)
    assert 0 < found.low <= found.high <= budget


def test_measured_acceptance_goes_before_the_published_one_and_stays_possible() -> None:
    point = earlier(speculation="ngram", draft_tokens=5, accepted_length=2.25)
    assert accepted_length(R1 + "7B", NGRAM, earlier=[point]).low == 2.25
    assert accepted_length(R1 + "7B", NGRAM).high == 1.58
    assert accepted_length(R1 + "7B", Speculation()).high == 1.0
    wild = replace(point, accepted_length=40.0)
    assert accepted_length(R1 + "7B", NGRAM, earlier=[wild]).high == 6.0


def test_the_overhead_is_what_earlier_runs_on_like_hardware_took_beyond_the_bound() -> None:
    plain = design()
    bounds = {tp: plan(design(setting(tensor_parallel=tp))).settings[0].bound_s_per_token for tp in (1, 2, 4)}
    points = tuple(
        earlier(tensor_parallel=tp, token_s=bound + 0.003, tokens=3674.0, prompt_tokens=200.0)
        for tp, bound in bounds.items()
        if bound
    )
    seconds, said = overhead_of(setting(), replace(plain, earlier=points))
    assert seconds == pytest.approx(0.003, rel=1e-3)
    assert "3 points of earlier runs" in said
    other = tuple(replace(point, hardware=("NVIDIA H200",), gpu_memory_bytes=None) for point in points)
    assert overhead_of(setting(), replace(plain, earlier=other))[0] == PUBLISHED_OVERHEAD_S
    engine = tuple(replace(point, backend="sglang") for point in points)
    assert overhead_of(setting(), replace(plain, earlier=engine))[0] == PUBLISHED_OVERHEAD_S


def test_speculations_overhead_is_that_of_its_steps() -> None:
    plain = plan(design()).settings[0].bound_s_per_token
    assert plain is not None
    drafted = earlier(
        speculation="ngram",
        draft_tokens=5,
        accepted_length=2.0,
        token_s=(plain + 0.004) / 2,
        tokens=3674.0,
        prompt_tokens=200.0,
    )
    with_it = replace(design(), earlier=(drafted,))
    assert overhead_of(setting(speculation=NGRAM), with_it)[0] == pytest.approx(0.004, rel=1e-3)
    assert overhead_of(setting(), with_it)[0] == PUBLISHED_OVERHEAD_S, "verifying drafts says nothing of other steps"
    alone = replace(drafted, speculation="none", draft_tokens=0, token_s=plain + 0.002)
    assert overhead_of(setting(speculation=NGRAM), replace(design(), earlier=(alone,)))[0] == pytest.approx(
        0.002, rel=1e-3
    )


def test_a_stated_overhead_is_taken_as_it_is() -> None:
    machine = replace(machine_from("H100"), overhead_s=0.002)
    assert overhead_of(setting(), replace(design(), machine=machine))[0] == 0.002


MANIFEST: dict[str, Any] = {
    "format": 2,
    "experiment": {},
    "machine": {"device": "cuda", "gpus": ["NVIDIA H100 80GB HBM3"], "gpu_memory_bytes": 85_520_809_984},
    "dataset": {"name": "math500"},
    "settings": {
        "s": {
            "backend": "vllm",
            "model": R1 + "7B",
            "devices": 1,
            "tensor_parallel": 1,
            "pipeline_parallel": 1,
            "speculation": {"kind": "ngram", "num_tokens": 5, "lookup_min": 1, "lookup_max": 4, "model": None},
            "dtype": "auto",
            "threads_per_rank": None,
            "startup_s": [80.0, 100.0, 90.0],
        },
        "hosted": {"backend": "openai", "model": "m", "devices": None},
    },
}
POINT = {
    "setting": "s",
    "method": "truncate",
    "budget": 16384,
    "load": "c1",
    "samples": 1,
    "tokens_mean": 3000.0,
    "prompt_tokens_mean": 150.0,
    "tpot_mean_s": 0.005,
    "acceptance_length": 2.0,
    "failed": 0,
}


def test_points_of_an_earlier_run_are_read_with_what_their_setting_was(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "manifest.json").write_text(json.dumps(MANIFEST))
    rows = [POINT, POINT | {"setting": "hosted"}, POINT | {"failed": 3}, POINT | {"setting": "gone"}]
    (tmp_path / "a" / "points.json").write_text(json.dumps(rows))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "manifest.json").write_text("{}")
    (found,) = earlier_points(tmp_path)
    assert (found.tokens, found.token_s, found.accepted_length, found.startup_s) == (3000.0, 0.005, 2.0, 90.0)
    assert (found.speculation, found.draft_tokens) == ("ngram", 5)
    assert points_in(manifest_of(MANIFEST), []) == []


def test_earlier_starts_are_planned_as_they_were() -> None:
    guessed, measured = plan(design()).total, plan(design(earlier=(earlier(startup_s=42.0),))).total
    assert guessed.hours_low - measured.hours_low == pytest.approx((60 - 42) / 3600)


@given(
    size=st.sampled_from(["1.5B", "7B", "14B", "32B"]),
    machine=st.sampled_from(["8xH100", "8xA100-80", "2x(8xH200)", "8xB200"]),
    tp=st.sampled_from([1, 2, 4]),
    dp=st.sampled_from([1, 2]),
    load=st.sampled_from(["c1", "c8", "c64", "r0.5", "r50"]),
    kind=st.sampled_from(["none", "ngram"]),
    problems=st.integers(1, 2000),
)
def test_no_range_is_upside_down(
    size: str, machine: str, tp: int, dp: int, load: str, kind: Any, problems: int
) -> None:
    one = setting(size, tensor_parallel=tp, data_parallel=dp, speculation=Speculation(kind=kind))
    made = plan(design(one, machine=machine, work=(work(load=load),), problems=problems))
    for row in (made.settings[0], made.total):
        for name in ("tokens", "hours", "gpu_hours", "usd"):
            low, high = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
            assert low is None or 0 < low <= high
    json.dumps(as_json(made), allow_nan=False)


# What is printed.


def test_the_totals_come_first_then_what_can_be_told_apart_then_the_settings() -> None:
    made = plan(design(setting(), skipped=(Skipped(setting=setting("32B"), reason="too large"),)))
    lines = list(summary(made, findings=["the design can show 2 %"]))
    assert lines[0].startswith("1 setting, 1 skipped, 1 server start, 500 requests, 1.8M generated tokens")
    assert "hours" in lines[1]
    assert "to rent the whole machine" in lines[2]
    assert lines[3] == "the design can show 2 %"
    assert lines[5].split()[0] == "setting"
    assert sum("too large" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0312, "0.031"), (4.26, "4.3"), (42.34, "42.3"), (1240.4, "1,240")]
)
def test_amounts_are_written_in_few_figures(value: float, text: str) -> None:
    assert amount(value) == text
    assert between(value, value) == text


def test_counts_and_unknown_ends_are_written_plainly() -> None:
    assert [counted(n) for n in (812, 35_240, 4_100_000)] == ["812", "35.2k", "4.1M"]
    assert between(None, 1.0) == "?"


def test_the_paper_is_planned_for_four_gh200_on_a_machine_without_a_gpu_or_the_hub(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    line = ["plan", "--config", "paper", "--machine", "4xGH200-96", "--backend", "vllm", "--format", "json"]
    assert main(line) == 0
    made = json.loads(capsys.readouterr().out)
    rows = made["settings"]
    assert len(rows) == 36
    assert {row["devices"] for row in rows} == {1, 2, 4}
    assert all(row["fits"] and row["hours_low"] > 0 and row["usd_high"] > row["usd_low"] > 0 for row in rows)
    assert made["total"]["usd_low"] == pytest.approx(sum(row["usd_low"] for row in rows))
    assert any("2509.19645" in sentence for sentence in made["basis"])
    bounds = {row["id"].rsplit("/", 1)[0]: row["bound_s_per_token"] * 1e3 for row in rows}
    for size, expected in {"1.5b": 0.79, "7b": 3.56, "14b": 7.10}.items():
        found = bounds[f"vllm/deepseek-r1-distill-qwen-{size}/tp1-pp1-dp1/none"]
        assert found == pytest.approx(expected, rel=0.02)


def test_commands_are_printed_where_they_are_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["plan", "--backend=vllm", f"--model={R1}7B", "--machine=H100", "--dataset=quickstart", "--budget=64"]
    assert main(line) == 0
    assert "--tensor-parallel-size" not in capsys.readouterr().out
    assert main([*line, "--commands"]) == 0
    assert "--tensor-parallel-size 1" in capsys.readouterr().out


def test_a_plan_of_which_nothing_fits_is_refused_with_the_reasons(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    line = [
        "plan",
        "--backend=vllm",
        f"--model={R1}7B",
        "--machine=L4",
        "--dataset=quickstart",
        "--max-model-len=131072",
    ]
    assert main(line) == 2
    said = capsys.readouterr()
    assert "skipped" in said.out
    assert "fewer than one sequence of 131,072" in said.err


def test_a_machine_with_gpus_is_not_planned_for_its_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--config=paper", "--machine=H100", "--device=cpu"]) == 2
    assert "without --device cpu" in capsys.readouterr().err


def test_a_layout_takes_the_all_reduce_that_was_measured() -> None:
    machine = PlannedMachine(accelerator=machine_from("H100").accelerator, devices=4, all_reduce_s=9e-6)
    assert layout_of(setting(), machine).all_reduce_s == 9e-6
