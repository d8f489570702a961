"""MathML's elements as text: numbers, identifiers, fractions. Only what browsers have in common (MathML Core)."""

from __future__ import annotations

import html
import math
import re

_INDEXED = re.compile(r"^(.*)\[(\d+)\]$")
_TALL = ("<mfrac", "<mtable", "<msqrt", "<munderover")
#: significant digits of a printed number
DIGITS = 10
_SHORT = 10


def row(*parts: str) -> str:
    """Parts side by side, as one."""
    return f"<mrow>{''.join(parts)}</mrow>"


def operator(text: str, **attributes: str) -> str:
    """An operator: ``+``, ``(``."""
    given = "".join(f' {k}="{v}"' for k, v in attributes.items())
    return f"<mo{given}>{html.escape(text)}</mo>"


def fenced(inner: str, left: str = "(", right: str = ")") -> str:
    """``inner`` in brackets, which grow where it is tall."""
    sized = {} if any(tall in inner for tall in _TALL) else {"stretchy": "false"}
    return row(operator(left, **sized), inner, operator(right, **sized))


def fraction(above: str, below: str) -> str:
    """A fraction."""
    return f"<mfrac>{above}{below}</mfrac>"


def power(base: str, exponent: str) -> str:
    """A power."""
    return f"<msup>{base}{exponent}</msup>"


def call(name: str, arguments: list[str]) -> str:
    """A function of its arguments: ``exp(x)``."""
    inner = operator(",").join(arguments)
    return f"<mrow><mi>{name}</mi><mo>&#x2061;</mo>{fenced(inner)}</mrow>"


def identifier(name: str) -> str:
    """A name; the index of an array's element is a subscript."""
    indexed = _INDEXED.match(name)
    if indexed:
        return subscripted(indexed[1], f"<mn>{indexed[2]}</mn>")
    return f"<mi>{html.escape(name)}</mi>"


def subscripted(name: str, index: str) -> str:
    """A name with a subscript."""
    return f"<msub><mi>{html.escape(name)}</mi>{index}</msub>"


def summation(index: str, first: int, last: int) -> str:
    """The sign of a sum over an index."""
    below = row(f"<mi>{index}</mi>", operator("="), f"<mn>{first}</mn>")
    return f"<munderover>{operator('∑')}{below}<mn>{last}</mn></munderover>"


def split_index(name: str) -> tuple[str, int] | None:
    """Array and index of ``array[3]``; None for another name."""
    indexed = _INDEXED.match(name)
    return (indexed[1], int(indexed[2])) if indexed else None


def number(value: float) -> str:
    """A number that is not negative: short, to ten digits, multiples of pi as such."""
    if math.isnan(value):
        return "<mtext>NaN</mtext>"
    if math.isinf(value):
        return "<mi>&#x221E;</mi>"
    for thousands in (0, -3, 3, -6, 6, -9, 9) if 1e-12 < value < 1e12 else ():
        multiple = _multiple_of_pi(value * 10.0**-thousands)
        if multiple:
            return row(_ten(thousands), operator("⋅"), multiple) if thousands else multiple
    whole = reciprocal(value)
    if whole is not None:
        return fraction("<mn>1</mn>", number(whole))
    mantissa, _, exponent = f"{value:.{DIGITS}g}".partition("e")
    if not exponent and 0.0 < value < 1e-3:
        mantissa, _, exponent = f"{value:.{DIGITS - 1}e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
    if not exponent:
        return f"<mn>{mantissa}</mn>"
    ten = _ten(int(exponent))
    return ten if mantissa == "1" else row(f"<mn>{mantissa}</mn>", operator("×"), ten)


def _ten(exponent: int) -> str:
    sign = operator("−", form="prefix") if exponent < 0 else ""
    return power("<mn>10</mn>", row(sign, f"<mn>{abs(exponent)}</mn>"))


def _multiple_of_pi(value: float) -> str:
    for parts in range(1, 13):
        times = round(value / math.pi * parts)
        if 1 <= times <= 4 and math.isclose(value, math.pi * times / parts, rel_tol=4e-16):
            pi = "<mi>&#x3C0;</mi>"
            multiple = pi if times == 1 else row(f"<mn>{times}</mn>", operator("⋅"), pi)
            return multiple if parts == 1 else fraction(multiple, f"<mn>{parts}</mn>")
    return ""


def is_compound(value: float) -> bool:
    """Whether `number` prints an operation, so that a power of it needs brackets."""
    return number(value).startswith(("<mrow", "<mfrac", "<msup"))


def reciprocal(value: float) -> float | None:
    """The whole number n where ``value`` is 1/n and shorter so; None otherwise."""
    if not 1e-7 < value < 1.0 or len(repr(value)) <= _SHORT:
        return None
    whole = float(round(1.0 / value))
    return whole if 1.0 / whole == value else None
