"""The interfaces that an FMU's description offers, and the job that checks one of them."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from fmus.check.job import CO_SIMULATION, MODEL_EXCHANGE, REALS, SCHEDULED_EXECUTION, Job, Value, Variable

_ATTRIBUTES = {
    CO_SIMULATION: "coSimulation",
    MODEL_EXCHANGE: "modelExchange",
    SCHEDULED_EXECUTION: "scheduledExecution",
}
#: FMI 2.0's names of capabilities, where FMI 3.0 has another
_OLDER = {
    "canGetAndSetFMUState": "canGetAndSetFMUstate",
    "canSerializeFMUState": "canSerializeFMUstate",
    "providesDirectionalDerivatives": "providesDirectionalDerivative",
}
FLAGS = (
    *_OLDER,
    "providesAdjointDerivatives",
    "canHandleVariableCommunicationStepSize",
    "canBeInstantiatedOnlyOncePerProcess",
    "needsExecutionTool",
    "hasEventMode",
    "providesIntermediateUpdate",
    "canReturnEarlyAfterIntermediateUpdate",
    "mightReturnEarlyFromDoStep",
    "providesEvaluateDiscreteStates",
)
#: internal steps in one communication step; some FMUs name a step for the experiment that is far too long for that
_MOST_PARTS = 1000
_SYSTEMS = {"linux": ("linux", "linux64"), "darwin": ("darwin", "darwin64"), "win32": ("windows", "win64")}
_SUFFIXES = {"linux": ".so", "darwin": ".dylib", "win32": ".dll"}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def interfaces(description: Any) -> dict[str, Any]:
    """What FMPy says about each interface that the FMU offers."""
    found = {name: getattr(description, attribute, None) for name, attribute in _ATTRIBUTES.items()}
    return {name: said for name, said in found.items() if said is not None}


def major_version(description: Any) -> int:
    """2 or 3; 0 for a version that is not known here."""
    version = str(description.fmiVersion)
    return 3 if version.startswith("3.") else 2 if version == "2.0" else 0


def platform_names(version: int) -> list[str]:
    """The folders in which an FMU of this version may have its binary for this machine."""
    system, older = _SYSTEMS.get(sys.platform, (sys.platform, ""))
    machine = platform.machine().lower()
    names = [f"{_MACHINES.get(machine, machine)}-{system}"]
    if version == 2 and older and (names[0].startswith("x86_64") or system == "darwin"):
        names.insert(0, older)
    return names


def library_of(version: int, identifier: str, names: set[str]) -> str | None:
    """The binary for this machine in an archive with these names."""
    suffix = _SUFFIXES.get(sys.platform, ".so")
    paths = [f"binaries/{folder}/{identifier}{suffix}" for folder in platform_names(version)]
    return next((path for path in paths if path in names), None)


def job_of(description: Any, interface: str, folder: Path, library: Path, time_limit: float) -> Job:
    """The job of one interface of an unpacked FMU."""
    said = interfaces(description)[interface]
    version = major_version(description)
    start, stop, step = _experiment(description, _fixed_step(said))
    listed = [v for v in description.modelVariables if v.alias is None]
    places = {id(v): k for k, v in enumerate(listed)}
    derivatives = [u.variable for u in description.derivatives if u.variable.derivative is not None]
    resources = (folder / "resources").resolve()
    return Job(
        check="",
        version=version,
        interface=interface,
        library=str(library),
        # FMI 3.0 asks for NULL where there is no folder
        resources=resources.as_uri() if version == 2 else f"{resources}{os.sep}" if resources.is_dir() else "",
        token=str(description.instantiationToken),
        start=start,
        stop=stop,
        step=step,
        time_limit=time_limit,
        flags=tuple(name for name in FLAGS if claims(said, name)),
        variables=tuple(_variable(v) for v in listed),
        states=tuple(places[id(v.derivative)] for v in derivatives),
        derivatives=tuple(places[id(v)] for v in derivatives),
        indicators=int(description.numberOfEventIndicators),
        dependencies={
            int(u.variable.valueReference): tuple(int(v.valueReference) for v in u.dependencies if v.type in REALS)
            for u in (*description.outputs, *description.derivatives)
            if u.dependencies is not None and u.variable.type in REALS
        },
        offered=tuple(interfaces(description)),
        categories=tuple(c.name for c in description.logCategories),
    )


def claims(said: Any, name: str) -> bool:
    """Whether an interface claims a capability."""
    return bool(getattr(said, name, False) or getattr(said, _OLDER.get(name, name), False))


def _fixed_step(said: Any) -> float | None:
    step = _number(getattr(said, "fixedInternalStepSize", None))
    return step if step and step > 0.0 else None


def _experiment(description: Any, fixed: float | None) -> tuple[float, float | None, float]:
    experiment = description.defaultExperiment
    start, stop, step = (
        t if (t := _number(getattr(experiment, name, None))) is not None and math.isfinite(t) else None
        for name in ("startTime", "stopTime", "stepSize")
    )
    start = start or 0.0
    if not step or step <= 0.0:
        step = (stop - start) / 100.0 if stop is not None and stop > start else 0.1
    if fixed:
        step = min(max(round(step / fixed), 1), _MOST_PARTS) * fixed
    return start, stop, step


def _variable(variable: Any) -> Variable:
    kind = variable.declaredType
    lowest, highest = _limits(variable.type)
    shape = tuple(variable.shape or ())

    def bound(name: str, otherwise: float) -> float:
        own = getattr(variable, name, None)
        value = _number(own if own is not None else getattr(kind, name, None))
        return otherwise if value is None else value

    return Variable(
        name=variable.name,
        reference=int(variable.valueReference),
        type=variable.type,
        causality=variable.causality or "local",
        variability=variable.variability or ("continuous" if variable.type in REALS else "discrete"),
        start=_start(variable, math.prod(shape)),
        low=bound("min", lowest),
        high=bound("max", highest),
        nominal=abs(bound("nominal", 1.0)) or 1.0,
        shape=shape,
        ticks=bool(variable.clocks),
        intermediate=bool(variable.intermediateUpdate),
        exact=variable.initial == "exact",
        dimensions=tuple(None if d.start is not None else int(d.valueReference) for d in variable.dimensions),
    )


def _limits(kind: str) -> tuple[float, float]:
    """The least and the greatest value that the type has room for."""
    integer = re.fullmatch(r"(U?)Int(8|16|32|64)", "Int32" if kind == "Integer" else kind)
    if integer is None:
        return -math.inf, math.inf
    bits = int(integer[2])
    return (0.0, 2.0**bits - 1.0) if integer[1] else (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1.0)


def _start(variable: Any, size: int) -> Value | None:
    text = variable.start
    if text is None or variable.type == "Clock":
        return None
    if variable.type == "String":
        return (text,) if size == 1 else None
    if variable.type == "Binary":
        try:
            return (bytes.fromhex(text),) if size == 1 else None
        except ValueError:
            return None
    values = [_number(word) for word in text.split()]
    if None in values or len(values) not in {1, size}:
        return None
    return tuple(values * size if len(values) == 1 else values)


def _number(text: Any) -> float | None:
    if text in {"true", "false"}:
        return float(text == "true")
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
