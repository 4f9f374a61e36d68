"""The plots drawn with characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tts_compare.reports.charplot import MANY, Dot, draw
from tts_compare.reports.numbers import three_digits

dots = st.lists(
    st.builds(
        Dot,
        x=st.floats(1e-6, 1e6),
        y=st.floats(0, 1),
        letter=st.sampled_from("abc"),
        on_frontier=st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@given(dots, st.integers(30, 120), st.integers(6, 30), st.booleans())
def test_every_plot_keeps_to_its_size(points: list[Dot], width: int, height: int, unicode: bool) -> None:
    """No line is longer than asked for, whatever the points."""
    plot = draw(points, width=width, height=height, write_x=lambda x: f"{x:.3g}", unicode=unicode)
    assert len(plot.lines) == height
    assert max(map(len, plot.lines)) <= width
    if not unicode:
        assert "".join(plot.lines).isascii()


@given(dots)
def test_frontier_points_are_capitals_and_no_other_point_is(points: list[Dot]) -> None:
    """Without colour a frontier point can still be told."""
    plot = draw(points, width=70, height=14, write_x=lambda x: "")
    body = [line[7:] for line in plot.lines[:-2]]
    capitals = {char for line in body for char in line if char.isupper()}
    assert capitals <= {dot.letter.upper() for dot in points if dot.on_frontier}
    for line, column in plot.frontier_cells:
        char = plot.lines[line][column]
        assert char == MANY or char.isupper()
    assert bool(plot.frontier_cells) == any(dot.on_frontier for dot in points)


def test_a_dearer_point_is_to_the_right_and_a_better_one_above() -> None:
    """The axes point the way the title says."""
    plot = draw(
        [Dot(x=1.0, y=0.2, letter="a"), Dot(x=9.0, y=0.9, letter="b")],
        width=60,
        height=12,
        write_x=lambda x: f"{x:.1f}",
    )
    place = {char: (r, line.index(char)) for r, line in enumerate(plot.lines) for char in "ab" if char in line[7:]}
    assert place["a"][0] > place["b"][0]
    assert place["a"][1] < place["b"][1]


def test_a_wide_range_is_drawn_on_a_logarithmic_axis() -> None:
    """1, 10, 100 are evenly spaced, so the middle one is in the middle."""
    plot = draw(
        [Dot(x=10.0**k, y=0.5, letter="abc"[k]) for k in range(3)], width=67, height=8, write_x=lambda x: f"{x:.3g}"
    )
    line = next(line for line in plot.lines if "a" in line)
    left, middle, right = (line.index(char) for char in "abc")
    assert abs((left + right) / 2 - middle) <= 1


@given(st.floats(0, 1))
def test_points_of_one_accuracy_get_an_axis_whose_labels_differ(accuracy: float) -> None:
    """Three times "100%" says nothing."""
    plot = draw([Dot(x=1.0, y=accuracy, letter="a")], width=60, height=12, write_x=lambda x: f"{x:.1f}")
    labels = [int(line[:6].strip().rstrip("%│ ")) for line in plot.lines if "%" in line[:6]]
    assert len(set(labels)) == 3
    assert 0 <= min(labels) <= 100 * accuracy + 1
    assert 100 * accuracy - 1 <= max(labels) <= 100


@given(st.floats(1e-3, 1e3), st.floats(1.0, 1.5))
def test_an_axis_of_costs_close_together_has_labels_that_differ(x: float, ratio: float) -> None:
    """In the three digits they are written with."""
    dots = [Dot(x=x, y=0.5, letter="a"), Dot(x=x * ratio, y=0.6, letter="b")]
    labels = draw(dots, width=96, height=12, write_x=three_digits).lines[-1].split()
    assert len(labels) == len(set(labels)) == 4
