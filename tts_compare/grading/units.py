r"""Units behind a value: found, dropped, and compared only where both answers carry one that we know."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SYNONYMS = {
    "in": "inch inches in",
    "ft": "foot feet ft",
    "yd": "yard yards yd",
    "mi": "mile miles mi",
    "mm": "millimeter millimeters millimetre millimetres mm",
    "cm": "centimeter centimeters centimetre centimetres cm",
    "m": "meter meters metre metres m",
    "km": "kilometer kilometers kilometre kilometres km",
    "g": "gram grams g",
    "kg": "kilogram kilograms kg",
    "lb": "pound pounds lb lbs",
    "oz": "ounce ounces oz",
    "s": "second seconds sec secs s",
    "min": "minute minutes min mins",
    "h": "hour hours hr hrs h",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "year years yr yrs",
    "degree": "degree degrees deg",
    "radian": "radian radians rad rads",
    "cent": "cent cents",
    "dollar": "dollar dollars usd",
    "mph": "mph",
    "unit": "unit units",
}
_MONTHS = "january february march april may june july august september october november december"
_KNOWN = {word: unit for unit, words in _SYNONYMS.items() for word in words.split()}
_KNOWN |= {"a m": "am", "p m": "pm", "am": "am", "pm": "pm"} | {month: month for month in _MONTHS.split()}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_NO_UNIT = re.compile(
    r"(?:,|(?:to|out|less|more|plus|minus|times|over|factorial|squared|cubed)\b)|.*\s\d", re.IGNORECASE
)
_POWERS = {"square": 2, "squared": 2, "sq": 2, "cubic": 3, "cubed": 3, "cu": 3}
_GROUP = r"\\text\s*\{[^{}]*\}"
_BEHIND = re.compile(
    rf"(?P<value>.*?[\w)}}\]!.])\s*(?P<unit>(?:{_GROUP}\s*/?\s*)+)(?:\^\s*\{{?\s*(?P<power>\d)\s*\}}?)?", re.DOTALL
)
_BARE = re.compile(
    r"(?P<value>.*?[\d)}\]!.])\s*(?P<unit>(?:(?:square|sq|cubic|cu)\.? )?[A-Za-z]{2,}(?: [a-z]{2,})*)\.?"
    r"(?:\^\s*\{?\s*(?P<power>\d)\s*\}?)?",
    re.DOTALL,
)
_DEGREE = re.compile(r"(?P<value>.*\S)\s*\^\\circ\s*(?P<scale>[CF]?)", re.DOTALL)
_MODULUS = re.compile(
    r"(?P<value>.*?\S)\s*(?:\\pmod\s*\{?|\(?\s*\\text\s*\{\s*\(?\s*mod\s*\}?)\s*(?P<modulus>\d+)[\s})]*", re.DOTALL
)
_TRIGONOMETRIC = re.compile(r"(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_NOT_A_UNIT = (
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "log",
    "ln",
    "exp",
    "arcsin",
    "arccos",
    "arctan",
    "sqrt",
    "infty",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit: its usual abbreviation where we know it, else the words as written; and its power."""

    name: str
    power: int
    known: bool


def split_unit(text: str) -> tuple[str, Unit | None, bool]:
    """Value, unit and whether a percent sign stood there. A value without a unit comes back as it is."""
    text = text.strip()
    if text.endswith("%"):
        return text.rstrip("%\\ "), None, True
    degrees = _DEGREE.fullmatch(text)
    congruent = _MODULUS.fullmatch(text)
    if congruent:
        return congruent["value"], Unit(name=f"mod {congruent['modulus']}", power=1, known=True), False
    if degrees and not _TRIGONOMETRIC.search(text):
        return degrees["value"], Unit(name="degree", power=1, known=True), False
    behind = _BEHIND.fullmatch(text) or _bare(text)
    if not behind:
        return text, None, False
    words = re.sub(r"\\text|[{}]", " ", behind["unit"]).strip(" /.").split()
    value = behind["value"]
    if _NO_UNIT.match(" ".join(words)):
        return text, None, False
    if words and (scale := _SCALES.get(words[0].casefold().removesuffix("s"))):
        value, words = rf"({value}) \cdot {scale}", words[1:]
    return value, _unit(" ".join(words), int(behind["power"] or 1)) if words else None, False


def differ(first: Unit | None, second: Unit | None) -> bool:
    """Whether two units are surely not the same: both known and of another name, or one name in two powers."""
    if first is None or second is None:
        return False
    if first.name == second.name:
        return first.power != second.power
    return first.known and second.known and "unit" not in (first.name, second.name)


def _bare(text: str) -> re.Match[str] | None:
    r"""A unit without ``\text``: a word we know, or any word of four letters, directly behind a value."""
    if not text[-1:].isalnum() and text[-1:] not in ".}":
        return None
    found = _BARE.fullmatch(text)
    if not found:
        return None
    words = found["unit"].casefold().split()
    if words[0] in _NOT_A_UNIT:
        return None
    return found if words[-1] in _KNOWN or words[0] in _POWERS or max(map(len, words)) >= 4 else None


def _unit(words: str, power: int) -> Unit:
    named = []
    for word in words.casefold().replace(".", " ").split():
        if word in _POWERS:
            power = _POWERS[word]
        else:
            named.append(word)
    name = " ".join(named)
    return Unit(name=_KNOWN.get(name, name.removesuffix("s")), power=power, known=name in _KNOWN)
