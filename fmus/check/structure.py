"""Structural parameters of FMI 3.0, which give arrays their size, in the checking process."""

from __future__ import annotations

import math

from fmus.check.instance import Instance
from fmus.check.job import Variable
from fmus.check.library import WARNING, Library
from fmus.check.probing import STEPS, Found, infinite, instance


def structural_parameters(library: Library) -> Found:
    """In Configuration Mode each is set to another value; arrays then have the size that it gives."""
    job = library.job
    parameters = job.of("structuralParameter")
    failures, resized = [], 0
    for parameter in parameters:
        one = instance(library)
        (before,) = one.get([parameter])
        value = _other(parameter, before[0])
        one.calls.need("EnterConfigurationMode")
        if (status := one.calls.write(parameter, (value,))) > WARNING:
            said = library.said()
            failures.append(f"'{parameter.name}' cannot be set to {value}: {library.status(status)}{said}")
            continue
        one.calls.need("ExitConfigurationMode")
        wrong, count = _sizes(one, parameter, value)
        failures += wrong
        resized += count
        one.free()
    failures += [] if failures else _same(library, parameters)
    return failures, [], f"{len(parameters)} set in Configuration Mode; {resized} arrays read with another size"


def _sizes(one: Instance, parameter: Variable, value: int) -> tuple[list[str], int]:
    """Read each array that the parameter sizes; what is wrong, and how many there are."""
    failures = []
    sized = [v for v in one.job.variables if parameter.reference in v.dimensions and v.numeric and not v.ticks]
    for variable in sized:
        shape = [
            value if reference == parameter.reference else length
            for length, reference in zip(variable.shape, variable.dimensions, strict=True)
        ]
        status, _ = one.calls.try_read(variable.type, [variable.reference], math.prod(shape))
        if status > WARNING:
            text = " by ".join(map(str, shape))
            failures.append(f"'{variable.name}' cannot be read as {text} after '{parameter.name}' was set to {value}")
            break  # after an error nothing more may be read
    return failures, len(sized)


def _same(library: Library, parameters: list[Variable]) -> list[str]:
    """Set to what they are, they leave a run that is finite."""
    observed = library.job.observed()
    one = instance(library)
    values = one.get(parameters)
    one.calls.need("EnterConfigurationMode")
    for parameter, value in zip(parameters, values, strict=True):
        one.calls.write(parameter, value)
    one.calls.need("ExitConfigurationMode")
    rows = one.start().run(STEPS, observed)
    one.free()
    bad = infinite(observed, rows[-1]) if rows else []
    return [f"after Configuration Mode these are not finite: {', '.join(bad[:5])}"] if bad else []


def _other(parameter: Variable, value: int) -> int:
    if value + 1 <= parameter.high:
        return value + 1
    return value - 1 if value - 1 >= max(parameter.low, 1.0) else value
