"""Text from outside, a model's or a server's, made safe to show: no terminal and no reader obeys it."""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1, the line separators, and the marks that reorder a line (Unicode TR 9) or hide in it.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)


def plain(text: str) -> str:
    r"""The same text with every character that steers a terminal written out (ESC becomes ``\x1b``).

    Tabs and newlines stay; a lone surrogate, which no encoding can hold, becomes U+FFFD.
    """
    return _UNSAFE.sub(_written_out, text.replace("\r\n", "\n"))


def safe_json(text: str) -> str:
    r"""JSON that says the same with every character that steers a reader as JSON's own escape (``\\u202e``)."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str, limit: int = 240) -> str:
    """``plain`` text on one line, cut at ``limit`` characters with an ellipsis."""
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


#: What reports themselves write beyond ASCII, for a terminal that cannot show it.
_ASCII = str.maketrans(
    {"\u2013": "-", "±": "+-", "·": ".", "µ": "u", "…": "..", "█": "#", "─": "-", "│": "|", "└": "+"}
)


def ascii_only(text: str) -> str:
    """The same text for a terminal without Unicode: our own signs by their likes, any other character as ``?``."""
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
