r"""Ways to write the same answer, and near misses of it, made from any gold: what a grader must accept and reject.

Each variant is a rule over the gold's text; it yields nothing where the rule does not apply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction

_FRACTION = re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")
_WHOLE = re.compile(r"-?\d+")


def equal_variants(gold: str) -> Iterator[tuple[str, str]]:
    """(rule, answer) pairs that are equal to the gold."""
    for name, rule in _EQUAL.items():
        for answer in rule(gold):
            if answer != gold or name == "gold":
                yield name, answer


def wrong_variants(gold: str) -> Iterator[tuple[str, str]]:
    """(rule, answer) pairs that are not equal to the gold."""
    for name, rule in _WRONG.items():
        for answer in rule(gold):
            yield name, answer


def _replaced(pattern: str, replacement: str) -> Callable[[str], list[str]]:
    return lambda gold: [re.sub(pattern, replacement, gold)] if re.search(pattern, gold) else []


def _fraction(render: Callable[[int, int], str]) -> Callable[[str], list[str]]:
    def rule(gold: str) -> list[str]:
        found = _FRACTION.fullmatch(gold)
        return [render(int(found[1]), int(found[2]))] if found else []

    return rule


def _mixed(gold: str) -> list[str]:
    found = _FRACTION.fullmatch(gold)
    if not found or int(found[1]) < int(found[2]):
        return []
    whole, rest = divmod(int(found[1]), int(found[2]))
    return [rf"{whole}\frac{{{rest}}}{{{found[2]}}}", f"{whole} {rest}/{found[2]}"]


def _decimal(gold: str) -> list[str]:
    found = _FRACTION.fullmatch(gold)
    value = Fraction(int(found[1]), int(found[2])) if found else None
    if value is None or 10**6 % value.denominator:
        return []
    return [repr(float(value))]


def _grouped(separator: str) -> Callable[[str], list[str]]:
    return lambda gold: [f"{int(gold):,}".replace(",", separator)] if re.fullmatch(r"\d{4,}", gold) else []


def _listed(gold: str) -> list[str]:
    parts = [part.strip() for part in gold.split(",")]
    return parts if re.fullmatch(r"-?\d+( *, *-?\d+)+", gold) and not re.search(r",\\!|,\d{3}", gold) else []


def _if_whole(render: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    return lambda gold: render(gold) if _WHOLE.fullmatch(gold) else []


def _signed(gold: str) -> list[str]:
    if "\\text" in gold or gold.startswith(("(", "[", "\\left", "\\begin", "0")) or "=" in gold or "\\in" in gold:
        return []
    return [gold[1:] if gold.startswith("-") else f"-{gold}"]


def _other_digit(gold: str) -> list[str]:
    if "=" in gold:
        return []
    found = re.search(r"\d", gold)
    return [gold[: found.start()] + str((int(found[0]) + 3) % 9 + 1) + gold[found.end() :]] if found else []


_EQUAL: dict[str, Callable[[str], list[str]]] = {
    "gold": lambda gold: [gold],
    "without spaces": lambda gold: [re.sub(r"(?<![a-z]) | (?![a-zA-Z])", "", gold)] if "\\text" not in gold else [],
    "full stop": lambda gold: [f"{gold}."],
    "dollars around": lambda gold: [f"${gold}$", rf"\({gold}\)"],
    "displaystyle": lambda gold: [rf"\displaystyle {gold}"],
    "point zero": _if_whole(lambda gold: [f"{gold}.0"]),
    "x =": _if_whole(lambda gold: [f"x = {gold}", f"x={gold}"]),
    "bold": _if_whole(lambda gold: [rf"\mathbf{{{gold}}}", rf"\textbf{{{gold}}}"]),
    "dfrac": _replaced(r"\\[dt]?frac", r"\\dfrac"),
    "tfrac": _replaced(r"\\[dt]?frac", r"\\tfrac"),
    "slash": _fraction(lambda top, bottom: f"{top}/{bottom}"),
    "bracketed slash": _replaced(r"\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}", r"(\1)/(\2)"),
    "negative numerator": _fraction(lambda top, bottom: rf"-\frac{{{-top}}}{{{bottom}}}"),
    "mixed number": _mixed,
    "decimal": _decimal,
    "thousands": lambda gold: [each for mark in (",", "{,}", r",\!", r"\,", r"\ ") for each in _grouped(mark)(gold)],
    "degrees": lambda gold: (
        [gold.replace(r"^\circ", unit) for unit in ("", "°", r"^{\circ}", r"\text{ degrees}", " degrees", r"\degree")]
        if r"^\circ" in gold
        else []
    ),
    "pi": _replaced(r"\\pi", "π"),
    "sqrt": _replaced(r"\\sqrt\{(\d+)\}", r"sqrt(\1)"),
    "root sign": _replaced(r"\\sqrt\{(\d+)\}", r"√\1"),
    "base braces": _replaced(r"^(\d+)_\{?(\d)\}?$", r"\1_{\2}"),
    "base words": _replaced(r"^(\d+)_\{?(\d)\}?$", r"\1_{\\text{\2}}"),
    "bmatrix": _replaced(r"pmatrix", "bmatrix"),
    "left and right": _replaced(r"^\((.*)\)$", r"\\left( \1 \\right)"),
    "bare words": _replaced(r"^\\text\{([^{}]*)\}$", r"\1"),
    "other fonts": lambda gold: [gold.replace(r"\text{", f"\\{font}{{") for font in ("mathrm", "textbf", "textit")],
    "unit dropped": _replaced(r"(?<=\d)\s*\\(text|mbox)\{ ?[a-z]+\}(\^2)?$", ""),
    "money": _replaced(r"\\\$", ""),
    "right side": _replaced(r"^[xy] ?= ?", ""),
    "set for list": lambda gold: [rf"\{{{', '.join(_listed(gold))}\}}"] if _listed(gold) else [],
    "list turned": lambda gold: [", ".join(_listed(gold)[::-1])] if _listed(gold) else [],
    "list with and": lambda gold: (
        [r" \text{ and } ".join(_listed(gold)), " and ".join(_listed(gold))] if _listed(gold) else []
    ),
    "named roots": lambda gold: (
        [", ".join(f"x_{at} = {part}" for at, part in enumerate(_listed(gold), 1))] if _listed(gold) else []
    ),
    "either root": _replaced(r"^(-?\w+) \\pm (.*)$", r"\1 + \2, \1 - \2"),
    "leading zero": _replaced(r"^\.", "0."),
    "trailing zero": _replaced(r"^(\d*\.\d+)$", r"\g<1>0"),
}
_WRONG: dict[str, Callable[[str], list[str]]] = {
    "sign": _signed,
    "digit": _other_digit,
    "plus one": _if_whole(lambda gold: [str(int(gold) + 1)]),
    "times ten": _if_whole(lambda gold: [f"{gold}0"] if gold != "0" else []),
    "reciprocal": _fraction(lambda top, bottom: rf"\frac{{{bottom}}}{{{top}}}"),
    "numerator": _fraction(lambda top, bottom: str(top)),
    "another base": _replaced(r"^(\d+)_\{?(\d)\}?$", r"\1_{11}"),
    "closed for open": _replaced(r"^\((.*)\)$", r"[\1]"),
    "turned": lambda gold: (
        [f"({', '.join(gold[1:-1].split(',')[::-1])})"] if re.fullmatch(r"\((-?\d+), ?(-?\d+)\)", gold) else []
    ),
    "one of the list": lambda gold: _listed(gold)[:1],
    "unit power": _replaced(r"\}\^2$", "}^3"),
}
