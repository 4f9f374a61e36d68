"""What a number of problems can show: the formula against simulation, and what a plan says of a tolerance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tts_compare.analysis.findings.proof import needed_problems, one_start_width, provable
from tts_compare.analysis.findings.tolerance import parse_tolerance
from tts_compare.analysis.statistics.intervals import paired_difference
from tts_compare.cli import main


@pytest.mark.parametrize(
    ("discordant", "delta", "needed"),
    [(0.03, 0.02, 464), (0.13, 0.02, 2010), (0.0, 0.02, 150), (0.05, 0.05, 124), (0.001, 0.02, 150)],
)
def test_the_problems_needed_are_those_of_the_formula(discordant: float, delta: float, needed: int) -> None:
    assert needed_problems(discordant, delta) == needed


def test_no_number_of_problems_shows_that_nothing_changed_at_all() -> None:
    assert needed_problems(0.05, 0.0) is None


def test_the_problems_needed_show_a_kept_tolerance_in_four_of_five_runs() -> None:
    rng = np.random.default_rng(0)
    psi, delta, shown = 0.08, 0.05, 0
    n = needed_problems(psi, delta)
    assert n is not None
    for _ in range(400):
        kind = rng.choice(3, n, p=[psi / 2, psi / 2, 1 - psi])
        base = (rng.random(n) < 0.6).astype(float)
        a = np.where(kind == 0, 0.0, np.where(kind == 1, 1.0, base))
        b = np.where(kind == 0, 1.0, np.where(kind == 1, 0.0, base))
        _, low, _ = paired_difference(a, b, single=True, confidence=0.90)
        shown += low >= -delta
    assert 0.68 <= shown / 400 <= 0.92


def test_one_start_a_side_hides_changes_below_seven_percent() -> None:
    assert math.expm1(one_start_width(1)) == pytest.approx(0.0723, abs=1e-3)
    assert one_start_width(4) == pytest.approx(one_start_width(1) / 2)


def test_the_plan_of_a_run_says_what_it_can_show(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--config", "paper", "--fail-on", "accuracy < -2pp", "--fail-on", "latency > +5%"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "--fail-on accuracy < -2pp: 773 problems would show it" in said
    assert "--fail-on latency > +5%: with" in said
    assert main(["plan", "--config", "paper", "--fail-on", "speed > 5%"]) == 2


@pytest.mark.parametrize(
    ("gate", "problems", "starts", "shown", "said"),
    [
        ("accuracy < -2pp", 500, 3, False, "773 problems would show it"),
        ("accuracy < -2pp", 800, 3, True, "773 problems would show it"),
        ("accuracy < 0pp", 800, 3, False, "no number of problems"),
        ("failed > 1%", 100, 1, False, "300 problems would show it"),
        ("failed > +1pp", 300, 1, True, "300 problems would show it"),
        ("latency > +5%", 500, 1, False, "no change below 7.2 %"),
        ("latency > +5%", 500, 10, None, "with 10 server starts"),
    ],
)
def test_a_plan_says_what_a_tolerance_can_show(
    gate: str, problems: int, starts: int, shown: bool | None, said: str
) -> None:
    found = provable(parse_tolerance(gate), problems=problems, starts=starts)
    assert found.shown is shown
    assert said in found.sentence
