"""What reports say beside figures: nothing to compare, limits and waits in a mean, the lengths of what was failed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from tests.builders import with_manifest
from tests.synthetic import Run, World, engines_grid, make_run
from tts_compare.analysis.analyse import analyse
from tts_compare.analysis.metrics import AXES
from tts_compare.analysis.schema import Analysis
from tts_compare.reports import REPORTS, Look, RunView

TEXTS = ["console", "markdown", "html", "latex"]
TWO = engines_grid(backends=("vllm",), tensor_parallels=(1,))
PLAIN, DRAFTS = "vllm/tiny/tp1-pp1-dp1/none", "vllm/tiny/tp1-pp1-dp1/ngram"
LIMITS = {"connect_s": 10.0, "total_s": 600.0}
RETRY = {"attempts": 3, "total_s": 20.0, "first_s": 0.5, "longest_s": 120.0, "kinds": ["connect"], "max_restarts": 1}


def analysed(run: Run) -> Analysis:
    return analyse(run.records, run.grades, run.manifest, resamples=50)


def text_of(run: Run, name: str) -> str:
    document = REPORTS[name].render(
        analysed(run), RunView(manifest=run.manifest, name="r"), look=Look(width=160, full=True)
    )
    assert isinstance(document, str)
    body = document.split("<body>\n<header>")[-1].split("<script")[0]
    return re.sub(r"\s+", " ", body.replace("\\", ""))


def nothing_right() -> Run:
    run = make_run(World(problems=30, rounds=3, budgets=(256, 1024), engines=TWO))
    return replace(run, grades=run.grades.with_columns(status=pl.lit("incorrect")))


def everything_cut() -> Run:
    run = make_run(World(problems=30, rounds=3, budgets=(256, 1024), engines=TWO))
    return replace(run, records=run.records.with_columns(finish_reason=pl.lit("length")))


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    ("make", "why"), [(nothing_right, "Nothing was right"), (everything_cut, "Everything was cut")]
)
def test_a_run_with_nothing_to_compare_says_so_before_anything_else(name: str, make: Any, why: str) -> None:
    text = text_of(make(), name)
    first = {"console": "", "markdown": "# r **", "latex": "% usepackage{booktabs,graphicx} noindenttextbf{"}
    if name == "html":
        assert text.index(why) < text.index("<dl")
    else:
        assert text.startswith(f"{first[name]}{why}")


@pytest.mark.parametrize("make", [nothing_right, everything_cut])
def test_a_run_with_nothing_to_compare_has_no_frontier_no_claim_and_no_optimum(make: Any) -> None:
    found = analysed(make())
    for axis in AXES:
        assert found.points[axis.mark].null_count() == found.points.height
    assert found.frontiers.height == found.bands.height == found.optimal.height == 0
    assert {claim.word for claim in found.claims} == {"not testable"}
    document = REPORTS["console"].render(found, RunView(), look=Look(claims=True))
    assert isinstance(document, str)
    assert document.startswith(("Nothing was right", "Everything was cut"))
    assert "not testable" in document


@pytest.mark.parametrize("name", TEXTS)
def test_a_run_that_can_be_compared_begins_as_ever(name: str) -> None:
    text = text_of(make_run(World(problems=30, budgets=(256, 1024), engines=TWO)), name)
    assert "Nothing was right" not in text
    assert "Everything was cut" not in text


def with_rules(run: Run) -> Run:
    experiment = msgspec.to_builtins(run.manifest.experiment) | {"limits": LIMITS, "retry": RETRY}
    return with_manifest(run, experiment=experiment)


@pytest.mark.parametrize("name", TEXTS)
def test_the_time_limit_is_said_beside_a_mean_that_is_restricted_to_it(name: str) -> None:
    run = make_run(World(problems=30))
    assert "Mean latency: restricted to the time limit total_s = 600 s" in text_of(with_rules(run), name)
    assert "restricted to the time limit" not in text_of(run, name)


@pytest.mark.parametrize("name", TEXTS)
def test_the_constants_of_the_back_off_are_said_where_a_request_was_retried(name: str) -> None:
    run = make_run(World(problems=30))
    first = run.records.head(2).with_columns(
        error_kind=pl.lit("http_5xx"), finish_reason=pl.lit(None, pl.String), request_id=pl.col("request_id") + "-x"
    )
    retried = replace(
        run,
        records=pl.concat([first, run.records.with_columns(attempt=pl.lit(1, pl.Int64))]),
        grades=run.grades.with_columns(attempt=pl.lit(1, pl.Int64)),
    )
    said = "at most 3 retries, each after a wait drawn from [0, 1 s x 2^retries], 20 s in all"
    said = said if name != "latex" else said.replace("^", "textasciicircum{}")
    assert said in text_of(with_rules(retried), name)
    assert said not in text_of(with_rules(run), name)
    assert "the run does not state its waits" in text_of(retried, name)


def hardest_failed(count: int) -> tuple[Run, float, float]:
    """The setting with speculation fails the longest problems; medians of their lengths elsewhere and of all."""
    run = make_run(World(problems=40, engines=TWO, budgets=(4096,)))
    plain = run.records.filter(pl.col("setting") == PLAIN)
    longest = plain.sort("completion_tokens").tail(count)
    lost = (pl.col("setting") == DRAFTS) & pl.col("problem").is_in(longest["problem"].to_list())
    records = run.records.with_columns(
        error_kind=pl.when(lost).then(pl.lit("timeout_total")).otherwise("error_kind"),
        finish_reason=pl.when(lost).then(None).otherwise("finish_reason"),
    )
    medians = [float(np.median(side["completion_tokens"].to_numpy())) for side in (longest, plain)]
    return replace(run, records=records, grades=run.grades.filter(~lost)), medians[0], medians[1]


def test_the_problems_a_setting_failed_are_as_long_as_the_other_settings_say() -> None:
    run, of_failed, of_all = hardest_failed(5)
    (found,) = analysed(run).failed_lengths
    assert (found.setting, found.failed, found.known, found.load, found.budget) == (DRAFTS, 5, 5, "c1", 4096)
    assert (found.failed_tokens_p50, found.all_tokens_p50) == (of_failed, of_all)
    assert of_failed > 2 * of_all
    document = REPORTS["json"].render(analysed(run), RunView(), look=Look())
    (row,) = json.loads(document)["failed_lengths"]
    assert row["failed_tokens_p50"] == of_failed


@pytest.mark.parametrize("name", ["console", "markdown", "html"])
def test_the_lengths_of_failed_problems_are_one_sentence(name: str) -> None:
    run, of_failed, of_all = hardest_failed(5)
    text = text_of(run, name)
    said = (
        "failed 5 problems (truncate at 4k, one request at a time): in the other settings their answers have a median "
        f"of {of_failed:.0f} tokens, those to all problems {of_all:.0f}"
    )
    assert said in text
    assert "Problems that settings failed" not in text_of(make_run(World(problems=30)), name)


def test_lengths_that_no_other_setting_shows_are_unknown() -> None:
    run = make_run(World(problems=40, budgets=(4096,)))
    lost = pl.col("problem") < "p0003"
    records = run.records.with_columns(
        error_kind=pl.when(lost).then(pl.lit("timeout_total")).otherwise("error_kind"),
        finish_reason=pl.when(lost).then(None).otherwise("finish_reason"),
    )
    alone = replace(run, records=records, grades=run.grades.filter(~lost))
    (found,) = analysed(alone).failed_lengths
    assert (found.failed, found.known, found.failed_tokens_p50, found.all_tokens_p50) == (3, 0, None, None)
    assert "no other setting answered any of them" in text_of(alone, "console")
