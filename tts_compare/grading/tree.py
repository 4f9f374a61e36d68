"""The tree of an expression: what the parser makes and the evaluation walks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node. op: a key of the operations in ``evaluate``; name: variable, constant, function or literal as written;
    value: a literal's exact value; args: operands.
    """

    op: str
    args: tuple[Node, ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A parsed expression. decimals, digits: of a decimal literal, the digits shown after the point and in all."""

    tree: Node
    variables: frozenset[str]
    ambiguous: bool
    decimals: int | None = None
    digits: int = 0
