"""Numbers as C: a header of sizes and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cosim.component import FloatArray


@dataclass
class CTables:
    """Sizes (``#define``) and tables (``static const``) in the order in which they were given."""

    sizes: dict[str, int | float | str] = field(default_factory=dict)
    tables: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def size(self, **values: int | float | str) -> None:
        """Define sizes."""
        self.sizes |= values

    def reals(self, **values: FloatArray | Sequence[float]) -> None:
        """Define tables of double; a matrix lies by rows."""
        for name, value in values.items():
            flat = np.asarray(value, dtype=np.float64).ravel()
            self.tables[name] = ("double", [c_number(float(v)) for v in flat])

    def integers(self, **values: Sequence[int]) -> None:
        """Define tables of int."""
        for name, value in values.items():
            self.tables[name] = ("int", [str(int(v)) for v in value])

    def text(self, guard: str, comment: str) -> str:
        """The header."""
        lines = [f"/* {comment} */", f"#ifndef {guard}", f"#define {guard}"]
        lines += [f"#define {name} {_size(value)}" for name, value in self.sizes.items()]
        lines += [c_table(kind, name, items) for name, (kind, items) in self.tables.items()]
        return "\n".join([*lines, "#endif", ""])


def c_table(kind: str, name: str, items: Sequence[str]) -> str:
    """One table; C has no empty ones, so an empty one has a zero."""
    lines, line = [], ""
    for item in items or ("0",):
        if len(line) + len(item) > 116:
            lines.append(line)
            line = ""
        line += f" {item},"
    return f"static const {kind} {name}[] = {{\n" + "\n".join([*lines, line]) + "\n};"


def c_number(value: float) -> str:
    """The shortest text that is this double."""
    if math.isnan(value):
        return "NAN"
    return repr(float(value)) if math.isfinite(value) else ("INFINITY" if value > 0 else "-INFINITY")


def _size(value: int | float | str) -> str:
    return value if isinstance(value, str) else repr(value) if isinstance(value, int) else c_number(value)
