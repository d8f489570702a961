"""Reading and setting variables of every type, one by one and together, in the checking process."""

from __future__ import annotations

import ctypes as c

from fmus.check.instance import Instance
from fmus.check.job import Value, Variable
from fmus.check.library import WARNING, FmuError, Library
from fmus.check.probing import Found, difference, instance, moved


def reading_and_setting(library: Library) -> Found:
    """Every variable is read, alone and with its type; inputs and tunable parameters are what they were set to."""
    job = library.job
    readable = [v for v in job.variables if not v.ticks and v.type != "Clock"]
    one = instance(library).start()
    together = one.get(readable)
    alone = [one.get([v])[0] for v in readable]
    failures = []
    if differs := difference(readable, [together], [alone]):
        failures.append(f"read alone {differs}")
    nothing = [v.name for v, value in zip(readable, together, strict=True) if None in value]
    failures += [f"String '{name}' is NULL" for name in nothing]
    set_, wrong = _set(one)
    failures += wrong
    one.free()
    warnings = _miscounted(library, readable) if job.version == 3 else []
    kinds, arrays = len({v.type for v in readable}), sum(bool(v.shape) for v in readable)
    fine = f"{len(readable)} variables of {kinds} types read together and one by one"
    fine += f", {arrays} of them arrays" if arrays else ""
    fine += f"; {set_} inputs and tunable parameters set and read back" if set_ else ""
    if left := len(job.variables) - len(readable):
        fine += f"; {left} clocks and clocked variables not read"
    return failures, warnings, fine


def _set(one: Instance) -> tuple[int, list[str]]:
    """Move each input that has room; how many, and what was wrong."""
    done, failures = 0, []
    for variable in [*one.job.of("input"), *(v for v in one.job.of("parameter") if v.variability == "tunable")]:
        (before,) = one.get([variable])
        # a parameter may be bound to others, so that it is only set to what it is
        value = _other(variable, before) if variable.causality == "input" else before
        if (status := one.set(variable, value)) > WARNING:
            said = one.library.said()
            failures.append(f"'{variable.name}' cannot be set: {one.library.status(status)}{said}")
            break
        (after,) = one.get([variable])
        wanted = tuple(c.c_float(x).value for x in value) if variable.type == "Float32" else value
        if difference([variable], [[wanted]], [[after]]):
            failures.append(f"'{variable.name}' is {_text(after)} after it was set to {_text(wanted)}")
        done += 1
    return done, failures


def _other(variable: Variable, value: Value) -> Value:
    if variable.type == "String":
        return ("a\u00e4",) * variable.size
    if variable.type == "Binary":
        return (b"\x01\x00\x02",) * variable.size
    if variable.type == "Boolean":
        return tuple(not x for x in value)
    return moved(variable, value)


def _miscounted(library: Library, readable: list[Variable]) -> list[str]:
    """A wrong number of values is refused: FMI 3.0 passes it so that it can be."""
    numbers = [v for v in readable if v.numeric]
    accepted = []
    for kind in dict.fromkeys(v.type for v in numbers):
        of_kind = [v for v in numbers if v.type == kind]
        one = instance(library).start()
        try:
            if one.calls.try_read(kind, [v.reference for v in of_kind], sum(v.size for v in of_kind) + 1)[0] <= WARNING:
                accepted.append(f"fmi3Get{one.calls.type_name(kind)}")
        except FmuError as failure:
            return [f"asked for one value too many: {failure}"]
        one.free()
    if not accepted:
        return []
    return [f"{', '.join(accepted)} take{'s' if len(accepted) == 1 else ''} a wrong number of values"]


def _text(value: Value) -> str:
    return repr(value[0] if len(value) == 1 else list(value))
