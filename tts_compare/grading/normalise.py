r"""LaTeX as models write it -> one spelling. Pure text work, linear in the length; nothing is evaluated."""
# ruff: noqa: RUF001 - the table is about characters that look like others

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": r"\times ", "⋅": r"\cdot ", "·": r"\cdot ",
    "∙": r"\cdot ", "÷": "/", "⁄": "/", "∕": "/", "π": r"\pi ", "∞": r"\infty ", "°": r"^\circ ", "º": r"^\circ ",
    "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "±": r"\pm ", "∓": r"\mp ", "√": r"\sqrt ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}", "θ": r"\theta ",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "φ": r"\phi ", "ω": r"\omega ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "。": ".", "∛": r"\sqrt[3]", "⋃": r"\cup ", "€": "", "£": "",
    "¢": r"\text{ cents}",
}  # fmt: skip
_UNICODE_TABLE = str.maketrans(_UNICODE)
_RAISED = re.compile(r"[⁰¹²³⁴-⁹⁺⁻ⁿ]+|[₀-₉]+")
_VULGAR = re.compile(r"[¼-¾⅐-⅞]")


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


_DROPPED = _names(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr ! $ ( ) [ ] displaystyle textstyle "
    "limits nolimits boldsymbol rm bf it mathstrut strut tiny small "
    " normalsize large Large LARGE huge Huge underline mathnormal ensuremath"
)
_SPACES = _names(", ; : > / quad qquad enspace thinspace space") | {" ", "\n", "\t"}
_RENAMED = {
    "dfrac": r"\frac", "tfrac": r"\frac", "cfrac": r"\frac", "leq": r"\le", "geq": r"\ge", "leqslant": r"\le",
    "geqslant": r"\ge", "neq": r"\ne", "lt": "<", "gt": ">", "lbrace": r"\{", "rbrace": r"\}", "lbrack": "[",
    "rbrack": "]", "lparen": "(", "rparen": ")", "vert": "|", "lvert": "|", "rvert": "|", "mid": "|", "ast": "*",
    "cdotp": r"\cdot", "degree": r"^\circ", "dbinom": r"\binom", "tbinom": r"\binom", "%": "%", "_": "_",
    "varnothing": r"\emptyset", "simeq": r"\approx", "colon": ":", "newline": r"\\", "cr": r"\\", "varphi": r"\phi",
    "nicefrac": r"\frac", "sfrac": r"\frac", "bigcup": r"\cup", "textdegree": r"^\circ", "bar": r"\overline",
    "dot": r"\overline", "land": r"\text{and}", "wedge": r"\text{and}", "lor": r"\text{or}", "vee": r"\text{or}",
    "text": r"\text", "mbox": r"\text", "hbox": r"\text", "textbf": r"\text", "textit": r"\text",
    "textrm": r"\text", "textsf": r"\text", "texttt": r"\text", "textnormal": r"\text", "emph": r"\text",
    "mathrm": r"\text", "mathbf": r"\letter", "mathit": r"\letter", "mathsf": r"\letter", "mathtt": r"\text",
    "operatorname": r"\text", "mathcal": r"\letter", "bm": r"\letter",
}  # fmt: skip
_COMMAND = re.compile(r"\\([a-zA-Z]+|.)", re.DOTALL)
_THOUSANDS = re.compile(r"(?<=\d)\s*(?:,\s*\\!|\{,\}|\\[,;: ]|~|\\thinspace|\\!)\s*(?=\d{3}(?!\d))")
_CONJUNCTION = re.compile(r",?\s*(?:\\text\s*\{\s*,?\s*(?:and|or)\s*\}|(?<![a-zA-Z\\{])(?:and|or)(?![a-zA-Z}]))\s*")
_PLAIN_GROUP = re.compile(
    r"\\(?:text\s*\{\s*([A-Za-fi-kn-rt-z]|[^{}A-Za-z]*[\d+,;:-][^{}A-Za-z]*)|letter\s*\{\s*([A-Za-z]|[^{}A-Za-z]+))\s*\}"
)
_LETTER = re.compile(r"\\letter(\s*\{\s*[A-Za-z][A-Za-z ]*\})?")
_COUNTED = re.compile(r"\\text\s*\{\s*(-?\d[\d.,/]*)\s+([A-Za-z][^{}\d]*)\}")
_BASE = re.compile(r"\\text\s*\{\s*\(?\s*(?:in )?base[ -](\d+|[a-z]+)\s*\)?\s*\}")
_REALS = re.compile(
    r"\\(?:mathbb|Bbb|bf)\s*(?:\{\s*R\s*\}|R(?![a-zA-Z]))|(?:\\text\s*\{\s*)?[Aa]ll real(?: number)?s?\s*\}?\Z"
)
_INFINITY = re.compile(r"(?<![\\a-zA-Z])(?:infinity|infty|inf|oo)(?![a-zA-Z])|\\text\s*\{\s*infinity\s*\}")
_DEGREE = re.compile(r"\s*(?:\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])|\\text\s*\{\s*deg(?:ree)?s?\.?\s*\})")
_BARE_SQRT = re.compile(r"(?<!\\)sqrt(?=\s*[({\[\d])")
_SQRT_DIGITS = re.compile(r"\\sqrt\s*(\d+)")
_MIXED = re.compile(r"(?<![\d.\w})])(\d+)(?:\s+(\d+)\s*/\s*(\d+)|\s*\(\s*(\d+)\s*\)\s*/\s*\(?\s*(\d+)\s*\)?)(?![\d.])")
_PERCENT = re.compile(r"\\text\s*\{\s*(?:percent|pct|percentage)\s*\}|\b(?:percent|pct)\b")
_MATRIX = re.compile(
    r"\\(begin|end)\s*\{\s*(?:small|b|p)?matrix\s*\}|\\(begin|end)\s*\{\s*array\s*\}(?:\s*\{[lcr| ]*\})?"
)
_ROW_GAP = re.compile(r"(\\\\)\s*\[\s*-?[\d.]+\s*[a-z]{2}\s*\]")
_INVISIBLE = re.compile(r"\\(?:(?:text)?color|[hv]?phantom)\s*\{[^{}]*\}")
_NEXT_EQUATION = re.compile(r"(?:\\q?quad|\\\\|\n)\s*(?=[A-Za-z](?:_\w|_\{\w+\})?\s*=)")
_SPACED_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?: \d{3})+(?! ?\d)")
_DIGITS_APART = re.compile(r"(?<!\d) | (?!\d)")
_EMPTY_SET = re.compile(r"\\\{\s*\\\}")
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_EDGES = " \t\n.,;:*`"


@lru_cache(maxsize=4_096)
def normalise(answer: str) -> str:
    r"""One spelling of an answer: spacing, ``\left``, fonts, thousands separators, unicode, degree and percent signs.

    The result is LaTeX still. Rules that depend on what the answer is (lists, labels, units) are not here.
    """
    text = _INVISIBLE.sub("", _ROW_GAP.sub(r"\1", _printable(answer)))
    text = _NEXT_EQUATION.sub(", ", text)
    text = _THOUSANDS.sub("", text)
    text = _COMMAND.sub(_respell, text).replace("$", "").replace("~", " ").replace("**", " ")
    text = text.replace("{,}", ",").replace("{:}", ":")
    text = _PLAIN_GROUP.sub(lambda found: found.group(1) or found.group(2), text)
    text = _LETTER.sub(lambda found: rf"\text{found.group(1)}" if found.group(1) else "", text)
    text = _COUNTED.sub(r"\1 \\text{\2}", _BASE.sub(r"_{\1}", text).replace("_{_{", "_{{"))
    text = _EMPTY_SET.sub(r"\\emptyset ", text)
    text = _REALS.sub(r"(-\\infty, \\infty)", _INFINITY.sub(r"\\infty ", text))
    text = _PERCENT.sub("%", _DEGREE.sub(r"^\\circ ", text))
    text = _CONJUNCTION.sub(", ", text)
    text = _SQRT_DIGITS.sub(r"\\sqrt{\1}", _BARE_SQRT.sub(r"\\sqrt", text))
    text = _MATRIX.sub(lambda found: rf"\{found.group(1) or found.group(2)}{{pmatrix}}", text)
    text = _MIXED.sub(_mixed, text)
    text = _SPACED_THOUSANDS.sub(lambda found: found.group().replace(" ", ""), " ".join(text.split()))
    return _trimmed(text)


def compact(normalised: str) -> str:
    """The normalised answer without any space but those between digits: what is compared for identity."""
    return _DIGITS_APART.sub("", normalised)


def whole_number(answer: str) -> int | None:
    """The number that an answer is, where it is nothing else but the digits of one."""
    found = _WHOLE.fullmatch(normalise(answer))
    return int(found.group()) if found else None


def _printable(text: str) -> str:
    """The text in plain characters, without control and invisible formatting ones (null bytes, direction marks)."""
    if text.isascii() and text.isprintable():
        return text
    text = _VULGAR.sub(_fraction, _RAISED.sub(_script, text)).translate(_UNICODE_TABLE)
    text = unicodedata.normalize("NFKC", text).translate(_UNICODE_TABLE)
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf"))


def _script(found: re.Match[str]) -> str:
    """Raised or lowered digits: ``x²`` as ``x^2``, ``10⁻⁵`` as ``10^{-5}``, ``52₈`` as ``52_8``."""
    plain = unicodedata.normalize("NFKC", found.group()).replace("−", "-")
    sign = "_" if found.group()[0] in "₀₁₂₃₄₅₆₇₈₉" else "^"
    return f"{sign}{plain}" if len(plain) == 1 else f"{sign}{{{plain}}}"


def _fraction(found: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", found.group()).partition("⁄")
    return rf"\frac{{{top}}}{{{bottom}}}"


def _mixed(found: re.Match[str]) -> str:
    """``3 1/2`` and ``3(1)/(2)`` are mixed numbers where the fraction is a proper one."""
    whole, top, bottom = found.group(1), found.group(2) or found.group(4), found.group(3) or found.group(5)
    proper = int(top) < int(bottom)
    return rf"{whole}\frac{{{top}}}{{{bottom}}}" if proper else found.group()


def _respell(found: re.Match[str]) -> str:
    name = found.group(1)
    if name in _DROPPED:
        return ""
    if name in _SPACES:
        return " "
    return _RENAMED.get(name, found.group())


def _trimmed(text: str) -> str:
    """Without punctuation at the edges; a leading point that begins a decimal stays."""
    text = text.rstrip(_EDGES)
    if text.endswith("\\"):
        text = text.rstrip("\\ ")
    stripped = text.lstrip(_EDGES)
    begins_decimal = len(stripped) < len(text) and text[len(text) - len(stripped) - 1] == "." and stripped[:1].isdigit()
    return f".{stripped}" if begins_decimal else stripped
