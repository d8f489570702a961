"""The dynamic checks of Model Exchange: states, derivatives, event indicators, and what depends on what."""

from __future__ import annotations

import numpy as np

from fmus.check.calls import doubles
from fmus.check.derivatives import knowns, unknowns
from fmus.check.fmi3 import Fmi3
from fmus.check.job import Variable
from fmus.check.library import WARNING, FmuError, Library
from fmus.check.model_exchange import ModelExchange
from fmus.check.probing import STEPS, Found, infinite, instance, off_bounds, spread, started_off_bounds
from fmus.check.slopes import Element, Slope, elements_of, rounding, slopes, wrong


def continuous_states(library: Library) -> Found:
    """States, derivatives and event indicators are as many as described, and the same by either way of reading."""
    job = library.job
    one = _started(library)
    failures = _counts(one)
    states, changes = [job.variables[k] for k in job.states], [job.variables[k] for k in job.derivatives]
    one.run(STEPS, states)
    names = [e.name for e in elements_of(states)]
    if one.job.state_count:
        for what, variables, vector in (
            ("state", states, one.calls.vector("GetContinuousStates", len(one.states))),
            ("derivative", changes, one.derivatives()),
        ):
            read = [x for value in one.get(variables) for x in value]
            failures += [
                f"{what} {k + 1} is {x!r}, its variable '{e.name}' {y!r}"
                for k, (e, x, y) in enumerate(zip(elements_of(variables), vector, read, strict=True))
                if x != y and abs(x - y) > 1e-12 * max(abs(x), abs(y))
            ]
        failures += [
            f"the nominal value of '{name}' is {x:g}"
            for name, x in zip(names, one.nominals, strict=True)
            if not x > 0.0
        ]
        failures += _moved(one, names)
    if bad := infinite(changes, one.get(changes)):
        failures.append(f"not finite: {', '.join(bad[:5])}")
    failures += _clock(one)
    one.terminate()
    one.free()
    return failures, [], f"{len(names)} states and derivatives, {job.indicators} event indicators, as described"


def derivatives(library: Library) -> Found:
    """Directional derivatives agree with finite differences at a point."""
    one, measured = _measured(library)
    to = unknowns(library.job)
    derived = elements_of(to)
    stated = {known: one.calls.directional(to, [known.variable], known.seed()) for known in measured}
    small = rounding(derived, stated, [one.get([known.variable])[0][known.place] for known in measured])
    one.free()
    off = [
        wrong(unknown.name, known.name, claim, slope)
        for known, slopes_ in measured.items()
        for unknown, claim, slope, least in zip(derived, stated[known], slopes_, small[known], strict=True)
        # a state that is an output too is not derived by itself
        if unknown.name != known.name and not slope.allows(claim, least)
    ]
    count = len(derived) * len(stated)
    if off:
        return [f"{len(off)} of {count} derivatives are off", *off], [], ""
    return [], [], f"{count} derivatives by {len(measured)} inputs and states agree with finite differences"


def dependencies(library: Library) -> Found:
    """What moves with an input or a state is said to depend on it."""
    said = library.job.dependencies
    one, measured = _measured(library)
    one.free()
    failures, looked = [], 0
    for known, found in measured.items():
        for unknown, slope in zip(elements_of(unknowns(library.job)), found, strict=True):
            listed = said.get(unknown.variable.reference)
            if listed is None or unknown.variable.reference == known.variable.reference:
                continue
            looked += 1
            if known.variable.reference not in listed and slope.certain:
                failures.append(
                    f"'{unknown.name}' moves with '{known.name}' (slope {slope.value:.3g}), which its dependencies lack"
                )
    return failures, [], f"{looked} pairs looked at: nothing moves that the model structure says is independent"


def _started(library: Library) -> ModelExchange:
    one = instance(library).start()
    assert isinstance(one, ModelExchange)
    return one


def _counts(one: ModelExchange) -> list[str]:
    """What the FMU says about its size, and that it fills what it is given."""
    failures = []
    described = {"ContinuousStates": one.job.state_count, "EventIndicators": one.job.indicators}
    if isinstance(one.calls, Fmi3):
        failures = [
            f"fmi3GetNumberOf{what} says {found}, the model structure {number}"
            for what, number in described.items()
            if (found := one.calls.count(what)) != number
        ]
    elif one.calls.call("GetEventIndicators", doubles(one.job.indicators), one.job.indicators) > WARNING:
        failures = [f"fmi2GetEventIndicators refuses the {one.job.indicators} indicators of the description"]
    return failures


def _moved(one: ModelExchange, names: list[str]) -> list[str]:
    """States that are set are there, and setting them back gives the same derivatives."""
    before, states = one.derivatives(), one.states.tolist()
    nearby = [x + 1e-3 * nominal for x, nominal in zip(states, one.nominals.tolist(), strict=True)]
    one.calls.set_states(nearby)
    there = one.calls.vector("GetContinuousStates", len(states))
    failures = [
        f"state '{name}' is {y!r} after it was set to {x!r}"
        for name, x, y in zip(names, nearby, there, strict=True)
        if x != y
    ]
    one.derivatives()
    one.calls.set_states(states)
    failures += [
        f"the derivative of '{name}' is {y!r} instead of {x!r} after the states were moved and set back"
        for name, x, y in zip(names, before, one.derivatives(), strict=True)
        if abs(x - y) > 1e-6 * max(abs(x), abs(y))
    ]
    return failures


def _clock(one: ModelExchange) -> list[str]:
    """The independent variable is the time that was set."""
    clock = [v for v in one.job.variables if v.causality == "independent" and v.real]
    said = [x for value in one.get(clock) for x in value]
    return [
        f"'{clock[0].name}' is {x:g} at t = {one.time:g} s" for x in said if abs(x - one.time) > 1e-9 * max(abs(x), 1.0)
    ]


def _measured(library: Library) -> tuple[ModelExchange, dict[Element, list[Slope]]]:
    """An instance some steps after its start, and the slopes there of all unknowns by each known."""
    job = library.job
    to, from_ = unknowns(job), knowns(job)
    one = started_off_bounds(library, [v for v in from_ if v.causality == "input"])
    assert isinstance(one, ModelExchange)
    one.run(STEPS, [])
    states = [job.variables[k] for k in job.states]
    inside = [off_bounds(v, value) for v, value in zip(states, one.get(states), strict=True)]
    one.states = np.array([x for value in inside for x in value], float)
    if len(one.states):
        one.calls.set_states(one.states.tolist())
    values = _flat(one, to)
    order = elements_of(states)
    found: dict[Element, list[Slope]] = {}
    inputs = [v for v in from_ if v not in states]
    for known in spread(elements_of(inputs)) + spread(order):
        place = order.index(known) if known in order else None
        (before,) = one.get([known.variable])

        def evaluate(value: float, known: Element = known, place: int | None = place) -> list[float]:
            _put(one, known, value, place)
            return _flat(one, to)

        found[known] = slopes(known.variable, before[known.place], values, evaluate)
        _put(one, known, before[known.place], place)
    return one, found


def _put(one: ModelExchange, known: Element, value: float, place: int | None) -> None:
    """Set a continuous input or a state where it may change continuously."""
    if place is not None:
        states = one.states.copy()
        states[place] = value
        one.calls.set_states(states.tolist())
        return
    (before,) = one.get([known.variable])
    target = tuple(value if k == known.place else x for k, x in enumerate(before))
    if one.calls.write(known.variable, target) > WARNING:
        raise FmuError(f"'{known.name}' cannot be set to {value:g} in continuous-time mode{one.library.said()}")


def _flat(one: ModelExchange, variables: list[Variable]) -> list[float]:
    return [float(x) for value in one.get(variables) for x in value]
