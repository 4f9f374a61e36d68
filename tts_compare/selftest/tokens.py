"""A tokenizer with nothing to download: short pieces of text, whose ids spell them.

A token is up to four visible ASCII characters with the space before them, one other ASCII character, or one
non-ASCII character. Its id is its UTF-8 bytes read as a number behind a leading 1, so that ids decode without a table;
ids under 256 are special. Ids stay under 2^41: exact in every JSON reader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

EOS = 2
_PIECES = re.compile(r" ?[\x21-\x7e]{1,4}|[\x00-\x20\x7f]|[^\x00-\x7f]")


def pieces(text: str) -> list[str]:
    """Split a text into the pieces that are its tokens; joined they are the text."""
    return _PIECES.findall(text)


def token_id(piece: str) -> int:
    """The id of one piece."""
    return int.from_bytes(b"\x01" + piece.encode("utf-8", errors="replace"), "big")


def encode(text: str) -> list[int]:
    """The ids of a text."""
    return [token_id(piece) for piece in pieces(text)]


def decode(ids: Sequence[int]) -> str:
    """The text of ids; special ids have none."""
    return "".join(_piece(i) for i in ids if i >= 256)


def _piece(i: int) -> str:
    return i.to_bytes((i.bit_length() + 7) // 8, "big")[1:].decode("utf-8", errors="replace")
