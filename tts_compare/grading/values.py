"""Equality by value: of two closed expressions their values, of two with variables their values at fixed points
(two different polynomials of degree d agree at one such point with a chance of at most d/300, after Schwartz and
Zippel; five points are asked).
"""

from __future__ import annotations

import random
from fractions import Fraction
from functools import lru_cache

from tts_compare.grading.evaluate import TooLargeError, UnclearValueError, UndefinedValueError, Value, evaluate
from tts_compare.grading.tree import Expression, Node

_EQUAL_RELATIVE, _EQUAL_ABSOLUTE = 1e-10, 1e-12
_UNEQUAL_RELATIVE = 1e-7
_POINTS = 5
_ROUNDED_DIGITS = 6


def equal_values(gold: Expression, answer: Expression) -> bool | None:
    """True or False where values decide, None where they do not.

    Raises TooLargeError where a value cannot be computed in bounds and is not plainly beyond the other's.
    """
    ends = _infinite(gold.tree), _infinite(answer.tree)
    if any(ends):
        return ends[0] == ends[1]
    equal = _equal_at(gold, answer, 0)
    if equal is not False and gold.variables | answer.variables:
        everywhere = {equal, *(_equal_at(gold, answer, point) for point in range(1, _POINTS))} - {None}
        equal = True if everywhere == {True} else None
    if equal or _rounds_to(gold, answer):
        return True
    return None if gold.ambiguous or answer.ambiguous else equal


def proportional(gold: Expression, answer: Expression) -> bool | None:
    """Whether the two are a nonzero constant apart, the sign of which is kept: None where the points do not say."""
    ratios: list[complex] = []
    for point in range(_POINTS):
        try:
            values = [complex(evaluate(side.tree, _environment(side.variables, point))) for side in (gold, answer)]
        except (UndefinedValueError, TooLargeError, UnclearValueError, OverflowError):
            return None
        if abs(values[0]) < _EQUAL_ABSOLUTE or abs(values[1]) < _EQUAL_ABSOLUTE:
            return None
        ratios.append(values[0] / values[1])
    spread = max(abs(ratio - ratios[0]) for ratio in ratios)
    return ratios[0].real > 0 if spread <= _EQUAL_RELATIVE * abs(ratios[0]) and not ratios[0].imag else None


def _equal_at(gold: Expression, answer: Expression, point: int) -> bool | None:  # noqa: PLR0911 - one an outcome
    try:
        first = evaluate(gold.tree, _environment(gold.variables, point))
    except (UndefinedValueError, UnclearValueError):
        return None
    except TooLargeError:
        if gold.variables:
            return None
        raise
    try:
        second = evaluate(answer.tree, _environment(answer.variables, point))
    except UndefinedValueError:
        return False if not answer.variables else None
    except UnclearValueError:
        return None
    except TooLargeError:
        if _growing(answer.tree):
            return False
        if answer.variables:
            return None
        raise
    return _same(first, second)


def _same(first: Value, second: Value) -> bool | None:
    if isinstance(first, Fraction) and isinstance(second, Fraction):
        return first == second
    left, right = complex(first), complex(second)
    apart, scale = abs(left - right), max(abs(left), abs(right))
    if apart <= _EQUAL_RELATIVE * scale + _EQUAL_ABSOLUTE * (scale < 1):
        return True
    return False if apart > _UNEQUAL_RELATIVE * scale else None


def _rounds_to(gold: Expression, answer: Expression) -> bool:
    """Whether one is a decimal of at least six digits and the other, which is none, rounds to it."""
    for decimal, other in ((answer, gold), (gold, answer)):
        if decimal.decimals is None or other.decimals is not None or decimal.digits < _ROUNDED_DIGITS:
            continue
        if other.variables:
            continue
        try:
            gap = abs(complex(evaluate(other.tree, {})) - complex(evaluate(decimal.tree, {})))
        except (UndefinedValueError, UnclearValueError, TooLargeError, OverflowError):
            return False
        return gap <= 0.5000001 * 10.0**-decimal.decimals
    return False


@lru_cache(maxsize=1_000)
def _coordinate(name: str, point: int) -> Fraction:
    """A fixed value for a variable: positive and small at the first two points; at the others of either sign, large,
    and in either order of the names, so that ``x``, ``|x|``, ``|x+3|`` and ``|x-y|`` are told apart.
    """
    source = random.Random(f"{name}:{point}")  # noqa: S311 - sample points, not secrets
    value, place = Fraction(source.randrange(150, 450), 199), ord(name[-1]) % 32
    if point in (2, 3):
        value = value / 12 + 4 + Fraction(place, 4)
    return -value if point == 2 or (point == 4 and place % 2) else value


def _environment(variables: frozenset[str], point: int) -> dict[str, Fraction]:
    return {name: _coordinate(name, point) for name in variables}


def _infinite(tree: Node) -> int:
    if tree.op == "const" and tree.name == "infty":
        return 1
    return -_infinite(tree.args[0]) if tree.op == "neg" else 0


def _growing(tree: Node) -> bool:
    """Made of numbers, sums, products, powers and factorials only: where it overflows it is beyond any float."""
    if tree.op == "num":
        return tree.value >= 1
    if tree.op == "call" and tree.name not in ("factorial", "double_factorial"):
        return False
    return tree.op in ("add", "mul", "pow", "call") and all(map(_growing, tree.args))
