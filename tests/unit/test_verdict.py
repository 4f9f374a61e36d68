"""The verdict in runs of known truth: what it chooses, and that it never says more than the data show."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import polars as pl
import pytest

from tests.builders import with_manifest, with_setting
from tests.synthetic import Engine, Run, World, engines_grid, make_run
from tests.unit.test_analysis_verdicts import DRAFTING, PLAIN, WORLD, hardest, with_errors
from tts_compare.analysis.analyse import analyse
from tts_compare.analysis.findings.slo import parse_slo
from tts_compare.analysis.findings.verdict import Verdict, verdicts
from tts_compare.reports.sheets import name_settings
from tts_compare.reports.verdict_lines import MOST_LINES, verdict_lines
from tts_compare.reports.view import RunView

FASTER = re.compile(r"\dx (faster|cheaper)")


def judged(run: Run, *slo: str) -> tuple[Verdict, tuple[str, ...]]:
    """The first verdict and its lines."""
    found = analyse(run.records, run.grades, run.manifest, resamples=200, slo=[parse_slo(text) for text in slo])
    every = verdicts(found, run.manifest)
    lines = verdict_lines(every, name_settings(found, RunView(manifest=run.manifest)), on_cpu=False)
    assert 1 <= len(lines) <= MOST_LINES
    assert not any("\n" in line for line in lines)
    return every[0], lines


def test_rounds_that_show_a_setting_faster_name_it() -> None:
    """1.4x at five rounds: chosen, with its interval, and nothing more to run."""
    found, lines = judged(make_run(WORLD))
    assert found.status == "confirmed"
    assert found.chosen is not None
    assert found.chosen.setting == DRAFTING.setting.id
    assert found.baseline is not None
    assert found.baseline.latency.lo is not None
    assert found.baseline.latency.lo > 1.2
    assert lines[0].startswith("System-optimal: vllm ngram at 1k tokens. Every other setting is shown to be slower")
    assert re.search(r"Against the same without speculation: 1\.\d\dx faster \[1\.\d", " ".join(lines))
    assert lines[-1] == "Next: no further run is needed for this choice."
    assert found.next_run == ""


@pytest.mark.parametrize("seed", range(4))
def test_one_start_confirms_nothing_and_says_what_to_run(seed: int) -> None:
    """However large the difference."""
    found, lines = judged(make_run(replace(WORLD, rounds=1, seed=seed)))
    text = " ".join(lines)
    assert found.status == "not confirmed"
    assert lines[0].startswith("System-optimal: not confirmed (one start of each setting).")
    assert len(FASTER.findall(text)) == text.count("in this one start (not confirmed)")
    assert "[1." not in text.split("Against")[1].split(".", 2)[0]
    words = shlex.split(found.next_run)
    assert words[:2] == ["tts-compare", "run"]
    assert words[words.index("--rounds") + 1] == "3"


def test_few_problems_are_repeated_rather_than_split() -> None:
    """A round needs 25 problems."""
    found, _ = judged(make_run(replace(WORLD, rounds=1, problems=40)))
    assert "--repeats 3" in found.next_run
    assert "--rounds" not in found.next_run


def test_the_command_to_run_is_the_runs_own_with_what_changes() -> None:
    """Configuration and flags as they were typed, quoted for a shell; not its directory."""
    asked = {"config": "mine.toml", "flags": {"model": "/my models/m", "rounds": "1", "out": "runs/x"}}
    found, _ = judged(with_manifest(make_run(replace(WORLD, rounds=1)), asked=asked))
    assert found.next_run == "tts-compare run --config mine.toml --model '/my models/m' --rounds 3"


def test_two_alike_settings_are_told_apart_in_few_worlds() -> None:
    """Each is the other under another name: the one picked is confirmed in no more worlds than the level allows."""
    twins = (PLAIN, replace(PLAIN, backend="sglang"))
    statuses = [
        judged(make_run(replace(WORLD, engines=twins, problems=100, start_sd=0.03, seed=seed)))[0].status
        for seed in range(20)
    ]
    assert statuses.count("confirmed") <= 3
    assert "not told apart" in statuses


def test_who_refuses_the_hardest_is_not_chosen() -> None:
    """A quarter refused at once, which makes it fast and less accurate."""
    found, lines = judged(with_errors(make_run(WORLD), hardest(0.25), "http_5xx", seconds=0.001))
    assert found.chosen is not None
    if found.chosen.setting == DRAFTING.setting.id:
        assert found.status != "confirmed"
        assert "failed" in " ".join(lines)


def test_a_chosen_setting_that_failed_answers_says_so() -> None:
    """Both fail the same share: it stands with the figures, and the latency is a lower bound."""
    lossy = tuple(replace(engine, failure_share=0.1) for engine in (PLAIN, DRAFTING))
    _, lines = judged(make_run(replace(WORLD, engines=lossy)))
    assert "of the answers failed" in lines[1]
    assert "mean latency >=" in lines[1]


def nothing_right(run: Run) -> Run:
    return replace(run, grades=run.grades.with_columns(status=pl.lit("incorrect")))


def everything_cut(run: Run) -> Run:
    return replace(run, records=run.records.with_columns(finish_reason=pl.lit("length")))


def test_a_run_in_which_nothing_was_right_chooses_nothing() -> None:
    """And says how to look at an answer, by a problem that is there."""
    found, lines = judged(nothing_right(make_run(WORLD)))
    assert (found.status, found.chosen) == ("nothing to choose", None)
    assert "no answer of any setting was right" in lines[0]
    assert found.next_run.endswith("--explain p0000")
    assert not FASTER.search(" ".join(lines))


def test_a_run_in_which_everything_was_cut_chooses_nothing() -> None:
    """And asks for a larger budget."""
    found, lines = judged(everything_cut(make_run(WORLD)))
    assert found.status == "nothing to choose"
    assert "every answer was cut" in lines[0]
    assert "--budget 8192" in found.next_run


def test_one_setting_alone_is_compared_with_nothing() -> None:
    """Its best point and figures, and how to add another setting."""
    found, lines = judged(make_run(replace(WORLD, engines=(PLAIN,), budgets=(256, 1024))))
    assert found.status == "one setting"
    assert lines[0].startswith("One setting was measured: there is nothing to choose between.")
    assert "--spec none,ngram" in found.next_run


def hosted(run: Run, setting: str) -> Run:
    price = {"input": 0.5, "output": 2.0, "cached": None}
    return with_setting(
        run, setting, hosted=True, devices=None, device=None, base_url="https://api.example.com/v1", price=_price(price)
    )


def _price(value: dict[str, float | None]) -> object:
    from tts_compare.domain import Price

    return Price(input=value["input"] or 0.0, output=value["output"] or 0.0)


def test_a_hosted_endpoint_alone_has_dollars_and_no_command_that_cannot_run() -> None:
    """Nobody knows its devices; there is no engine of ours to add."""
    found, lines = judged(hosted(make_run(replace(WORLD, engines=(PLAIN,))), PLAIN.setting.id))
    assert found.status == "one setting"
    assert re.search(r"\$[\d.,]+ per 1k problems \(\$[\d.,]+ per 1M tokens\)", lines[1])
    assert found.next_run == ""


def test_own_against_hosted_is_compared_in_dollars() -> None:
    """Paired at equal budget, on an axis of its own; its label says that it is hosted and holds no hash."""
    theirs = Engine(backend="openai", tpot_s=0.02)
    run = hosted(make_run(replace(WORLD, engines=(PLAIN, theirs))), theirs.setting.id)
    analysis = analyse(run.records, run.grades, run.manifest, resamples=100)
    (pair,) = analysis.pairs.filter(axis="hosted").iter_rows(named=True)
    assert (pair["a"], pair["b"]) == (theirs.setting.id, PLAIN.setting.id)
    usd = {row["setting"]: row["usd_per_problem"] for row in analysis.points.iter_rows(named=True)}
    assert pair["cost_ratio"] == pytest.approx(usd[pair["a"]] / usd[pair["b"]], rel=1e-6)
    found, lines = judged(run)
    assert found.chosen is not None
    assert found.chosen.setting == PLAIN.setting.id
    assert "Against openai (hosted): " in lines[2]
    assert "cheaper [" in lines[2] or "more expensive [" in lines[2] or "not told apart in cost" in lines[2]


def test_votes_are_named_by_their_samples() -> None:
    """The point chosen is of so many samples."""
    world = World(problems=60, samples=4, vote_sizes=(1, 2, 4), method="vote", mixed=0.5, engines=(PLAIN, DRAFTING))
    found, lines = judged(make_run(world))
    assert found.chosen is not None
    if found.chosen.samples > 1:
        assert f"{found.chosen.samples} samples" in lines[0]


def test_the_best_within_an_objective_is_said() -> None:
    """And that none keeps it, where none does."""
    run = make_run(replace(WORLD, budgets=(128, 1024)))
    _, kept = judged(run, "latency<=100")
    _, none = judged(run, "latency<=0.001")
    assert "Best within latency<=100: " in " ".join(kept)
    assert "Best within latency<=0.001: no setting." in " ".join(none)


def test_choosing_by_tokens_is_costed_only_as_surely_as_claim_f() -> None:
    """One start: the figure is this run's."""
    grid = engines_grid(backends=("vllm",))
    found, lines = judged(make_run(World(problems=60, engines=grid)))
    assert found.by_tokens is not None
    assert not found.by_tokens.confirmed
    said = next(line for line in lines if "tokens" in line and "costs" in line)
    assert "in this run (not confirmed)" in said
    assert "[" not in said.split("costs")[1].split("not confirmed")[0]
