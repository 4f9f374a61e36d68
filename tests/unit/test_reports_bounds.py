"""Bounds and instants that were never reached, as readers see them."""

from __future__ import annotations

from tests.rows import row, run_of
from tts_compare.analysis.analyse import analyse
from tts_compare.reports import REPORTS, Look
from tts_compare.reports.bounds import bound_sign, not_reached
from tts_compare.reports.view import RunView


def test_the_console_writes_lower_bounds_and_what_was_never_reached() -> None:
    rows = [row(f"p{i}", 10 * i, 0.5, 2.0, 16) for i in range(8)]
    rows += [row(f"q{i}", 100 + 10 * i, 0.5, 5.0, 0, finish_reason=None, error_kind="timeout_total") for i in range(2)]
    rows += [row("r", 200, 0.5, 5.0, 0, finish_reason=None, error_kind="cancelled")]
    run = run_of(rows, [])
    found = analyse(run.records, run.grades, run.manifest, resamples=50)
    text = REPORTS["console"].render(found, RunView(manifest=run.manifest), look=Look(width=160, full=True))
    assert isinstance(text, str)
    assert ">=2.60" in text
    assert "not reached" in text
    assert "not measured, and in no figure: 1 of the answers" in text


def test_an_unknown_figure_is_not_called_unreached() -> None:
    assert not not_reached({"latency_p99_s": None, "failed_share": 0.5, "outcomes": 10}, "latency_p99_s")
    assert not not_reached({"latency_p90_s": None, "failed_share": 0.0, "outcomes": 10}, "latency_p90_s")
    assert not_reached({"latency_p90_s": None, "failed_share": 0.5, "outcomes": 10}, "latency_p90_s")


def test_an_upper_bound_is_marked_as_one() -> None:
    assert bound_sign({"cost_is_upper_bound": True}, "gpu_s_per_problem") == "<="
    assert bound_sign({"cost_is_upper_bound": False}, "gpu_s_per_problem") == ""
    assert bound_sign({"cost_is_upper_bound": True}, "tokens_mean") == ""
