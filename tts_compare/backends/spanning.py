"""What an engine's adapter adds where one server runs over several nodes, or where other hosts can reach it.

Both are optional: an adapter without these methods serves on one node, and on loopback only unless it takes a key by
its environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tts_compare.backends.facts import ModelFacts
from tts_compare.domain import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One node's part of a server. Node 0 is the head, whose server answers.

    rank: this node's number; count: how many there are. address: this node's own; head, port: where the parts meet,
    an address of the head's node and a port that is free there.
    """

    rank: int
    count: int
    address: str
    head: str
    port: int


@runtime_checkable
class Spanning(Protocol):
    """An engine whose server can be made of parts on several nodes."""

    def part_argv(self, setting: Setting, argv: Sequence[str], part: Part) -> tuple[str, ...]:
        """The command line of one node's part, from that of the whole server on one node."""

    def part_env(
        self, setting: Setting, part: Part, *, cores: Sequence[int] = (), model: ModelFacts | None = None
    ) -> dict[str, str]:
        """As ``Backend.env``, for one node's part; cores: ids of usable cores of that node."""


@runtime_checkable
class KeyByFile(Protocol):
    """An engine that can read its API key from a file that only its user can read."""

    def key_file(self) -> tuple[str, str]:
        """The flag that names the file, and the file's text with ``{key}`` in it."""
