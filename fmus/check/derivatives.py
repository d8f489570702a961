"""Derivatives that a Co-Simulation FMU states, beside finite differences, in the checking process.

The standards leave open what they mean there. Two readings are accepted, for all pairs alike: how outputs move with
the inputs at a communication point, and how outputs at the end of the last step move with the inputs that were held in
it.
"""

from __future__ import annotations

import time

from fmus.check.fmi3 import Fmi3
from fmus.check.instance import Instance
from fmus.check.job import MODEL_EXCHANGE, Job, Variable
from fmus.check.library import WARNING, FmuError, Library
from fmus.check.probing import STEPS, Found, instance, spread, started_off_bounds
from fmus.check.slopes import Element, elements_of, rounding, slopes, wrong

#: share of the time limit for differences; adjoint derivatives of so many unknowns are looked at one by one
_SHARE, _MOST_ROWS = 0.5, 50
_ROUNDING = 1e-9


def derivatives(library: Library) -> Found:
    """Directional derivatives agree with finite differences in one of their two meanings."""
    inputs, outputs = knowns(library.job), unknowns(library.job)
    one = started_off_bounds(library, inputs)
    one.run(STEPS, outputs)
    base = dict(zip(elements_of(inputs), _flat(one, inputs), strict=True))
    values, derived, wanted = _flat(one, outputs), elements_of(outputs), spread(elements_of(inputs))
    stated = {known: one.calls.directional(outputs, [known.variable], known.seed()) for known in wanted}
    one.free()
    small = rounding(derived, stated, [base[known] for known in wanted])
    off: dict[str, list[str]] = {"at a communication point": [], "of the last step": []}
    began, count = time.monotonic(), 0
    for known in wanted:
        for meaning, failures in off.items():

            def evaluate(value: float, known: Element = known, held: bool = "last" in meaning) -> list[float]:
                return _outputs(library, known, value, outputs, held=held)

            measured = slopes(known.variable, base[known], values, evaluate)
            failures += [
                wrong(unknown.name, known.name, claim, slope)
                for unknown, claim, slope, least in zip(derived, stated[known], measured, small[known], strict=True)
                if not slope.allows(claim, least)
            ]
        count += len(derived)
        # go on with the meanings that hold, or with what comes nearest
        off = {m: f for m, f in off.items() if not f} or dict([min(off.items(), key=lambda item: len(item[1]))])
        if time.monotonic() - began > _SHARE * library.job.time_limit:
            break
    meaning, failures = next(iter(off.items()))
    if failures:
        return [f"{len(failures)} of {count} derivatives {meaning} are off", *failures], [], ""
    cut = "" if count == len(derived) * len(wanted) else ", as many as the time limit allows"
    return [], [], f"{count} derivatives {meaning} agree with finite differences{cut}"


def adjoints(library: Library) -> Found:
    """Adjoint derivatives are the transposed of the directional ones: (w J) v = w (J v)."""
    from_, to = knowns(library.job), unknowns(library.job)
    one = instance(library).start()
    one.run(STEPS, to)
    calls = one.calls
    assert isinstance(calls, Fmi3)
    derived = elements_of(to)
    columns = {u: calls.directional(to, [u.variable], u.seed()) for u in elements_of(from_)}
    small = rounding(derived, columns, _flat(one, from_))
    rows = spread(list(enumerate(derived)), _MOST_ROWS)
    seeds = [(f"'{e.name}'", [float(k == row) for k in range(len(derived))]) for row, e in rows]
    seeds.append(("all unknowns together", [1.0 + 0.5 * k for k in range(len(derived))]))
    failures = []
    for what, seed in seeds:
        for (known, column), found in zip(columns.items(), calls.adjoint(to, from_, seed), strict=True):
            terms = [w * x for w, x in zip(seed, column, strict=True)]
            allowed = sum(abs(w) * x for w, x in zip(seed, small[known], strict=True))
            if not abs(found - sum(terms)) <= allowed + _ROUNDING * sum(map(abs, terms)):
                failures.append(f"of {what} by '{known.name}' is {found:.9g}, directional {sum(terms):.9g}")
    one.free()
    if failures:
        return [f"{len(failures)} adjoint derivatives differ from directional ones", *failures], [], ""
    return [], [], f"{len(derived)} by {len(columns)} agree with the directional ones"


def knowns(job: Job) -> list[Variable]:
    """What derivatives are taken by: continuous inputs, and the states where they are the solver's."""
    inputs = [v for v in job.of("input", reals=True) if v.variability == "continuous" and v.type != "Float32"]
    states = [job.variables[k] for k in job.states] if job.interface == MODEL_EXCHANGE else []
    return inputs + [v for v in states if v not in inputs]


def unknowns(job: Job) -> list[Variable]:
    """What is derived: continuous outputs, and the states' derivatives where the solver has the states."""
    outputs = [v for v in job.of("output", reals=True) if v.variability == "continuous" and v.type != "Float32"]
    changes = [job.variables[k] for k in job.derivatives] if job.interface == MODEL_EXCHANGE else []
    return changes + [v for v in outputs if v not in changes]


def _flat(one: Instance, variables: list[Variable]) -> list[float]:
    return [float(x) for value in one.get(variables) for x in value]


def _outputs(library: Library, known: Element, value: float, outputs: list[Variable], *, held: bool) -> list[float]:
    """The outputs with the input at ``value`` through the last step, or set after it."""
    one = started_off_bounds(library, knowns(library.job))
    one.run(STEPS - held, outputs)
    (before,) = one.get([known.variable])
    target = tuple(value if k == known.place else x for k, x in enumerate(before))
    if one.set(known.variable, target) > WARNING:
        raise FmuError(f"'{known.name}' cannot be set to {value:g}{library.said()}")
    if held:
        one.step()
    found = _flat(one, outputs)
    one.free()
    return found
