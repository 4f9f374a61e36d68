"""The terminal's report: widths, pipes, colour, and what stands where."""

from __future__ import annotations

import re
from dataclasses import replace

import polars as pl
import pytest

from tests.unit import test_reports_sample as sample
from tts_compare.analysis.schema import Analysis
from tts_compare.reports import REPORTS, Look

WIDTHS = (60, 80, 100, 119, 120, 160, 240)


def console(analysis: Analysis | None = None, **look: object) -> str:
    """The report of the sample."""
    made = REPORTS["console"].render(analysis or sample.analysis(), sample.run_view(), look=Look(full=True, **look))  # type: ignore[arg-type]
    assert isinstance(made, str)
    return made


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """At any width from 60 on."""
    assert max(map(len, console(width=width).splitlines())) <= width


@pytest.mark.parametrize("width", [80, 160])
def test_no_figure_is_broken_over_two_lines(width: int) -> None:
    """Each point's accuracy, latency and both costs stand whole on the line of that point."""
    lines = console(width=width).splitlines()
    for accuracy in ("42.4", "55.4", "68.4", "42.0", "55.0", "68.0"):
        assert any(re.search(rf" {accuracy} (±14\.0|\[\d\d\.\d\u2013\d\d\.\d\]) ", line) for line in lines), accuracy
    assert any(re.search(r"7\.88 (±0\.95|\[7\.09\u20138\.82\])", line) for line in lines)


def test_colour_is_only_there_when_asked_for_and_changes_no_word() -> None:
    """A pipe gets the same text without escape sequences."""
    plain, coloured = console(width=100), console(width=100, colour=True)
    assert "\x1b[" not in plain
    assert "\x1b[" in coloured
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()


def test_a_terminal_without_unicode_gets_plots_it_can_draw() -> None:
    """And tables, intervals and dashes: all of it is ASCII then, and no wider."""
    for width in WIDTHS:
        text = console(width=width, unicode=False)
        assert text.isascii()
        assert max(map(len, text.splitlines())) <= width
    assert "42.4 +-14.0" in console(width=80, unicode=False)


def test_frontier_points_are_marked_without_colour() -> None:
    """By letters, in a column of their own, on exactly the points that the analysis says."""
    analysis = sample.analysis()
    lines = console(analysis, width=160).splitlines()
    marks = [line[:4] for line in lines if re.match(r"[T·][L·][P·][C·]  ", line)]
    tables = 2
    for letter, flag in zip("TLPC", ("compute", "latency", "paper_cost", "cost"), strict=True):
        on = analysis.points[f"on_{flag}_frontier"].sum()
        assert sum(letter in mark for mark in marks) == tables * on


def test_failures_and_truncation_stand_beside_every_figure() -> None:
    """On the line of every point of both tables."""
    rows = [line for line in console(width=80).splitlines() if re.match(r"[T·][L·][P·][C·] ", line)]
    assert len(rows) == 2 * sample.analysis().points.height
    assert all(re.search(r"\d+\.\d +[02]/40$", row) for row in rows)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("unicode", [True, False])
def test_no_width_costs_a_column(width: int, *, unicode: bool) -> None:
    """Where the table does not fit its rows are said in words."""
    text = re.sub(r"\s+", " ", console(width=width, unicode=unicode))
    assert len(re.findall(r"\b[02]/40\b", text)) == 2 * sample.analysis().points.height


def test_failures_are_of_the_answers_sent_for() -> None:
    """Three starts of 40 problems are 120 answers."""
    points = sample.analysis().points.with_columns(outcomes=pl.lit(120))
    assert "2/120" in console(replace(sample.analysis(), points=points), width=80)


def test_comparisons_that_differ_in_load_method_or_samples_can_be_told_apart() -> None:
    """Two loads, two methods and two numbers of samples: no two rows read the same."""
    pair, same = sample.pair("c1"), sample.lossless("c1")
    vote = {"a_method": "vote", "b_method": "vote"}
    pairs = [pair, {**pair, "load": "c8"}, pair | vote, pair | vote | {"a_samples": 4, "b_samples": 4}]
    lossless = [same, {**same, "load": "c8"}, {**same, "method": "vote"}]
    analysis = replace(
        sample.analysis(), pairs=pl.DataFrame(pairs, strict=False), losslessness=pl.DataFrame(lossless, strict=False)
    )
    lines = console(analysis, width=300).splitlines()
    rows = [line for line in lines if line.startswith("speculation")]
    assert len(rows) == len(set(rows)) == 7


def test_a_plot_is_over_the_problems_that_its_frontier_is_of() -> None:
    """As the page's: what a point looks like over all of its own problems may beat the frontier."""
    on, off = (sample.point(name, 1024) for name in sample.settings()[:2])
    on |= {"accuracy": 0.4, "compared_accuracy": 0.7, "on_latency_frontier": True, "n_compared": 30}
    off |= {"accuracy": 0.6, "compared_accuracy": 0.5, "latency_mean_s": 1.0, "compared_latency_s": 30.0}
    analysis = sample.analysis()
    rows = [{flag: False for flag in analysis.points.columns if flag.startswith("on_")} | row for row in (on, off)]
    made = replace(analysis, points=pl.DataFrame(rows, schema=analysis.points.schema))
    plot = console(made, width=80).split("Accuracy against mean latency")[1].split("Accuracy against")[0]
    lines = [line[7:] for line in plot.splitlines()[1:-2]]
    (best,), (beaten,) = ([(r, line.index(c)) for r, line in enumerate(lines) if c in line] for c in "Ba")
    assert best[0] < beaten[0]
    assert best[1] < beaten[1]
    assert "problems that every setting completed" in console(made, width=80)


@pytest.mark.parametrize("width", [80, 160])
def test_a_hosted_setting_has_its_dollars_at_every_width(width: int) -> None:
    """They are all that it costs; columns of device-seconds that nothing has are not there."""
    row = sample.point("openai/m/tp1-pp1-dp1/none", 1024)
    row |= {name: None for name in row if "gpu_s" in name or "cost_per_token" in name}
    row |= {"usd_per_problem": 0.00123, "usd_per_correct": 0.00456, "compared_usd_per_problem": 0.00123}
    analysis = sample.analysis()
    flags = {flag: False for flag in analysis.points.columns if flag.startswith("on_")}
    hosted = replace(analysis, points=pl.DataFrame([row | flags], schema=analysis.points.schema))
    text = console(hosted, width=width)
    assert re.search(r"0\.00123 +0\.00456", text)
    assert "Accuracy against dollars per problem ($)" in text
    assert "GPU" not in text.split("Accuracy and cost")[1].split("Accuracy against")[0]


def test_accuracy_targets_close_to_each_other_can_be_told_apart() -> None:
    """63.2 and 63.4 %."""
    targets = [sample.optimal("c1") | {"accuracy_target": target} for target in (0.632, 0.634)]
    text = console(replace(sample.analysis(), optimal=pl.DataFrame(targets, strict=False)), width=160)
    assert "63.2%" in text
    assert "63.4%" in text


def test_derived_points_are_marked_and_explained() -> None:
    """A budget that was cut from longer responses has a tilde."""
    text = console(width=80)
    assert "1k~" in text
    assert "4k~" not in text
    assert "~: derived" in text


def test_points_of_different_loads_are_never_in_one_table() -> None:
    """Each load and policy has its own tables and plots."""
    text = console(sample.analysis(loads=("c1", "c8")), width=80)
    assert text.count("Accuracy against mean latency") == 2
    assert "One request at a time, policy any" in text
    assert "Closed loop of 8 requests, policy any" in text


def test_markup_in_foreign_text_is_text() -> None:
    """rich's own markup is not read in what others wrote."""
    analysis = sample.analysis()
    renamed = analysis.points.with_columns(pl.col("method").str.replace("truncate", "[bold]x[/bold]"))
    mixed = pl.concat([analysis.points, renamed])
    made = Analysis(**{**{f: getattr(analysis, f) for f in Analysis.__dataclass_fields__}, "points": mixed})
    assert "[bold]x[/bold]" in console(made, width=160)


def test_many_settings_share_the_alphabet_with_those_on_a_frontier_first() -> None:
    """Thirty settings: every one on a frontier has a letter of its own."""
    rows = [sample.point(f"vllm/m-{i}b/tp1-pp1-dp1/none", 1024) | {"on_latency_frontier": i == 29} for i in range(30)]
    analysis = sample.analysis()
    frame = pl.DataFrame(rows, schema=analysis.points.schema)
    made = Analysis(**{**{f: getattr(analysis, f) for f in Analysis.__dataclass_fields__}, "points": frame})
    text = re.sub(r"\s+", " ", console(made, width=160))
    assert re.search(r"a vllm m-29b, ", text)
    assert "+ the others" in text
