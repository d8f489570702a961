"""What the checking process is told about an FMU: plain data, so that it needs no description of its own."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Variable:
    """A scalar variable; numbers only."""

    name: str
    reference: int
    type: str
    causality: str
    variability: str
    start: float | None
    low: float
    high: float
    nominal: float

    def moved(self, value: float, share: float = 0.05) -> float:
        """A value near ``value`` that is still allowed; ``value`` itself if there is none."""
        size = share * max(abs(value), 0.01 * self.nominal, 1e-3 if value == 0.0 else 0.0)
        if math.isfinite(self.high - self.low):
            size = min(size, 0.25 * (self.high - self.low))
        return value + size if value + size <= self.high else max(value - size, self.low)


@dataclass(frozen=True)
class Job:
    """One check of one FMU. ``flags`` are the capabilities that the description claims."""

    check: str
    library: str
    resources: str
    guid: str
    start: float
    stop: float | None
    step: float
    time_limit: float
    flags: tuple[str, ...]
    variables: tuple[Variable, ...]

    def of(self, *causalities: str, reals: bool = False) -> list[Variable]:
        """The variables of these causalities."""
        return [v for v in self.variables if v.causality in causalities and (v.type == "Real" or not reals)]

    def for_check(self, check: str) -> Job:
        """The same FMU, another check."""
        return replace(self, check=check)

    def write(self, file: Path) -> None:
        """Write it for `read`."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Job:
        """What `write` wrote."""
        data = json.loads(file.read_text(encoding="utf-8"))
        data["variables"] = tuple(Variable(**v) for v in data["variables"])
        return cls(**data | {"flags": tuple(data["flags"])})


_FLAGS = (
    "canHandleVariableCommunicationStepSize",
    "canGetAndSetFMUstate",
    "canSerializeFMUstate",
    "providesDirectionalDerivative",
    "canBeInstantiatedOnlyOncePerProcess",
    "needsExecutionTool",
)


def job_of(description: Any, folder: Path, library: Path, time_limit: float) -> Job:
    """The job of an unpacked FMI 2.0 Co-Simulation FMU."""
    can = description.coSimulation
    experiment = description.defaultExperiment
    times = (_number(getattr(experiment, name, None), None) for name in ("startTime", "stopTime", "stepSize"))
    start, stop, step = (t if t is not None and math.isfinite(t) else None for t in times)
    start = start or 0.0
    if not step or step <= 0.0:
        step = (stop - start) / 100.0 if stop is not None and stop > start else 0.1
    return Job(
        check="",
        library=str(library),
        resources=(folder / "resources").resolve().as_uri(),
        guid=str(description.guid),
        start=start,
        stop=stop,
        step=step,
        time_limit=time_limit,
        flags=tuple(name for name in _FLAGS if getattr(can, name)),
        variables=tuple(_variable(v) for v in description.modelVariables if v.type != "String"),
    )


def _variable(variable: Any) -> Variable:
    kind = variable.declaredType

    def bound(name: str, otherwise: float) -> float:
        own = getattr(variable, name, None)
        value = _number(own if own is not None else getattr(kind, name, None), otherwise)
        return otherwise if value is None else value

    return Variable(
        name=variable.name,
        reference=int(variable.valueReference),
        type="Integer" if variable.type == "Enumeration" else variable.type,
        causality=variable.causality or "local",
        variability=variable.variability or "continuous",
        start=_number(variable.start, None),
        low=bound("min", -math.inf),
        high=bound("max", math.inf),
        nominal=abs(bound("nominal", 1.0)) or 1.0,
    )


def _number(text: Any, otherwise: float | None) -> float | None:
    if text in {"true", "false"}:
        return float(text == "true")
    try:
        return float(text)
    except (TypeError, ValueError):
        return otherwise
