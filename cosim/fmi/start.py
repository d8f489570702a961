"""Parameters and start values, from a scenario to an instance that was just made."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cosim.component import FloatArray
from cosim.fmi.description import Value, Variable
from cosim.fmi.instance import Instance
from fmus.errors import GalenicError


def set_start_values(instance: Instance, values: Mapping[str, Value]) -> Callable[[], None]:
    """Set all values that are given, structural parameters first.

    Args:
        instance: one that was just made.
        values: by the name of a scalar, or of a String or Binary variable.

    Returns:
        What is left to do in initialisation mode: arrays of which only some elements are given, and which have no
        start value, are read there first.

    Raises:
        FmuFailureError: the FMU refuses.
        GalenicError: there is no such variable.
    """
    by_variable: dict[str, dict[int, Value]] = {}
    places = instance.description.places
    for name, value in values.items():
        if name not in places:
            raise GalenicError(f"there is no variable '{name}' to set", cure="'galenic info' shows the variables")
        variable, place = places[name]
        by_variable.setdefault(variable.name, {})[place] = value
    chosen = {name: instance.description.variables[name] for name in by_variable}
    structural = [v for v in chosen.values() if v.causality == "structuralParameter"]
    if structural:
        instance.need("EnterConfigurationMode")
        for variable in structural:
            _set(instance, variable, by_variable[variable.name])
        instance.need("ExitConfigurationMode")
    unfinished = []
    for name, variable in chosen.items():
        if variable.causality == "structuralParameter" or (variable.causality == "input" and variable.numeric):
            continue  # inputs are set in initialisation mode
        if variable.start is None and len(by_variable[name]) < variable.size:
            unfinished.append(variable)
        else:
            _set(instance, variable, by_variable[name])

    def finish() -> None:
        for variable in unfinished:
            _set(instance, variable, by_variable[variable.name], instance.get_numbers(variable))

    return finish


def _set(
    instance: Instance,
    variable: Variable,
    given: Mapping[int, Value],
    base: FloatArray | None = None,
) -> None:
    if not variable.numeric:
        try:
            instance.set_texts(variable, [given[0]])
        except ValueError as error:
            raise GalenicError(
                f"'{variable.name}' is binary and cannot be '{given[0]}'", cure="give hexadecimal digits, such as 00ff"
            ) from error
        return
    full = np.zeros(variable.size) if base is None else base.copy()
    if base is None and variable.start is not None:
        full[:] = [float(value) for value in variable.start]
    for place, value in given.items():
        full[place] = float(value)
    instance.set_numbers(variable, full)
