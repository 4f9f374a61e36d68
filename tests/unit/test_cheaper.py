"""A cheaper design finds what the planned one finds, and takes fewer device-hours by the same estimate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tts_compare.analysis.statistics.detectable import Assumptions, Measured, smallest_drop, smallest_ratio
from tts_compare.plan.cheaper import cheaper, cheaper_lines
from tts_compare.plan.foresight import CORRELATIONS, DISCORDANT, Foresight


def seen(**design: int) -> Foresight:
    made, given = Measured(**design), Assumptions()
    return Foresight(
        design=made,
        given=given,
        ratios=tuple((r, smallest_ratio(made, replace(given, length_correlation=r))) for r in CORRELATIONS),
        drops=tuple((d, smallest_drop(made, replace(given, discordant=d))) for d in DISCORDANT),
    )


def hours(design: Measured) -> float:
    """A tenth of an hour a start, and a thousandth a problem."""
    return 0.1 * design.rounds * design.repeats + 0.001 * design.problems * design.repeats


@pytest.mark.parametrize(
    "planned",
    [
        {"problems": 500, "rounds": 1, "repeats": 5, "comparisons": 3},
        {"problems": 500, "rounds": 10, "repeats": 2},
        {"problems": 200, "rounds": 5},
    ],
)
def test_what_is_cheaper_finds_every_effect_that_the_planned_design_finds(planned: dict[str, int]) -> None:
    before = seen(**planned)
    for one in cheaper(before, hours):
        assert one.gpu_hours == hours(one.design) < one.planned_gpu_hours == hours(before.design)
        after = seen(**{name: getattr(one.design, name) for name in Measured.__slots__})
        for (_, ratio), (_, now) in zip(before.ratios, after.ratios, strict=True):
            assert ratio is None or (now is not None and now <= ratio * (1 + 1e-4))
        if one.accuracy_too:
            for (_, drop), (_, now) in zip(before.drops, after.drops, strict=True):
                assert drop is None or (now is not None and now <= drop + 1e-4)


def test_rounds_stand_in_for_repeats_of_everything() -> None:
    """Five passes over all problems add nothing to accuracy, and rounds give as many starts for one pass."""
    found = cheaper(seen(problems=500, rounds=1, repeats=5), hours)
    assert found
    assert found[0].accuracy_too
    assert found[0].design.problems == 500
    assert found[0].design.repeats < 5


def test_nothing_is_cheaper_than_one_start_of_all_problems() -> None:
    before = seen(problems=100)
    assert cheaper(before, hours) == ()
    (line,) = cheaper_lines((), before)
    assert "no design" in line


def test_a_saving_is_told_with_the_flags_that_make_it() -> None:
    before = seen(problems=500, rounds=1, repeats=5)
    found = cheaper(before, hours)
    first = next(cheaper_lines(found, before))
    assert f"--rounds {found[0].design.rounds} --repeats {found[0].design.repeats}" in first
    assert f"{1 - found[0].gpu_hours / hours(before.design):.0%} fewer device-hours" in first
