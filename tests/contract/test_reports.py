"""What every report promises, over the whole registry: a new one is tested by being in it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.unit import test_reports_sample as sample
from tts_compare.reports import REPORTS, Look, RunView

LOOK = Look(width=100)
#: The terminal's report says the rest of it with ``--full`` alone; the others are always whole.
FULL = Look(width=100, full=True)
TEXTS = sorted(set(REPORTS) - {"parquet"})


def render(name: str, *, hostile: bool = False, run: RunView | None = None, look: Look = LOOK) -> str:
    """The report as text."""
    made = REPORTS[name].render(sample.analysis(hostile=hostile), run or sample.run_view(), look=look)
    assert isinstance(made, str)
    return made


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_is_a_pure_function(name: str) -> None:
    """The same analysis and run give the same bytes."""
    one, two = (REPORTS[name].render(sample.analysis(), sample.run_view(), look=LOOK) for _ in range(2))
    assert one == two
    assert one


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_suffix_fits_a_file_name(name: str) -> None:
    """With its dot."""
    assert re.fullmatch(r"\.[a-z]+", REPORTS[name].suffix)


@pytest.mark.parametrize("look", [LOOK, FULL], ids=["brief", "full"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_from_outside_steers_no_terminal(name: str, look: Look) -> None:
    """Escape sequences in a warning, a server's error and a response are written out."""
    text = render(name, hostile=True, look=look)
    assert not set(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text))
    text.encode("utf-8")


@pytest.mark.parametrize("name", TEXTS)
def test_text_ends_with_a_newline(name: str) -> None:
    """So that it can be written to a pipe or a file."""
    assert render(name).endswith("\n")


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_needs_nothing_but_the_analysis(name: str) -> None:
    """No manifest, no records, no responses: an imported or a minimal run is still shown."""
    assert REPORTS[name].render(sample.analysis(), RunView(), look=LOOK)


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_of_nothing_is_no_failure(name: str) -> None:
    """Empty frames: every setting failed."""
    whole = sample.analysis()
    frames = ("points", "pairs", "optimal", "frontiers", "bands", "losslessness", "spot_checks")
    empty = replace(whole, **{f: getattr(whole, f).clear() for f in frames}, claims=(), slo=(), doubts=())
    made = REPORTS[name].render(empty, sample.run_view(), look=LOOK)
    assert made
    if name in ("console", "markdown", "html", "json"):
        assert isinstance(made, str)
        assert "SGLang has no n-gram speculation on a CPU" in made


@pytest.mark.parametrize("name", ["console", "markdown", "latex", "html", "json"])
def test_every_figure_shown_has_its_formula_in_the_same_document(name: str) -> None:
    """The formulas of the columns that every text report has."""
    text = re.sub(r"\s+", " ", render(name, look=FULL)).replace("\\_", "_")
    for column in ("accuracy", "latency_mean_s", "cost_per_token_gpu_s", "gpu_s_per_problem", "truncated_share"):
        assert f"how {column} is computed" in text


@pytest.mark.parametrize("name", ["console", "markdown", "html", "json"])
def test_warnings_with_advice_and_absent_settings_are_shown(name: str) -> None:
    """What weakens a figure, what to do, and what is not there and why."""
    text = re.sub(r"\s+", " ", render(name, look=FULL)).replace("\\_", "_")
    for said in (
        "one_server_start",
        "use --repeats 3",
        sample.LEFT_OUT,
        "servers/vllm_tp4.log",
        "lower --max-model-len",
    ):
        assert said in text, said


@pytest.mark.parametrize("name", ["console", "html", "markdown", "latex"])
def test_what_the_marks_of_a_table_mean_is_said_in_the_same_document(name: str) -> None:
    """The letters of the frontiers, the interval and u."""
    text = re.sub(r"\s+", " ", render(name, look=FULL)).replace("\\", "")
    assert "T accuracy against tokens (compute), L accuracy against mean latency" in text
    assert re.search("95 % interval[^;]*; failed of n: answers that did not complete", text)
