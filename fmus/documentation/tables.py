"""The variables of a unit model as HTML tables: an array is one row."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from fmus.model import UnitModel, Variable

_FMI3_TYPES = {"Real": "Float64", "Integer": "Int32"}
#: an array's start values are all printed up to this length
_FEW = 12


@dataclass(frozen=True)
class Row:
    """A scalar variable or a whole array.

    Attributes:
        reference: of its first element.
        elements: one for a scalar.
    """

    reference: int
    elements: list[Variable]

    @property
    def first(self) -> Variable:
        """What stands for all elements."""
        return self.elements[0]


def rows(model: UnitModel, causality: str) -> list[Row]:
    """The variables of one causality, in the order of their value references."""
    numbered = [(i, v) for i, v in enumerate(model.variables) if v.causality == causality]
    found = list[Row]()
    for array, group in groupby(numbered, key=lambda pair: pair[1].array):
        members = list(group)
        if array:
            found.append(Row(members[0][0], [v for _, v in members]))
        else:
            found.extend(Row(i, [v]) for i, v in members)
    return found


def variable_table(found: Sequence[Row], fmi: int, calculated: str = "calculated") -> str:
    """A table of variables; columns in which nothing would stand are left out.

    Args:
        found: the variables.
        fmi: 2 or 3; it decides how types are called and arrays are reached.
        calculated: what stands as the start of a variable that has none.
    """
    columns: list[tuple[str, bool, Callable[[Row], str]]] = [
        ("name", False, lambda r: _name(r, fmi)),
        ("reference", True, lambda r: _references(r, fmi)),
        ("type", False, lambda r: _type(r, fmi)),
        ("unit", False, lambda r: html.escape(r.first.unit)),
        ("display unit", False, lambda r: html.escape(r.first.display_unit)),
        ("start", True, lambda r: _start(r) or calculated),
        ("min", True, lambda r: _shown(r.first, r.first.minimum)),
        ("max", True, lambda r: _shown(r.first, r.first.maximum)),
        ("nominal", True, lambda r: _nominal(r.first)),
        ("tunable", False, lambda r: "yes" if r.first.tunable else ""),
        ("role", False, lambda r: html.escape(r.first.role.value)),
        ("description", False, lambda r: html.escape(r.first.description)),
        ("source", False, lambda r: html.escape(r.first.source)),
    ]
    cells = [[make(row) for row in found] for _, _, make in columns]
    kept = [(title, figure, c) for (title, figure, _), c in zip(columns, cells, strict=True) if any(c)]
    head = "".join(_cell("th", title, figure) for title, figure, _ in kept)
    body = "".join(
        "<tr>" + "".join(_cell("td", c[i], figure) for _, figure, c in kept) + "</tr>\n" for i in range(len(found))
    )
    return (
        f'<div class="scroll"><table class="data"><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
    )


def plain_table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of texts that are HTML already."""
    head = "".join(_cell("th", t, False) for t in titles)
    body = "".join("<tr>" + "".join(_cell("td", c, False) for c in line) + "</tr>\n" for line in lines)
    return (
        f'<div class="scroll"><table class="data"><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
    )


def _cell(tag: str, content: str, figure: bool) -> str:
    return f'<{tag} class="figure">{content}</{tag}>' if figure else f"<{tag}>{content}</{tag}>"


def name_cell(name: str) -> str:
    """A variable's name, which may be broken after a dot or an underscore."""
    return "<code>" + re.sub(r"([._])(?=.)", r"\1<wbr/>", html.escape(name)) + "</code>"


def _name(row: Row, fmi: int) -> str:
    if not row.first.array:
        return name_cell(row.first.name)
    if fmi == 3:
        return name_cell(row.first.array)
    return f"{name_cell(row.first.name)} to {name_cell(row.elements[-1].name)}"


def _references(row: Row, fmi: int) -> str:
    if len(row.elements) == 1 or fmi == 3:
        return str(row.reference)
    return f"{row.reference} to {row.reference + len(row.elements) - 1}"


def _type(row: Row, fmi: int) -> str:
    kind = _FMI3_TYPES.get(row.first.kind, row.first.kind) if fmi == 3 else row.first.kind
    return f"{kind}[{len(row.elements)}]" if row.first.array and fmi == 3 else kind


def _start(row: Row) -> str:
    starts = [_shown(v, v.start) for v in row.elements]
    if len(set(starts)) == 1:
        return starts[0]
    if len(starts) > _FEW:
        starts = [*starts[: _FEW // 2], "…", starts[-1]]
    return ", ".join(starts)


def _shown(variable: Variable, value: float | None) -> str:
    """A value as its type has it; of an enumeration the name too."""
    if value is None:
        return ""
    if variable.kind == "Boolean":
        return "true" if value else "false"
    if variable.items and 0 <= value < len(variable.items):
        return f"{int(value)} ({html.escape(variable.items[int(value)])})"
    return _number(value)


def _nominal(variable: Variable) -> str:
    return _number(variable.nominal) if variable.kind == "Real" and variable.causality != "parameter" else ""


def _number(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
