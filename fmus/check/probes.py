"""The dynamic checks that every interface has, as they run in the checking process."""

from __future__ import annotations

import math
import time
from typing import Any

from fmus.check.fmi3 import Fmi3
from fmus.check.instance import Instance
from fmus.check.job import CO_SIMULATION, MODEL_EXCHANGE, SCHEDULED_EXECUTION, Value
from fmus.check.library import DISCARD, FmuError, Library
from fmus.check.probing import (
    STEPS,
    Found,
    difference,
    disturb,
    fresh,
    heals,
    infinite,
    instance,
    move_inputs,
    some,
)

#: where no stop time is given: at least and at most so many steps, and the share of the time limit
_SOME_STEPS, _MORE_STEPS, _SHORT = 10, 1000, 0.03
_MOST_STEPS, _LONG = 100_000, 0.5
_NANS = 20
_VERSIONS = {2: ("2.0",), 3: ("3.0", "3.")}


def instantiation(library: Library) -> Found:
    """The library loads and gives an instance; it refuses the token of another description."""
    job, prefix = library.job, library.prefix
    version = library.text("GetVersion")
    failures = []
    if not version.startswith(_VERSIONS[job.version]):
        failures.append(f"{prefix}GetVersion says {version!r}, not {job.version}.0")
    if job.version == 2 and (platform := library.text("GetTypesPlatform")) != "default":
        failures.append(f"fmi2GetTypesPlatform says {platform!r}, not default")
    different = _other_starts(library)
    warnings = [f"the binary does not start as described: {some(different, quote='')}"] if different else []
    what = "guid" if job.version == 2 else "instantiation token"
    try:
        instance(library, token=f"{{not-the-{what.replace(' ', '-')}-of-this-fmu}}").free()
    except FmuError:
        return failures, warnings, f"loads, starts as described, refuses a wrong {what}"
    return (
        failures,
        [f"it accepts a wrong {what}: a description of another version would not be noticed", *warnings],
        "",
    )


def other_interfaces(library: Library) -> Found:
    """fmi3Instantiate... gives nothing for an interface that the description does not offer."""
    one = instance(library)
    calls = one.calls
    assert isinstance(calls, Fmi3)
    offered = {job for job in (CO_SIMULATION, MODEL_EXCHANGE, SCHEDULED_EXECUTION) if job in library.job.offered}
    absent = [name for name in (CO_SIMULATION, MODEL_EXCHANGE, SCHEDULED_EXECUTION) if name not in offered]
    given = [name for name in absent if calls.instantiates(name)]
    one.free()
    warnings = [f"it gives an instance for {' and '.join(given)}, which the description does not offer"]
    return [], warnings if given else [], f"no instance for {' and '.join(absent)}" if absent else "all are offered"


def experiment(library: Library) -> Found:
    """A run of the default experiment, or of some steps, stays finite."""
    job, observed = library.job, library.job.observed()
    whole = job.stop is not None and job.stop > job.start
    steps = min(max(round(((job.stop or 0.0) - job.start) / job.step), 1), _MOST_STEPS) if whole else _MORE_STEPS
    least, budget = (1, _LONG * job.time_limit) if whole else (_SOME_STEPS, _SHORT * job.time_limit)
    one = instance(library).start()
    began, done = time.monotonic(), 0
    while done < steps and not one.ended and (done < least or time.monotonic() - began < budget):
        one.step()
        done += 1
        if bad := infinite(observed, one.get(observed)):
            return [f"at t = {one.time:.6g} s these are not finite: {', '.join(bad[:5])}"], [], ""
    seconds = time.monotonic() - began
    one.terminate()
    one.free()
    cut = "" if done == steps or not whole else f", of {steps}: as far as the time limit allows"
    if one.ended:
        cut = f", then the FMU asks to end at t = {one.time:.6g} s"
    per_step = f"{1e6 * seconds / max(done, 1):.0f} us a step with reading {len(observed)} variables"
    solver = f"; {one.solver_steps} solver steps, {one.events - 1} events" if one.solver_steps is not None else ""
    kind = "default experiment" if whole else "no stop time given"
    return [], [], f"{done} steps of {job.step:g} s ({kind}){cut}; all finite{solver}; {per_step}"


def state_machine(library: Library) -> Found:
    """The life of an instance, twice with a reset between, gives the same values."""
    observed, prefix = library.job.observed(), library.prefix
    first = fresh(library)
    one = instance(library)
    move_inputs(one.start())
    one.run(STEPS, observed)
    one.terminate()
    one.calls.need("Reset")
    second = one.start().run(STEPS, observed)
    one.calls.need("Reset")
    third = one.start().run(STEPS, observed)
    one.terminate()
    one.free()
    failures = [
        f"after {prefix}Reset {when} the run differs: {lost}"
        for when, rows in (("from terminated", second), ("while stepping", third))
        if (lost := difference(observed, first, rows))
    ]
    return failures, [], "instantiate, initialise, step, terminate, reset, again: the same values"


def fmu_state(library: Library) -> Found:
    """After the state was set back, the FMU goes on bit by bit as it did before."""
    observed, called = library.job.observed(), "SetFMUstate" if library.job.version == 2 else "SetFMUState"
    one = instance(library).start()
    one.run(STEPS, observed)
    state, before = one.take_state(), one.get(observed)
    ahead = one.run(STEPS, observed)
    taken = disturb(one)
    one.set_state(state)
    restored = one.get(observed)
    lost = difference(observed, [before], [restored])
    failures = [f"{library.prefix}{called} does not restore the values: {lost}"] if lost else []
    again = one.run(STEPS, observed)
    if not failures and (differs := difference(observed, ahead, again)):
        failures.append(f"after {library.prefix}{called} the run differs: {differs}")
    one.free_state(state)
    one.free()
    same = (not ahead or ahead[-1] == before) and not taken
    warnings = ["nothing changed in the test: a state that is not restored would not show"] if same else []
    inputs = f", with {taken} inputs moved in between" if taken else ""
    return failures, warnings, f"{STEPS} steps repeated from a state, bit by bit{inputs}"


def serialisation(library: Library) -> Found:
    """A serialised state goes on in a new instance."""
    observed = library.job.observed()
    one = instance(library).start()
    one.run(STEPS, observed)
    state = one.take_state()
    data = one.calls.serialise(state.pointer)
    ahead = one.run(STEPS, observed)
    one.free_state(state)
    one.free()
    other = instance(library).start()
    other.revive(data, state)
    differs = difference(observed, ahead, other.run(STEPS, observed))
    other.free()
    failures = [f"in a new instance the run differs: {differs}"] if differs else []
    return failures, [], f"{len(data)} bytes go on in a new instance, bit by bit"


def two_instances(library: Library) -> Found:
    """A neighbour with other inputs does not change an instance."""
    observed = library.job.observed()
    alone = fresh(library)
    one, other = instance(library, "one").start(), instance(library, "other").start()
    taken = move_inputs(other)
    rows: list[list[Value]] = []
    for _ in range(STEPS):
        if not one.ended:
            one.step()
            other.step()
            rows.append(one.get(observed))
    other.free()
    differs = difference(observed, alone, rows)
    one.step()
    one.free()
    failures = [f"beside another instance the run differs: {differs}"] if differs else []
    return failures, [], f"independent{', the other with moved inputs' if taken else ''}"


def nan_input(library: Library) -> Found:
    """NaN at an input gives an error or is answered in numbers; a reset heals."""
    inputs = library.job.of("input", reals=True)[:_NANS]
    expected = fresh(library)
    answers: dict[str, list[str]] = {"refused": [], "silent": [], "ignored": []}
    unhealed = []
    for variable in inputs:
        one = instance(library).start()
        try:
            answers[_answer(one, variable)].append(variable.name)
            if not heals(one, expected):
                unhealed.append(variable.name)
        except FmuError as failure:
            return [], [f"NaN at '{variable.name}': {failure}"], ""
        one.free()
    silent, ignored = answers["silent"], answers["ignored"]
    warnings = [f"NaN at {some(silent)} goes on to the outputs without an error"] if silent else []
    warnings += [f"NaN at {some(ignored)} is taken without an error or an effect"] if ignored else []
    warnings += [f"{library.prefix}Reset does not heal the instance after NaN at {some(unhealed)}"] if unhealed else []
    return [], warnings, f"refused with an error at every input ({len(inputs)}); {library.prefix}Reset heals"


def _answer(one: Instance, variable: Any) -> str:
    outputs = one.job.of("output", reals=True)
    try:
        if one.set(variable, (math.nan,) * variable.size) >= DISCARD:
            return "refused"
        one.step()
        return "silent" if infinite(outputs, one.get(outputs)) else "ignored"
    except FmuError as failure:
        if failure.refused:
            return "refused"
        if failure.status is None:  # the solver's own complaint
            return "silent"
        raise


def _other_starts(library: Library) -> list[str]:
    """Variables that are not what the description says while the FMU is being initialised."""
    exact = [v for v in library.job.variables if v.exact and v.start is not None and not v.ticks]
    one = instance(library)
    one.calls.enter_initialization()
    values = one.get(exact)
    one.calls.need("ExitInitializationMode")
    one.free()
    found = []
    for variable, value in zip(exact, values, strict=True):
        for place, (x, start) in enumerate(zip(value, variable.start or (), strict=True)):
            if x == start or (variable.numeric and math.isclose(x, start, rel_tol=1e-6 if _short(variable) else 1e-12)):
                continue
            text = f"{x:g}, not {start:g}" if variable.numeric else f"{x!r}, not {start!r}"
            found.append(f"'{variable.element(place)}' is {text}")
    return found


def _short(variable: Any) -> bool:
    return bool(variable.type == "Float32")
