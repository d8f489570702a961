"""How the master's values reach an instance: native functions, and the buffers that they read and write."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray
from cosim.fmi.description import Variable

AccessKind = Literal[
    "float64",
    "float32",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "enumeration",
    "boolean2",
    "boolean3",
]

_DTYPES: dict[AccessKind, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "int8": np.int8,
    "uint8": np.uint8,
    "int16": np.int16,
    "uint16": np.uint16,
    "int32": np.int32,
    "uint32": np.uint32,
    "int64": np.int64,
    "uint64": np.uint64,
    "enumeration": np.int64,
    "boolean2": np.int32,
    "boolean3": np.bool_,
}
_ORDER: tuple[AccessKind, ...] = tuple(_DTYPES)
#: the end of the names of FMI 2.0's functions
_NAMES_2: dict[AccessKind, str] = {"float64": "Real", "int32": "Integer", "boolean2": "Boolean"}
_NAMES_3: dict[AccessKind, str] = {"enumeration": "Int64", "boolean3": "Boolean"}


@dataclass(frozen=True, eq=False)
class Access:
    """One native call that sets some inputs or gets some outputs.

    FMI 2.0: ``function(instance, references, count, buffer)``; FMI 3.0: the same with ``values_count`` behind.

    Args:
        function: the native getter or setter, as ctypes found it.
        kind: the type of the buffer's elements.
        references: value references, a ctypes array of uint32.
        count: how many references.
        values_count: how many scalars; more than references where there are arrays.
        buffer: shape (values_count,); of kind "float64" it is the part of the component's own values.
        first: place of the first scalar in ``input_values`` or ``output_values``.
        discrete: whether it sets discrete variables alone, which an instance with Event Mode takes there only.
    """

    function: Any
    kind: AccessKind
    references: Any
    count: int
    values_count: int
    buffer: npt.NDArray[Any]
    first: int
    discrete: bool = False

    @property
    def block(self) -> slice:
        """Its scalars in ``input_values`` or ``output_values``."""
        return slice(self.first, self.first + self.values_count)

    def gather(self, values: FloatArray) -> None:
        """Convert ``values[block]`` to the FMU's type: to the nearest whole number that the type holds."""
        if self.kind == "float64":
            return
        source = values[self.block]
        if self.kind == "float32":
            self.buffer[:] = source
        elif self.kind in {"boolean2", "boolean3"}:
            self.buffer[:] = np.rint(source) != 0.0
        else:
            info = np.iinfo(self.buffer.dtype)
            self.buffer[:] = np.clip(np.rint(source), *_LIMITS[self.kind]).astype(self.buffer.dtype)
            self.buffer[source >= info.max] = info.max  # which float64 may not have

    def spread(self, values: FloatArray) -> None:
        """Convert the FMU's type to ``values[block]``."""
        if self.kind != "float64":
            values[self.block] = self.buffer


@dataclass(frozen=True)
class NativeStep:
    """How a native loop may step an instance without Python.

    Args:
        version: 2 or 3; says which arguments ``doStep`` takes.
        function: address of ``fmi2DoStep`` or ``fmi3DoStep``.
        instance: the instance's pointer.
    """

    version: int
    function: int
    instance: int


def kind_of(version: int, variable: Variable) -> AccessKind:
    """The kind of access that a numeric variable needs."""
    if variable.type == "Boolean":
        return "boolean2" if version == 2 else "boolean3"
    if variable.type == "Enumeration":
        return "int32" if version == 2 else "enumeration"
    kind: AccessKind = variable.type.lower()  # type: ignore[assignment]
    return kind


def function_name(version: int, verb: str, kind: AccessKind) -> str:
    """``GetReal`` or ``SetFloat64``: the function's name without its prefix."""
    if version == 2:
        return verb + _NAMES_2[kind]
    return verb + _NAMES_3.get(kind, kind.replace("float", "Float").replace("uint", "UInt").replace("int", "Int", 1))


def in_order(version: int, variables: Iterable[Variable]) -> list[Variable]:
    """Variables sorted by kind, continuous ones first, so that the scalars of one access stand together."""
    return sorted(variables, key=lambda v: (_ORDER.index(kind_of(version, v)), v.discrete))


def accesses(
    version: int,
    find: Any,
    verb: Literal["Get", "Set"],
    variables: Sequence[Variable],
    values: FloatArray,
    *,
    apart: bool = False,
) -> list[Access]:
    """The native calls for variables in the order of `in_order`.

    Args:
        version: 2 or 3.
        find: gives the native function of a name.
        verb: whether to get or to set.
        variables: outputs or inputs.
        values: shape (all their scalars,).
        apart: whether discrete variables get calls of their own.
    """
    made: list[Access] = []
    first = 0
    for (kind, _), group in groupby(variables, key=lambda v: (kind_of(version, v), apart and v.discrete)):
        some = list(group)
        size = sum(v.size for v in some)
        if not size:
            continue
        buffer = values[first : first + size] if kind == "float64" else np.zeros(size, dtype=_DTYPES[kind])
        references = (ctypes.c_uint32 * len(some))(*(v.reference for v in some))
        function = find(function_name(version, verb, kind))
        made.append(Access(function, kind, references, len(some), size, buffer, first, apart and some[0].discrete))
        first += size
    return made


def typed(version: int, variable: Variable, values: FloatArray) -> npt.NDArray[Any]:
    """One variable's values in the FMU's type, shape (size,)."""
    kind = kind_of(version, variable)
    access = Access(None, kind, None, 1, len(values), np.zeros(len(values), dtype=_DTYPES[kind]), 0)
    if kind == "float64":
        return np.ascontiguousarray(values, dtype=np.float64)
    access.gather(values)
    return access.buffer


def _limits(kind: AccessKind) -> tuple[float, float]:
    """The least float64 that the type holds, and the greatest that can be converted to it."""
    info = np.iinfo(_DTYPES[kind])
    greatest = float(info.max)
    return float(info.min), greatest if int(greatest) <= info.max else float(np.nextafter(greatest, 0.0))


_LIMITS = {kind: _limits(kind) for kind, dtype in _DTYPES.items() if np.issubdtype(dtype, np.integer)}
