"""The dynamic checks of Co-Simulation alone: steps of changing size, Event Mode, intermediate update."""

from __future__ import annotations

import math

from fmus.check.cosimulation import CoSimulation
from fmus.check.job import Job
from fmus.check.library import WARNING, FmuError, Library
from fmus.check.probing import Found, infinite, instance

_STEPS = 100


def variable_step(library: Library) -> Found:
    """Steps of changing size are taken; how much that changes the outputs is told, not judged."""
    job, outputs = library.job, library.job.of("output", reals=True)
    one = instance(library).start()
    equal = one.run(4, outputs)[-1]
    one.free()
    one = instance(library).start()
    for share in (0.5, 1.25, 2.0, 0.25):
        one.step(share * job.step)
    varied = one.get(outputs)
    one.free()
    if bad := infinite(outputs, varied):
        return [f"not finite: {', '.join(bad[:5])}"], [], ""
    apart = [
        (abs(a - b) / max(abs(a), abs(b)), v.element(k))
        for v, x, y in zip(outputs, equal, varied, strict=True)
        for k, (a, b) in enumerate(zip(x, y, strict=True))
        if a != b
    ]
    within = "no difference" if not apart else "a relative {:.1g} ('{}')".format(*max(apart))
    return [], [], f"steps of 0.25 to 2 times {job.step:g} s; {within} between their outputs and those of equal steps"


def event_mode(library: Library) -> Found:
    """With Event Mode and early returns the FMU comes to every communication point, and takes inputs in Event Mode."""
    job, observed = library.job, library.job.observed()
    one = instance(library, event_mode=True, early_return=True).start()
    assert isinstance(one, CoSimulation)
    for number in range(_count(job)):
        if one.ended:
            break
        one.step()
        if bad := infinite(observed, one.get(observed)):
            return [f"at t = {one.time:.6g} s these are not finite: {', '.join(bad[:5])}"], [], ""
        if number == 1 and not one.ended:
            _set_inputs(one)
    reached = f"up to t = {one.time:.6g} s with {one.events - 1} events and {one.early_returns} early returns"
    one.terminate()
    one.calls.need("Reset")
    one.start().step()
    one.free()
    return [], [], f"{reached}; inputs set in Event Mode"


def intermediate_update(library: Library) -> Found:
    """The callback comes inside the step and in order, values can be read in it, an early return it offers is made."""
    job = library.job
    readable = [v for v in job.variables if v.intermediate and v.real and not v.ticks]
    failures: list[str] = []
    times: list[float] = []
    asked: list[float] = []

    def update(time: float, get_allowed: bool, can_return: bool) -> bool:
        times.append(time)
        if not one.time - tiny <= time <= one.time + job.step + tiny:
            failures.append(
                f"the callback comes at {time:.12g} s in a step from {one.time:.12g} s to {one.time + job.step:.12g} s"
            )
        elif len(times) > 1 and time < times[-2] - tiny:
            failures.append(f"the callback goes back from {times[-2]:.6g} s to {time:.6g} s")
        if get_allowed and readable:
            for kind in dict.fromkeys(v.type for v in readable):
                of_kind = [v for v in readable if v.type == kind]
                count = sum(v.size for v in of_kind)
                status, values = one.calls.try_read(kind, [v.reference for v in of_kind], count)
                if status > WARNING or not all(math.isfinite(x) for x in values):
                    failures.append(f"'{of_kind[0].name}' cannot be read in Intermediate Update Mode")
        if can_return and not asked:
            asked.append(time)
            return True
        return False

    tiny = 1e-9 * max(abs(job.start), job.step)
    one = instance(library, early_return=True, on_update=update).start()
    assert isinstance(one, CoSimulation)
    returned = None
    for _ in range(_count(job)):
        if one.ended or failures:
            break
        one.step()
        if asked and returned is None:
            returned = one.early_returns
    one.free()
    if asked and not returned:
        failures.append(f"an early return was offered and asked for at {asked[0]:.6g} s, and not made")
    warnings = [] if times else [f"the callback never came up to t = {one.time:.6g} s"]
    early = f"an early return at {asked[0]:.6g} s" if asked else "no early return offered"
    return failures[:3], warnings, f"{len(times)} callbacks in order, {len(readable)} variables read there, {early}"


def _set_inputs(one: CoSimulation) -> None:
    """In Event Mode between two steps, each input as it is."""
    inputs = one.job.of("input")
    one.calls.need("EnterEventMode")
    for variable, value in zip(inputs, one.get(inputs), strict=True):
        if None in value:  # a String that is NULL, which is told elsewhere
            continue
        if (status := one.set(variable, value)) > WARNING:
            raise FmuError(
                f"'{variable.name}' cannot be set in Event Mode: {one.library.status(status)}{one.library.said()}"
            )
    one.settle()
    one.events -= 1  # it was no event of the FMU's
    if not one.ended:
        one.calls.need("EnterStepMode")


def _count(job: Job) -> int:
    whole = round((job.stop - job.start) / job.step) if job.stop is not None else 10
    return min(max(whole, 3), _STEPS)
