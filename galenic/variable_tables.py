"""The variables of a unit model as Markdown tables, for documentation pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmus.model import UnitModel, Variable

_TITLES = {
    "input": "Inputs",
    "parameter": "Parameters",
    "local": "States and unknowns",
    "output": "Outputs",
}
_INDEXED = re.compile(r"(.*)\[(\d+)\]")


def markdown_tables(model: UnitModel, causality: str | None = None) -> str:
    """One table for each causality, or for one; elements of an array share a row."""
    return "\n\n".join(_tables([v for v in model.variables if causality in (None, v.causality)]))


def _tables(variables: Sequence[Variable]) -> Iterator[str]:
    for causality, title in _TITLES.items():
        chosen = [v for v in variables if v.causality == causality]
        if not chosen:
            continue
        last = "source" if causality == "parameter" else "role"
        heads = ["variable", "unit", "start", "min to max", "description", last]
        if causality == "output":
            heads.remove("start")
        rows = [_row(group, heads) for group in _arrays(chosen)]
        lines = [heads, ["---"] * len(heads), *rows]
        yield f"{title}:\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _arrays(variables: Iterable[Variable]) -> Iterator[list[Variable]]:
    """Neighbours ``x[1], x[2], ...`` together, anything else alone."""

    def stem(variable: Variable) -> str:
        match = _INDEXED.fullmatch(variable.name)
        return match[1] if match else variable.name

    for _, group in groupby(sorted(variables, key=lambda v: bool(_INDEXED.fullmatch(v.name))), key=stem):
        yield list(group)


def _row(group: Sequence[Variable], heads: Sequence[str]) -> list[str]:
    first = group[0]
    name, description = first.name, first.description
    if len(group) > 1:
        begin, end = (_INDEXED.fullmatch(v.name) for v in (first, group[-1]))
        assert begin is not None
        assert end is not None
        indices = f"{begin[2]}..{end[2]}"
        name = f"{begin[1]}[{indices}]"
        description = re.sub(rf"\b{begin[2]}\b", indices, description)
    if first.items:
        description += ": " + ", ".join(f"{value} {item}" for value, item in enumerate(first.items))
    if first.tunable:
        description += " (tunable)"
    shown = f" ({first.display_unit})" if first.display_unit else ""
    cells = {
        "variable": f"`{name}`",
        "unit": first.unit + shown,
        "start": _starts(group),
        "min to max": _range(first),
        "description": description,
        "role": first.role.value,
        "source": first.source,
    }
    return [cells[head].replace("|", "\\|") for head in heads]


def _starts(group: Sequence[Variable]) -> str:
    if group[0].start is None:
        return "calculated" if group[0].causality == "local" else ""
    values = list(dict.fromkeys(f"{v.start:.6g}" for v in group))
    return ", ".join(values) if len(values) <= 3 else f"{values[0]} ... {values[-1]}"


def _range(variable: Variable) -> str:
    if variable.minimum is None and variable.maximum is None:
        return ""
    low = "-inf" if variable.minimum is None else f"{variable.minimum:.6g}"
    high = "inf" if variable.maximum is None else f"{variable.maximum:.6g}"
    return f"{low} to {high}"
