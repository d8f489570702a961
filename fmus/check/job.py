"""What the checking process is told about an FMU: plain data, so that it needs no description of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

#: a variable's value, element by element; a scalar has one
Value = tuple[Any, ...]

CO_SIMULATION, MODEL_EXCHANGE, SCHEDULED_EXECUTION = "Co-Simulation", "Model Exchange", "Scheduled Execution"
REALS = frozenset({"Real", "Float32", "Float64"})
_NUMBERS_NOT = {"String", "Binary", "Clock"}


@dataclass(frozen=True)
class Variable:
    """A variable; ``type`` is its standard's name of it.

    ``ticks`` says that clocks decide when it may be read, ``exact`` that it starts at ``start``.
    ``dimensions`` are the value references of the structural parameters that give its shape, None for a number.
    """

    name: str
    reference: int
    type: str
    causality: str
    variability: str
    start: Value | None
    low: float
    high: float
    nominal: float
    shape: tuple[int, ...] = ()
    ticks: bool = False
    intermediate: bool = False
    exact: bool = False
    dimensions: tuple[int | None, ...] = ()

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def real(self) -> bool:
        """Whether it is a floating point number."""
        return self.type in REALS

    @property
    def numeric(self) -> bool:
        """Whether it is a number or a truth value."""
        return self.type not in _NUMBERS_NOT

    def element(self, place: int) -> str:
        """The name of one of its values, with indices from 1."""
        indices: list[str] = []
        for length in reversed(self.shape):
            place, index = divmod(place, length)
            indices.insert(0, str(index + 1))
        return f"{self.name}[{','.join(indices)}]" if indices else self.name

    def moved(self, value: float, share: float = 0.05) -> float:
        """A value near ``value`` that is still allowed; ``value`` itself if there is none."""
        if self.type == "Boolean":
            return float(not value)
        if self.type in {"Enumeration", "String", "Binary", "Clock"}:
            return value
        size = share * max(abs(value), 0.01 * self.nominal, 1e-3 if value == 0.0 else 0.0)
        if math.isfinite(self.high - self.low):
            size = min(size, 0.25 * (self.high - self.low))
        if not self.real:
            size = max(round(size), 1)
        moved = value + size if value + size <= self.high else max(value - size, self.low)
        return moved if moved <= self.high else value


@dataclass(frozen=True)
class Job:
    """One check of one interface of one FMU.

    ``flags`` are the capabilities that the description claims, under the names of FMI 3.0. ``states`` and
    ``derivatives`` are places in ``variables``, in the order of the model structure; ``dependencies`` gives, for value
    references of Real unknowns, those of the Reals on which the model structure says that they depend. ``offered`` are
    all interfaces of the FMU, ``categories`` those of its log.
    """

    check: str
    version: int
    interface: str
    library: str
    resources: str
    token: str
    start: float
    stop: float | None
    step: float
    time_limit: float
    flags: tuple[str, ...]
    variables: tuple[Variable, ...]
    states: tuple[int, ...] = ()
    derivatives: tuple[int, ...] = ()
    indicators: int = 0
    dependencies: dict[int, tuple[int, ...]] = field(default_factory=dict)
    offered: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def state_count(self) -> int:
        """How many continuous states the description has, element by element."""
        return sum(self.variables[k].size for k in self.derivatives)

    def of(self, *causalities: str, reals: bool = False) -> list[Variable]:
        """The variables of these causalities that can be read at any communication point."""
        return [
            v
            for v in self.variables
            if v.causality in causalities and not v.ticks and v.type != "Clock" and (v.real or not reals)
        ]

    def observed(self) -> list[Variable]:
        """What a run is compared by."""
        return self.of("output", "local", "calculatedParameter")

    def for_check(self, check: str) -> Job:
        """The same FMU, another check."""
        return replace(self, check=check)

    def write(self, file: Path) -> None:
        """Write it for `read`."""
        file.write_text(json.dumps(asdict(self), default=_hexadecimal), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Job:
        """What `write` wrote."""
        data = json.loads(file.read_text(encoding="utf-8"))
        data["variables"] = tuple(_variable(v) for v in data["variables"])
        for name in ("flags", "states", "derivatives", "offered", "categories"):
            data[name] = tuple(data[name])
        data["dependencies"] = {int(k): tuple(known) for k, known in data["dependencies"].items()}
        return cls(**data)


def elements(variables: list[Variable], values: list[Value]) -> Iterator[tuple[str, Any]]:
    """The name and the value of each element."""
    for variable, value in zip(variables, values, strict=True):
        for place, element in enumerate(value):
            yield variable.element(place), element


def _hexadecimal(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(value)


def _variable(data: dict[str, Any]) -> Variable:
    start = data["start"]
    if start is not None:
        start = tuple(bytes.fromhex(x) for x in start) if data["type"] == "Binary" else tuple(start)
    return Variable(**data | {"start": start, "shape": tuple(data["shape"]), "dimensions": tuple(data["dimensions"])})
