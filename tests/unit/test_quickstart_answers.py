"""Every answer of the quickstart problems is computed here again, by sympy, from the problem itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count, product
from typing import Any

import pytest
from latex2sympy2_extended import latex2sympy  # type: ignore[import-untyped]
from sympy import (  # type: ignore[import-untyped]
    Eq,
    Integer,
    Line,
    Matrix,
    Mod,
    Point,
    Poly,
    Polygon,
    Rational,
    Triangle,
    binomial,
    cos,
    divisor_count,
    factorial,
    gcd,
    oo,
    pi,
    rem,
    simplify,
    sin,
    solve,
    sqrt,
    summation,
    symbols,
    tan,
)

from tts_compare.dataset import load_problems

x, y, k = symbols("x y k")
SUBJECTS = {
    "Algebra",
    "Counting & Probability",
    "Geometry",
    "Intermediate Algebra",
    "Number Theory",
    "Prealgebra",
    "Precalculus",
}


def the(values: Iterable[Any]) -> Any:
    """The one value there is."""
    (value,) = values
    return value


def power_sum(cubic: Any, power: int) -> Any:
    """The sum of the roots' powers: the trace of the companion matrix's power."""
    _, b, c, d = Poly(cubic, x).all_coeffs()
    return (Matrix([[0, 0, -d], [1, 0, -c], [0, 1, -b]]) ** power).trace()


CHECKS: dict[str, Callable[[], Any]] = {
    "quickstart/prealgebra/1": lambda: Integer(2) + 3,
    "quickstart/prealgebra/2": lambda: Integer(4) + 1,
    "quickstart/prealgebra/3": lambda: Integer(5) + 5,
    "quickstart/prealgebra/4": lambda: Integer(6) * 7,
    "quickstart/prealgebra/5": lambda: 40 * (1 - Rational(15, 100)),
    "quickstart/prealgebra/6": lambda: Rational(3, 8) + Rational(5, 12),
    "quickstart/prealgebra/7": lambda: 60 / (Rational(1, 6) + Rational(1, 10)),
    "quickstart/algebra/1": lambda: the(solve(Eq(2 * x, 6), x)),
    "quickstart/algebra/2": lambda: the(solve(Eq(x + 2, 5), x)),
    "quickstart/algebra/3": lambda: (3 * x).subs(x, 2),
    "quickstart/algebra/4": lambda: the(solve(Eq(3 * x - 7, 11), x)),
    "quickstart/algebra/5": lambda: Line(Point(1, 2), Point(4, 14)).intersection(Line(Point(0, 0), Point(0, 1)))[0].y,
    "quickstart/algebra/6": lambda: sum(r**2 for r in solve(x**2 - 5 * x + 3, x)),
    "quickstart/algebra/7": lambda: the(
        {s[x] * s[y] for s in solve([Eq(x + y, 7), Eq(x**3 + y**3, 133)], [x, y], dict=True)}
    ),
    "quickstart/number_theory/1": lambda: Integer(8) + 1,
    "quickstart/number_theory/2": lambda: Integer(3) * 3,
    "quickstart/number_theory/3": lambda: next(k for k in count(7) if k % 2 == 0),
    "quickstart/number_theory/4": lambda: Mod(47, 6),
    "quickstart/number_theory/5": lambda: gcd(84, 126),
    "quickstart/number_theory/6": lambda: divisor_count(720),
    "quickstart/number_theory/7": lambda: pow(7, 2026, 100),
    "quickstart/counting_and_probability/1": lambda: Integer(3) + 2,
    "quickstart/counting_and_probability/2": lambda: Integer(2) + 2,
    "quickstart/counting_and_probability/3": lambda: Integer(6) - 2,
    "quickstart/counting_and_probability/4": lambda: Rational(sum(1 for k in range(1, 7) if k > 4), 6),
    "quickstart/counting_and_probability/5": lambda: factorial(5) / (factorial(2) * factorial(2)),
    "quickstart/counting_and_probability/6": lambda: (binomial(4, 2) + binomial(6, 2)) / binomial(10, 2),
    "quickstart/counting_and_probability/7": lambda: Rational(
        sum("HH" not in "".join(w) for w in product("HT", repeat=8)), 2**8
    ),
    "quickstart/geometry/1": lambda: len(Triangle(sss=(3, 4, 5)).sides),
    "quickstart/geometry/2": lambda: Polygon((0, 0), (1, 0), (1, 1), (0, 1)).area,
    "quickstart/geometry/3": lambda: Polygon((0, 0), (2, 0), (2, 3), (0, 3)).area,
    "quickstart/geometry/4": lambda: Integer(180) - 50 - 60,
    "quickstart/geometry/5": lambda: Point(8, 0).distance(Point(0, 15)),
    "quickstart/geometry/6": lambda: abs(Triangle(sss=(13, 14, 15)).area),
    "quickstart/geometry/7": lambda: Triangle(sss=(13, 14, 15)).circumradius,
    "quickstart/intermediate_algebra/1": lambda: Integer(2) ** 2,
    "quickstart/intermediate_algebra/2": lambda: sqrt(9),
    "quickstart/intermediate_algebra/3": lambda: Integer(2) * 2,
    "quickstart/intermediate_algebra/4": lambda: rem(x**3 - 2 * x + 5, x - 2, x),
    "quickstart/intermediate_algebra/5": lambda: sqrt(50) + sqrt(18),
    "quickstart/intermediate_algebra/6": lambda: summation(Rational(2, 3) ** k, (k, 0, oo)),
    "quickstart/intermediate_algebra/7": lambda: power_sum(x**3 - 6 * x**2 + 5 * x + 7, 3),
    "quickstart/precalculus/1": lambda: Integer(3) + 4,
    "quickstart/precalculus/2": lambda: sin(0),
    "quickstart/precalculus/3": lambda: cos(0),
    "quickstart/precalculus/4": lambda: sin(pi / 6) + cos(pi / 3),
    "quickstart/precalculus/5": lambda: Matrix([[2, 5], [1, 7]]).det(),
    "quickstart/precalculus/6": lambda: cos(pi / 12),
    "quickstart/precalculus/7": lambda: tan(pi / 9) * tan(2 * pi / 9) * tan(4 * pi / 9),
}
PROBLEMS = {p.id: p for p in load_problems("quickstart").problems}


@pytest.mark.parametrize("ident", sorted(PROBLEMS))
def test_answer_is_what_sympy_computes(ident: str) -> None:
    written = latex2sympy(PROBLEMS[ident].answer)
    difference = simplify(written - CHECKS[ident]())
    assert difference == 0 or abs(difference.evalf(50)) < Rational(1, 10**40)


def test_every_problem_has_a_check_and_every_check_a_problem() -> None:
    assert set(CHECKS) == set(PROBLEMS)


def test_there_are_forty_or_more_over_seven_subjects_and_five_levels() -> None:
    assert len(PROBLEMS) >= 40
    assert {p.subject for p in PROBLEMS.values()} == SUBJECTS
    by_subject = Counter((p.subject, p.level) for p in PROBLEMS.values())
    assert set(by_subject) == {(subject, level) for subject in SUBJECTS for level in range(1, 6)}


def test_no_problem_is_asked_twice() -> None:
    assert len({p.problem for p in PROBLEMS.values()}) == len(PROBLEMS)
