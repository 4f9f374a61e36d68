"""An expression's value: exact while it is rational, complex floating point otherwise, bounded either way."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from tts_compare.errors import TTSCompareError
from tts_compare.grading.tree import Node

Value = Fraction | complex
EXACT_BITS = 100_000
_FACTORIAL_LIMIT = 1_000


class UndefinedValueError(TTSCompareError):
    """A division by zero, or a function outside of its domain."""


class TooLargeError(TTSCompareError):
    """Beyond what a float holds: no step of the grader may try to compute it."""


class UnclearValueError(TTSCompareError):
    """The value depends on a convention: the cube root of a negative number as a power, for example."""


def evaluate(tree: Node, environment: Mapping[str, Fraction]) -> Value:
    """The value of a tree. Raises UndefinedValueError, TooLargeError or UnclearValueError."""
    try:
        return _OPERATIONS[tree.op](tree, environment)
    except OverflowError as error:
        raise TooLargeError(str(error)) from error
    except (ZeroDivisionError, ValueError) as error:
        raise UndefinedValueError(str(error)) from error


# -- operations ---------------------------------------------------------------------------------------------------
def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _binary(
    exact: Callable[[Fraction, Fraction], Fraction], inexact: Callable[[complex, complex], complex]
) -> _Operation:
    def operation(tree: Node, environment: Mapping[str, Fraction]) -> Value:
        left, right = (evaluate(arg, environment) for arg in tree.args)
        if isinstance(left, Fraction) and isinstance(right, Fraction):
            if _bits(left) + _bits(right) > 4 * EXACT_BITS:
                raise TooLargeError(tree.op)
            return exact(left, right)
        return _finite(inexact(complex(left), complex(right)))

    return operation


def _finite(value: complex) -> complex:
    if cmath.isnan(value):
        raise UndefinedValueError("not a number")
    if cmath.isinf(value):
        raise TooLargeError("beyond a float")
    return value


def _variable(tree: Node, environment: Mapping[str, Fraction]) -> Value:
    return environment[tree.name]


def _constant(tree: Node, _: Mapping[str, Fraction]) -> Value:
    if tree.name == "infty":
        raise UndefinedValueError("infinity inside of an expression")
    return {"pi": complex(math.pi), "e": complex(math.e), "i": 1j}[tree.name]


def _negative(tree: Node, environment: Mapping[str, Fraction]) -> Value:
    return -evaluate(tree.args[0], environment)


def _power(tree: Node, environment: Mapping[str, Fraction]) -> Value:
    base, exponent = (evaluate(arg, environment) for arg in tree.args)
    if not isinstance(exponent, Fraction):
        return _finite(complex(base) ** exponent)
    if exponent.denominator == 1:
        return _integer_power(base, exponent.numerator)
    root = _root_of(base, exponent.denominator)
    return _integer_power(root, exponent.numerator)


def _integer_power(base: Value, exponent: int) -> Value:
    if not isinstance(base, Fraction):
        return _finite(base**exponent)
    if abs(base) != 1 and base and _bits(base) * abs(exponent) > EXACT_BITS:
        raise TooLargeError("power")
    if abs(base) == 1:
        exponent %= 2
    if base == 0:
        if exponent < 0:
            raise UndefinedValueError("power of zero")
        return Fraction(int(exponent == 0))
    return Fraction(base**exponent)


def _root(tree: Node, environment: Mapping[str, Fraction]) -> Value:
    radicand, degree = (evaluate(arg, environment) for arg in tree.args)
    if not isinstance(degree, Fraction) or degree.denominator != 1 or not 0 < degree <= 1_000:
        raise UnclearValueError("degree of a root")
    if isinstance(radicand, Fraction) and radicand < 0 and degree % 2:
        return -_root_of(-radicand, degree.numerator)
    return _root_of(radicand, degree.numerator)


def _root_of(radicand: Value, degree: int) -> Value:
    """The principal root, exact where it is rational."""
    if not isinstance(radicand, Fraction):
        return complex(radicand) ** (1 / degree)
    if radicand < 0 and degree % 2:
        raise UnclearValueError("odd root of a negative number")
    if radicand >= 0:
        top, bottom = (_integer_root(part, degree) for part in (radicand.numerator, radicand.denominator))
        if top is not None and bottom is not None:
            return Fraction(top, bottom)
    return _finite(complex(float(radicand)) ** (1 / degree))


def _integer_root(value: int, degree: int) -> int | None:
    if degree == 2:
        root = math.isqrt(value)
        return root if root * root == value else None
    guess = round(float(value) ** (1 / degree))
    return guess if guess**degree == value else None


def _absolute(tree: Node, environment: Mapping[str, Fraction]) -> Value:
    value = evaluate(tree.args[0], environment)
    return abs(value) if isinstance(value, Fraction) else complex(abs(value))


def _rounded(rounding: Callable[[float], int]) -> _Operation:
    def operation(tree: Node, environment: Mapping[str, Fraction]) -> Value:
        value = evaluate(tree.args[0], environment)
        if isinstance(value, Fraction):
            return Fraction(rounding(value))  # type: ignore[arg-type]
        if value.imag:
            raise UndefinedValueError("floor of a complex number")
        return Fraction(rounding(value.real))

    return operation


def _call(tree: Node, environment: Mapping[str, Fraction]) -> Value:
    if tree.name in ("sin", "cos", "tan", "cot", "sec", "csc"):
        angle = tree.args[0]
        degrees = angle.op == "call" and angle.name == "degrees"
        value = complex(evaluate(angle, environment)) * (math.pi / 180 if degrees else 1)
        return _finite(_TRIGONOMETRY[tree.name](value))
    values = [evaluate(arg, environment) for arg in tree.args]
    if tree.name == "degrees":
        return values[0]
    if tree.name in ("factorial", "double_factorial", "binomial"):
        return _counted(tree.name, values)
    if tree.name in ("log", "lg") and len(values) == 2:
        return _logarithm(values[0], values[1])
    return _finite(_FUNCTIONS[tree.name](complex(values[0])))


def _logarithm(value: Value, base: Value) -> Value:
    """To a base, exact where it is a whole number."""
    quotient = cmath.log(complex(value)) / cmath.log(complex(base))
    whole = round(quotient.real)
    if isinstance(base, Fraction) and abs(whole) < 100 and base and Fraction(base**whole) == value:
        return Fraction(whole)
    return _finite(quotient)


def _counted(name: str, values: list[Value]) -> Value:
    """Factorials and binomial coefficients of whole numbers."""
    whole = [value.numerator for value in values if isinstance(value, Fraction) and value.denominator == 1]
    if len(whole) < len(values) or min(whole) < 0:
        raise UnclearValueError(name)
    if max(whole) > _FACTORIAL_LIMIT:
        raise TooLargeError(name)
    if name == "binomial":
        return Fraction(math.comb(whole[0], whole[1]))
    return Fraction(math.factorial(whole[0]) if name == "factorial" else math.prod(range(whole[0], 0, -2)))


_Operation = Callable[[Node, Mapping[str, Fraction]], Value]
_OPERATIONS: dict[str, _Operation] = {
    "num": lambda tree, _: tree.value,
    "var": _variable,
    "const": _constant,
    "add": _binary(lambda a, b: a + b, lambda a, b: a + b),
    "sub": _binary(lambda a, b: a - b, lambda a, b: a - b),
    "mul": _binary(lambda a, b: a * b, lambda a, b: a * b),
    "div": _binary(lambda a, b: a / b, lambda a, b: a / b),
    "pow": _power,
    "neg": _negative,
    "root": _root,
    "call": _call,
    "abs": _absolute,
    "floor": _rounded(math.floor),
    "ceil": _rounded(math.ceil),
}
_TRIGONOMETRY: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda x: 1 / cmath.tan(x),
    "sec": lambda x: 1 / cmath.cos(x),
    "csc": lambda x: 1 / cmath.sin(x),
}
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "arccot": lambda x: math.pi / 2 - cmath.atan(x),
    "arcsec": lambda x: cmath.acos(1 / x),
    "arccsc": lambda x: cmath.asin(1 / x),
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "ln": cmath.log,
    "log": cmath.log,
    "lg": cmath.log10,
    "exp": cmath.exp,
}
