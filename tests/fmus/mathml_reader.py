"""Reads the formulas of a documentation page as a person would, and computes them.

Nothing here knows how they were printed: what is side by side is read by the usual precedence of operators, `mrow`
groups nothing, and brackets do. A formula with a bracket too few is therefore computed wrongly, or refused.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.special

Value = Callable[["Quantities"], Any]
_OPENING = {"(": ")", "[": "]", "⌊": "⌋", "⌈": "⌉", "⟨": "⟩"}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "ln": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "arctan": np.arctan,
    "arctan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arsinh": np.arcsinh,
    "arcosh": np.arccosh,
    "artanh": np.arctanh,
    "sgn": np.sign,
    "erf": scipy.special.erf,
    "erfinv": scipy.special.erfinv,
    "fmod": np.fmod,
    "remainder": lambda a, b: math.remainder(a, b),
    "copysign": np.copysign,
    "min": lambda *a: min(a),
    "max": lambda *a: max(a),
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "≤": lambda a, b: a <= b,
    "≥": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
    "≠": lambda a, b: a != b,
}


@dataclass
class Quantities:
    """The values of the symbols, definitions for the rest, and what functions give that are called by name.

    The results of such a function are in a dictionary by what follows the name of the call.
    """

    values: Mapping[str, float]
    definitions: Mapping[str, Value] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., dict[str, Any]]] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)

    def __call__(self, name: str) -> Any:
        if name in self.values:
            return np.float64(self.values[name])
        result = re.fullmatch(r"(\w+?)((?:\.\w+)?\[\d+\])", name)
        if result and result[1] in self.definitions and name not in self.definitions:
            return self(result[1])[result[2]]
        if name not in self.found:
            self.found[name] = self.definitions[name](self)
        return self.found[name]


@dataclass
class Equation:
    """One equation of a page: ``kind`` is rate, residual, jump, start, indicator or value (of a name)."""

    kind: str
    name: str
    right: Value
    heading: str


def page_root(page: str) -> ET.Element:
    return ET.fromstring(page)


def equations(page: str) -> list[Equation]:
    """All equations of ``page`` in order; one that stands for several elements of an array is given for each."""
    found, heading = list[Equation](), ""
    section = next(s for s in page_root(page).iter("section") if s.get("id") == "equations")
    for element in section.iter():
        if element.tag in {"h3", "h4"}:
            heading = element.text or ""
        if element.get("class") == "equation":
            found.extend(_equation(element, heading))
    return found


def formula(text: str) -> Value:
    """The value of one formula, given as MathML."""
    return _Reader(_tokens(ET.fromstring(f"<mrow>{text}</mrow>")), None).all()


def _equation(element: ET.Element, heading: str) -> list[Equation]:
    (math_element,) = element.findall("math")
    note = "".join(s.text or "" for s in element.findall("span"))
    span = re.fullmatch(r"(\w+) = (\d+), …, (\d+)", note)
    tokens = _tokens(math_element)
    if span is None:
        return [_read(tokens, None, heading, note)]
    indices = range(int(span[2]), int(span[3]) + 1)
    return [_read(tokens, {span[1]: i}, heading, note) for i in indices]


def _read(tokens: list[Any], index: dict[str, int] | None, heading: str, note: str) -> Equation:
    if note == "falls below 0":
        return Equation("indicator", heading, _Reader(tokens, index).all(), heading)
    at = next(i for i, t in enumerate(tokens) if t in (("mo", "="), ("mo", "←")))
    left, sign, right = tokens[:at], tokens[at][1], _Reader(tokens[at + 1 :], index).all()
    if left == [("number", 0.0)]:
        return Equation("residual", note.removeprefix("for "), right, heading)
    kind = "value"
    if isinstance(left[0][1], ET.Element) and left[0][1].tag == "mfrac":
        assert "".join(left[0][1].itertext()) in {"ddt", "ddtime"}
        kind, left = "rate", left[1:]
    elif len(left) > 1:
        assert [t[1] for t in left[1:]] == ["(", left[2][1], ")"], left
        kind, left = "start", left[:1]
    elif sign == "←":
        kind = "guess" if "Newton" in note else "jump"
    ((what, name),) = left
    return Equation(kind, name if what == "name" else _indexed(name, index), right, heading)


def _indexed(element: ET.Element, index: dict[str, int] | None) -> str:
    base, below = element
    place = _Reader(_tokens(below), None).all()(Quantities({k: float(v) for k, v in (index or {}).items()}))
    return f"{base.text}[{int(place)}]"


def _tokens(element: ET.Element) -> list[Any]:
    """What is seen from left to right: names, numbers, operators, and elements with an inside of their own."""
    if element.tag in {"mrow", "math", "mtr", "mtd"} or element.get("class") == "lines":
        return [token for child in element for token in _tokens(child)]
    if element.tag == "mspace":
        return []
    if element.tag == "mi":
        return [("name", element.text)]
    if element.tag == "mn":
        return [("number", float(element.text or ""))]
    if element.tag in {"mo", "mtext"}:
        return [(element.tag, (element.text or "").strip("\xa0"))]
    if element.tag == "msup":
        base, exponent = element
        return [*_tokens(base), ("power", exponent)]
    assert element.tag in {"mfrac", "msqrt", "msub", "mtable", "munderover"}, element.tag
    return [("element", element)]


class _Reader:
    """Recursive descent over tokens; each method reads one level of precedence and returns what computes it."""

    def __init__(self, tokens: list[Any], index: dict[str, int] | None) -> None:
        self.tokens = tokens
        self.index = index
        self.at = 0

    def all(self) -> Value:
        value = self.either()
        assert self.at == len(self.tokens), f"not read: {self.tokens[self.at :]}"
        return value

    def peek(self) -> Any:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, *operators: str) -> str:
        kind, text = self.peek()
        if kind == "mo" and text in operators:
            self.at += 1
            return str(text)
        return ""

    def inside(self, element: ET.Element) -> Value:
        return _Reader(_tokens(element), self.index).all()

    def either(self) -> Value:
        values = [self.both()]
        while self.take("or"):
            values.append(self.both())
        return values[0] if len(values) == 1 else lambda q: any(v(q) for v in values)

    def both(self) -> Value:
        values = [self.negated()]
        while self.take("and"):
            values.append(self.negated())
        return values[0] if len(values) == 1 else lambda q: all(v(q) for v in values)

    def negated(self) -> Value:
        if not self.take("not"):
            return self.comparison()
        value = self.negated()
        return lambda q: not value(q)

    def comparison(self) -> Value:
        left = self.sum()
        sign = self.take(*_COMPARE)
        if not sign:
            return left
        right = self.sum()
        return lambda q: _COMPARE[sign](left(q), right(q))

    def sum(self) -> Value:
        terms = [(bool(self.take("−")), self.product())]
        while sign := self.take("+", "−"):
            terms.append((sign == "−", self.product()))
        if terms[0][0] or len(terms) > 1:
            return lambda q: sum(-t(q) if minus else t(q) for minus, t in terms)
        return terms[0][1]

    def product(self) -> Value:
        factors = [self.power()]
        while self.take("⋅", "×"):
            factors.append(self.power())
        return factors[0] if len(factors) == 1 else lambda q: math.prod(f(q) for f in factors)

    def power(self) -> Value:
        before = self.peek()
        base = self.primary()
        while self.peek()[0] == "power":
            fraction = before[0] == "element" and before[1].tag == "mfrac"
            assert not fraction, "of a fraction without brackets it is not seen what is raised"
            exponent = self.inside(self.peek()[1])
            self.at += 1
            base = _raised(base, exponent)
        return base

    def primary(self) -> Value:
        kind, text = self.peek()
        self.at += 1
        if kind == "number":
            return lambda q: np.float64(text)
        if kind == "name":
            return self.call(text) if self.take("\u2061") else self.named(text)
        if kind == "element":
            return self.element(text)
        assert kind == "mo", (kind, text)
        if text == "|":
            inner = self.either()
            assert self.take("|")
            return lambda q: abs(inner(q))
        if text == "{":
            return self.cases()
        assert text in _OPENING, text
        inner = self.either()
        assert self.take(_OPENING[text]), (text, self.peek())
        if text in "⌊⌈":
            rounded = np.floor if text == "⌊" else np.ceil
            return lambda q: rounded(inner(q))
        return (lambda q: np.float64(bool(inner(q)))) if text == "[" else inner

    def named(self, name: str) -> Value:
        if name == "π":
            return lambda q: np.pi
        return (lambda q: np.inf) if name == "∞" else lambda q: q(name)

    def call(self, name: str) -> Value:
        assert self.take("(")
        if name not in _FUNCTIONS:
            vectors = [self.vector()]
            while self.take(","):
                vectors.append(self.vector())
            assert self.take(")")
            return lambda q: q.functions[name](*([part(q) for part in v] for v in vectors))
        arguments = [self.either()]
        while self.take(","):
            arguments.append(self.either())
        assert self.take(")")
        return lambda q: _FUNCTIONS[name](*(a(q) for a in arguments))

    def vector(self) -> list[Value]:
        """An argument of a function: (a, b, x_{1...30}), or one value."""
        begin = self.at
        if self.take("("):
            parts = self.elements()
            while self.take(","):
                parts += self.elements()
            if self.take(")") and self.peek() in {("mo", ","), ("mo", ")")}:
                return parts
        self.at = begin
        return [self.either()]

    def elements(self) -> list[Value]:
        kind, element = self.peek()
        span = _tokens(element[1]) if kind == "element" and element.tag == "msub" else []
        if ("mo", "…") not in span:
            return [self.either()]
        self.at += 1
        (_, first), _, (_, last) = span
        return [_element(f"{element[0].text}[{i}]") for i in range(int(first), int(last) + 1)]

    def element(self, element: ET.Element) -> Value:
        if element.tag == "msub":
            name = _indexed(element, self.index)
            return lambda q: q(name)
        if element.tag == "msqrt":
            inner = self.inside(element[0])
            assert len(element) == 1
            return lambda q: np.sqrt(inner(q))
        if element.tag == "munderover":
            return self.summation(element)
        above, below = self.inside(element[0]), self.inside(element[1])
        return lambda q: np.float64(above(q)) / below(q)

    def summation(self, element: ET.Element) -> Value:
        sign, below, above = element
        assert sign.text == "∑"
        (_, letter), (_, equals), (_, first) = _tokens(below)
        assert equals == "="
        begin, terms = self.at, list[Value]()
        for i in range(int(first), int(above.text or "") + 1):
            self.at = begin
            inner = _Reader(self.tokens, (self.index or {}) | {letter: i})
            inner.at = begin
            terms.append(inner.primary())
            self.at = inner.at
        return lambda q: sum(t(q) for t in terms)

    def cases(self) -> Value:
        kind, table = self.peek()
        assert kind == "element"
        assert table.tag == "mtable"
        self.at += 1
        rows = list[tuple[Value | None, Value]]()
        for number, (value, condition) in enumerate(table):
            (_, word), *rest = _tokens(condition)
            assert word == ("if" if number == 0 else "else if" if rest else "otherwise"), word
            rows.append((_Reader(rest, self.index).all() if rest else None, self.inside(value)))
        assert rows[-1][0] is None, "nothing is said of the other cases"

        def chosen(q: Quantities) -> Any:
            return next(value(q) for condition, value in rows if condition is None or condition(q))

        return chosen


def _element(name: str) -> Value:
    return lambda q: q(name)


def _raised(base: Value, exponent: Value) -> Value:
    return lambda q: np.float64(base(q)) ** exponent(q)
