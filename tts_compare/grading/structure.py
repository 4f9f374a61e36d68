r"""What an answer is: a number or expression, a list, a bracketed group, a matrix, a relation, a numeral, a text.

``parse_answer`` reads a normalised answer once; which two structures are equal is decided in ``equality``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tts_compare.grading.expression import NotAnExpressionError, TooBigToReadError, parse_expression
from tts_compare.grading.tree import Expression
from tts_compare.grading.units import Unit, split_unit

_PARTS_LIMIT = 100
_DEPTH_LIMIT = 6
_OPAQUE_LIMIT_CHARS = 600
_LABEL = re.compile(
    r"\s*(?:\\text\s*\{[^{}]*\}|m?\s*\\(?:angle|overline|triangle)\s*(?:\{[A-Za-z ]*\}|[A-Za-z]+)"
    r"|\|?\s*[A-Z]{2,3}\s*\|?"
    r"|(?:\\[a-zA-Z]+|[A-Za-z])'*(?:\s*_\s*(?:\{[^{}]*\}|\w))?(?:\s*\(\s*[a-zA-Z](?:\s*,\s*[a-zA-Z])*\s*\))?)\s*"
)
_VARIABLE = re.compile(r"\s*[a-zA-Z]\s*")
_RELATION = re.compile(r"\\(?:le|ge|in|ne|approx|equiv|to|mapsto|sim)(?![a-zA-Z])|<=|>=|[=<>]")
_COMMAND_NAME = re.compile(r"\\[a-zA-Z]+")
_COMMAND = re.compile(r"\\[a-zA-Z]+|\\.|.", re.DOTALL)
_NUMERAL = re.compile(
    r"(-?)\(?([0-9][0-9A-Za-z]*)\)?\s*_[\s{]*(?:\\text\s*\{\s*)?(?:base\s*\}?\s*)?\(?([0-9]{1,2}|[a-z]+)[\s})]*"
)
_BASES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "sixteen": 16,
}  # fmt: skip
_OPTION = re.compile(r"(?:(?:Option|Choice|Answer):?\s*)?\(?\s*([A-J])\s*(\)|[.:]\s|\Z)")
_SEVERAL_OPTIONS = re.compile(r"\(?\s*[A-J]\s*\)?\s*(?:[,;&/]\s*\(?\s*[A-J]\s*(?:[),;.&/]|\Z)|\([A-J]\))")
_BUILDER = re.compile(r"\s*[a-zA-Z]\s*(?:\\in\s*\(-\\infty, \\infty\)\s*)?[|:](?=[^|]*\Z)")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_TWO_READINGS = re.compile(r"(?<![\d.,])\d{1,3}(?:,[1-9]\d{2})+(?![\d,])")
_OPEN, _CLOSE = ("(", "[", "{", "\\{", "\\langle"), (")", "]", "}", "\\}", "\\rangle")
_BRACKETS = {"\\{": "{", "\\}": "}", "\\langle": "<", "\\rangle": ">"}
_WORD = re.compile(r"(?:[A-Za-z]{4,}|[A-Za-z]{3,}(?:[ -][A-Za-z]{2,})+|[Yy]es|[Nn]o)\.?")
_TEXT_GROUP = re.compile(r"\\text\s*\{([^{}]*)\}")
_PM = re.compile(r"\\(pm|mp)(?![a-zA-Z])")
_MATRIX = re.compile(r"\\begin\{(pmatrix|vmatrix)\}((?:(?!\\begin).)*?)\\end\{\1\}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """An expression with its unit, or with ``percent``."""

    expression: Expression
    unit: Unit | None = None
    percent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeral:
    """Digits in a stated base other than ten."""

    sign: str
    digits: str
    base: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Words; ``letters`` is what is compared: lower case, letters and digits only."""

    letters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Several answers. brackets: ``""`` for a bare list, ``()`` ``(]`` ``[]`` ... as written, ``{}`` a set,
    ``u`` the parts of a union, ``:`` a ratio.
    """

    brackets: str
    parts: tuple[Answer, ...]

    @property
    def ordered(self) -> bool:
        """Whether the order of the parts matters."""
        return self.brackets not in ("", "{}", "u")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Rows of entries. ``kind`` is ``pmatrix`` (any bracket) or ``vmatrix`` (a determinant)."""

    kind: str
    rows: tuple[tuple[Answer, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """``left op ... op right``; label: the name on the left of ``x = 5`` or ``x \\in [1,2]``, None for an equation."""

    operators: tuple[str, ...]
    sides: tuple[Answer, ...]
    label: str | None = None

    @property
    def value(self) -> Answer:
        """The last side, or the one before an approximation of it."""
        if "approx" in self.operators:
            at = self.operators.index("approx")
            if at > 0 or self.label is None:
                return self.sides[at]
        return self.sides[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """Something this grammar cannot read; only the symbolic step can, unless it is ``refused`` as too big."""

    text: str
    refused: bool = False


Answer = Scalar | Numeral | Text | Items | Matrix | Relation | Opaque


@lru_cache(maxsize=4_096)
def parse_answer(text: str, *, thousands: bool = True) -> Answer:
    """The structure of a normalised answer. thousands: whether ``1,234`` is one number or a list of two."""
    if thousands and not text.startswith(("(", "[", "\\{", "\\langle")):
        text = _THOUSANDS.sub(lambda found: found.group().replace(",", ""), text)
    return _answer(text)


def option_letter(text: str) -> tuple[str, bool] | None:
    """The letter of ``C``, ``(C)``, ``C. 12`` or ``\\text{(C) } 12``, and whether it stands alone; None for several."""
    plain = option_text(text)
    found = _OPTION.match(plain)
    return (found.group(1), found.end() == len(plain)) if found and not several_options(plain) else None


def option_text(text: str) -> str:
    """A normalised option without text commands and braces."""
    return re.sub(r"\\text\s*|[{}]", "", text).strip()


def several_options(plain: str) -> bool:
    """Whether a plain text names more than one option: ``A, B``, ``(A)(B)``."""
    return bool(_SEVERAL_OPTIONS.match(plain))


def has_thousands(text: str) -> bool:
    """Whether some ``1,234`` could be read in two ways; ``1,000`` is no list of 1 and 000."""
    return bool(_TWO_READINGS.search(text))


def _answer(text: str, depth: int = 0) -> Answer:
    text = text.strip()
    if not text:
        return Opaque(text=text)
    if depth > _DEPTH_LIMIT:
        return _scalar(text)
    words = _words(text)
    if words is not None:
        return words
    numeral = _NUMERAL.fullmatch(text)
    if numeral:
        found = _numeral(*numeral.groups())
        if found:
            return found
    for reading in (_list, _relation, _union, _bracketed, _matrix, _ratio):
        read = reading(text, depth)
        if read is not None:
            return read
    return _scalar(text)


def _words(text: str) -> Text | None:
    """Words: text groups with nothing but punctuation around them, or a bare word of four letters or more."""
    if "\\text" in text:
        outside = _TEXT_GROUP.sub("", text)
        bare = "".join(_TEXT_GROUP.findall(text)) if not outside.strip(" ().,;:-^{}") else None
    else:
        bare = text if _WORD.fullmatch(text) and text != "infty" else None
    if bare is None:
        return None
    letters = letters_of(bare)
    return Text(letters=letters) if letters else None


def letters_of(text: str) -> str:
    """What is compared of words: letters and digits in lower case, without commands and punctuation."""
    return "".join(char for char in _COMMAND_NAME.sub("", text).casefold() if char.isalnum())


def _numeral(sign: str, digits: str, base: str) -> Answer | None:
    radix = int(base) if base.isdigit() else _BASES.get(base, 0)
    if not 2 <= radix <= 36 or (not digits.isdigit() and radix <= 10):
        return None
    if radix == 10:
        return _scalar(sign + digits)
    return Numeral(sign=sign, digits=digits.upper().lstrip("0") or "0", base=radix)


def split_top(text: str, separators: tuple[str, ...]) -> list[str]:
    """Split at separators outside of every bracket; half-open intervals count as brackets too."""
    parts: list[str] = []
    current: list[str] = []
    depth = inside = 0
    for symbol in _COMMAND.findall(text):
        if symbol == "\\begin":
            inside += 1
        elif symbol == "\\end":
            inside -= 1
        depth += (symbol in _OPEN) - (symbol in _CLOSE)
        if symbol in separators and depth <= 0 and not inside and len(parts) < _PARTS_LIMIT:
            parts.append("".join(current))
            current = []
        else:
            current.append(symbol)
    return [*parts, "".join(current)]


def _list(text: str, depth: int) -> Answer | None:
    parts = split_top(text, (",", ";"))
    if len(parts) == 1:
        return _plus_minus(text, depth)
    found: list[Answer] = []
    for part in parts:
        if not part.strip():
            continue
        read = _answer(part, depth + 1)
        found.extend(read.parts if isinstance(read, Items) and not read.brackets else [read])
    return Items(brackets="", parts=tuple(found)) if len(found) != 1 else found[0]


def _plus_minus(text: str, depth: int) -> Answer | None:
    """``a \\pm b`` outside of brackets is the list ``a + b, a - b``; ``\\mp`` takes the other sign."""
    signs = _PM.findall(text)
    if not signs or (len(signs) != 1 and set(signs) != {"pm", "mp"}):
        return None
    both = []
    for upper in ("+", "-"):
        lower = "-" if upper == "+" else "+"
        both.append(_answer(_PM.sub(lambda found: upper if found.group(1) == "pm" else lower, text), depth + 1))  # noqa: B023
    if any(not isinstance(read, Scalar | Relation) for read in both):
        return None
    return Items(brackets="", parts=tuple(both))


def _relation(text: str, depth: int) -> Answer | None:
    if not _RELATION.search(text):
        return None
    sides = split_top(_RELATION.sub(r"\\rel ", text), ("\\rel",))
    operators = [{"<=": "le", ">=": "ge"}.get(op.lstrip("\\"), op.lstrip("\\")) for op in _RELATION.findall(text)]
    if len(sides) != len(operators) + 1:
        return None
    if not sides[0].strip() and operators[0] in ("=", "approx"):
        return _answer(sides[1], depth + 1) if len(sides) == 2 else None
    if operators == ["="] and _VARIABLE.fullmatch(sides[1]) and not _LABEL.fullmatch(sides[0]):
        sides.reverse()
    named = operators[0] in ("=", "in", "approx", "equiv") and _LABEL.fullmatch(sides[0])
    return Relation(
        operators=tuple(operators),
        sides=tuple(_answer(side, depth + 1) for side in sides),
        label=_label(sides[0]) if named else None,
    )


def _label(side: str) -> str:
    """The name of a quantity; words and names of several letters carry no meaning worth comparing."""
    plain = re.sub(r"[\s{}]", "", side)
    return plain if re.fullmatch(r"\\?[A-Za-z]+'*(_\w+)?(\([a-z,]*\))?", plain) and "\\text" not in plain else ""


def _union(text: str, depth: int) -> Answer | None:
    parts = split_top(text, ("\\cup",))
    if len(parts) == 1:
        return None
    return Items(brackets="u", parts=tuple(_answer(part, depth + 1) for part in parts))


def _bracketed(text: str, depth: int) -> Answer | None:
    tokens = _COMMAND.findall(text)
    sign, tokens = ("-", tokens[1:]) if tokens[0] == "-" else ("", tokens)
    if not tokens or tokens[0] not in _OPEN or tokens[-1] not in _CLOSE or not _encloses(tokens):
        return None
    inner = "".join(tokens[1:-1])
    if tokens[0] == "{":
        return None if sign else _answer(inner, depth + 1)
    brackets = _BRACKETS.get(tokens[0], tokens[0]) + _BRACKETS.get(tokens[-1], tokens[-1])
    builder = _BUILDER.match(inner) if brackets == "{}" and not sign else None
    if builder and _RELATION.search(inner, builder.end()):
        return _answer(inner[builder.end() :], depth + 1)
    parts = split_top(inner, (",", ";"))
    if len(parts) == 1 and brackets in ("()", "[]") and "\\pm" not in inner:
        return None if sign else _answer(inner, depth + 1)
    read = [_answer(f"-({part})" if sign else part, depth + 1) for part in parts if part.strip()]
    if brackets == "{}":
        read = [each for one in read for each in (one.parts if isinstance(one, Items) and not one.brackets else [one])]
    return Items(brackets=brackets, parts=tuple(read))


def _encloses(tokens: list[str]) -> bool:
    """Whether the first bracket closes with the last one."""
    depth = 0
    for position, symbol in enumerate(tokens):
        depth += (symbol in _OPEN) - (symbol in _CLOSE)
        if depth == 0:
            return position == len(tokens) - 1
    return False


def _matrix(text: str, depth: int) -> Answer | None:
    found = _MATRIX.fullmatch(text)
    if not found:
        return None
    rows = [row for row in split_top(found.group(2), ("\\\\",)) if row.strip()]
    cells = tuple(tuple(_answer(cell, depth + 1) for cell in split_top(row, ("&",))) for row in rows)
    return Matrix(kind=found.group(1), rows=cells)


def _ratio(text: str, depth: int) -> Answer | None:
    parts = split_top(text, (":",))
    if len(parts) == 1 or not all(part.strip() for part in parts):
        return None
    return Items(brackets=":", parts=tuple(_answer(part, depth + 1) for part in parts))


def _scalar(text: str) -> Answer:
    value, unit, percent = split_unit(text)
    try:
        return Scalar(expression=parse_expression(value), unit=unit, percent=percent)
    except TooBigToReadError:
        return Opaque(text=text, refused=True)
    except NotAnExpressionError:
        return Opaque(text=text, refused=len(text) > _OPAQUE_LIMIT_CHARS)
