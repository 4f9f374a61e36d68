r"""Whether two answers are equal, decided as cheaply as it can be: pure and bounded; it says so when it cannot decide.

Layers in order: ``identical`` (same text once normalised), ``text`` (words), ``base`` (numerals of a stated base),
``brackets``, ``units``, ``structure`` (a list against a number, lengths), ``value`` (numbers and expressions).
What is left undecided goes to the symbolic step, except where a number is too large to compute: ``limits``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

from tts_compare.grading.evaluate import TooLargeError
from tts_compare.grading.intervals import FLIPPED, as_interval, as_union
from tts_compare.grading.judgement import Verdict
from tts_compare.grading.normalise import compact
from tts_compare.grading.structure import (
    Answer,
    Items,
    Matrix,
    Numeral,
    Opaque,
    Relation,
    Scalar,
    Text,
    has_thousands,
    letters_of,
    option_letter,
    parse_answer,
)
from tts_compare.grading.tree import Expression, Node
from tts_compare.grading.units import differ
from tts_compare.grading.values import equal_values, proportional

UNDECIDED = Verdict(equal=None, layer="symbolic")
_PAIRS_LIMIT = 400
_AMID = re.compile(r"\\text\s*\{[^{}]*[A-Za-z]{2}")


def equal_answers(gold: str, answer: str) -> Verdict:
    """Compare two normalised answers. A verdict of None with the layer ``limits`` must not be tried any further."""
    if compact(gold) == compact(answer):
        return Verdict(equal=True, layer="identical")
    words = _words(gold, answer)
    if words is not None:
        return words
    try:
        verdict = compare(parse_answer(gold), parse_answer(answer))
        if verdict.equal is not True and (has_thousands(gold) or has_thousands(answer)):
            second = compare(parse_answer(gold, thousands=False), parse_answer(answer, thousands=False))
            verdict = second if second.equal else verdict
    except TooLargeError:
        return Verdict(equal=None, layer="limits")
    return verdict


def _words(gold: str, answer: str) -> Verdict | None:
    """Words against anything: letters and digits decide. An option letter also equals the one that leads an option."""
    expected, given = option_letter(gold), option_letter(answer)
    if expected and expected[1] and given:
        return Verdict(equal=expected[0] == given[0], layer="text")
    readings = parse_answer(gold), parse_answer(answer)
    if not any(isinstance(reading, Text) for reading in readings):
        return None
    if not isinstance(readings[0], Text) and isinstance(readings[0], Opaque):
        return None
    return Verdict(equal=letters_of(gold) == letters_of(answer), layer="text")


def compare(gold: Answer, answer: Answer) -> Verdict:  # noqa: PLR0911 - one line a pair of kinds
    """Compare two structures. Raises TooLargeError."""
    if isinstance(gold, Text) or isinstance(answer, Text):
        return _texts(gold, answer)
    if isinstance(gold, Opaque) or isinstance(answer, Opaque):
        if isinstance(answer, Opaque) and not isinstance(gold, Opaque) and _AMID.search(answer.text):
            return Verdict(equal=False, layer="text")
        refused = isinstance(answer, Opaque) and answer.refused
        return Verdict(equal=None, layer="limits") if refused else UNDECIDED
    if isinstance(gold, Relation) or isinstance(answer, Relation):
        return _relations(gold, answer)
    if isinstance(gold, Numeral) or isinstance(answer, Numeral):
        return Verdict(equal=gold == answer, layer="base")
    if isinstance(gold, Scalar) and isinstance(answer, Scalar):
        return _scalars(gold, answer)
    if isinstance(gold, Matrix) or isinstance(answer, Matrix):
        return _matrices(gold, answer)
    if isinstance(gold, Items) and isinstance(answer, Items):
        return _items(gold, answer)
    # One is several answers, the other a single one: only a set or list of one may still be equal.
    several, single, turned = (gold, answer, False) if isinstance(gold, Items) else (answer, gold, True)
    if isinstance(several, Items) and len(several.parts) == 1 and several.brackets in ("", "{}"):
        return compare(single, several.parts[0]) if turned else compare(several.parts[0], single)
    return Verdict(equal=False, layer="structure")


def _texts(gold: Answer, answer: Answer) -> Verdict:
    """Words equal words letter by letter; a single letter may stand without its text command."""
    letters = [side.letters if isinstance(side, Text) else _single_letter(side) for side in (gold, answer)]
    if isinstance(gold, Opaque):
        return UNDECIDED
    return Verdict(equal=letters[0] == letters[1], layer="text")


def _single_letter(answer: Answer) -> str | None:
    if isinstance(answer, Scalar) and answer.expression.tree.op in ("var", "const"):
        return answer.expression.tree.name.casefold()
    return None


def _scalars(gold: Scalar, answer: Scalar) -> Verdict:
    if differ(gold.unit, answer.unit):
        return Verdict(equal=False, layer="units")
    equal = equal_values(gold.expression, answer.expression)
    if equal is not True and gold.percent != answer.percent:
        percent, plain = (gold, answer) if gold.percent else (answer, gold)
        if equal_values(_hundredth(percent.expression), plain.expression):
            equal = True
    return Verdict(equal=equal, layer="value") if equal is not None else UNDECIDED


def _hundredth(expression: Expression) -> Expression:
    hundred = Node(op="num", value=Fraction(100))
    return Expression(
        tree=Node(op="div", args=(expression.tree, hundred)),
        variables=expression.variables,
        ambiguous=expression.ambiguous,
    )


def _matrices(gold: Answer, answer: Answer) -> Verdict:
    """Entry by entry; a vector also equals the bracketed group ``(a, b, c)`` or ``<a, b, c>`` of its entries."""
    vectors = [_entries(side) for side in (gold, answer)]
    if not (isinstance(gold, Matrix) and isinstance(answer, Matrix)):
        if any(
            isinstance(side, Matrix) and min(len(side.rows), max(map(len, side.rows))) > 1 for side in (gold, answer)
        ):
            return Verdict(equal=False, layer="structure")
    else:
        shapes = [[len(row) for row in side.rows] for side in (gold, answer)]
        if gold.kind != answer.kind or shapes[0] != shapes[1]:
            return Verdict(equal=False, layer="structure")
    if vectors[0] is None or vectors[1] is None or len(vectors[0]) != len(vectors[1]):
        return Verdict(equal=False, layer="structure")
    return _all(compare(a, b) for a, b in zip(vectors[0], vectors[1], strict=True))


def _entries(side: Answer) -> tuple[Answer, ...] | None:
    """All entries of a matrix, row by row, or the parts of a bracketed group; None for what is neither."""
    if isinstance(side, Items):
        return side.parts if side.brackets in ("()", "<>", "[]") else None
    return tuple(entry for row in side.rows for entry in row) if isinstance(side, Matrix) else None


def _alone(side: Items, other: Items) -> Items:
    """The one group in a set of one, where the other side is no set."""
    (first, *more) = side.parts or (side,)
    lone = side.brackets == "{}" != other.brackets and not more and isinstance(first, Items)
    return first if lone and isinstance(first, Items) else side


def _coordinates(group: Items, bare: Items) -> Items:
    """A bare list of ``x = ...``, ``y = ...`` in the order of a group ``(x, y)``; any other list as it is."""
    names = _labels(bare.parts)
    if not group.ordered or bare.brackets or names is None or not set(names) <= {"x", "y", "z"}:
        return bare
    return Items(brackets="", parts=tuple(part for _, part in sorted(zip(names, bare.parts, strict=True), key=_name)))


def _name(labelled: tuple[str, Answer]) -> str:
    return labelled[0]


def _items(gold: Items, answer: Items) -> Verdict:
    gold, answer = (as_union(gold), answer) if answer.brackets == "u" else (gold, as_union(answer, of=gold))
    gold, answer = _alone(gold, answer), _alone(answer, gold)
    gold, answer = _coordinates(answer, gold), _coordinates(gold, answer)
    if gold.brackets != answer.brackets and not _interchangeable(gold, answer):
        return Verdict(equal=False, layer="brackets")
    if len(gold.parts) != len(answer.parts):
        return Verdict(equal=False, layer="structure")
    if gold.ordered or answer.ordered or len(gold.parts) ** 2 > _PAIRS_LIMIT:
        return _all(compare(_unlabelled(a), _unlabelled(b)) for a, b in zip(gold.parts, answer.parts, strict=True))
    return _unordered(gold.parts, answer.parts)


def _interchangeable(gold: Items, answer: Items) -> bool:
    """A bare list stands for a set in any order, or for a group in round or angle brackets in its own order."""
    kinds = {gold.brackets, answer.brackets}
    return kinds in ({"", "{}"}, {"", "()"}, {"", "<>"}, {"()", "<>"})


def _unlabelled(part: Answer) -> Answer:
    return part.value if isinstance(part, Relation) and part.label is not None else part


def _unordered(gold: tuple[Answer, ...], answer: tuple[Answer, ...]) -> Verdict:
    """Match each part of the gold with one of the answer. Labels count only where both sides have them."""
    sides = [gold, answer]
    if _labels(gold) is None or _labels(answer) is None:
        if not _roots(gold) or not _roots(answer):
            return _all(compare(_unlabelled(a), _unlabelled(b)) for a, b in zip(gold, answer, strict=True))
        sides = [tuple(map(_unlabelled, side)) for side in sides]
    free = list(range(len(sides[1])))
    undecided = False
    for part in sides[0]:
        verdicts = {at: compare(part, sides[1][at]) for at in free}
        matched = next((at for at in free if verdicts[at].equal), None)
        if matched is not None:
            free.remove(matched)
        elif any(verdict.equal is None for verdict in verdicts.values()):
            undecided = True
        else:
            return next(iter(verdicts.values()), Verdict(equal=False, layer="structure"))
    return UNDECIDED if undecided else Verdict(equal=True, layer="value")


def _labels(parts: tuple[Answer, ...]) -> tuple[str, ...] | None:
    """The names of a list of labelled parts, None where some part has no name."""
    names = tuple(part.label for part in parts if isinstance(part, Relation) and part.label is not None)
    return names if len(names) == len(parts) else None


def _roots(parts: tuple[Answer, ...]) -> bool:
    """Whether the parts are values of one unknown (``x_1, x_2``), or carry no names: their order is free then."""
    names = _labels(parts)
    return names is None or len({name.split("_")[0] for name in names}) == 1


def _relations(gold: Answer, answer: Answer) -> Verdict:
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return _two_relations(gold, answer)
    relation, plain, turned = (gold, answer, True) if isinstance(gold, Relation) else (answer, gold, False)
    assert isinstance(relation, Relation)  # noqa: S101 - one of the two is, or we would not be here
    interval = as_interval(relation)
    if interval is not None and isinstance(plain, Items):
        if not plain.brackets and relation.operators != ("in",):
            return Verdict(equal=False, layer="brackets")
        return compare(interval, plain) if turned else compare(plain, interval)
    if set(relation.operators) - {"=", "in", "approx", "equiv"}:
        return UNDECIDED if isinstance(plain, Items) else Verdict(equal=False, layer="structure")
    # ``x = 5``, ``2 + 3 = 5`` or ``a + b = 5`` for 5; but an equation ``... = 0`` is no 0, nor is a gold that is an
    # equation answered by one of its sides.
    if relation.label is None and (turned or _is_zero(relation.value)):
        return Verdict(equal=False, layer="structure")
    return compare(relation.value, plain) if turned else compare(plain, relation.value)


def _two_relations(gold: Relation, answer: Relation) -> Verdict:
    named = gold.label is not None and answer.label is not None
    if named and (gold.label == answer.label or not gold.label or not answer.label):
        return compare(gold.value, answer.value)
    if named and all(_closed(side.value) for side in (gold, answer)):
        return Verdict(equal=False, layer="structure")
    intervals = as_interval(gold), as_interval(answer)
    if intervals[0] is not None and intervals[1] is not None:
        return compare(intervals[0], intervals[1]) if _unknown(gold) == _unknown(answer) else UNDECIDED
    if len(gold.operators) == len(answer.operators) == 1:
        return _single_relations(gold, answer)
    return UNDECIDED


def _is_zero(value: Answer) -> bool:
    return isinstance(value, Scalar) and value.expression.tree.op == "num" and value.expression.tree.value == 0


def _closed(value: Answer) -> bool:
    return isinstance(value, Scalar) and not value.expression.variables


def _single_relations(gold: Relation, answer: Relation) -> Verdict:
    """Two equations, or two inequalities, are equal when their differences of sides are proportional."""
    differences = [_difference(side) for side in (gold, answer)]
    if differences[0] is None or differences[1] is None:
        return UNDECIDED
    operator = answer.operators[0]
    same_sign = proportional(differences[0], differences[1])
    if same_sign is None:
        return UNDECIDED
    if gold.operators[0] == "=" == operator:
        return Verdict(equal=True, layer="value")
    expected = gold.operators[0] if same_sign else FLIPPED.get(gold.operators[0])
    return Verdict(equal=operator == expected, layer="value")


def _difference(relation: Relation) -> Expression | None:
    left, right = relation.sides[0], relation.sides[-1]
    if not isinstance(left, Scalar) or not isinstance(right, Scalar):
        return None
    return Expression(
        tree=Node(op="sub", args=(left.expression.tree, right.expression.tree)),
        variables=left.expression.variables | right.expression.variables,
        ambiguous=left.expression.ambiguous or right.expression.ambiguous,
    )


def _unknown(relation: Relation) -> frozenset[str]:
    return frozenset().union(*(side.expression.variables for side in relation.sides if isinstance(side, Scalar)))


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    """All equal: equal; one that is not: not equal; else undecided."""
    seen = list(verdicts)
    wrong = next((verdict for verdict in seen if verdict.equal is False), None)
    if wrong:
        return wrong
    return UNDECIDED if any(verdict.equal is None for verdict in seen) else Verdict(equal=True, layer="value")
