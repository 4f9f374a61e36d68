r"""Normalised LaTeX -> expression tree, by our own small grammar. Nothing is evaluated here and nothing of Python is.

What the grammar does not know (integrals, sums, limits, unknown commands) raises ``NotAnExpressionError``: the
answer then goes to the symbolic step. Where LaTeX is ambiguous (``1/2x``, ``\log`` without a base, ``f(x)``) the
tree says so, and an ambiguous tree may prove two answers equal but never unequal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

from tts_compare.errors import TTSCompareError
from tts_compare.grading.tree import Expression, Node

DEPTH_LIMIT = 40
NODE_LIMIT = 300


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


_FUNCTIONS = _names("sin cos tan cot sec csc arcsin arccos arctan arcsec arccsc arccot sinh cosh tanh ln log lg exp")
_GREEK = _names(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega varepsilon vartheta ell"
)
_OPENING = {"(": ")", "{": "}", "[": "]"}
_TOKEN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+|\\[a-zA-Z]+|\\[{}|]|[a-zA-Z]+|.)", re.DOTALL)
_TEXT = re.compile(r"\\text\s*\{([a-zA-Z]+)\}")


class NotAnExpressionError(TTSCompareError):
    """The text is not in the grammar."""


class TooBigToReadError(NotAnExpressionError):
    """The text is nested deeper, or has more parts, than any answer to a problem: no step may work on it."""


@dataclass(slots=True)
class _State:
    variables: set[str] = field(default_factory=set)
    ambiguous: bool = False
    depth: int = 0
    nodes: int = 0


def parse_expression(text: str) -> Expression:
    r"""Parse one normalised expression (no relation, no list).

    Raises NotAnExpressionError for anything outside of the grammar, TooBigToReadError for what is nested deeper than
    40 or larger than 300 nodes.
    """
    tokens = _TOKEN.findall(_TEXT.sub(r" \\\1 ", text))
    parser = _Parser([symbol for symbol in tokens if not symbol.isspace()])
    tree = parser.sum()
    if parser.position != len(parser.tokens):
        raise NotAnExpressionError(text)
    literal = tree.args[0] if tree.op == "neg" else tree
    shown = literal.name if literal.op == "num" else ""
    return Expression(
        tree=tree,
        variables=frozenset(parser.state.variables),
        ambiguous=parser.state.ambiguous,
        decimals=len(shown.partition(".")[2]) if "." in shown else None,
        digits=len(shown.replace(".", "").lstrip("0")),
    )


class _Parser:
    """Recursive descent over tokens; sum > product > power > atom."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0
        self.state = _State()

    # -- tokens ---------------------------------------------------------------------------------------------
    def peek(self, ahead: int = 0) -> str:
        at = self.position + ahead
        return self.tokens[at] if at < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        symbol = self.peek()
        if not symbol or (expected is not None and symbol != expected):
            raise NotAnExpressionError(symbol)
        self.position += 1
        return symbol

    def node(self, op: str, *args: Node, name: str = "", value: Fraction = Fraction(0)) -> Node:
        self.state.nodes += 1
        if self.state.nodes > NODE_LIMIT:
            raise TooBigToReadError("too large")
        return Node(op=op, args=args, name=name, value=value)

    # -- grammar --------------------------------------------------------------------------------------------
    def sum(self) -> Node:
        sign = self.peek() if self.peek() in ("+", "-") else ""
        if sign:
            self.take()
        left = self.product()
        if sign == "-":
            left = self.node("neg", left)
        while self.peek() in ("+", "-"):
            op = "add" if self.take() == "+" else "sub"
            left = self.node(op, left, self.product())
        return left

    def product(self) -> Node:
        left = self.signed()
        slashed = False
        while True:
            symbol = self.peek()
            if symbol in ("*", "\\cdot", "\\times"):
                self.take()
                left = self.node("mul", left, self.signed())
            elif symbol in ("/", "\\div"):
                self.take()
                left = self.node("div", left, self.signed())
                slashed = True
            elif self.starts_atom():
                self.state.ambiguous |= slashed
                if symbol[0] in ".0123456789" and self.tokens[self.position - 1][-1:].isdigit():
                    raise NotAnExpressionError("two numbers side by side")
                left = self.node("mul", left, self.power())
            else:
                return left

    def signed(self) -> Node:
        """A factor after an operator, where ``2 \\cdot -3`` is allowed."""
        if self.peek() in ("+", "-"):
            negative = self.take() == "-"
            inner = self.power()
            return self.node("neg", inner) if negative else inner
        return self.power()

    def starts_atom(self) -> bool:
        symbol = self.peek()
        if not symbol or symbol in ("\\cdot", "\\times", "\\div", "\\rfloor", "\\rceil", "\\}", "\\|"):
            return False
        return symbol[0].isalnum() or symbol[0] in ".({[\\"

    def power(self) -> Node:
        base = self.atom()
        while True:
            symbol = self.peek()
            if symbol == "^":
                self.take()
                if self.peek() == "\\circ":
                    self.take()
                    base = self.node("call", base, name="degrees")
                    continue
                base = self.node("pow", base, self.exponent())
            elif symbol == "!":
                self.take()
                double = self.peek() == "!"
                if double:
                    self.take()
                base = self.node("call", base, name="double_factorial" if double else "factorial")
            elif symbol == "'":
                raise NotAnExpressionError(symbol)
            else:
                return base

    def exponent(self) -> Node:
        if self.peek() == "{":
            return self.group()
        if self.peek() in ("+", "-"):
            negative = self.take() == "-"
            inner = self.atom()
            return self.node("neg", inner) if negative else inner
        return self.number(mixed=False) if self.peek()[:1].isdigit() else self.atom()

    def group(self) -> Node:
        opening = self.take()
        inner = self.sum()
        self.take(_OPENING[opening])
        return inner

    def atom(self) -> Node:
        """One operand. Every recursion of the grammar passes here, so the depth is counted here."""
        self.state.depth += 1
        if self.state.depth > DEPTH_LIMIT:
            raise TooBigToReadError("too deep")
        atom = self.operand_of_power()
        self.state.depth -= 1
        return atom

    def operand_of_power(self) -> Node:
        symbol = self.peek()
        if not symbol:
            raise NotAnExpressionError("unfinished")
        if symbol[0].isdigit() or symbol[0] == ".":
            return self.number()
        if symbol in _OPENING:
            return self.group()
        if symbol == "\\{":
            raise NotAnExpressionError(symbol)
        if symbol == "|":
            self.take()
            inner = self.sum()
            self.take("|")
            return self.node("abs", inner)
        if symbol[0].isalpha():
            return self.letters()
        return self.command()

    def number(self, *, mixed: bool = True) -> Node:
        text = self.take()
        if "." in text and self.peek() == "\\overline":
            return self.repeating(text)
        if not text.isascii() or text == ".":
            raise NotAnExpressionError(text)
        literal = self.node("num", name=text, value=Fraction(text.rstrip(".") if text[0] != "." else f"0{text}"))
        if mixed and "." not in text and self.peek() == "\\frac":
            at = self.position
            fraction = self.command()
            if all(arg.op == "num" and "." not in arg.name for arg in fraction.args):
                return self.node("add", literal, fraction)
            self.position = at
        return literal

    def repeating(self, head: str) -> Node:
        """``0.1\\overline{6}`` as the fraction it is; ``head`` is what stands before the period."""
        self.take()
        braced = self.peek() == "{"
        period = [self.take() for _ in range(3 if braced else 1)][braced]
        if not period.isdigit() or (braced and self.tokens[self.position - 1] != "}") or self.peek()[:1].isdigit():
            raise NotAnExpressionError(period)
        shift = 10 ** len(head.partition(".")[2])
        value = Fraction(f"0{head}0") + Fraction(int(period), (10 ** len(period) - 1) * shift)
        return self.node("num", value=value)

    def letters(self) -> Node:
        """A run of letters: a known name, or its first letter as a variable, the rest staying in the stream."""
        run = self.take()
        if run in _FUNCTIONS:
            return self.function(run)
        if run in ("pi", "infty"):
            return self.node("const", name=run)
        if len(run) > 1:
            self.tokens[self.position - 1 : self.position] = list(run)
        letter = run[0]
        if letter in ("e", "i"):
            return self.node("const", name=letter)
        self.state.ambiguous |= letter in "fgh" and self.peek() == "("
        return self.variable(letter)

    def variable(self, name: str) -> Node:
        if self.peek() == "_":
            self.take()
            name += "_" + self.subscript()
        self.state.variables.add(name)
        return self.node("var", name=name)

    def subscript(self) -> str:
        if self.peek() != "{":
            return self.take()
        self.take()
        name = ""
        while self.peek() != "}":
            name += self.take()
        self.take()
        return name

    def command(self) -> Node:  # noqa: PLR0911 - one line a command
        name = self.take().lstrip("\\")
        if name == "frac":
            return self.node("div", self.argument(), self.argument())
        if name == "sqrt":
            degree = self.group() if self.peek() == "[" else self.node("num", value=Fraction(2))
            return self.node("root", self.argument(), degree)
        if name == "binom":
            return self.node("call", self.argument(), self.argument(), name="binomial")
        if name in ("pi", "infty"):
            return self.node("const", name=name)
        if name in _FUNCTIONS:
            return self.function(name)
        if name in _GREEK:
            return self.variable(f"\\{name}")
        if name in ("lfloor", "lceil"):
            inner = self.sum()
            self.take(f"\\r{name[1:]}")
            return self.node(name[1:], inner)
        raise NotAnExpressionError(name)

    def argument(self) -> Node:
        """An argument of a command: a braced group or one symbol, of which a number gives one digit only."""
        symbol = self.peek()
        if symbol and symbol.isdigit() and len(symbol) > 1:
            self.tokens[self.position : self.position + 1] = [symbol[0], symbol[1:]]
        if symbol == "{":
            return self.group()
        if symbol == "-":
            raise NotAnExpressionError(symbol)
        if symbol and symbol.isdigit():
            digit = self.take()
            return self.node("num", name=digit, value=Fraction(digit))
        return self.atom()

    def function(self, name: str) -> Node:
        """``\\sin^2 2x``: a power before the argument applies to the value; -1 asks for the inverse function."""
        base = exponent = None
        if self.peek() == "_":
            self.take()
            base = self.argument()
        if self.peek() == "^":
            self.take()
            exponent = self.exponent()
        return self.applied(name, base, exponent)

    def applied(self, name: str, base: Node | None, exponent: Node | None) -> Node:
        if exponent is not None and exponent.op == "neg":
            name, exponent = f"arc{name}", None
            if name not in _FUNCTIONS:
                raise NotAnExpressionError(name)
        if name == "log" and base is None:
            self.state.ambiguous = True
        operand = self.operand()
        call = self.node("call", operand, *([base] if base else []), name=name)
        return self.node("pow", call, exponent) if exponent is not None else call

    def operand(self) -> Node:
        """The argument of a function: a group right after it, else the factors up to the next function or sign."""
        if self.peek() in _OPENING:
            return self.power() if self.peek() != "{" else self.group()
        operand = self.power()
        while self.starts_atom() and self.peek().lstrip("\\") not in _FUNCTIONS:
            operand = self.node("mul", operand, self.power())
        self.state.ambiguous |= self.peek() == "/"
        return operand
