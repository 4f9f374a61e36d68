r"""Inequalities as the intervals they describe, so that ``-2 \le x \le 7`` can answer ``[-2,7]``."""

from __future__ import annotations

from tts_compare.grading.structure import Answer, Items, Relation, Scalar
from tts_compare.grading.tree import Expression, Node

FLIPPED = {"<": ">", ">": "<", "le": "ge", "ge": "le", "=": "="}
_OPEN_END = {"<": True, ">": True, "le": False, "ge": False}


def as_interval(relation: Relation) -> Answer | None:
    """``x \\in I``, ``a < x <= b`` or ``x > a`` as the interval it describes; None for any other relation."""
    if relation.operators == ("in",):
        return relation.value
    if not set(relation.operators) <= set(_OPEN_END) or not all(isinstance(side, Scalar) for side in relation.sides):
        return None
    sides, operators = list(relation.sides), list(relation.operators)
    if {operator in ("<", "le") for operator in operators} == {False}:
        sides, operators = sides[::-1], [FLIPPED[operator] for operator in operators[::-1]]
    names = [isinstance(side, Scalar) and side.expression.tree.op == "var" for side in sides]
    infinite = Scalar(expression=_INFINITY)
    if names == [True, False]:
        return _interval(Scalar(expression=_MINUS_INFINITY), sides[1], open_left=True, open_right=operators[0] == "<")
    if names == [False, True]:
        return _interval(sides[0], infinite, open_left=operators[0] == "<", open_right=True)
    if names == [False, True, False] and not set(operators) - {"<", "le"}:
        return _interval(sides[0], sides[2], open_left=operators[0] == "<", open_right=operators[1] == "<")
    return None


def as_union(items: Items, *, of: Items | None = None) -> Items:
    """A bare list of inequalities (``x < 0 or x > 3``) as the union of its intervals, where ``of`` is a union."""
    if items.brackets or (of is not None and of.brackets != "u"):
        return items
    intervals = [as_interval(part) if isinstance(part, Relation) else None for part in items.parts]
    found = tuple(interval for interval in intervals if interval is not None)
    return Items(brackets="u", parts=found) if len(found) == len(items.parts) else items


def _interval(left: Answer, right: Answer, *, open_left: bool, open_right: bool) -> Items:
    return Items(brackets=("(" if open_left else "[") + (")" if open_right else "]"), parts=(left, right))


def _constant(tree: Node) -> Expression:
    return Expression(tree=tree, variables=frozenset(), ambiguous=False)


_INFINITY = _constant(Node(op="const", name="infty"))
_MINUS_INFINITY = _constant(Node(op="neg", args=(_INFINITY.tree,)))
